"""dse validate, and the page that it writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dse.reporting.validation as validation
from dse.cli.app import app
from dse.reporting.validation import validate_rows, validation_page
from hw_models.published.measured import measured_rows

PAGE = Path(__file__).parents[3] / "docs" / "validation.md"


def test_the_page_in_docs_is_what_the_code_computes_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == validation_page(validate_rows()), (
        "run: dse validate --write docs/validation.md"
    )


def test_json_has_paper_ours_ratio_and_verdict_of_every_row() -> None:
    result = CliRunner().invoke(app, ["validate", "--format", "json"])
    assert result.exit_code == 0, result.output
    rows = {row["id"]: row for row in json.loads(result.stdout)}
    assert len(rows) == 54
    power = rows["bs_t3_power"]
    assert power["paper"] == "28.4|14.2"
    assert power["ours"] == pytest.approx([28.444, 14.222], abs=1e-3)
    assert power["ratio"] == pytest.approx([1.0016, 1.0016], abs=1e-4)
    assert power["verdict"] == "exact"
    assert rows["bn_5x"]["verdict"] == "claim only"
    assert rows["bn_5x"]["ours"] is None


def test_a_trained_row_shows_what_its_study_gave() -> None:
    rows = {row.row.id: row.to_json() for row in validate_rows()}
    found = rows["bs_t1_bl1"]
    assert found["verdict"] == "measured by study"
    assert found["ours"] == list(measured_rows()["bs_t1_bl1"].numbers())
    assert found["ratio"][0] == pytest.approx(found["ours"][0] / 97.67)
    assert "seeds 0, 1, 2" in found["settings"]
    assert found["by"] == "benchmarks/reproduce_bit_slice.py"
    assert rows["bn_5x"]["settings"] == ""


def test_every_verdict_follows_from_how_a_row_can_be_checked() -> None:
    for row in validate_rows():
        allowed = {
            "A": {"exact", "within band", "not computed yet"},
            "T": {"by study: not run here", "measured by study", "not reproduced yet"},
            "C": {"claim only"},
        }[row.row.how]
        assert row.verdict in allowed
        by_study = row.verdict in ("by study: not run here", "measured by study")
        assert (row.row.by == "") == (not by_study)
        if row.row.by:
            assert (PAGE.parents[1] / row.row.by.split()[0]).is_file()


def test_the_table_shows_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    result = CliRunner().invoke(app, ["validate"])
    assert result.exit_code == 0
    assert all(row.row.id in result.stdout for row in validate_rows())


def test_a_number_that_is_off_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [
        replace(row, tolerance="0.001|0|0|0") if row.id == "isaac_totals" else row
        for row in validation.published_rows()
    ]
    monkeypatch.setattr(validation, "published_rows", lambda: tuple(wrong))
    result = CliRunner().invoke(app, ["validate", "--format", "json"])
    assert result.exit_code == 1
    rows = {row["id"]: row for row in json.loads(result.stdout)}
    assert rows["isaac_totals"]["verdict"] == "off"


def test_write_makes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    result = CliRunner().invoke(app, ["validate", "--write", str(page)])
    assert result.exit_code == 0
    assert page.read_text(encoding="utf-8") == validation_page(validate_rows())


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["validate", "--write", str(tmp_path / "no" / "page.md")])
    assert "cannot be written" in str(result.exception)
