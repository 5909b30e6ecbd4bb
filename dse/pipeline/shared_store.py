"""SharedStore: results of stages for machines without a common disk, at a URL."""

from __future__ import annotations

import logging
import os
import uuid
from pathlib import Path

import fsspec  # type: ignore[import-untyped]

from dse.errors import StageError

_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "r2", "memory"}
"""A file appears there whole or not at all; elsewhere it is renamed once it is whole."""

_logger = logging.getLogger(__name__)


class SharedStore:
    """A folder that every machine reaches by the same URL, behind the stage store of each.

    A store that cannot be reached costs time and no trial: results are computed, one warning is
    logged. Damaged files are recognised by the stage store that reads them, and replaced.

    Args:
        url: As fsspec spells it: `file:///mnt/stages`, `s3://bucket/stages`.

    Raises:
        StageError: There is no such protocol, or what speaks it is not installed.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._is_whole_at_once = url.partition("://")[0] in _OBJECT_STORES
        self._has_warned = False
        try:
            self._files, self._root = fsspec.core.url_to_fs(self._url)
        except (ImportError, ValueError) as error:
            raise StageError(f"launch.store: {url} cannot be used: {error}") from error

    def fetch(self, stage: str, file: Path) -> bool:
        """Copy the result that belongs into a file of the local store.

        Returns:
            Whether there was one.
        """
        part = file.with_suffix(f".{uuid.uuid4().hex}.part")
        try:
            if not self._files.exists(self._place(stage, file)):
                return False
            self._files.get_file(self._place(stage, file), str(part))
            part.replace(file)
        except Exception as error:  # every protocol has errors of its own
            self._warn("read", error)
            return False
        finally:
            part.unlink(missing_ok=True)
        return True

    def keep(self, stage: str, file: Path) -> None:
        """Copy a file of the local store there."""
        place = self._place(stage, file)
        try:
            self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
            if self._is_whole_at_once:
                self._files.put_file(str(file), place)
                return
            part = f"{place}.{os.getpid()}-{uuid.uuid4().hex}.part"
            self._files.put_file(str(file), part)
            self._files.mv(part, place)
        except Exception as error:  # every protocol has errors of its own
            self._warn("written", error)

    def _place(self, stage: str, file: Path) -> str:
        return f"{self._root}/{stage}/{file.parent.name}/{file.name}"

    def _warn(self, done: str, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "launch.store: %s cannot be %s (%s: %s); results are computed where they are "
                "needed",
                self._url,
                done,
                type(error).__name__,
                error,
            )
