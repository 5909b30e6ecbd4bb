"""Exports: `dse export` as a process, for it may train a network again."""

from __future__ import annotations

import asyncio
import os
import sys
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from dse.errors import StudyError

AT_ONCE = 2
TIMEOUT_S = 900.0
_LOOK_EVERY_S = 0.5


class Exports:
    """Takes designs away, beside the server, a few at a time.

    Args:
        storage: URL of the database, absolute.
        home: Folder for large files.
    """

    def __init__(self, storage: str, home: Path) -> None:
        self._environment = {"DSE_STORAGE": storage, "DSE_HOME": str(home)}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def zipped(
        self, name: str, trial: int, folder: Path, gone: Callable[[], Awaitable[bool]]
    ) -> Path:
        """A design in a zip file, as `dse export` writes it.

        Args:
            name: Of the study.
            trial: Its number.
            folder: Where the file is written.
            gone: Whether nobody waits for it any more.

        Raises:
            StudyError: There is no such design, or it cannot be had again.
        """
        files = folder / f"{name}-{trial}"
        await self._run(["export", name, str(trial), "--out", str(files)], gone)
        target = folder / f"{files.name}.zip"
        await asyncio.to_thread(_zip, files, target)
        return target

    async def _run(self, arguments: list[str], gone: Callable[[], Awaitable[bool]]) -> str:
        async with self._room:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "dse", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **self._environment},
            )
            talk = asyncio.create_task(process.communicate())
            try:
                out, errors = await self._wait(talk, gone)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
                talk.cancel()
        if process.returncode != 0:
            lines = errors.decode(errors="replace").strip().splitlines()
            last = lines[-1] if lines else f"ended with exit code {process.returncode}"
            kind, colon, words = last.partition(": ")
            raise StudyError(words if colon and kind.endswith("Error") else last)
        return out.decode()

    async def _wait(
        self, talk: asyncio.Task[tuple[bytes, bytes]], gone: Callable[[], Awaitable[bool]]
    ) -> tuple[bytes, bytes]:
        for _ in range(int(TIMEOUT_S / _LOOK_EVERY_S)):
            done, _pending = await asyncio.wait({talk}, timeout=_LOOK_EVERY_S)
            if done:
                return talk.result()
            if await gone():
                raise StudyError("nobody waits for it any more")
        raise StudyError(
            f"it took longer than {TIMEOUT_S:g} s; run the command on the server's machine"
        )


def _zip(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{folder.name}/{file.relative_to(folder)}")
