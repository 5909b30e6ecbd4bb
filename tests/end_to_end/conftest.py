"""No test leaves a driver running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.commands import kill_all


@pytest.fixture(autouse=True)
def no_driver_left_behind() -> Iterator[None]:
    yield
    kill_all()
