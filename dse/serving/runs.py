"""ProcessLauncher: runs of studies as processes of their own, which outlive the server."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import psutil

from dse.errors import LaunchError
from dse.serving.study_files import FILE

LOG, RECORD = "log.jsonl", "run.json"
_PRIVATE = ("DSE_TOKEN", "DSE_STORAGE", "DSE_HOME", "DSE_LOG_FORMAT")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A process that a server started for a study.

    Attributes:
        action: `run` or `resume`.
        host: Where it was started.
        pid: Its number there.
        created: When it began, seconds since the epoch, as the system says.
        at: The same as text, UTC.
        exit_code: How it ended; None while it runs, or where nobody waited for it.
        alive: Whether it runs.
    """

    action: str
    host: str
    pid: int
    created: float
    at: str
    exit_code: int | None = None
    alive: bool = True


class Launcher(Protocol):
    """Starts runs, and knows those that were started."""

    def start(
        self, name: str, action: str, options: Sequence[str], *, text: str | None = None
    ) -> Run:
        """Start the driver of a study.

        Args:
            name: Of the study.
            action: `run` a new one or `resume` one.
            options: Of that command.
            text: The study file, for `run`.

        Raises:
            LaunchError: It runs already, there are too many, or no process can be started.
        """
        ...

    def find(self, name: str) -> Run | None:
        """The last run of a study that was started here."""
        ...

    def terminate(self, name: str) -> bool:
        """Ask a run to end as Ctrl-C would; whether there was one."""
        ...

    def names(self) -> list[str]:
        """Studies that were started here."""
        ...

    def log(self, name: str) -> Path:
        """Where the log of a study's runs is."""
        ...


class ProcessLauncher:
    """Starts `python -m dse run` or `resume`; what it does is in the database and in its log.

    A run belongs to a session of its own, so neither Ctrl-C at the server nor its end touches
    it; the next server finds it by its record. What a run needs lies in `serving/NAME` below the
    home: the study file, the log, which grows with every run, and the record of the last one.

    Args:
        storage: URL of the database, absolute; the run gets it in its environment, where no
            list of processes shows a password.
        home: Folder for large files.
        most: So many runs at the same time.
    """

    def __init__(self, storage: str, home: Path, *, most: int) -> None:
        self._storage = storage
        self._home = home
        self._most = most
        self._lock = threading.RLock()
        self._own: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, action: str, options: Sequence[str], *, text: str | None = None
    ) -> Run:
        """See `Launcher`."""
        with self._lock:
            before = self.find(name)
            if before is not None and before.alive:
                raise LaunchError(
                    f"study {name!r} is being started or run by process {before.pid} on "
                    f"{before.host}; wait for it, or stop it"
                )
            running = [each for each in self.names() if (r := self.find(each)) and r.alive]
            if len(running) >= self._most:
                raise LaunchError(
                    f"{len(running)} studies run already ({', '.join(running)}), as many as this "
                    "server starts; wait for one, stop one, or start the server with a larger "
                    "--max-runs"
                )
            try:
                return self._start(name, action, options, text)
            except OSError as error:
                raise LaunchError(
                    f"study {name!r} cannot be started: {error}. Look at {self._folder(name)}"
                ) from error

    def _start(self, name: str, action: str, options: Sequence[str], text: str | None) -> Run:
        folder = self._folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        if text is not None:
            (folder / FILE).write_text(text, encoding="utf-8")
        subject = str(folder / FILE) if action == "run" else name
        told = {key: value for key, value in os.environ.items() if key not in _PRIVATE}
        with self.log(name).open("ab") as log:
            log.write(_line(name, f"dse {action} started by dse serve", list(options)))
            log.flush()
            process = subprocess.Popen(  # noqa: S603  (ours; names and options were checked)
                # -P: modules of the working folder never stand before what is installed
                [sys.executable, "-P", "-m", "dse", action, subject, "--log-format", "json",
                 *options],
                env={**told, "DSE_STORAGE": self._storage, "DSE_HOME": str(self._home),
                     "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._own[name] = process
        now = datetime.now(UTC).isoformat(timespec="seconds")
        run = Run(
            action=action,
            host=socket.gethostname(),
            pid=process.pid,
            created=_created(process.pid) or time.time(),
            at=now,
        )
        self._write(name, run)
        return run

    def find(self, name: str) -> Run | None:
        """See `Launcher`."""
        with self._lock:
            return self._find(name)

    def _find(self, name: str) -> Run | None:
        run = self._read(name)
        if run is None or not run.alive:
            return run
        own = self._own.get(name)
        if own is not None and own.pid == run.pid:
            if (code := own.poll()) is None:
                return run
            self._own.pop(name, None)
            run = replace(run, exit_code=code, alive=False)
            self._write(name, run)
            return run
        if run.host != socket.gethostname():
            return replace(run, alive=False)  # the lease says whether it still runs
        return replace(run, alive=_runs(run))

    def terminate(self, name: str) -> bool:
        """See `Launcher`."""
        run = self.find(name)
        if run is None or not run.alive:
            return False
        try:
            process = psutil.Process(run.pid)
            if abs(process.create_time() - run.created) < 1.0:
                process.terminate()
        except psutil.Error:
            return False
        return True

    def names(self) -> list[str]:
        """See `Launcher`."""
        folder = self._home / "serving"
        return sorted(file.parent.name for file in folder.glob(f"*/{RECORD}"))

    def log(self, name: str) -> Path:
        """See `Launcher`."""
        return self._folder(name) / LOG

    def _folder(self, name: str) -> Path:
        return self._home / "serving" / name

    def _read(self, name: str) -> Run | None:
        try:
            return Run(**json.loads((self._folder(name) / RECORD).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _write(self, name: str, run: Run) -> None:
        file = self._folder(name) / RECORD
        try:
            new = file.with_suffix(".new")
            new.write_text(json.dumps(asdict(run)), encoding="utf-8")
            new.replace(file)
        except OSError as error:
            _logger.warning("the record of the run of %s cannot be kept: %s", name, error)


def _created(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _runs(run: Run) -> bool:
    try:
        process = psutil.Process(run.pid)
        same = abs(process.create_time() - run.created) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _line(name: str, event: str, options: list[str]) -> bytes:
    """A line of the log as `dse run --log-format json` writes them."""
    line: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": "info",
        "study": name,
        "trial": None,
        "event": event,
        "options": options,
    }
    return (json.dumps(line) + "\n").encode()
