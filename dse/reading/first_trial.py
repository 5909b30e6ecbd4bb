"""first_trial(): by what a study is known that was deleted and made anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.reading.columns import TrialColumns


def first_trial(columns: TrialColumns) -> list[tuple[Any, ...]]:
    """What is stored now of the trial that is the first one by column, and no other one has.

    Of a study that was made anew it differs, though SQLite gives the same keys once more.

    Returns:
        Key of its study, and when it began; empty if it is gone or has not begun, or if there is
        none.
    """
    if not len(columns):
        return []
    first = int(columns.ids(np.arange(1))[0])
    sql = "SELECT study_id, datetime_start FROM trials WHERE trial_id = "
    return [row for row in columns.source.rows(f"{sql}{first}") if row[1] is not None]
