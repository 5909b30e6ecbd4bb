"""An engine whose arrays have several ADCs that work side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hw_models.chip import Chip
    from hw_models.crossbar import Crossbar
    from hw_models.engines.engine import CostTerms, Engine
    from hw_models.engines.observed import Observed
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class AdcsPerArray:
    """The same engine with `count` converters where it has one.

    The bitlines of an array are dealt out evenly: a read lasts as long as the converter with the
    most of them. Conversions and their energy stay, the converters' area grows `count` times.

    Attributes:
        engine: With one converter for each group of bitlines.
        count: Converters in its place.
    """

    engine: Engine
    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise HardwareError(
                f"adc.per_array must be at least 1, got {self.count}. ISAAC has 1 per array."
            )

    @property
    def name(self) -> str:
        """Name of the engine itself."""
        return self.engine.name

    def rows_per_read(self, crossbar: Crossbar) -> int:
        """As the engine."""
        return self.engine.rows_per_read(crossbar)

    def cost_terms(
        self, layers: Sequence[CodedLayer], chip: Chip, **observed: Sequence[Observed]
    ) -> CostTerms:
        """The engine's, with more converters and fewer bitlines for each."""
        return self.shared(self.engine.cost_terms(layers, chip, **observed), chip)

    def shared(self, terms: CostTerms, chip: Chip) -> CostTerms:
        """What the engine counted, dealt out to `count` converters per array."""
        if self.count > chip.crossbar.bitlines:
            raise HardwareError(
                f"adc.per_array must be at most crossbar.bitlines = {chip.crossbar.bitlines}, "
                f"got {self.count}. A converter without a bitline has nothing to do."
            )
        return replace(
            terms,
            columns_per_adc=-(-terms.columns_per_adc // self.count),
            adcs=terms.adcs * self.count,
            layer_adcs=None if terms.layer_adcs is None else terms.layer_adcs * self.count,
        )
