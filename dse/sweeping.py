"""What `dse sweep` works on: a compressed network, and the hardware that is tried on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from dse.catalogue import catalogue
from dse.database import Database
from dse.errors import SpecError, StudyError
from dse.launching.launch import evaluation_settings
from dse.pipeline.codes import codes_from_tensors
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.hardware_choices import domain_values
from dse.plugins import load
from dse.resuming import load_optuna
from dse.spec import StudySpec
from dse.tasks.task import read_checkpoint
from dse.trials import design_of
from hw_models.engines.observed import Observed
from hw_models.layer import CodedLayer
from hw_models.sweep.space import HardwareSpace
from search_spaces.adc import MAX_SLICES, slice_path
from search_spaces.build import configured_engine
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Choice, Domain, FloatRange, IntRange, Value
from search_spaces.draw import draw_design
from search_spaces.narrowing import NarrowingError, narrow

SWEPT = (
    "crossbar.wordlines",
    "crossbar.bitlines",
    "crossbar.ou_wordlines",
    "cell.bits",
    "encoding",
    "dac.bits",
    "adc.model",
    "adc.bits",
    "adc.per_array",
)
"""Knobs that leave the codes of a network as they are."""

_ADCS_PER_ARRAY = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptNetwork:
    """A compressed network and the design that it belongs to.

    Attributes:
        point: Gives engine, cell and whatever else is not swept.
        layers: Codes.
        observed: Sampled inputs of every layer, for engines that count them.
        cached: Whether the codes were there already.
    """

    point: DesignPoint
    layers: tuple[CodedLayer, ...]
    observed: tuple[Observed, ...] | None
    cached: bool


def trial_network(spec: StudySpec, database: Database, number: int) -> SweptNetwork:
    """The network of a trial, from the stage store where it is there.

    Raises:
        StudyError: There is no such trial, or it was not drawn to its end.
    """
    point = trial_point(spec, database, number)
    return _network(trial_evaluator(spec, database), point)


def checkpoint_network(spec: StudySpec, path: Path) -> SweptNetwork:
    """The network of a checkpoint, under the defaults of a study.

    Args:
        spec: Names the network; where it leaves a knob free, the default counts, or the first
            value.
        path: `.safetensors` with integer codes as an export writes them, or with real weights
            of the study's network, which are quantised without training.

    Raises:
        TaskError: No such file, or it is of another network.
    """
    point = default_point(spec)
    tensors = read_checkpoint(str(path), path)
    if any(name.endswith("/magnitudes") for name in tensors):
        return SweptNetwork(
            point=point, layers=codes_from_tensors(tensors), observed=None, cached=True
        )
    changed = spec.model_copy(
        update={
            "task": spec.task.model_copy(update={"checkpoint": str(path.resolve())}),
            "budget": spec.budget.model_copy(update={"fidelity": "post_training"}),
        }
    )
    with TemporaryDirectory() as store:
        return _network(Evaluator(evaluation_settings(changed, store=Path(store))), point)


def _network(evaluator: Evaluator, point: DesignPoint) -> SweptNetwork:
    layers, observed, cached = evaluator.network(point)
    return SweptNetwork(point=point, layers=layers, observed=observed, cached=cached)


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


def default_point(spec: StudySpec) -> DesignPoint:
    """The design of a study where every free knob has its default, or its first value."""
    space = spec.design_space()
    defaults = space.catalogue.defaults()

    def choose(path: str, domain: Domain) -> Value:
        if defaults[path] in domain:
            return defaults[path]
        if isinstance(domain, Choice):
            return domain.values[0]
        assert isinstance(domain, IntRange | FloatRange), "a free text is listed"
        return domain.low

    return draw_design(space, choose)


def trial_evaluator(spec: StudySpec, database: Database) -> Evaluator:
    """For the codes of a study's trials, from the stage store where they are there."""
    return Evaluator(evaluation_settings(spec, store=database.home / "stages"))


def hardware_spaces(point: DesignPoint, entries: Sequence[str]) -> dict[str, HardwareSpace]:
    """One space per converter model, for their costs do not compare.

    Without entries: every array size, 1, 2, 4 or 8 converters per array, every resolution up to
    the one at which nothing clips; the rest as in the design.

    Args:
        point: The design whose network is swept.
        entries: `path=domain` each, the domain as in a study file.

    Raises:
        SpecError: No such hardware knob, or a value outside its domain.
    """
    named = _parsed(entries)
    also: dict[str, tuple[str, ...]] = {}
    for path in ("adc.model", "encoding"):
        given = named.get(path, [])
        listed = given if isinstance(given, list) else [given]
        also[path] = tuple(v for v in listed if isinstance(v, str) and ":" in v)
    known = catalogue(also)
    full = known.domains()
    try:
        domains = narrow(known, {}, named).domains if named else {}
    except NarrowingError as error:
        raise SpecError(f"--space {str(error).removeprefix('space.')}") from None
    given_paths = {path for entry in named for path in _paths(entry, full)}

    def values(path: str, otherwise: tuple[Any, ...]) -> tuple[Any, ...]:
        return domain_values(domains[path]) if path in given_paths else otherwise

    crossbar = point.crossbar
    ou_wordlines = values("crossbar.ou_wordlines", (crossbar.ou_wordlines,))
    return {
        model: HardwareSpace(
            engine=configured_engine(point, load("hw_models.engines", point.engine.name)),
            wordlines=values("crossbar.wordlines", domain_values(full["crossbar.wordlines"])),
            bitlines=values("crossbar.bitlines", domain_values(full["crossbar.bitlines"])),
            bits_per_cell=values("cell.bits", (point.cell.bits,)),
            ou_wordlines=tuple(rows or None for rows in ou_wordlines),
            encodings=tuple(
                load("hw_models.encodings", name) for name in values("encoding", (point.encoding,))
            ),
            dac_bits=values("dac.bits", (point.dac.bits,)),
            adcs_per_array=values("adc.per_array", _ADCS_PER_ARRAY),
            adcs=(load("hw_models.converters", model),),
            adc_bits={
                significance: domain_values(domains[slice_path(significance)])
                for significance in range(MAX_SLICES)
                if slice_path(significance) in given_paths
            },
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
        if path not in SWEPT and not path.startswith("adc.bits."):
            raise SpecError(
                f"--space {entry}: a sweep changes the hardware of one compressed network; "
                f"{path} is none of {', '.join(SWEPT)}"
            )
        try:
            found[path] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SpecError(f"--space {entry}: the domain is not YAML: {error}") from None
    return found


def _paths(entry: str, full: Mapping[str, Domain]) -> list[str]:
    """The knobs that an entry stands for: itself, or every slice group below it."""
    return [entry] if entry in full else [path for path in full if path.startswith(f"{entry}.")]
