"""Open a study: create it, or continue it after checking that it is still the same search."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from dse.database import Database, open_database
from dse.errors import ResumeError, StudyError
from dse.lease import beating, take
from dse.patience import patient
from dse.plugins import search_here
from dse.reading.columns import TrialColumns
from dse.reading.lazy_trials import open_lazily
from dse.reading.trials import draws_below
from dse.samplers.auto import AUTO, choose_sampler
from dse.samplers.counter_seeded import DESIGN
from dse.samplers.make import make_sampler
from dse.shared_study import SharedStudy
from dse.spec import StudySpec
from dse.spec_sections import FIRST_PROMOTION, SamplerSpec
from dse.storing.study_lock import StudyLock
from dse.study import Study
from dse.trials import reclaim
from dse.warm_start import WarmDesign, reading, warm_designs
from search_spaces.domains import Value
from search_spaces.draw import draw_design

SPEC = "dse:spec"
IDENTITY = "dse:identity"
VERSIONS = "dse:versions"
SAMPLER = "dse:sampler"
"""What the study file asks for (`asked`), and why it became the sampler of the spec (`why`)."""
WARM_START = "dse:warm_start"
"""The designs that were taken from another study; a study that continues does not ask it again."""
WARM_FROM = "warm_start"
"""Attribute of their trials: study and trial that they come from."""

_logger = logging.getLogger(__name__)


@contextmanager
def driving(database: Database, spec: StudySpec) -> Iterator[Study]:
    """Own a study while the block runs, or share it: created if missing, else continued.

    What a dead driver left running is put back to the queue first.

    Raises:
        ResumeError: The database holds trials of another search under this name.
        PluginError: The sampler does not exist.
        StudyError: Another driver owns the study, the study to start from does not exist or
            has no results, or several drivers are to share a study in SQLite.
    """
    database = patient(database, spec.launch.database_patience_s)
    if spec.launch.join and database.storage.engine.dialect.name != "postgresql":
        raise StudyError(
            f"{database.url}: several drivers share a study (--join) in PostgreSQL only; `dse "
            "copy` moves a study there. A study in SQLite has one driver"
        )
    lock = StudyLock(database, spec.name)
    with ExitStack() as stack:
        with lock.held():
            study = _open(database, spec, lock, stack)
        yield study


def _open(database: Database, spec: StudySpec, lock: StudyLock, stack: ExitStack) -> Study:
    """The study, driven by this process until the stack is closed."""
    spec, about = _with_sampler(database, spec)
    sampler = make_sampler(spec.sampler)
    identity = spec.identity()
    warm = _warm_designs(database, spec)
    study = optuna.create_study(
        storage=database.storage,
        study_name=spec.name,
        directions=[objective.direction for objective in spec.parsed_objectives()],
        sampler=sampler,
        load_if_exists=True,
    )
    columns = open_lazily(study, database.url)
    _check_same_search(study, identity)
    lease = take(study, join=spec.launch.join)
    stack.enter_context(beating(study, lease))
    study.set_user_attr(SPEC, spec.model_dump(mode="json"))
    study.set_user_attr(IDENTITY, identity)
    study.set_user_attr(SAMPLER, about)
    study.set_user_attr(
        VERSIONS, {name: version(name) for name in ("dse", "optuna", "ray", "torch")}
    )
    study.set_metric_names([objective.name for objective in spec.parsed_objectives()])
    _enqueue_points(study, columns, spec, warm)
    if spec.launch.join:
        shared = SharedStudy(
            study, spec=spec, sampler=sampler, database=database, lock=lock, lease=lease
        )
        stack.callback(shared.leave)
        return shared
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        reclaim(study, trial, attempts=spec.launch.attempts)
    if running:
        _logger.info("%d trials were left running by a driver that died", len(running))
    return Study(study, spec=spec, sampler=sampler, database=database, columns=columns)


def _with_sampler(database: Database, spec: StudySpec) -> tuple[StudySpec, dict[str, str]]:
    """The spec with the sampler that `auto` stands for: in a study that goes on, the same."""
    if spec.name in optuna.get_all_study_names(database.storage):
        stored = load_optuna(database, spec.name).user_attrs
        about: dict[str, str] | None = stored.get(SAMPLER)
        if about is not None and about["asked"] == spec.sampler.name == AUTO:
            before = SamplerSpec.model_validate(stored[SPEC]["sampler"])
            if before.seed == spec.sampler.seed:
                return spec.model_copy(update={"sampler": before}), about
        if about is not None and stored[SPEC]["sampler"] == spec.sampler.model_dump():
            return spec, about  # `dse resume`: the spec of the database
    chosen = choose_sampler(spec)
    about = {"asked": spec.sampler.name, "why": chosen.why}
    return spec.model_copy(update={"sampler": chosen.spec}), about


def _check_same_search(study: optuna.Study, identity: dict[str, Any]) -> None:
    name = study.study_name
    stored = study.user_attrs.get(IDENTITY)
    if stored is None:
        if SPEC not in study.user_attrs and study.get_trials(deepcopy=False):
            raise ResumeError(
                f"the database holds a study {name!r} that dse did not make; choose another name"
            )
        return
    if stored.get("rungs"):
        stored = {"promotion": FIRST_PROMOTION, **stored}
    if changes := _differences(stored, identity):
        raise ResumeError(
            f"the database holds trials of another search under {name!r}: {'; '.join(changes)}. "
            "Choose another name or another database, or restore the study; budget.trials and "
            "launch may change"
        )


def load_optuna(database: Database, name: str) -> optuna.Study:
    """The Optuna study of that name, to be read.

    Raises:
        StudyError: There is none.
    """
    try:
        return optuna.load_study(study_name=name, storage=database.storage)
    except KeyError:
        names = ", ".join(sorted(optuna.get_all_study_names(database.storage))) or "none"
        raise StudyError(
            f"there is no study {name!r} in {database.url}; studies: {names}"
        ) from None


def load_spec(database: Database, name: str) -> StudySpec:
    """The spec of a study, from the database alone.

    Raises:
        StudyError: There is no such study, or dse did not make it.
    """
    stored: dict[str, Any] | None = load_optuna(database, name).user_attrs.get(SPEC)
    if stored is None:
        raise StudyError(f"study {name!r} in {database.url} was not made by dse")
    search_here(Path(folder) for folder in stored.get("folders") or ())
    return StudySpec.from_stored(stored, where=f"study {name}")


def _warm_designs(database: Database, spec: StudySpec) -> tuple[WarmDesign, ...]:
    """What the study starts with, as it was chosen when it was new."""
    start = spec.warm_start
    if start is None:
        return ()
    if spec.name in optuna.get_all_study_names(database.storage):
        stored = load_optuna(database, spec.name).user_attrs.get(WARM_START)
        if stored is not None:
            return tuple(map(WarmDesign.from_json, stored["designs"]))
    if start.database is not None:
        database = open_database(start.database, write=False)
    try:
        source = load_spec(database, start.study)
    except StudyError as error:
        raise StudyError(f"warm_start.study: {error}") from None
    trials = load_optuna(database, start.study).get_trials(deepcopy=False)
    return warm_designs(trials, source=source, spec=spec)


def _enqueue_points(
    study: optuna.Study, columns: TrialColumns, spec: StudySpec, warm: tuple[WarmDesign, ...]
) -> None:
    """Queue the given points, then those of a warm start, each once in the study's life."""
    space = spec.design_space()
    queue: list[tuple[int, Mapping[str, Value], dict[str, Any]]] = [
        (draw, params, {}) for draw, params in enumerate(spec.given_points(space))
    ]
    if spec.warm_start is not None:
        stored = study.user_attrs.get(WARM_START)
        if stored is None:
            stored = {"first_draw": len(queue), "designs": [design.to_json() for design in warm]}
            study.set_user_attr(WARM_START, stored)
        queue += [
            (draw, design.params, {WARM_FROM: [spec.warm_start.study, design.trial]})
            for draw, design in enumerate(warm, start=stored["first_draw"])
        ]
    if not queue:
        return
    waiting = set(draws_below(columns, 1 + max(draw for draw, _, _ in queue)).values())
    for draw, params, attributes in queue:
        if draw not in waiting:
            digest = draw_design(space, reading(params)).digest()
            design = {"draw": draw, "digest": digest, "attempt": 1}
            study.enqueue_trial(dict(params), user_attrs={DESIGN: design, **attributes})


def _differences(stored: Any, wanted: Any, at: str = "") -> list[str]:
    if isinstance(stored, dict) and isinstance(wanted, dict):
        changes: list[str] = []
        for key in sorted({*stored, *wanted}):
            path = f"{at}.{key}" if at else str(key)
            changes += _differences(stored.get(key), wanted.get(key), path)
        return changes
    return [] if stored == wanted else [f"{at} was {stored}, is {wanted}"]
