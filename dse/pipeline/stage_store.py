"""StageStore: results of stages by what shaped them, so that none is computed twice."""

from __future__ import annotations

import errno
import getpass
import hashlib
import json
import logging
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import BaseFileLock, FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dse.errors import StageError
from dse.pipeline.shared_store import SharedStore

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


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def content_digest(result: StageResult) -> str:
    """Digest of what a result holds."""
    found = hashlib.sha256(json.dumps(result.data, sort_keys=True).encode())
    for name in sorted(result.tensors):
        tensor = result.tensors[name].contiguous().cpu()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()[:32]


class StageStore:
    """A folder of results, each in one file named by its key.

    Files appear whole or not at all. Several processes may use the folder at once: the second one
    that needs a result waits for the first. A damaged file is computed again. Where the disk is
    full results are computed, and not kept.

    Args:
        folder: Made if missing.
        shared: A store behind it, common to several machines.
    """

    def __init__(self, folder: Path, shared: SharedStore | None = None) -> None:
        self._folder = folder
        self._shared = shared

    def compute(
        self, stage: str, inputs: Mapping[str, Any], run: Callable[[], StageResult]
    ) -> tuple[StageResult, StageTrace]:
        """The result of a stage: read if it is there, else computed and kept.

        Args:
            stage: Its name.
            inputs: Everything that shapes the result, as JSON holds it.
            run: Computes it.

        Raises:
            StageError: The store cannot be used, and not because its disk is full.
        """
        key = stage_key(stage, inputs)
        file = self._folder / stage / key[:2] / f"{key}.safetensors"
        began = time.perf_counter()
        with self._locked(file):
            result = self._found(stage, file)
            cached = result is not None
            if result is None:
                result = run()
                self._keep(file, stage, inputs, result)
        seconds = time.perf_counter() - began
        return result, StageTrace(key=key, cached=cached, seconds=seconds)

    def _locked(self, file: Path) -> AbstractContextManager[object]:
        """The lock of a result; none where there is no room for one."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(file.with_suffix(".lock"))
            lock.acquire()
        except OSError as error:
            if error.errno not in _FULL:
                raise StageError(
                    f"{file.parent.parent.name}: the stage store at {self._folder} cannot be "
                    f"used: {error}; point DSE_HOME to another folder"
                ) from error
            self._warn(error)
            return nullcontext()
        return _held(lock)

    def _found(self, stage: str, file: Path) -> StageResult | None:
        result = _read(file)
        if result is None and self._shared is not None and self._shared.fetch(stage, file):
            result = _read(file)
        return result

    def _keep(
        self, file: Path, stage: str, inputs: Mapping[str, Any], result: StageResult
    ) -> None:
        try:
            _write(file, stage, inputs, result)
        except OSError as error:
            self._warn(error)
            return
        if self._shared is not None:
            self._shared.keep(stage, file)

    def _warn(self, error: OSError) -> None:
        """Say once per folder and process that nothing is kept."""
        if self._folder not in _warned:
            _warned.add(self._folder)
            _logger.warning(
                "the stage store at %s cannot keep results (%s); they are computed again where "
                "they are needed again. Free space there, or point DSE_HOME to another folder",
                self._folder,
                error,
            )


_warned: set[Path] = set()


@cache
def open_store(folder: Path, url: str | None) -> StageStore:
    """The store of an evaluation.

    Args:
        folder: Beside the database; for machines that see it.
        url: Of a store common to all machines. What passes through it lies under `DSE_HOME` of
            each, or in its folder for temporary files.

    Raises:
        StageError: The URL cannot be used.
    """
    if url is None:
        return StageStore(folder)
    home = os.environ.get("DSE_HOME")
    own = Path(home) if home else Path(tempfile.gettempdir()) / f"dse-{getpass.getuser()}"
    return StageStore(own / "stages", SharedStore(url))


@contextmanager
def _held(lock: BaseFileLock) -> Iterator[None]:
    """Hold a lock that was acquired already."""
    try:
        yield
    finally:
        lock.release()


def _read(file: Path) -> StageResult | None:
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as stored:
            metadata = stored.metadata() or {}
            data = json.loads(metadata["data"])
            tensors = {k: stored.get_tensor(k) for k in stored.keys()}  # noqa: SIM118
        if int(metadata.get("crc32", _crc32(tensors))) != _crc32(tensors):
            raise ValueError("its check sum is another one")
        return StageResult(tensors=tensors, data=data)
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
            "crc32": str(_crc32(tensors)),
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


def _crc32(tensors: Mapping[str, Tensor]) -> int:
    """Check sum of the bytes of tensors, in the order of their names."""
    total = 0
    for name in sorted(tensors):
        flat = tensors[name].detach().cpu().contiguous().flatten()
        total = zlib.crc32(flat.view(torch.uint8).numpy().tobytes(), total)
    return total
