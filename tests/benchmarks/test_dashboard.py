"""The benchmark of the dashboard asks both for the same study."""

from __future__ import annotations

import json
import sys

import dashboard
import pytest

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def test_the_last_line_is_json_with_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["dashboard.py", "--trials", "60", "--alone"])
    monkeypatch.setattr(dashboard, "_wait_for_its_cache", lambda: None)
    dashboard.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["trials"] == found["shown"] == 60
    assert found["best_trials"] > 0
    for name in ("first_seconds", "poll_seconds", "alone_first_seconds", "alone_poll_seconds"):
        assert found[name] >= 0
