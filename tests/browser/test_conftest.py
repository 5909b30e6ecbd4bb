"""Which Chromium the tests take."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import NO_BROWSER, find_chromium


def test_a_named_browser_comes_first_and_must_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named = tmp_path / "browser"
    monkeypatch.setenv("DSE_CHROMIUM", str(named))
    with pytest.raises(FileNotFoundError, match="DSE_CHROMIUM names no file"):
        find_chromium()
    named.touch()
    assert find_chromium() == named


def test_then_one_on_the_path_then_the_downloaded_one_then_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DSE_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    own = tmp_path / "downloaded"
    assert find_chromium(own) is None
    own.touch()
    assert find_chromium(own) == own
    found = tmp_path / "chromium-browser"
    found.touch(mode=0o755)
    assert find_chromium(own) == found
    assert "apt-get install chromium" in NO_BROWSER
