"""A study of 100 000 trials with 3 objectives: its front, its status, and going on with it.

The study is made first, every row as `dse run` writes it (see `large_study.py`). Every figure is
CPU seconds of a process of its own, medians of alternating runs. The last line is JSON:

    pareto_seconds, status_seconds  `dse pareto` and `dse status`, start and imports included
    resume_seconds        from opening the database to the first design asked; without the imports
                          (torch and the techniques), which `import_seconds` has
    peak_mib              largest memory of `dse pareto` and `dse status`
    resume_peak_mib       memory of the resumed driver; `resume_added_mib` without the imports
    ratio_vs_best_trials  Optuna's load_study + best_trials / our front, both without imports; same
                          database; `optuna_rounds` says how often the slow side was run
    optuna_seconds, front_seconds, optuna_peak_mib   what the ratio is made of

    python benchmarks/scale.py [--trials 100000] [--rounds 5] [--optuna-rounds 1] [--sampler pso]
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections import defaultdict  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

_MAIN = "from dse.cli.app import main; main()"
NAME = "large"


def main() -> None:
    """Make the study, measure, print."""
    arguments = _arguments()
    if arguments.part:
        print(
            json.dumps(PARTS[arguments.part](arguments.url, arguments.sampler, arguments.trials))
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.url or f"sqlite:///{Path(folder) / 'dse.db'}"
        measured = measure(
            url,
            trials=arguments.trials,
            rounds=arguments.rounds,
            optuna_rounds=arguments.optuna_rounds,
            sampler=arguments.sampler,
        )
    print(json.dumps(measured))


def measure(
    url: str, *, trials: int, rounds: int, optuna_rounds: int, sampler: str
) -> dict[str, Any]:
    """All figures of one study."""
    # In a process of its own: what this one holds would count as its children's memory.
    made = _part("make", url, sampler, trials=trials)
    _say(f"made {trials} trials in {made['seconds']:.0f} s")
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for turn in range(max(rounds, optuna_rounds)):
        if turn < rounds:
            for command in ("pareto", "status"):
                runs[command].append(_command(command, url))
            runs["front"].append(_part("front", url, sampler))
        if turn < optuna_rounds:
            runs["optuna"].append(_part("optuna", url, sampler))
        _say(", ".join(f"{name} {each[-1]['seconds']:.2f} s" for name, each in runs.items()))
    # Last: each of them leaves a trial behind.
    runs["resume"] = [_part("resume", url, sampler) for _ in range(rounds)]
    fronts = {name: runs[name][0]["front"] for name in ("front", "optuna") if runs[name]}
    median = {name: statistics.median(r["seconds"] for r in each) for name, each in runs.items()}
    return {
        "trials": trials,
        "sampler": sampler,
        "rounds": rounds,
        "optuna_rounds": optuna_rounds,
        "pareto_seconds": round(median["pareto"], 3),
        "status_seconds": round(median["status"], 3),
        "resume_seconds": round(median["resume"], 3),
        "import_seconds": round(statistics.median(r["imports"] for r in runs["resume"]), 3),
        "peak_mib": max(r["mib"] for name in ("pareto", "status") for r in runs[name]),
        "resume_peak_mib": max(r["mib"] for r in runs["resume"]),
        "resume_added_mib": max(r["added_mib"] for r in runs["resume"]),
        "front_seconds": round(median["front"], 3),
        "optuna_seconds": round(median["optuna"], 3) if runs["optuna"] else None,
        "optuna_peak_mib": max((r["mib"] for r in runs["optuna"]), default=None),
        "ratio_vs_best_trials": (
            round(median["optuna"] / median["front"], 1) if runs["optuna"] else None
        ),
        "front_designs": fronts,
    }


def _command(command: str, url: str) -> dict[str, Any]:
    """CPU seconds and memory of a `dse` command."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, command, NAME, "--format", "json", "--storage", url],
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"dse {command} ended with exit code {process.returncode}")
    return {"seconds": used.ru_utime + used.ru_stime, "mib": used.ru_maxrss // 1024}


def _part(part: str, url: str, sampler: str, *, trials: int = 0) -> dict[str, Any]:
    """What a part measures, in a process of its own."""
    command = [sys.executable, __file__, "--part", part, "--url", url, "--sampler", sampler]
    command += ["--trials", str(trials)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def make(url: str, sampler: str, trials: int) -> dict[str, Any]:
    """The study."""
    from large_study import make_study

    warnings.simplefilter("ignore")
    began = time.process_time()
    make_study(url, trials, sampler)
    return {"seconds": time.process_time() - began}


def front(url: str, _sampler: str, _trials: int) -> dict[str, Any]:
    """Our front, from opening the database on."""
    from dse.pareto import stored_front
    from dse.reading.columns import TrialColumns
    from dse.reading.source import open_source
    from dse.reading.studies import read_study

    began = time.process_time()
    with open_source(url) as source:
        study = read_study(source, NAME)
        found = stored_front(TrialColumns(source, study), study.objectives(source))
    return {"seconds": time.process_time() - began, "mib": _mib(), "front": len(found.trials)}


def optuna(url: str, _sampler: str, _trials: int) -> dict[str, Any]:
    """Optuna's front."""
    import optuna as stock
    import sqlalchemy  # noqa: F401 - its import does not count

    stock.logging.set_verbosity(stock.logging.ERROR)
    began = time.process_time()
    best = stock.load_study(study_name=NAME, storage=url).best_trials
    values = {tuple(trial.values) for trial in best}  # ours tells equal designs once
    return {"seconds": time.process_time() - began, "mib": _mib(), "front": len(values)}


def resume(url: str, sampler: str, _trials: int) -> dict[str, Any]:
    """A driver that takes the study up and asks for a design."""
    from large_study import study_spec

    from dse.database import open_database
    from dse.resuming import driving
    from dse.samplers.make import make_sampler

    warnings.simplefilter("ignore")
    spec = study_spec(10**7, sampler)
    spec.design_space()  # imports the techniques, and torch with them
    make_sampler(spec.sampler)
    imports, before = time.process_time(), _mib()
    with driving(open_database(url, write=True), spec) as study:
        job = study.ask()
        spent = time.process_time() - imports
        assert job is not None, "there are designs left"
        study.give_back(job, reason="only asked for")
    return {"seconds": spent, "imports": imports, "mib": _mib(), "added_mib": _mib() - before}


PARTS = {"make": make, "front": front, "optuna": optuna, "resume": resume}


def _mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--optuna-rounds", type=int, default=1)
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--url", help="an empty database instead of a temporary SQLite file")
    parser.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
