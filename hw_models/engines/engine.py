"""What every engine answers: how its arrays are read, and what that adds up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hw_models.chip import Chip
    from hw_models.crossbar import Crossbar
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CostTerms:
    """A mapped network as the coefficients of its cost, free of any ADC resolution.

    With `L` layers, `G` slice groups (most significant first) and `C` components, and for a design
    with ADC energies `e[g]`, conversion times `t[g]` and areas `a[g]`:

        read_time[l]  = max(read_time_s[l], columns_per_adc[l] * max over g of t[g])
        energy[l, c]  = fixed_energy_j[l, c] + read_time[l] * held_power_w_reads[l, c]
        energy[l, adc]  additionally  sum over g of conversions[l, g] * e[g]
        latency[l]    = serial_reads[l] * read_time[l]
        area[c]       = fixed_area_m2[c],  area[adc] additionally  sum over g of adcs[g] * a[g]

    With `shared_adc`, one converter serves all groups of an array and has the largest of their
    resolutions: e, t and a are the same for every g. Everything is per image.

    Attributes:
        components: Names, in the order of every C axis; contains "adc".
        fixed_energy_j: (L, C) joules that no ADC resolution changes.
        held_power_w_reads: (L, C) watts times reads, for blocks that are on during a whole read.
        conversions: (L, G) ADC conversions.
        uses_group: (L, G) whether a layer has cells in a group.
        columns_per_adc: (L,) bitlines that one ADC converts in one read.
        read_time_s: (L,) shortest time of one read.
        serial_reads: (L,) reads one after the other.
        crossbars: (L,) arrays that hold the layer.
        adcs: (G,) converters on the chip.
        fixed_area_m2: (C,) square metres that no ADC resolution changes.
        layer_adcs: (L, G) the same converters by layer; None where an engine does not tell.
        shared_adc: Whether one converter serves all slice groups of an array.
    """

    components: tuple[str, ...]
    fixed_energy_j: NDArray[np.float64]
    held_power_w_reads: NDArray[np.float64]
    conversions: NDArray[np.int64]
    uses_group: NDArray[np.bool_]
    columns_per_adc: NDArray[np.int64]
    read_time_s: NDArray[np.float64]
    serial_reads: NDArray[np.int64]
    crossbars: NDArray[np.int64]
    adcs: NDArray[np.int64]
    fixed_area_m2: NDArray[np.float64]
    layer_adcs: NDArray[np.int64] | None = None
    shared_adc: bool = False


class Engine(Protocol):
    """A way to hold a network in arrays and to walk them.

    An engine whose counts depend on data asks for `observed`; where nothing was observed
    the argument is left out, so an engine that needs none may do without it.
    """

    @property
    def name(self) -> str:
        """Name under which results report the engine."""
        ...

    def rows_per_read(self, crossbar: Crossbar) -> int:
        """Wordlines whose currents add up before one conversion; the simulator uses it too."""
        ...

    def cost_terms(self, layers: Sequence[CodedLayer], chip: Chip) -> CostTerms:
        """Map the layers and count; `chip.adc_bits` gives G and nothing else.

        Engines that count real inputs or patches take `observed: Sequence[Observed] | None` too.
        """
        ...
