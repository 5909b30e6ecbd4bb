"""The files of a data set: where they lie, and their bytes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from dse.errors import DataError

logger = logging.getLogger(__name__)

ENVIRONMENT_VARIABLE = "DSE_DATA"
"""Names a folder that holds one folder per data set, or the files of one data set."""


def find_folder(
    name: str,
    *,
    folder: Path | None,
    holds_a_part: Callable[[Path], bool],
    shipped: Path | None,
    how_to_get: str,
) -> Path:
    """The folder of a data set: the one given, else the one in `DSE_DATA`, else the shipped one.

    A folder that was named is never passed over because something in it is missing or damaged:
    that is an error of the reader. Only a `DSE_DATA` that holds nothing of this data set is.

    Args:
        name: Name of the data set, tried as the name of a folder inside.
        folder: Folder that a study file names.
        holds_a_part: Whether a folder has at least one file of the data set.
        shipped: Folder inside the package, if the data set is shipped.
        how_to_get: Last sentence of the error.
    """
    if folder is not None:
        return _inside(name, folder.expanduser(), "data folder", holds_a_part, how_to_get)
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        found = _inside(
            name,
            Path(named).expanduser(),
            f"folder in {ENVIRONMENT_VARIABLE}",
            holds_a_part,
            how_to_get,
        )
        if shipped is None or holds_a_part(found):
            return found
        logger.info(
            "%s=%s holds no %s; using the shipped files", ENVIRONMENT_VARIABLE, named, name
        )
    if shipped is None:
        raise DataError(
            f"{name} is not shipped, and neither the study file (data_folder) nor "
            f"{ENVIRONMENT_VARIABLE} names a folder that holds it. {how_to_get}"
        )
    return shipped.resolve()


def read_bytes(name: str, path: Path, how_to_get: str) -> bytes:
    """Content of a file of the data set `name`; DataError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{name}: the files can be read, got {error}. Correct the permissions. {how_to_get}"
        ) from error


def _inside(
    name: str, folder: Path, origin: str, holds_a_part: Callable[[Path], bool], how_to_get: str
) -> Path:
    if not folder.is_dir():
        raise DataError(
            f"{name}: the {origin} is an existing folder, got {folder}, which is none. "
            f"{how_to_get}"
        )
    for candidate in (folder / name, folder):
        if holds_a_part(candidate):
            return candidate.resolve()
    return folder.resolve()
