"""Knobs of single layers, as techniques take them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dse.errors import StageError


def check_layer_knobs(
    what: str,
    given: Mapping[str, Mapping[str, Any]],
    *,
    layers: Collection[str],
    knobs: Collection[str],
) -> None:
    """Refuse knobs of layers that do not exist, and knobs that only the network has.

    Args:
        what: What has the knobs, for the message.
        given: Values by layer and knob.
        layers: Those that exist.
        knobs: Those that a layer may have of its own.

    Raises:
        StageError: There is one.
    """
    for layer, values in given.items():
        if layer not in layers:
            raise StageError(
                f"{what} of single layers are those of {', '.join(layers)}, got {layer!r}. "
                "Use the name of a mapped layer"
            )
        for knob in values:
            if knob not in knobs:
                raise StageError(
                    f"{layer}: a layer has a {', '.join(knobs)} of its own, got {knob!r}. "
                    "Set it for the network"
                )
