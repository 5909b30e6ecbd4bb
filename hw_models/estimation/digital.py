"""Digital work between layers: what is charged when it is counted, and what never is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hw_models.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hw_models.chip import Chip
    from hw_models.engines.engine import CostTerms
    from hw_models.layer import CodedLayer

RESIDUAL_ADD = "residual_add"
"""Component of networks whose element-wise additions were counted."""

NOT_CHARGED = (
    "energy of pooling",
    "reuse of inputs between neighbouring windows",
    "partial sums between tiles",
    "leakage of idle blocks",
    "links between chips",
)
"""Work and losses that no estimate contains."""

ADDITIONS_NOT_COUNTED = "residual additions (their number was not given)"


def not_charged(additions: Sequence[int] | None) -> tuple[str, ...]:
    """What an estimate leaves out."""
    return NOT_CHARGED if additions is not None else (*NOT_CHARGED, ADDITIONS_NOT_COUNTED)


def with_additions(
    terms: CostTerms, layers: Sequence[CodedLayer], chip: Chip, additions: Sequence[int] | None
) -> CostTerms:
    """The terms with the element-wise additions of a network as a component of their own.

    An addition takes one operation of the tile's shift-and-add unit, and the second value is read
    from the eDRAM at the bits of the layer's inputs; the first is there. That is our reading:
    [Shafiee2016] has no networks with shortcuts.

    Args:
        terms: Without them.
        layers: The network.
        chip: Its tile does the additions.
        additions: Values of each layer's output that are added to others, per image, as
            `hw_models.simulation.residual_additions` counts them; None leaves the terms alone.

    [Shafiee2016] A. Shafiee et al., "ISAAC", ISCA 2016.
    """
    if additions is None:
        return terms
    if len(additions) != len(layers) or min(additions, default=0) < 0:
        raise MappingError(
            f"additions must be one count of at least 0 per layer, got {list(additions)[:8]} for "
            f"{len(layers)} layers. Give 0 for a layer whose output is added to nothing."
        )
    bits = np.array([layer.input_bits for layer in layers], dtype=np.float64)
    each = chip.tile.shift_add_energy_j + bits * chip.tile.edram_energy_j_per_bit
    energy = (np.array(additions, dtype=np.float64) * each)[:, np.newaxis]
    none = np.zeros_like(energy)
    return replace(
        terms,
        components=(*terms.components, RESIDUAL_ADD),
        fixed_energy_j=np.concatenate([terms.fixed_energy_j, energy], axis=1),
        held_power_w_reads=np.concatenate([terms.held_power_w_reads, none], axis=1),
        fixed_area_m2=np.append(terms.fixed_area_m2, 0.0),
    )
