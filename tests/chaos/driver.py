"""A driver that may be killed: python -m tests.chaos.driver URL ADDRESS SPEC MAKE SETTINGS.

`SPEC` and `SETTINGS` are JSON; `MAKE` is `module:class` of what evaluates.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings

from dse.database import open_database
from dse.evaluation import Job
from dse.launching.driver import Summary, drive
from dse.launching.executor import Executor
from dse.launching.ray_environment import prepare_ray
from dse.plugins import load_attribute
from dse.resuming import driving
from dse.spec import StudySpec
from dse.study import Study
from tests.dse.fakes import FakeExecutor


def main() -> None:
    url, address, spec_json, make, settings = sys.argv[1:]
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", force=True)
    spec = StudySpec.from_mapping(json.loads(spec_json), where="driver")
    with driving(open_database(url, write=True), spec) as study:
        if not study.wants(spec.budget.trials):
            return
        if spec.launch.name == "serial":
            evaluate = load_attribute(make)(json.loads(settings)).outcome
            alone = FakeExecutor(lambda job: evaluate(job.point))
            print("done", run(study, alone), flush=True)
            return
        prepare_ray(local=False)
        if spec.launch.name == "tune":
            from dse.launching.tune import run_tune

            summary = run_tune(
                study,
                json.loads(settings),
                trials=spec.budget.trials,
                timeout_s=None,
                progress=told,
                make=load_attribute(make),
            )
            print("done", summary, flush=True)
            return
        from dse.launching.ray_actors import RayExecutor

        executor = RayExecutor(
            json.loads(settings),
            workers=None,
            cpus_per_trial=1,
            trial_timeout_s=spec.launch.trial_timeout_s,
            address=address,
            make=load_attribute(make),
        )
        try:
            summary = run(study, executor)
        finally:
            executor.close()
    print("done", summary, flush=True)


def run(study: Study, executor: Executor) -> Summary:
    trials = study.spec.budget.trials
    return drive(study, executor, trials=trials, timeout_s=None, progress=told)


def told(job: Job | None, _outcome: object) -> None:
    if job is not None:
        print("told", job.number, flush=True)


if __name__ == "__main__":
    main()
