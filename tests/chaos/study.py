"""The study that is disturbed, and what must hold when it is over."""

from __future__ import annotations

from collections import Counter
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from dse.database import open_database
from dse.spec import StudySpec
from dse.trials import DUPLICATE_OF, LOST, design_of, is_result
from search_spaces.design_point import DesignPoint
from search_spaces.draw import draw_design
from tests.chaos.made_up import made_up

NAME = "chaos"


def chaos_spec(trials: int, **launch: Any) -> StudySpec:
    """Floats among the knobs: no two designs are equal by chance."""
    return StudySpec.from_mapping(
        {
            "name": NAME,
            "task": "mlp_mnist",
            "space": {
                "regularizer": ["none", "l1", "bit_slice_l1"],
                "regularizer.strength": "log 0.05..5",
                "pruning.threshold": "0.0..0.1",
                "adc.bits": "1..8",
            },
            "objectives": ["maximize accuracy", "minimize energy_uj"],
            "sampler": {"name": "random", "seed": 5},
            "budget": {"trials": trials, "epochs": 1},
            "launch": {
                "name": "ray",
                "attempts": 1000,
                "database_patience_s": 120,
                **launch,
            },
        },
        where="chaos",
    )


def trials_of(url: str, study: str = NAME) -> list[FrozenTrial]:
    """As Optuna reads them."""
    storage = open_database(url, write=False).storage
    return optuna.load_study(study_name=study, storage=storage).get_trials(deepcopy=False)


def point_of(spec: StudySpec, trial: FrozenTrial) -> DesignPoint:
    return draw_design(spec.design_space(), lambda path, _: trial.params[path])


def verdict(spec: StudySpec, trials: list[FrozenTrial]) -> dict[str, Any]:
    """What went wrong, each a number; all are 0 for a study that survived.

    Returns:
        `lost`: designs of the budget without a result. `doubled`: results beyond one per design,
        and more than one trial waiting in the place of a lost one. `stuck`: trials that are
        neither finished nor waiting for anybody. `wrong`: results that differ from a serial
        evaluation of the same parameters.
    """
    results = [t for t in trials if is_result(t)]
    draws = Counter((design_of(t) or {})["draw"] for t in results)
    digests = Counter(point_of(spec, t).digest() for t in results)
    retries = Counter(
        design["retry_of"] for t in trials if (design := design_of(t)) and "retry_of" in design
    )
    wrong = 0
    for trial in results:
        metrics = made_up(point_of(spec, trial))
        wrong += trial.values != [o.metric.of(metrics) for o in spec.parsed_objectives()]
        wrong += trial.user_attrs["metrics"] != metrics
    failed_for_good = sum(t.state == TrialState.FAIL and LOST not in t.user_attrs for t in trials)
    return {
        "lost": spec.budget.trials - len(draws) if failed_for_good == 0 else failed_for_good,
        "doubled": sum(n - 1 for n in (draws | digests).values())
        + sum(n - 1 for n in retries.values())
        + sum(DUPLICATE_OF in t.user_attrs and LOST not in t.user_attrs for t in trials),
        "stuck": sum(not t.state.is_finished() for t in trials),
        "wrong": wrong + max(0, len(draws) - spec.budget.trials),
    }
