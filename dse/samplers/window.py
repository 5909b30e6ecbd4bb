"""A study as a sampler sees it that cannot look at every trial: the best and the newest."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, cast

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from dse.dominance import non_dominated
from dse.errors import SpecError
from dse.samplers.directions import signs_of
from dse.trials import LOST


def windowed(study: Study, window: int) -> Study:
    """The study with at most `window` finished trials, and all that are not finished.

    Trials that were lost are not shown: their designs are tried again.

    Kept are up to `window / 2` of the best: of one objective those of least violation, then of
    least loss; of several the feasible ones that no other dominates, the newest of them if they
    are too many. The others are the newest.

    Args:
        study: Of any size; finding the best takes time in proportion to it.
        window: Most finished trials.
    """
    return cast("Study", _Window(study, window))


def check_window(window: Any) -> int:
    """The setting, if it is one.

    Raises:
        SpecError: It is not.
    """
    if not isinstance(window, int) or isinstance(window, bool) or window < 10:
        raise SpecError(f"sampler.window: a number of trials from 10, got {window!r}")
    return window


class WindowedSampler(BaseSampler):
    """Beside one of Optuna's samplers, in front of it: its relative proposals see a window.

    Args:
        window: Most finished trials.
        settings: Of the other sampler.
    """

    def __init__(self, *, window: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._window = window

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As the other's, of the window."""
        return super().infer_relative_search_space(  # type: ignore[safe-super]
            windowed(study, self._window), trial
        )

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the other's, by the window."""
        return super().sample_relative(  # type: ignore[safe-super]
            windowed(study, self._window), trial, search_space
        )


class _Window:
    """Shows fewer trials of a study; everything else is the study's own."""

    def __init__(self, study: Study, window: int) -> None:
        self._study, self._window = study, window

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        trials = self._study._get_trials(deepcopy=False, use_cache=use_cache)
        trials = [trial for trial in trials if LOST not in trial.user_attrs]
        finished = [trial for trial in trials if trial.state.is_finished()]
        if len(finished) > self._window:
            kept = {t.number for t in finished[-(self._window - self._window // 2) :]}
            kept |= _best(self._study, finished, self._window // 2)
            newest = (t.number for t in reversed(finished))
            while len(kept) < self._window:
                kept.add(next(newest))
            trials = [t for t in trials if t.number in kept or not t.state.is_finished()]
        return [t for t in trials if states is None or t.state in states]


def _best(study: Study, finished: list[FrozenTrial], count: int) -> set[int]:
    complete = [t for t in finished if t.state == TrialState.COMPLETE]
    signs = signs_of(study.directions)
    losses = np.array([t.values for t in complete]).reshape(len(complete), len(signs)) * signs
    excess = np.array([sum(max(0.0, v) for v in t.constraints.values()) for t in complete])
    if len(signs) == 1:
        chosen = np.lexsort((losses[:, 0], excess))[:count] if complete else np.array([], int)
    else:
        feasible = np.flatnonzero(excess == 0)
        chosen = feasible[non_dominated(losses[feasible])][-count:]
    return {complete[int(i)].number for i in chosen}
