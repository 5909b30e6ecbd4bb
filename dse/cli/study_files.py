"""read_study_file(): the study file that a command names, and the code beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dse.plugins import search_here
from dse.spec import StudySpec


def read_study_file(file: Path, sets: Sequence[str] = ()) -> StudySpec:
    """Check a study file; `module:attribute` is looked for beside it and in the working folder.

    Args:
        file: YAML.
        sets: Entries that are replaced, `path=value` each.

    Raises:
        SpecError: Not readable, not YAML, or it says what cannot hold.
        PluginError: It names what is not installed and cannot be imported.
    """
    search_here((file.resolve().parent, Path.cwd()))
    return StudySpec.from_yaml(file, sets)
