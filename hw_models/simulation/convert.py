"""Swap the layers of a network for crossbars."""

from __future__ import annotations

import copy
import zlib
from typing import TYPE_CHECKING, Unpack

import numpy as np
from torch import nn

from hw_models.errors import MappingError
from hw_models.simulation.layers import CrossbarConv2d, CrossbarLinear

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hw_models.chip import Chip
    from hw_models.layer import CodedLayer
    from hw_models.simulation.mvm import Backend, SimulationOptions
    from hw_models.simulation.nonidealities.nonidealities import Nonidealities


def to_crossbars(
    network: nn.Module,
    layers: Mapping[str, CodedLayer],
    chip: Chip | None,
    *,
    adc_steps: Mapping[str, tuple[int, ...]] | None = None,
    backend: Backend = "auto",
    effects: Nonidealities | None = None,
    seed: int = 0,
) -> nn.Module:
    """A copy of the network, in evaluation mode, whose named layers run on crossbars.

    Everything else (batch norm, pooling, activations, layers that are not named) stays digital.
    Hooks and parametrisations of a replaced layer are gone: the codes hold what they did.

    Args:
        network: Left as it is.
        layers: Codes by module name, as in `network.named_modules()`.
        chip: Geometry and ADC resolutions; None is the same integers with unlimited ADCs.
        adc_steps: log2 of the ADC step per slice group, by module name, as
            `hw_models.simulation.adc_range.calibrations` gives it; 1 where a name is missing.
        backend: What computes column sums on the CPU, see `SlicedWeights`.
        effects: Device and wire effects (slow); None is ideal cells.
        seed: Of the effects; every layer draws from a stream of its own.

    Returns:
        The copy. It computes on the device of its input.
    """
    converted = copy.deepcopy(network).eval()
    named = dict(converted.named_modules(remove_duplicate=False))
    replacements: dict[int, nn.Module] = {}
    for name, layer in layers.items():
        module = named.get(name)
        if module is None:
            mappable = [n for n, m in named.items() if isinstance(m, nn.Linear | nn.Conv2d)]
            raise MappingError(
                f"the network has no module '{name}'. "
                f"Its Linear and Conv2d layers: {', '.join(mappable) or 'none'}."
            )
        replacements[id(module)] = _on_crossbars(
            name,
            module,
            layer,
            chip,
            step_bits=(adc_steps or {}).get(name),
            backend=backend,
            effects=effects,
            seed=_layer_seed(seed, name),
        )
    if id(converted) in replacements:
        return replacements[id(converted)].eval()
    for name, module in named.items():  # a module may be reached by several names
        if id(module) in replacements:
            parent, _, child = name.rpartition(".")
            setattr(named[parent], child, replacements[id(module)])
    return converted.eval()


def _layer_seed(seed: int, name: str) -> int:
    """A seed per layer that no other layer changes."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(name.encode())])
    return int(sequence.generate_state(1)[0])


def _on_crossbars(
    name: str,
    module: nn.Module,
    layer: CodedLayer,
    chip: Chip | None,
    **simulation: Unpack[SimulationOptions],
) -> nn.Module:
    if isinstance(module, nn.Linear):
        return CrossbarLinear(module, layer, chip, **simulation)
    if isinstance(module, nn.Conv2d):
        return CrossbarConv2d(module, layer, chip, **simulation)
    raise MappingError(
        f"{name} is a {type(module).__name__}, crossbars take Linear and Conv2d. "
        "Leave it out to keep it digital."
    )
