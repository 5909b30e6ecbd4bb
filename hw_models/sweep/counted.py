"""Count a network once for all chips that walk it in the same way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hw_models.converters.saberi import SABERI
from hw_models.sweep.adcs_per_array import AdcsPerArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hw_models.chip import Chip
    from hw_models.crossbar import Crossbar
    from hw_models.engines.engine import CostTerms, Engine
    from hw_models.engines.observed import Observed
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counted:
    """An engine that has walked its network already and answers with what it counted.

    Attributes:
        engine: Which one.
        terms: What it counted for the one network that is priced.
    """

    engine: Engine
    terms: CostTerms

    @property
    def name(self) -> str:
        """Name of the engine itself."""
        return self.engine.name

    def rows_per_read(self, crossbar: Crossbar) -> int:
        """As the engine."""
        return self.engine.rows_per_read(crossbar)

    def cost_terms(self, layers: Sequence[CodedLayer], chip: Chip) -> CostTerms:
        """What was counted; layers and chip must be those of the count."""
        return self.terms


def count_once(
    layers: Sequence[CodedLayer],
    chips: Sequence[Chip],
    observed: Sequence[Observed] | None = None,
) -> list[Chip]:
    """The same chips with engines that have counted the layers.

    Converter models and the number of converters change no count but that of the converters, so
    chips that differ in nothing else share one walk.

    Args:
        layers: The network.
        chips: That will hold it.
        observed: Input codes and patches of each layer, for engines that count them.
    """
    given = {} if observed is None else {"observed": observed}
    known: dict[Chip, CostTerms] = {}
    counted = []
    for chip in chips:
        several = chip.engine if isinstance(chip.engine, AdcsPerArray) else None
        base = chip.engine if several is None else several.engine
        key = replace(chip, adc=SABERI, adc_bits=(8,) * len(chip.adc_bits), engine=base)
        if key not in known:
            known[key] = base.cost_terms(layers, key, **given)
        terms = known[key] if several is None else several.shared(known[key], chip)
        counted.append(replace(chip, engine=Counted(engine=chip.engine, terms=terms)))
    return counted
