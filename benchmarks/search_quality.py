"""How good the search is: samplers on recorded tables of this project and an analytic space.

Problems (`search_problems.py`): the tables `mlp_adc`, `mlp_rows` and `lenet5_patches`, every entry
of which was really evaluated (`record_table.py`), and `analytic`; `NAME:constrained` limits the
loss of accuracy. Every sampler runs through an Optuna study in memory, ours as a study of this
project makes them; `default` is what Optuna takes where no sampler is named (`TPESampler`, for
several objectives the independent one). Hypervolumes are shares of the box between the best and
the worst value of every objective in the whole problem (in the constrained form among the designs
that meet the limit), the worst ones being the reference point; energy and area count by their
logarithm. With several workers, durations of trials are drawn from a log-normal distribution
(sigma 0.5), and a design is asked for whenever one of the workers is free.

    python benchmarks/search_quality.py [--problems P ...] [--samplers S ...] [--seeds 10]
        [--trials 1000] [--workers 1] [--results FOLDER] [--processes 2] [--report]
        [--plot FILE]

A sampler reads NAME or NAME:setting=value,... such as `pso:particles=10`. Finished runs are kept
in FOLDER, one JSON line each, and are not repeated; `--report` runs nothing. Without `--samplers`
everything is run that the last line needs: JSON with

    trials_ratio             trials that `auto` needs to the hypervolume that `default` has after
                             200, over 200: median over seeds, then over problems
    pso_vs_default_hv_1000   hypervolume of `pso` over that of `default` after 1000 trials
    most_vs_default_hv_1000  the same for the whole front of a table: no sampler can have more
    workers_8_loss, workers_32_loss
                             what `pso` loses with so many workers, relative to one, after 1000
    constrained              the same figures for the constrained forms, where both were asked for
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import heapq  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from concurrent.futures import ProcessPoolExecutor, as_completed  # noqa: E402
from dataclasses import asdict, dataclass  # noqa: E402
from multiprocessing import get_context  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import optuna  # noqa: E402
from search_problems import Volume, problem, whole_volume  # noqa: E402

from dse.samplers.auto import AUTO, choose_sampler  # noqa: E402
from dse.samplers.make import make_sampler  # noqa: E402
from dse.spec import StudySpec  # noqa: E402
from dse.spec_sections import SamplerSpec  # noqa: E402

PROBLEMS = ("mlp_adc", "mlp_rows", "lenet5_patches", "analytic")
CONSTRAINED = ":constrained"
ALL = (*PROBLEMS, *(name + CONSTRAINED for name in PROBLEMS))
SHOWN = (50, 100, 200, 500, 1000)
BASE_TRIALS = 200
"""Trials after which the default's hypervolume is what ours has to reach."""
AUTO_TRIALS = 100
"""Trials that ours gets for it; runs that do not reach it count as endless."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One study.

    Attributes:
        problem: Its name.
        sampler: As on the command line.
        seed: Of the sampler, and of the durations.
        trials: That finish.
        workers: At the same time.
    """

    problem: str
    sampler: str
    seed: int
    trials: int = 1000
    workers: int = 1


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What came of it.

    Attributes:
        run: Which.
        growth: Number of a trial and the hypervolume after it, wherever it grew.
        seconds: Of CPU time, evaluations included.
    """

    run: Run
    growth: tuple[tuple[int, float], ...]
    seconds: float

    def after(self, trials: int) -> float:
        """Hypervolume after so many trials."""
        return next((share for n, share in reversed(self.growth) if n <= trials), 0.0)

    def trials_to(self, share: float) -> int | None:
        """Trials to a hypervolume; None if it was not reached."""
        return next((n for n, reached in self.growth if reached >= share), None)


def sampler_for(text: str, seed: int, trials: int) -> optuna.samplers.BaseSampler | None:
    """A sampler by its text; None is Optuna's own choice, seeded.

    Args:
        text: `default`, `auto`, or NAME with settings.
        seed: Of the study.
        trials: Budget of the study.
    """
    name, _, settings = text.partition(":")
    if name == "default":
        return optuna.samplers.TPESampler(seed=seed)
    if name == AUTO:
        return make_sampler(_automatic(seed, trials))
    pairs = (setting.split("=") for setting in settings.split(",") if setting)
    return make_sampler(
        SamplerSpec(name=name, seed=seed, **{key: json.loads(value) for key, value in pairs})
    )


def _automatic(seed: int, trials: int) -> SamplerSpec:
    """What `sampler: auto` gives a study of so many designs that are trained."""
    study = {
        "name": "search_quality",
        "task": "mlp_mnist",
        "space": {"adc.bits": "1..8"},
        "objectives": ["maximize accuracy", "minimize energy_uj"],
        "sampler": {"name": AUTO, "seed": seed},
        "budget": {"trials": trials, "epochs": 1},
    }
    return choose_sampler(StudySpec.from_mapping(study, where="search_quality")).spec


def search(run: Run) -> Finished:
    """Ask, evaluate and tell until so many trials have finished."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    found = problem(run.problem)
    study = optuna.create_study(
        directions=list(found.directions), sampler=sampler_for(run.sampler, run.seed, run.trials)
    )
    durations = np.random.default_rng([run.seed, 7])
    volume, growth = Volume(len(found.directions)), []
    began = time.process_time()
    busy: list[tuple[float, int, optuna.Trial]] = []
    now = 0.0
    for finished in range(1, run.trials + 1):
        while len(busy) < min(run.workers, run.trials - finished + 1):
            trial = study.ask(dict(found.space))
            end = now + float(durations.lognormal(0.0, 0.5))
            heapq.heappush(busy, (end, trial.number, trial))
        now, _, trial = heapq.heappop(busy)
        result = found.evaluate(trial.params)
        if result.violation is not None:
            trial.set_constraint("limit", result.violation)
        study.tell(trial, result.values)
        before = volume.share
        if volume.add(result) > before:
            growth.append((finished, round(volume.share, 7)))
    return Finished(run=run, growth=tuple(growth), seconds=round(time.process_time() - began, 2))


class Results:
    """Finished runs in a file, one JSON line each.

    Args:
        folder: Made if missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "runs.jsonl"

    def read(self) -> dict[Run, Finished]:
        """All of them."""
        if not self._file.exists():
            return {}
        found = {}
        for line in self._file.read_text().splitlines():
            stored = json.loads(line)
            run = Run(**stored["run"])
            growth = tuple((int(n), float(share)) for n, share in stored["growth"])
            found[run] = Finished(run=run, growth=growth, seconds=stored["seconds"])
        return found

    def add(self, finished: Finished) -> None:
        """Keep one."""
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(finished)) + "\n")


def run_all(runs: Sequence[Run], results: Results, processes: int) -> None:
    """Do what was not done before."""
    known = results.read()
    missing = [run for run in dict.fromkeys(runs) if run not in known]
    began = time.perf_counter()
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        futures = [pool.submit(search, run) for run in missing]
        for number, future in enumerate(as_completed(futures), start=1):
            done = future.result()
            results.add(done)
            run = done.run
            print(
                f"{time.perf_counter() - began:6.0f} s: {number} of {len(missing)}: {run.problem} "
                f"{run.sampler} seed {run.seed} workers {run.workers}: "
                f"{done.after(run.trials):.4f} in {done.seconds} s",
                flush=True,
            )


def longest(
    known: dict[Run, Finished], problem_: str, sampler: str, *, workers: int, trials: int
) -> list[Finished]:
    """Of every seed the longest run of at least so many trials."""
    by_seed: dict[int, Finished] = {}
    for run, each in known.items():
        same = (run.problem, run.sampler, run.workers) == (problem_, sampler, workers)
        if same and run.trials >= trials:
            before = by_seed.get(run.seed)
            if before is None or before.run.trials < run.trials:
                by_seed[run.seed] = each
    return [by_seed[seed] for seed in sorted(by_seed)]


def table(known: dict[Run, Finished]) -> list[str]:
    """Mean and standard deviation of the hypervolume, with the number of seeds."""
    lines = [
        f"| problem | sampler | workers | {' | '.join(map(str, SHOWN))} | ms per trial |",
        "|---|---|---|" + "---|" * (len(SHOWN) + 1),
    ]
    for name, sampler, workers in sorted({(r.problem, r.sampler, r.workers) for r in known}):
        cells = []
        for shown in SHOWN:
            rows = longest(known, name, sampler, workers=workers, trials=shown)
            shares = [row.after(shown) for row in rows]
            if not shares:
                cells.append("")
                continue
            spread = statistics.stdev(shares) if len(shares) > 1 else 0.0
            cells.append(f"{statistics.mean(shares):.4f} ±{spread:.4f} ({len(shares)})")
        rows = longest(known, name, sampler, workers=workers, trials=1)
        cpu = 1e3 * sum(row.seconds for row in rows) / sum(row.run.trials for row in rows)
        lines.append(f"| {name} | {sampler} | {workers} | {' | '.join(cells)} | {cpu:.1f} |")
    return lines


def needed_runs(problems: Sequence[str], seeds: int) -> list[Run]:
    """All that the last line is made of, the cheap ones first."""
    runs = [
        Run(problem=name, sampler=sampler, seed=seed, workers=workers)
        for sampler, workers in (
            ("pso", 1),
            ("pso", 8),
            ("pso", 32),
            ("nsga2", 1),
            ("random", 1),
            ("default", 1),
        )
        for name in problems
        for seed in range(seeds)
    ]
    return runs + [
        Run(problem=name, sampler=AUTO, seed=seed, trials=AUTO_TRIALS)
        for name in problems
        for seed in range(seeds)
    ]


def summary(known: dict[Run, Finished], problems: Sequence[str]) -> dict[str, Any]:
    """The figures of the last line; None where runs are missing."""

    def of(name: str, sampler: str, workers: int = 1, trials: int = 1000) -> list[Finished]:
        return longest(known, name, sampler, workers=workers, trials=trials)

    def median_after(rows: list[Finished], trials: int) -> float:
        return statistics.median(row.after(trials) for row in rows)

    ratios: dict[str, float | None] = {}
    better: dict[str, float | None] = {}
    most: dict[str, float | None] = {}
    losses: dict[int, dict[str, float | None]] = {8: {}, 32: {}}
    for name in problems:
        default, pso = of(name, "default"), of(name, "pso")
        started = of(name, "default", trials=BASE_TRIALS)
        auto = of(name, AUTO, trials=AUTO_TRIALS)
        ratios[name] = better[name] = most[name] = None
        if started and auto:
            target = median_after(started, BASE_TRIALS)
            needed = [row.trials_to(target) or float("inf") for row in auto]
            ratios[name] = statistics.median(needed) / BASE_TRIALS
        if default and pso:
            better[name] = median_after(pso, 1000) / median_after(default, 1000)
        whole = whole_volume(name)
        if default and whole is not None:
            most[name] = whole / median_after(default, 1000)
        for workers, by_problem in losses.items():
            many = of(name, "pso", workers)
            by_problem[name] = None
            if pso and many:
                alone = statistics.mean(row.after(1000) for row in pso)
                by_problem[name] = 1 - statistics.mean(row.after(1000) for row in many) / alone
    report: dict[str, Any] = {}
    for key, values in (
        ("trials_ratio", ratios),
        ("pso_vs_default_hv_1000", better),
        ("most_vs_default_hv_1000", most),
        *((f"workers_{workers}_loss", by_problem) for workers, by_problem in losses.items()),
    ):
        measured = [value for value in values.values() if value is not None]
        report[key] = round(statistics.median(measured), 4) if measured else None
        report[f"{key}_by_problem"] = {
            name: None if value is None else round(value, 4) for name, value in values.items()
        }
    return report


def last_line(known: dict[Run, Finished], problems: Sequence[str]) -> dict[str, Any]:
    """The figures of the problems as they are, beside them those of the constrained forms."""
    free = [name for name in problems if not name.endswith(CONSTRAINED)]
    limited = [name for name in problems if name.endswith(CONSTRAINED)]
    if not free or not limited:
        return summary(known, problems)
    return {**summary(known, free), "constrained": summary(known, limited)}


def plot(known: dict[Run, Finished], problems: Sequence[str], file: Path) -> None:
    """Median hypervolume over trials, one panel per problem; needs matplotlib."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(
        1, len(problems), figsize=(4.2 * len(problems), 3.4), squeeze=False, layout="constrained"
    )
    for panel, name in zip(panels[0], problems, strict=True):
        for sampler in sorted({run.sampler for run in known if run.problem == name}):
            rows = longest(known, name, sampler, workers=1, trials=1)
            if not rows:
                continue
            last = min(row.run.trials for row in rows)
            at = sorted({int(n) for n in np.geomspace(5, last, 120)})
            curves = np.array([[row.after(n) for n in at] for row in rows])
            low, middle, high = np.quantile(curves, (0.25, 0.5, 0.75), axis=0)
            (line,) = panel.plot(at, middle, label=f"{sampler} ({len(rows)})")
            panel.fill_between(at, low, high, alpha=0.15, color=line.get_color(), linewidth=0)
        panel.set(xscale="log", xlabel="trials", title=name)
    panels[0][0].set_ylabel("hypervolume, share of the box")
    panels[0][-1].legend(fontsize="small", title="sampler (seeds)")
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main() -> None:
    """Run, show the table, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--problems", nargs="+", default=list(ALL))
    parser.add_argument("--samplers", nargs="+", help="these only")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=1000, help="with --samplers")
    parser.add_argument("--workers", type=int, nargs="+", default=[1], help="with --samplers")
    parser.add_argument("--results", type=Path, default=Path("search_quality_runs"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="show what there is")
    parser.add_argument("--plot", type=Path, help="draw the curves; .svg or .png")
    arguments = parser.parse_args()
    results = Results(arguments.results)
    if arguments.samplers:
        runs = [
            Run(problem=p, sampler=s, seed=seed, trials=arguments.trials, workers=w)
            for seed, w, s, p in itertools.product(
                range(arguments.seeds),
                arguments.workers,
                arguments.samplers,
                arguments.problems,
            )
        ]
    else:
        runs = needed_runs(arguments.problems, arguments.seeds)
    if not arguments.report:
        run_all(runs, results, arguments.processes)
    known = results.read()
    shown = {run: each for run, each in known.items() if run.problem in arguments.problems}
    print("\n".join(table(shown)))
    if arguments.plot:
        plot(known, arguments.problems, arguments.plot)
    print(json.dumps(last_line(known, arguments.problems)))


if __name__ == "__main__":
    main()
