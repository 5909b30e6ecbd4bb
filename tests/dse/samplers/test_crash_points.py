"""A driver that dies before any write of a trial, one after the other: nothing shifts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage

import dse.resuming
import dse.study
from dse.database import Database
from dse.launching.driver import drive
from dse.resuming import driving
from dse.trials import LOST, design_of, is_result
from tests.dse.fakes import FakeExecutor, small_spec

TRIALS = 9
SETTINGS = {
    "nsga2": {"population": 4},
    "pso": {"particles": 3},
    "qmc": {},
}
WRITES = (
    "create_new_trial",
    "set_trial_param",
    "set_trial_state_values",
    "set_trial_system_attr",
    "set_trial_user_attr",
)


class Died(BaseException):
    """Stands for SIGKILL: nothing may be cleaned up."""


class MortalStorage(InMemoryStorage):
    """In memory; after `left` writes of trials its user is dead, and writes nothing any more."""

    left = 10**9
    written = 0


def _mortal(name: str) -> Any:
    def write(self: MortalStorage, *arguments: Any, **named: Any) -> Any:
        if self.left <= 0:
            raise Died
        self.left -= 1
        self.written += 1
        return getattr(InMemoryStorage, name)(self, *arguments, **named)

    return write


for _name in WRITES:
    setattr(MortalStorage, _name, _mortal(_name))


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dead clean up nothing, and hold no lease in the memory that outlives them."""

    @contextlib.contextmanager
    def owning(study: optuna.Study) -> Iterator[None]:
        yield

    monkeypatch.setattr(dse.resuming, "owning", owning)
    monkeypatch.setattr(dse.study.Study, "give_back", lambda *_, **__: None)


def live(storage: MortalStorage, sampler: str, folder: Path, *, left: int = 10**9) -> None:
    """Drive the study to its end, or until so many writes are made."""
    settings = {"name": sampler, "seed": 11, **SETTINGS[sampler]}
    spec = small_spec(sampler=settings, budget={"trials": TRIALS, "epochs": 1})
    storage.left = left
    database = Database(url="memory", storage=storage, home=folder)  # type: ignore[arg-type]
    with contextlib.suppress(Died), driving(database, spec) as study:
        drive(study, FakeExecutor(), trials=TRIALS, timeout_s=None, progress=lambda *_: None)


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
    whole = MortalStorage()
    live(whole, sampler, tmp_path)
    assert len(designs_in(whole)) == TRIALS
    middle, lost = whole.written // 2, 0
    for left in range(middle, middle + 18):  # more than one trial's
        broken = MortalStorage()
        live(broken, sampler, tmp_path, left=left)
        assert len(designs_in(broken)) < TRIALS
        live(broken, sampler, tmp_path)
        assert designs_in(broken) == designs_in(whole), f"died after {left} writes"
        lost += sum(LOST in t.user_attrs for t in trials_in(broken))
    assert lost >= 12
