from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import report
from playwright.sync_api import sync_playwright

from tests.browser.conftest import NO_BROWSER, find_chromium


def test_a_small_study_is_reported_and_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sync_playwright() as playwright:
        chromium = find_chromium(Path(playwright.chromium.executable_path))
    if chromium is None:
        pytest.skip(NO_BROWSER)
    monkeypatch.setenv("DSE_CHROMIUM", str(chromium))
    file = tmp_path / "report.html"
    done = subprocess.run(
        [sys.executable, report.__file__, "--trials", "150", "--rounds", "1", "--out", str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(done.stdout.splitlines()[-1])
    assert measured["trials"] == 150
    assert measured["console_errors"] == 0, done.stderr
    assert 0 < measured["first_front_seconds"] < 60
    assert measured["first_front_rounds"] == [measured["first_front_seconds"]]
    whole = measured["file_mb"] + measured["library_mb"]
    assert file.stat().st_size / 1e6 == pytest.approx(whole, abs=0.002)
    assert measured["library_mb"] > 1
    assert measured["report_cpu_seconds"] > 0
