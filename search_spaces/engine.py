"""Knobs of the engines, and what an engine asks of the rest of a chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, cast

from search_spaces.domains import Choice, IntRange, Value

if TYPE_CHECKING:
    from hw_models.engines.bit_plane import BitPlaneEngine
    from hw_models.engines.crmp import CrmpEngine
    from hw_models.engines.engine import Engine
    from hw_models.engines.ou_patch import OuPatchEngine
    from hw_models.engines.sre import SreEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class NoEngineKnobs:
    """Nothing to choose beside what every chip has."""

    def configured(self, engine: Engine) -> Engine:
        """The engine as it is."""
        return engine


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmpKnobs:
    """Operation units of CRMP; their rows are `crossbar.ou_wordlines`.

    Attributes:
        ou_bitlines: Bitlines read at once; 0 is all of an array.
    """

    ou_bitlines: Annotated[int, IntRange(0, 512)] = 0

    def configured(self, engine: Engine) -> Engine:
        """The engine with these operation units."""
        crmp = cast("CrmpEngine", engine)
        return replace(crmp, ou_bitlines=self.ou_bitlines or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SreKnobs:
    """Operation units of SRE; 16 x 16 in the original.

    Attributes:
        ou_wordlines: Rows driven at once.
        ou_bitlines: Bitlines that share their dropped rows.
    """

    ou_wordlines: Annotated[int, IntRange(1, 512)] = 16
    ou_bitlines: Annotated[int, IntRange(1, 512)] = 16

    def configured(self, engine: Engine) -> Engine:
        """The engine with these operation units."""
        sre = cast("SreEngine", engine)
        return replace(sre, ou_wordlines=self.ou_wordlines, ou_bitlines=self.ou_bitlines)


@dataclass(frozen=True, slots=True, kw_only=True)
class OuPatchKnobs:
    """PQ-PIM's engine where no technique under `patches` says how long a patch is.

    Attributes:
        patch: Weights of a patch, the rows of an operation unit; `patches.pq_pim.patch` wins.
    """

    patch: Annotated[int, Choice(4, 8, 16, 32)] = 8

    def configured(self, engine: Engine) -> Engine:
        """The engine with patches of this length."""
        return replace(cast("OuPatchEngine", engine), patch=self.patch)


@dataclass(frozen=True, slots=True, kw_only=True)
class BitPlaneKnobs:
    """Bit-Transformer's engine.

    Attributes:
        packed: Whether columns of different planes may share an array.
    """

    packed: Annotated[bool, Choice(False, True)] = False

    def configured(self, engine: Engine) -> Engine:
        """The engine that packs or does not."""
        return replace(cast("BitPlaneEngine", engine), packed=self.packed)


ENGINE_KNOBS: Mapping[str, type] = MappingProxyType(
    {
        "bit_plane": BitPlaneKnobs,
        "crmp": CrmpKnobs,
        "ou_patch": OuPatchKnobs,
        "sre": SreKnobs,
    }
)
"""Knob class by engine; an engine that is not named here has `NoEngineKnobs`."""

IMPLIED: Mapping[str, Mapping[str, Value]] = MappingProxyType(
    {
        "bit_plane": {"cell.bits": 1, "encoding": "differential"},
        "bits_net": {"cell.bits": 2, "encoding": "differential"},
        "ou_patch": {"cell.bits": 1, "encoding": "twos_complement"},
    }
)
"""What an engine can work with only: its design takes these values, whatever the defaults."""
