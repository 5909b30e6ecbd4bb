"""No test leaves a driver running, and none is ended because the machine is busy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.commands import HANGS_AFTER_S, kill_all


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(2 * HANGS_AFTER_S))


@pytest.fixture(autouse=True)
def no_driver_left_behind() -> Iterator[None]:
    yield
    kill_all()
