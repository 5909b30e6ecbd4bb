"""knob_importance(): how much each free knob decides whether a design is among the best."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from dse.objectives import Objective
from dse.trials import is_result

MIN_RESULTS = 20
"""With fewer designs nothing is said: chance would decide which knob looks important."""

MAX_RESULTS = 2000
"""Designs that are judged; of more, evenly chosen ones in the order of the trials."""

_TOP_SHARE = 0.1  # gamma' of the paper, as in Optuna
_MIN_TOP = 5  # designs above the quantile that PED-ANOVA asks for, by Optuna's documentation


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobImportance:
    """What one knob matters for one objective.

    Attributes:
        path: Of the knob.
        share: Of the sum over all knobs, from 0 to 1.
        n_results: Designs that have the knob.
    """

    path: str
    share: float
    n_results: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """What the knobs of a study matter for one objective.

    Attributes:
        objective: Its name.
        knobs: The most important first; empty if nothing can be said.
        n_results: Designs that were judged.
        n_best: Those of them that count as the best.
        note: What was compared, or why nothing can be said.
    """

    objective: str
    knobs: tuple[KnobImportance, ...]
    n_results: int
    n_best: int
    note: str


def knob_importance(
    trials: Sequence[FrozenTrial], objectives: Sequence[Objective], free: Iterable[str]
) -> tuple[Importance, ...]:
    """PED-ANOVA for every objective on its own.

    For each knob the distribution of its values among the best tenth of the designs (five at
    least) is compared with that among all of them, by Pearson's divergence of two Parzen
    estimates (Watanabe, Bansal, Hutter, "PED-ANOVA", IJCAI 2023). That a sampler prefers some
    values thereby makes no knob important.

    A knob that exists under some choices only (the strength of a penalty) is judged on the
    designs that have it: its divergence is that of the best designs with the knob from all
    designs with the knob, times (share of the best that have it)^2 / (share of all that have it)
    ("Conditional PED-ANOVA", 2026, theorem 4.2, as built in Optuna 5). Whether the knob is there
    at all counts for the choice above it and not for the knob.

    Designs that break a constraint count like others; copies of known designs, failed and running
    trials do not. The same trials give the same numbers.

    Args:
        trials: Of any state.
        objectives: What the values of a trial mean.
        free: Paths of the knobs that the study leaves free; those that no design has are left
            out.

    Returns:
        One for each objective, in their order.
    """
    results = [trial for trial in trials if is_result(trial)]
    if len(results) < MIN_RESULTS:
        note = (
            f"{len(results)} designs are evaluated, too few to tell which knobs matter; "
            f"it takes at least {MIN_RESULTS}"
        )
        return tuple(_silent(o, len(results), note) for o in objectives)
    if len(results) > MAX_RESULTS:
        chosen = np.linspace(0, len(results) - 1, MAX_RESULTS).round().astype(int)
        results = [results[i] for i in chosen.tolist()]
    having = {path: sum(path in t.params for t in results) for path in free}
    study = optuna.create_study(
        storage=optuna.storages.InMemoryStorage(), directions=[o.direction for o in objectives]
    )
    study.add_trials(results)
    return tuple(
        _importance(study, results, objective, index, {p: n for p, n in having.items() if n})
        for index, objective in enumerate(objectives)
    )


def _importance(
    study: optuna.Study,
    results: Sequence[FrozenTrial],
    objective: Objective,
    index: int,
    having: dict[str, int],
) -> Importance:
    sign = 1.0 if objective.direction == "minimize" else -1.0
    losses = np.array([sign * trial.values[index] for trial in results])
    quantile = max(_TOP_SHARE, _MIN_TOP / len(results))
    cutoff = np.sort(losses)[int(np.ceil(quantile * len(losses))) - 1]
    n_best = int((losses <= cutoff).sum())
    if n_best == len(results):
        return _silent(
            objective,
            len(results),
            f"{n_best} of {len(results)} designs share the best {objective.name}: "
            "no knob can be told from another",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # low is good here; rare regimes; `normalize` is new
        divergences = get_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile),
            params=sorted(having),
            target=lambda trial: sign * trial.values[index],
            normalize=False,
        )
    total = sum(divergences[path] for path in sorted(having))
    if not total > 0:
        return _silent(objective, len(results), "no knob tells the best designs from the others")
    knobs = (
        KnobImportance(path=path, share=divergences[path] / total, n_results=count)
        for path, count in having.items()
    )
    return Importance(
        objective=objective.name,
        knobs=tuple(sorted(knobs, key=lambda knob: (-knob.share, knob.path))),
        n_results=len(results),
        n_best=n_best,
        note=f"PED-ANOVA: the best {n_best} of {len(results)} designs against all of them",
    )


def _silent(objective: Objective, n_results: int, note: str) -> Importance:
    return Importance(objective=objective.name, knobs=(), n_results=n_results, n_best=0, note=note)
