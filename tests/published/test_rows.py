"""Every analytic published number holds; the data say what they mean."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean, pstdev

import pytest

from hw_models.published.measured import measured_rows
from hw_models.published.reproductions import reproduce
from hw_models.published.rows import PAPERS, PublishedRow, published_rows

ROWS = published_rows()
NOT_COMPUTED = {"apot_r20"}
"""Analytic rows that nothing here computes yet."""

NOT_NUMBERS = {"bs_rows_avg_std", "bs_order", "bn_no11"}
"""Rows that print no number of their own."""


def row(name: str) -> PublishedRow:
    return next(each for each in ROWS if each.id == name)


ANALYTIC = [each for each in ROWS if each.how == "A"]


@pytest.mark.parametrize(
    "published", [x for x in ANALYTIC if x.id not in NOT_COMPUTED], ids=lambda each: each.id
)
def test_an_analytic_row_is_inside_its_tolerance(published: PublishedRow) -> None:
    found = reproduce(published)
    assert found is not None
    assert found.verdict in ("exact", "within band")
    assert len(found.ours) == len(found.published)
    if published.id not in NOT_NUMBERS:
        assert found.published == published.numbers()


def test_what_is_not_computed_yet_is_known() -> None:
    assert {each.id for each in ANALYTIC if reproduce(each) is None} == NOT_COMPUTED


def test_54_rows_with_different_names_of_known_papers() -> None:
    assert len(ROWS) == len({each.id for each in ROWS}) == 54
    assert {each.system for each in ROWS} == set(PAPERS)
    assert {each.how for each in ROWS} == {"A", "T", "C"}


@pytest.mark.parametrize("published", ROWS, ids=lambda each: each.id)
def test_what_is_printed_are_numbers(published: PublishedRow) -> None:
    if published.id in NOT_NUMBERS:
        with pytest.raises(ValueError, match="could not convert"):
            published.numbers()
    else:
        assert published.numbers()


def test_a_row_whose_print_differs_from_ours_is_off() -> None:
    totals = row("isaac_totals")
    wrong = replace(totals, published=totals.published.replace("65.8", "66.8"))
    found = reproduce(wrong)
    assert found is not None
    assert found.verdict == "off"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("bs_rows_avg_std", {"tolerance": "0.004"}),
        ("bs_isaac_share", {"published": "67|30"}),
        ("isaac_eff", {"tolerance": "0.5 %|0.005"}),
    ],
)
def test_a_tighter_band_is_missed(name: str, changes: dict[str, str]) -> None:
    found = reproduce(replace(row(name), **changes))
    assert found is not None
    assert found.verdict == "off"


def test_a_relative_tolerance_is_a_share_of_the_printed_number() -> None:
    assert row("isaac_eff").tolerances() == pytest.approx((4.79, 0.005))
    assert row("isaac_totals").tolerances() == (0.005, 0.5, 0.05, 0.05)


def test_claims_are_never_computed() -> None:
    assert all(reproduce(each) is None for each in ROWS if each.how != "A")


def test_what_was_measured_belongs_to_trained_rows_and_has_all_their_numbers() -> None:
    assert measured_rows()
    for measured in measured_rows().values():
        published = row(measured.id)
        assert published.how == "T"
        assert published.by
        assert measured.settings
        if published.id not in NOT_NUMBERS:
            assert len(measured.numbers()) == len(published.numbers())


@pytest.mark.parametrize("name", [m for m in measured_rows() if m.startswith("bs_t")])
def test_measured_means_and_deviations_are_those_of_their_slices(name: str) -> None:
    *slices, mean, deviation = measured_rows()[name].numbers()[1:]
    assert mean == pytest.approx(fmean(slices), abs=0.011)
    assert deviation == pytest.approx(pstdev(slices), abs=0.05)
