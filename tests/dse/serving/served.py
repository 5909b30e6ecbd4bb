"""A server in a thread, on a free port, and a launcher that starts nothing."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import httpx
import uvicorn

from dse.database import open_database
from dse.errors import LaunchError
from dse.serving.app import make_app
from dse.serving.hosts import AllowedHosts
from dse.serving.runs import Launcher, Run
from dse.serving.settings import ServeSettings
from tests.end_to_end.commands import environment

API = "/api/v1"
TOKEN = "a-token-of-some-length"
PATIENCE_S = 120.0
"""Bounds a hang: an answer may take long beside other tests on a small machine."""


class FakeLauncher:
    """Notes what it is asked to start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[tuple[str, str, list[str], str | None]] = []
        self.runs: dict[str, Run] = {}
        self.terminated: list[str] = []

    def start(
        self, name: str, action: str, options: Sequence[str], *, text: str | None = None
    ) -> Run:
        if name == "refused":
            raise LaunchError("no room for refused")
        self.started.append((name, action, list(options), text))
        run = Run(action=action, host="elsewhere", pid=1, created=0.0, at="2026-01-01T00:00:00Z")
        self.runs[name] = replace(run, alive=False)
        return run

    def find(self, name: str) -> Run | None:
        return self.runs.get(name)

    def terminate(self, name: str) -> bool:
        self.terminated.append(name)
        return True

    def names(self) -> list[str]:
        return sorted(self.runs)

    def log(self, name: str) -> Path:
        return self.folder / name / "log.jsonl"


@contextmanager
def serving(
    folder: Path, launcher: Launcher, url: str | None = None, **changes: Any
) -> Iterator[httpx.Client]:
    """A server on the database of a folder, or on another, and a client of it."""
    url = url or f"sqlite:///{folder / 'dse.db'}"
    database = open_database(url, write=False, home=folder / ".dse")
    settings = ServeSettings(
        storage=url, shown=url, home=database.home, hosts=AllowedHosts(), **changes
    )
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    server = uvicorn.Server(
        uvicorn.Config(make_app(settings, database, launcher), log_level="error")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        base = f"http://127.0.0.1:{sock.getsockname()[1]}"
        with httpx.Client(base_url=base, timeout=PATIENCE_S) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        sock.close()


@contextmanager
def started(folder: Path, *options: str, **variables: str) -> Iterator[tuple[str, list[str]]]:
    """The command itself: its address, and the lines that it printed first."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dse", "serve", "--port", "0", *options],
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = list(_until_ready(process.stdout))
        address = re.search(r"http://\S+", lines[0])
        assert address is not None, lines
        yield address[0], lines
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=PATIENCE_S)
        assert rest == "Ended.\n"
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _until_ready(stream: IO[str]) -> Iterator[str]:
    for line in stream:
        yield line.rstrip("\n")
        if "Ctrl-C" in line:
            return
    raise AssertionError("it ended at once")
