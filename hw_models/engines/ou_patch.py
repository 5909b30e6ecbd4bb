"""PQ-PIM: one patch of a filter is one operation unit, at 8, 4 or no bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from hw_models.engines.observed import Observed, input_codes, observed_of
from hw_models.engines.walk import LayerWalk, charge, require_layers
from hw_models.errors import HardwareError, MappingError
from hw_models.patches import FULL, REMOVED, WEAK, weak_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hw_models.chip import Chip
    from hw_models.crossbar import Crossbar
    from hw_models.engines.engine import CostTerms
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class OuPatchEngine:
    """Patches of n consecutive weights of a filter, in two's complement single-bit columns.

    A full patch takes n wordlines by weight_bits + 1 bitlines (8 for 7-bit magnitudes and a
    sign), a weak one n by 4, a removed one nothing; full and weak patches lie on separate arrays,
    in order of filter and patch. Each patch is read once per input bit:

        reads = sum over positions and kept patches of a,     a = input bits, or 4 if weak
        conversions = sum of a * columns

    Precisions are those of `Observed.patch_bits`, else those of `CodedLayer.patches`; without
    either, a patch is full if any of its weights is not zero.

    An input patch is weak at run time if at least a share `weak_input_share` of its codes is at
    most `small_input`; that is counted from `Observed.input_codes` (the threshold on codes is our
    reading of the paper's activation rule). A layer with `patches` says by them whether that is
    done, and the simulator does it; the engine's own rule is for layers without. Otherwise all
    inputs are full.

    Index traffic per position: WPIT, one bit per patch; APIB, ceil(log2(patches of a filter))
    bits, and one APIT flag, per kept patch. Inputs move once per position and patch that some
    filter keeps. A read of a weak patch is charged the time of a full one where arrays of weak
    patches are the bottleneck: the latency is an upper bound there.

    Attributes:
        name: Name under which results report the engine.
        patch: Weights of a patch n, the wordlines of its operation unit (4 to 32).
        weak_input_share: T_act for layers without patches; None keeps all inputs at full
            precision.
        small_input: Largest input code that counts as small there.

    [PQPIM] "PQ-PIM: a pruning-quantization joint optimization framework for ReRAM-based
        processing-in-memory DNN accelerator".
    """

    name: str = "ou_patch"
    patch: int = 8
    weak_input_share: float | None = None
    small_input: int = 15

    def rows_per_read(self, crossbar: Crossbar) -> int:
        """The weights of a patch."""
        return min(self.patch, crossbar.rows_per_read)

    def for_layers(self, layers: Sequence[CodedLayer]) -> OuPatchEngine:
        """The same engine with the patch size of these layers, where they have patches."""
        sizes = {layer.patches.size for layer in layers if layer.patches is not None}
        if len(sizes) > 1:
            raise MappingError(
                f"{self.name}: all layers of a network have one patch size, got "
                f"{sorted(sizes)}. Compress the network with one."
            )
        return replace(self, patch=sizes.pop()) if sizes else self

    def cost_terms(
        self,
        layers: Sequence[CodedLayer],
        chip: Chip,
        observed: Sequence[Observed] | None = None,
    ) -> CostTerms:
        """Count patches, and weak inputs where they are looked for."""
        require_layers(layers)
        if not 1 <= self.patch <= chip.crossbar.rows_per_read:
            raise HardwareError(
                f"{self.name}: a patch must have 1 to {chip.crossbar.rows_per_read} weights, the "
                f"rows that the array reads at once, got {self.patch}. Choose a smaller patch."
            )
        if chip.crossbar.bits_per_cell != 1 or chip.encoding.name != "twos_complement":
            raise HardwareError(
                f"{self.name}: patches lie in single-bit two's complement columns, got "
                f"{chip.crossbar.bits_per_cell}-bit cells and encoding '{chip.encoding.name}'. "
                "Choose cell.bits = 1 and the two's complement encoding."
            )
        if chip.crossbar.wordlines % self.patch:
            raise HardwareError(
                f"{self.name}: an array holds whole patches, got patches of {self.patch} in "
                f"{chip.crossbar.wordlines} wordlines. Choose a patch size that divides them."
            )
        for layer in layers:
            self._check_patches(layer, chip)
        seen = observed_of(observed, layers)
        walks = [self._walk(*each, chip) for each in zip(layers, seen, strict=True)]
        return charge(layers, walks, chip, shared_adc=True)

    def _walk(self, layer: CodedLayer, observed: Observed, chip: Chip) -> LayerWalk:
        shape, crossbar, n = layer.shape, chip.crossbar, self.patch
        columns = chip.encoding.slice_groups(layer.weight_bits, crossbar.bits_per_cell)
        weak_columns = min(WEAK, columns)
        precision = self.patch_bits(layer, observed)
        cycles = self._input_cycles(layer, observed, chip)  # (groups, patches), mean per position

        conversions = np.zeros(columns)
        crossbars, slowest = 0, 0.0
        for bits, width in ((FULL, columns), (WEAK, weak_columns)):
            chosen = precision == bits
            by_filter = chosen.transpose(0, 2, 1)
            placed = np.broadcast_to(cycles[:, np.newaxis], by_filter.shape)[by_filter]
            conversions[columns - width :] += placed.sum()
            slots = (crossbar.wordlines // n) * (crossbar.bitlines // width)
            if slots == 0:
                raise MappingError(
                    f"{shape.name}: a patch of {n} x {width} cells does not fit an array of "
                    f"{crossbar.wordlines} x {crossbar.bitlines}. Choose a larger array."
                )
            if placed.size:
                starts = np.arange(0, placed.size, slots)
                crossbars += starts.size
                slowest = max(slowest, float(np.add.reduceat(placed, starts).max()))
        kept = precision != REMOVED
        reads = float((cycles[:, :, np.newaxis] * kept).sum()) * shape.positions
        total = np.rint(conversions * shape.positions)
        used_inputs = kept.any(axis=2)
        patch_index = (precision.shape[1] - 1).bit_length()
        return LayerWalk(
            conversions=tuple(int(count) for count in total),
            adcs=(0,) * (columns - 1) + (crossbars,),
            crossbars=crossbars,
            serial_reads=ceil(round(slowest * shape.positions, 6)),
            columns_per_adc=columns if bool((precision == FULL).any()) else weak_columns,
            driven_rows=reads * n,
            held_columns=float(total.sum()),
            read_cells=float(total.sum()) * n,
            partial_sums=reads,
            input_bits_moved=shape.positions
            * n
            * float((cycles * used_inputs).sum())
            * chip.dac_bits,
            index_bits=float(shape.positions * (precision.size + kept.sum() * (patch_index + 1))),
        )

    def patch_bits(self, layer: CodedLayer, observed: Observed) -> NDArray[np.int8]:
        """(groups, ceil(K / n), N) precision of every patch, given or from the codes."""
        shape = layer.shape
        starts = np.arange(0, shape.wordlines, self.patch)
        largest = np.maximum.reduceat(layer.magnitudes, starts, axis=1)
        if observed.patch_bits is None and layer.patches is not None:
            return layer.patches.bits
        if observed.patch_bits is None:
            return np.where(largest > 0, FULL, REMOVED).astype(np.int8)
        given = observed.patch_bits
        if given.shape != largest.shape or not np.isin(given, (FULL, WEAK, REMOVED)).all():
            raise MappingError(
                f"{shape.name}: patch_bits must be 8, 4 or 0 in shape {largest.shape} for patches "
                f"of {self.patch}, got shape {given.shape} with values "
                f"{np.unique(given)[:4].tolist()}. Cut the codes into patches of the engine."
            )
        if bool(((given == REMOVED) & (largest > 0)).any()):
            raise MappingError(
                f"{shape.name}: a removed patch must have no weight, got one with a magnitude of "
                f"{int(largest[given == REMOVED].max())}. Set the codes of removed patches to 0."
            )
        return given.astype(np.int8)

    def _input_cycles(
        self, layer: CodedLayer, observed: Observed, chip: Chip
    ) -> NDArray[np.float64]:
        """(groups, patches) reads of a kept patch per position, the mean over the samples."""
        shape = layer.shape
        full = -(-layer.input_bits // chip.dac_bits)
        rule = self if layer.patches is None else layer.patches
        if rule.weak_input_share is None:
            patches = -(-shape.wordlines // self.patch)
            return np.full((shape.groups, patches), float(full))
        codes = input_codes(self.name, layer, observed)
        weak = weak_inputs(codes, self.patch, rule.weak_input_share, rule.small_input)
        weak_cycles = -(-min(WEAK, layer.input_bits) // chip.dac_bits)
        return np.asarray(np.where(weak, weak_cycles, full).mean(axis=1), dtype=np.float64)

    def _check_patches(self, layer: CodedLayer, chip: Chip) -> None:
        """Refuse patches of another size or rule, and digits across the cut of weak inputs."""
        patches, name = layer.patches, layer.shape.name
        if patches is None:
            return
        if patches.size != self.patch:
            raise MappingError(
                f"{name}: its patches have {patches.size} weights, those of the {self.name} "
                f"engine {self.patch}. Take the engine's for_layers()."
            )
        rule = (self.weak_input_share, self.small_input)
        if self.weak_input_share is not None and rule != (
            patches.weak_input_share,
            patches.small_input,
        ):
            raise MappingError(
                f"{name}: its patches round inputs from a share of {patches.weak_input_share} of "
                f"codes up to {patches.small_input}, the {self.name} engine counts {rule[0]} up "
                f"to {rule[1]}. Leave the engine's rule out."
            )
        patches.check_digits(name, layer.input_bits, chip.dac_bits)


OU_PATCH = OuPatchEngine()
