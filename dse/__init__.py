"""Design-space optimisation for compute-in-memory (ReRAM crossbar) DNN accelerators."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dse.notebook import LoadedStudy


def load(name: str, *, storage: str | None = None) -> LoadedStudy:
    """A study to look at in Python or a notebook.

    Examples:
        >>> import dse
        >>> study = dse.load("quickstart")
        >>> list(study.front())[:2]
        ['accuracy', 'energy_uj']

    Args:
        name: Of the study.
        storage: URL of its database; `DSE_STORAGE`, or `sqlite:///dse.db` in the working folder,
            if left out.

    Raises:
        StudyError: There is no such study, or dse did not make it.
        StorageError: The database cannot be read.
    """
    from dse.notebook import LoadedStudy

    return LoadedStudy(name, storage=storage)
