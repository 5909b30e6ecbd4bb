"""What `dse sweep` works on: the codes of a trial, and the hardware that is tried on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from dse.catalogue import catalogue
from dse.database import Database
from dse.errors import SpecError, StudyError
from dse.launching.launch import evaluation_settings
from dse.pipeline.evaluate import Evaluator
from dse.plugins import load
from dse.resuming import load_optuna
from dse.spec import StudySpec
from dse.trials import design_of
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.offset import ISAAC_FLIP, OFFSET
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.sweep.space import HardwareSpace
from search_spaces.adc import MAX_SLICES, slice_path
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Choice, Domain, IntRange
from search_spaces.draw import draw_design
from search_spaces.narrowing import NarrowingError, narrow

ADCS_PER_ARRAY = "adc.per_array"
OU_WORDLINES = "crossbar.ou_wordlines"
DAC_BITS = "dac.bits"
ENCODING = "encoding"

ENCODINGS: Mapping[str, Encoding] = {
    each.name: each for each in (DIFFERENTIAL, OFFSET, ISAAC_FLIP, TWOS_COMPLEMENT)
}

OWN_DOMAINS: Mapping[str, Domain] = {
    ADCS_PER_ARRAY: IntRange(1, 512),
    OU_WORDLINES: IntRange(1, 512),
    DAC_BITS: IntRange(1, 8),
    ENCODING: Choice(*ENCODINGS),
}
"""Knobs of a sweep that a study does not have."""

_HARDWARE = ("crossbar.", "cell.", "adc.")


def trial_point(spec: StudySpec, database: Database, number: int) -> DesignPoint:
    """The design of a trial.

    Raises:
        StudyError: There is no such trial, or it was not drawn to its end.
    """
    trials = load_optuna(database, spec.name).get_trials(deepcopy=False)
    if number >= len(trials) or design_of(trials[number]) is None:
        designs = [trial.number for trial in trials if design_of(trial) is not None]
        there = f"its designs are {designs[0]} to {designs[-1]}" if designs else "it has none yet"
        raise StudyError(f"study {spec.name!r} has no design {number}; {there}")
    params = trials[number].params
    return draw_design(spec.design_space(), lambda path, _domain: params[path])


def trial_evaluator(spec: StudySpec, database: Database) -> Evaluator:
    """For the codes of a study's trials, from the stage store where they are there."""
    return Evaluator(evaluation_settings(spec, store=database.home / "stages"))


def hardware_spaces(point: DesignPoint, entries: Sequence[str]) -> dict[str, HardwareSpace]:
    """One space per converter model, for their costs do not compare.

    Without entries: every array size read at once, the cell and converter model of the design,
    1, 2, 4 or 8 converters per array, every resolution up to the one at which nothing clips,
    differential weights and bit-serial inputs.

    Args:
        point: The design whose network is swept.
        entries: `path=domain` each, the domain as in a study file.

    Raises:
        SpecError: No such hardware knob, or a value outside its domain.
    """
    named = _parsed(entries)
    own = {path: _own(path, named.pop(path)) for path in OWN_DOMAINS if path in named}
    models = named.get("adc.model", [])
    listed = models if isinstance(models, list) else [models]
    known = catalogue({"adc.model": tuple(m for m in listed if isinstance(m, str) and ":" in m)})
    full = known.domains()
    try:
        narrowed = narrow(known, {}, named).domains if named else {}
        given = {path for entry in named for path in _paths(entry, full)}
    except NarrowingError as error:
        raise SpecError(f"--space: {error}") from None

    def values(path: str, otherwise: tuple[Any, ...]) -> tuple[Any, ...]:
        return _values(narrowed[path]) if path in given else otherwise

    adc_bits = {
        significance: _values(narrowed[slice_path(significance)])
        for significance in range(MAX_SLICES)
        if slice_path(significance) in given
    }
    return {
        model: HardwareSpace(
            engine=load("hw_models.engines", point.engine),
            wordlines=values("crossbar.wordlines", _values(full["crossbar.wordlines"])),
            bitlines=values("crossbar.bitlines", _values(full["crossbar.bitlines"])),
            bits_per_cell=values("cell.bits", (point.cell.bits,)),
            ou_wordlines=own.get(OU_WORDLINES, (None,)),
            encodings=tuple(ENCODINGS[name] for name in own.get(ENCODING, ("differential",))),
            dac_bits=own.get(DAC_BITS, (1,)),
            adcs_per_array=own.get(ADCS_PER_ARRAY, (1, 2, 4, 8)),
            adcs=(load("hw_models.converters", model),),
            adc_bits=adc_bits,
        )
        for model in values("adc.model", (point.adc.model,))
    }


def _parsed(entries: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in entries:
        path, equals, text = entry.partition("=")
        if not equals or not path:
            raise SpecError(
                f"--space takes path=domain such as crossbar.wordlines=[64,128], got {entry!r}"
            )
        if not path.startswith(_HARDWARE) and path not in OWN_DOMAINS:
            raise SpecError(
                f"--space {entry}: a sweep changes the hardware of one compressed network; "
                f"{path} is none of crossbar.wordlines, crossbar.bitlines, cell.bits, adc.model, "
                f"adc.bits, {', '.join(OWN_DOMAINS)}"
            )
        try:
            found[path] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SpecError(f"--space {entry}: the domain is not YAML: {error}") from None
    return found


def _paths(entry: str, full: Mapping[str, Domain]) -> list[str]:
    """The knobs that an entry stands for: itself, or every slice group below it."""
    return [entry] if entry in full else [path for path in full if path.startswith(f"{entry}.")]


def _values(domain: Domain) -> tuple[Any, ...]:
    if isinstance(domain, Choice):
        return domain.values
    assert isinstance(domain, IntRange), "no hardware knob is real-valued"
    return tuple(range(domain.low, domain.high + 1))


def _own(path: str, given: Any) -> tuple[Any, ...]:
    """Values of a knob that a study does not have."""
    listed = given if isinstance(given, list) else [given]
    domain = OWN_DOMAINS[path]
    if not listed or any(value not in domain for value in listed):
        raise SpecError(
            f"--space {path}: expected a value of {domain} or a list of them, got {given!r}"
        )
    return tuple(dict.fromkeys(listed))
