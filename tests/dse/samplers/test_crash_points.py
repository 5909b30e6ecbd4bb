"""A driver that dies before any write of a trial, one after the other: nothing shifts."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.storages import RDBStorage

import dse.resuming
import dse.study
from dse.database import Database
from dse.evaluation import Job, Outcome, RuledOut
from dse.launching.driver import drive
from dse.lease import ATTRIBUTE
from dse.resuming import driving
from dse.storing.quick_storage import QuickStorage
from dse.trials import DUPLICATE_OF, LOST, RULED_OUT, design_of, is_result
from tests.dse.fakes import FakeExecutor, made_up, small_spec

TRIALS = 9
SETTINGS = {
    "nsga2": {"population": 4},
    "pso": {"particles": 3},
    "qmc": {},
}
WRITES = ("_create_new_trial", "set_trial_state_values", "flush")


class Died(BaseException):
    """Stands for SIGKILL: nothing may be cleaned up."""


class MortalStorage(QuickStorage):
    """After `left` writes of trials its user is dead, and writes nothing any more."""

    left = 10**9
    written = 0

    def __init__(self, folder: Path) -> None:
        file = folder / f"{len(list(folder.iterdir()))}.db"
        super().__init__(RDBStorage(f"sqlite:///{file}"))
        sqlalchemy.event.listen(self.engine, "connect", _fast)
        self.engine.dispose()


def _fast(connection: Any, _record: Any) -> None:
    """The machine itself does not die here."""
    connection.execute("PRAGMA synchronous=OFF")


def _mortal(name: str) -> Any:
    def write(self: MortalStorage, *arguments: Any, **named: Any) -> Any:
        if name == "flush" and not self._pending:
            return None
        if self.left <= 0:
            raise Died
        self.left -= 1
        self.written += 1
        return getattr(QuickStorage, name)(self, *arguments, **named)

    return write


for _name in WRITES:
    setattr(MortalStorage, _name, _mortal(_name))


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dead clean up nothing, and hold no lease in the memory that outlives them."""

    monkeypatch.setattr(dse.resuming, "take", lambda *_, **__: ATTRIBUTE)
    monkeypatch.setattr(dse.resuming, "beating", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(dse.study.Study, "give_back", lambda *_, **__: None)


def live(
    storage: MortalStorage,
    sampler: str,
    folder: Path,
    *,
    left: int = 10**9,
    executor: FakeExecutor | None = None,
    **changes: Any,
) -> None:
    """Drive the study to its end, or until so many writes are made."""
    settings = {"name": sampler, "seed": 11, **SETTINGS.get(sampler, {})}
    spec = small_spec(sampler=settings, budget={"trials": TRIALS, "epochs": 1}, **changes)
    storage.left = left
    database = Database(url=str(storage.engine.url), storage=storage, home=folder)
    with contextlib.suppress(Died), driving(database, spec) as study:
        drive(
            study,
            executor or FakeExecutor(),
            trials=TRIALS,
            timeout_s=None,
            progress=lambda *_: None,
        )


def trials_in(storage: MortalStorage) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="small", storage=storage).get_trials(deepcopy=False)


def designs_in(storage: MortalStorage) -> list[Any]:
    results = sorted(
        filter(is_result, trials_in(storage)), key=lambda t: (design_of(t) or {})["draw"]
    )
    return [(t.params, t.values) for t in results]


@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize("sampler", SETTINGS)
def test_whatever_was_written_last_the_sequence_is_the_same(tmp_path: Path, sampler: str) -> None:
    whole = MortalStorage(tmp_path)
    live(whole, sampler, tmp_path)
    assert len(designs_in(whole)) == TRIALS
    middle, lost = whole.written // 2, 0
    for left in range(middle, middle + 8):  # more than one trial's
        broken = MortalStorage(tmp_path)
        live(broken, sampler, tmp_path, left=left)
        assert len(designs_in(broken)) < TRIALS
        live(broken, sampler, tmp_path)
        assert designs_in(broken) == designs_in(whole), f"died after {left} writes"
        lost += sum(LOST in t.user_attrs for t in trials_in(broken))
    assert lost >= 3


def limited(job: Job) -> Outcome:
    """Odd numbers of ADC bits are ruled out before training."""
    if (bits := sum(job.point.adc.bits)) % 2:
        return RuledOut(reason="odd", violations={"x": bits}, trained=False, seconds=0.0)
    return made_up(job.point)


@pytest.mark.usefixtures("careless")
def test_repeated_and_ruled_out_designs_are_counted_once(tmp_path: Path) -> None:
    """Of 25 designs the random sampler proposes some again."""
    space = {
        "space": {"adc.bits.slice0": "1..5", "adc.bits.slice1": "1..5"},
        "fixed": {"adc.bits.slice2": 8, "adc.bits.slice3": 8},
    }
    whole = MortalStorage(tmp_path)
    live(whole, "random", tmp_path, executor=FakeExecutor(limited), **space)
    trials = trials_in(whole)
    assert sum(DUPLICATE_OF in t.user_attrs for t in trials) >= 3
    assert sum(RULED_OUT in t.user_attrs for t in trials) >= 3
    assert len(designs_in(whole)) == TRIALS
    for left in range(2, whole.written, 11):
        broken = MortalStorage(tmp_path)
        live(broken, "random", tmp_path, left=left, executor=FakeExecutor(limited), **space)
        live(broken, "random", tmp_path, executor=FakeExecutor(limited), **space)
        assert designs_in(broken) == designs_in(whole), f"died after {left} writes"
