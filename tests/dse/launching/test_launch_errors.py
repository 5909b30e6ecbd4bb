"""A cluster that cannot be used says what should hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.errors import LaunchError
from dse.launching.launch import evaluation_settings, make_executor
from tests.dse.fakes import small_spec


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", r"cannot start or reach the Ray cluster at 127\.0\.0\.1:1: Connection"),
        ("ray://127.0.0.1:1", r"cannot start or reach the Ray cluster at ray://127\.0\.0\.1:1: "),
        ("somewhere", r"launch\.address is 'auto', HOST:PORT or ray://HOST:PORT, got 'somewhere'"),
    ],
)
def test_a_cluster_that_does_not_answer_is_named(
    tmp_path: Path, address: str, message: str
) -> None:
    spec = small_spec(launch={"name": "ray", "address": address})
    with pytest.raises(LaunchError, match=message):
        make_executor(spec, evaluation_settings(spec, store=tmp_path))
