"""StageStore: results of stages by what shaped them, so that none is computed twice."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dse.errors import StageError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageResult:
    """What a stage gives.

    Attributes:
        tensors: By name.
        data: Whatever JSON holds.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTrace:
    """How a stage's result came about.

    Attributes:
        key: Digest of all that shaped it.
        cached: Whether it was found in the store.
        seconds: Time spent computing, or reading.
    """

    key: str
    cached: bool
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """For the trial's attributes."""
        return {"key": self.key, "cached": self.cached, "seconds": round(self.seconds, 4)}


def stage_key(stage: str, inputs: Mapping[str, Any]) -> str:
    """Digest of a stage's name and of everything that shapes its result."""
    canonical = json.dumps([stage, inputs], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


class StageStore:
    """A folder of results, each in one file named by its key.

    Files appear whole or not at all. Several processes may use the folder at once: the second one
    that needs a result waits for the first. A damaged file is computed again.

    Args:
        folder: Made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def compute(
        self, stage: str, inputs: Mapping[str, Any], run: Callable[[], StageResult]
    ) -> tuple[StageResult, StageTrace]:
        """The result of a stage: read if it is there, else computed and kept.

        Args:
            stage: Its name.
            inputs: Everything that shapes the result, as JSON holds it.
            run: Computes it.

        Raises:
            StageError: The store cannot be written.
        """
        key = stage_key(stage, inputs)
        file = self._folder / stage / key[:2] / f"{key}.safetensors"
        began = time.perf_counter()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(file.with_suffix(".lock")):
                result = _read(file)
                cached = result is not None
                if result is None:
                    result = run()
                    _write(file, stage, inputs, result)
        except OSError as error:
            raise StageError(
                f"{stage}: the stage store at {self._folder} cannot be used: {error}; free space "
                "there, or point DSE_HOME to another folder"
            ) from error
        seconds = time.perf_counter() - began
        return result, StageTrace(key=key, cached=cached, seconds=seconds)


def _read(file: Path) -> StageResult | None:
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as stored:
            data = json.loads((stored.metadata() or {})["data"])
            return StageResult(tensors={k: stored.get_tensor(k) for k in stored.keys()}, data=data)  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        _logger.warning("%s is damaged (%s) and is computed again", file, error)
        return None


def _write(file: Path, stage: str, inputs: Mapping[str, Any], result: StageResult) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        tensors = {name: tensor.contiguous() for name, tensor in result.tensors.items()}
        metadata = {
            "data": json.dumps(result.data),
            "stage": stage,
            "inputs": json.dumps(inputs, sort_keys=True),
        }
        try:
            save_file(tensors, part, metadata=metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
