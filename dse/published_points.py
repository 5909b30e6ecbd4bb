"""The published systems as designs that a study file may give by name: `published: NAME`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from search_spaces.adc import slice_path
from search_spaces.domains import Value
from search_spaces.draw import DesignSpace
from search_spaces.narrowing import NarrowingError, flatten, place, resolve

PUBLISHED = "published"
"""The entry of a point that names a published design."""


def _design(**techniques: str) -> dict[str, Value]:
    """Techniques by slot; those that are not named are switched off."""
    off = {"regularizer": "none", "patches": "none", "bit_flips": "none"}
    return {**off, **techniques}


def _adc_bits(*bits: int) -> dict[str, Value]:
    """Resolutions, most significant slice group first."""
    return {slice_path(s): value for s, value in enumerate(reversed(bits))}


def _array(size: int) -> dict[str, Value]:
    return {"crossbar.wordlines": size, "crossbar.bitlines": size}


def _bits_net(number: int) -> dict[str, Value]:
    return {
        **_design(quantizer="bits_net", engine="bits_net"),
        "quantizer.bits_net.set": number,
        "pruning.threshold": 0.0,
    }


PUBLISHED_DESIGNS: Mapping[str, Mapping[str, Value]] = MappingProxyType(
    {
        # Zhang, Yang, Chen, Wang, Li, 2019: alpha, threshold and arrays of the public code;
        # 1 bit for the most significant slice group and 3 for the others, Table 3.
        "bit_slice_2019": {
            **_design(quantizer="fixed_point", regularizer="bit_slice_l1", engine="isaac"),
            "quantizer.fixed_point.bits": 8,
            "regularizer.bit_slice_l1.strength": 0.5,
            "pruning.threshold": 0.01,
            "encoding": "differential",
            "cell.bits": 2,
            **_array(128),
            "adc.range": "full",
            "adc.tune_epochs": 0,
            **_adc_bits(1, 3, 3, 3),
        },
        # BitS-Net, IEEE TCAS-I 69(5), 2022: level sets #1 and #2 on 2-bit cells. One cell per
        # conversion, so it has no resolution and no array of its own: those are the study's.
        "bits_net_2022_set1": _bits_net(1),
        "bits_net_2022_set2": _bits_net(2),
        # PQ-PIM: patches of 8 weights, thresholds of Figure 2, the 6-bit converters and the
        # arrays of Table I. TSV is not printed: 1.5 standard deviations give the published
        # compression on LeNet. 7 bits and a sign are eight columns of two's complement.
        "pq_pim_n8": {
            **_design(quantizer="fixed_point", patches="pq_pim", engine="ou_patch"),
            "quantizer.fixed_point.bits": 7,
            "pruning.threshold": 0.0,
            "patches.pq_pim.patch": 8,
            "patches.pq_pim.tsv": 1.5,
            "patches.pq_pim.t_prune": 0.75,
            "patches.pq_pim.t_quant": 0.25,
            "patches.pq_pim.weak_inputs": True,
            "patches.pq_pim.t_act": 0.75,
            **_array(128),
            **_adc_bits(*(6,) * 8),
        },
        # Bit-Transformer, ICCAD 2021, whose text leaves the settings open: two powers of two,
        # a tenth of the squared weights as error, no cap, packed columns, 128 x 128 arrays.
        # 8 bits hold the sum of 128 single-bit cells.
        "bit_transformer_2021": {
            **_design(quantizer="fixed_point", bit_flips="bit_transformer", engine="bit_plane"),
            "quantizer.fixed_point.bits": 8,
            "pruning.threshold": 0.0,
            "bit_flips.bit_transformer.terms": 2,
            "bit_flips.bit_transformer.tau": 0.1,
            "bit_flips.bit_transformer.cap": 0,
            "engine.bit_plane.packed": True,
            **_array(128),
            **_adc_bits(*(8,) * 8),
        },
    }
)
"""By name, the knobs that make the system what it is; all others are left to the study. What an
engine implies (`search_spaces.engine.IMPLIED`) is not repeated."""


def place_given(space: DesignSpace, entries: Mapping[str, Any]) -> dict[str, Value]:
    """The free knobs of a given design, which may name a published one.

    Args:
        space: What the study leaves free.
        entries: As `search_spaces.narrowing.place` takes them. With `published: NAME` the design
            of that name; knobs that stand beside it replace its own.

    Raises:
        NarrowingError: There is no published design of that name, or the study holds one of its
            knobs at something else; and what `place` raises.
    """
    if PUBLISHED not in entries:
        return place(space, entries)
    own = {path: value for path, value in entries.items() if path != PUBLISHED}
    name = entries[PUBLISHED]
    if not isinstance(name, str) or name not in PUBLISHED_DESIGNS:
        near = difflib.get_close_matches(str(name), PUBLISHED_DESIGNS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise NarrowingError(
            f"points.{PUBLISHED}: there is no published design {name!r}; {hint}"
            f"Designs: {', '.join(PUBLISHED_DESIGNS)}"
        )
    full = space.catalogue.domains()
    replaced = {
        path
        for written in flatten(own)
        for path in resolve(written, space.catalogue, full, "points")
    }
    settings = {p: v for p, v in PUBLISHED_DESIGNS[name].items() if p not in replaced}
    for path, value in settings.items():
        if value not in space.domains[path]:
            raise NarrowingError(
                f"points.{PUBLISHED}: {name} needs {path} = {value}, the study leaves it "
                f"{space.domains[path]}; widen the space, or say beside it what to take instead "
                f"({{{PUBLISHED}: {name}, {path}: ...}})"
            )
    return place(space, {**settings, **own})
