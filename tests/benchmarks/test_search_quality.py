"""The benchmark of samplers counts as it says, and its runs can be repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from search_quality import (
    Finished,
    Results,
    Run,
    last_line,
    longest,
    needed_runs,
    search,
    summary,
    table,
)

GROWTH = ((1, 0.1), (10, 0.4), (60, 0.6), (300, 0.8))


def finished(sampler: str, growth: tuple[tuple[int, float], ...], **run: int) -> Finished:
    settings = {"seed": 0, **run}
    return Finished(run=Run(problem="p", sampler=sampler, **settings), growth=growth, seconds=1.0)


def test_growth_tells_the_volume_after_trials_and_the_trials_to_a_volume() -> None:
    each = finished("pso", GROWTH)
    assert [each.after(n) for n in (0, 9, 10, 200, 1000)] == [0.0, 0.1, 0.4, 0.6, 0.8]
    assert [each.trials_to(share) for share in (0.05, 0.4, 0.5, 0.9)] == [1, 10, 60, None]


def test_runs_survive_their_file_and_are_not_repeated(tmp_path: Path) -> None:
    results = Results(tmp_path / "runs")
    each = finished("pso:particles=10", GROWTH, workers=8)
    results.add(each)
    assert Results(tmp_path / "runs").read() == {each.run: each}


def test_the_figures_are_medians_over_problems_of_medians_over_seeds() -> None:
    rows = [
        *(finished("default", GROWTH, seed=seed) for seed in range(3)),
        *(
            finished("auto", ((1, 0.1), (reached, 0.6)), seed=seed, trials=100)
            for seed, reached in enumerate((20, 40, 95))
        ),
        *(finished("pso", ((1, 0.88),), seed=seed) for seed in range(3)),
        *(finished("pso", ((1, 0.836),), seed=seed, workers=32) for seed in range(3)),
    ]
    figures = summary({each.run: each for each in rows}, ["p"])
    assert figures["trials_ratio"] == 0.2
    assert figures["pso_vs_default_hv_1000"] == pytest.approx(1.1)
    assert figures["workers_32_loss"] == pytest.approx(0.05)
    assert figures["workers_8_loss"] is None
    assert json.loads(json.dumps(figures)) == figures


def test_a_sampler_that_never_gets_there_shows() -> None:
    rows = [finished("default", GROWTH), finished("auto", ((1, 0.1),), trials=100)]
    figures = summary({each.run: each for each in rows}, ["p"])
    assert figures["trials_ratio"] > 1


@pytest.mark.parametrize("sampler", ["default", "pso:particles=4", "random"])
@pytest.mark.parametrize("workers", [1, 5])
def test_a_run_repeats_and_its_volume_grows(sampler: str, workers: int) -> None:
    run = Run(problem="analytic:constrained", sampler=sampler, seed=1, trials=24, workers=workers)
    once, again = search(run), search(run)
    assert once.growth == again.growth
    free = search(Run(problem="analytic", sampler=sampler, seed=1, trials=24, workers=workers))
    shares = [share for _, share in free.growth]
    assert shares == sorted(shares)
    assert shares[-1] > 0.1
    assert free.growth[-1][0] <= 24


def test_the_last_line_needs_every_sampler_on_every_problem() -> None:
    runs = needed_runs(["mlp_adc", "analytic"], seeds=2)
    assert {run.problem for run in runs} == {"mlp_adc", "analytic"}
    assert {run.workers for run in runs if run.sampler == "pso"} == {1, 8, 32}
    assert len(set(runs)) == len(runs)


def test_a_table_has_a_row_for_every_sampler_and_number_of_workers() -> None:
    rows = [finished("pso", GROWTH), finished("pso", GROWTH, workers=8)]
    lines = table({each.run: each for each in rows})
    assert len(lines) == 4
    assert "0.6000 ±0.0000 (1)" in lines[2]


def test_of_a_seed_the_longest_run_counts() -> None:
    rows = [finished("default", ((1, 0.2),), trials=200), finished("default", GROWTH)]
    found = longest({e.run: e for e in rows}, "p", "default", workers=1, trials=200)
    assert found == rows[1:]


def test_constrained_forms_are_told_beside_the_others() -> None:
    names = ["mlp_adc", "mlp_adc:constrained"]
    rows = [
        Finished(run=Run(problem=name, sampler=sampler, seed=0), growth=((1, share),), seconds=1.0)
        for name, shares in zip(names, ((0.8, 0.84), (0.4, 0.5)), strict=True)
        for sampler, share in zip(("default", "pso"), shares, strict=True)
    ]
    figures = last_line({each.run: each for each in rows}, names)
    assert figures["pso_vs_default_hv_1000"] == pytest.approx(1.05)
    assert figures["constrained"]["pso_vs_default_hv_1000"] == pytest.approx(1.25)
    assert last_line({}, names[1:])["pso_vs_default_hv_1000"] is None


def test_no_sampler_can_have_more_than_the_whole_front() -> None:
    default = Finished(
        run=Run(problem="mlp_rows", sampler="default", seed=0), growth=((1, 0.9),), seconds=1.0
    )
    most = summary({default.run: default}, ["mlp_rows", "analytic"])
    by_problem = most["most_vs_default_hv_1000_by_problem"]
    assert by_problem["analytic"] is None
    assert 1.0 < by_problem["mlp_rows"] == most["most_vs_default_hv_1000"] < 1 / 0.9
