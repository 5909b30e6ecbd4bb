"""`dse serve` as a command: where it listens, what it refuses to start with, and how it ends."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from dse.errors import DseError
from dse.serving.server import Allowed, Listening, serve
from tests.dse.fakes import database_in
from tests.dse.serving.served import API, PATIENCE_S, started
from tests.end_to_end.commands import environment


def refuse(storage: str, listening: Listening, allowed: Allowed = Allowed()) -> str:  # noqa: B008
    with pytest.raises(DseError) as caught:
        serve(storage, listening, allowed, lambda line: None)
    return f"{type(caught.value).__name__}: {caught.value}"


HERE = Listening(host="127.0.0.1", port=0)


def test_a_database_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    message = refuse(f"sqlite:///{tmp_path / 'none.db'}", HERE)
    assert "there is no such database" in message
    assert "StorageError: expected" in refuse("mysql://x/y", HERE) or "mysql" in refuse(
        "mysql://x/y", HERE
    )
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("short", "at least 16 characters without blanks, got 5"),
        ("", "at least 16 characters"),
        ("with a blank in the middle", "without blanks"),
        ("nöt-ascii-but-long-enough", "without blanks"),
    ],
)
def test_a_bad_token_is_refused(tmp_path: Path, content: str, words: str) -> None:
    database_in(tmp_path)
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    message = refuse(
        f"sqlite:///{tmp_path / 'dse.db'}", Listening(host="127.0.0.1", port=0, token_file=file)
    )
    assert message.startswith(f"SpecError: --token-file {file}: ")
    assert words in message


def test_a_token_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    database_in(tmp_path)
    url = f"sqlite:///{tmp_path / 'dse.db'}"
    missing = Listening(host="127.0.0.1", port=0, token_file=tmp_path / "none")
    assert "cannot be read: No such file" in refuse(url, missing)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    listening = Listening(host="127.0.0.1", port=0, token_file=binary)
    assert "cannot be read: it is no text" in refuse(url, listening)


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    database_in(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = refuse(
            f"sqlite:///{tmp_path / 'dse.db'}", Listening(host="127.0.0.1", port=port)
        )
    assert message.startswith(f"LaunchError: --host 127.0.0.1 --port {port}: cannot be listened")
    assert "give another --port" in message


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    database_in(tmp_path)
    url = f"sqlite:///{tmp_path / 'dse.db'}"
    assert "cannot be listened at" in refuse(url, Listening(host="192.0.2.1", port=0))
    assert "is no address of this machine" in refuse(url, Listening(host="no such name", port=0))


@pytest.mark.parametrize(
    ("host", "names", "needed"),
    [
        ("127.0.0.1", (), False),
        ("localhost", (), False),
        ("::1", (), False),
        ("0.0.0.0", (), True),
        ("192.0.2.1", (), True),
        ("127.0.0.1", ("dse.example.org",), True),
    ],
)
def test_who_comes_from_elsewhere_or_through_a_proxy_needs_a_token(
    host: str, names: tuple[str, ...], needed: bool
) -> None:
    assert Listening(host=host, port=0, names=names).is_reached_from_elsewhere == needed


def test_a_data_root_is_a_folder(tmp_path: Path) -> None:
    database_in(tmp_path)
    message = refuse(
        f"sqlite:///{tmp_path / 'dse.db'}", HERE, Allowed(data_root=tmp_path / "none")
    )
    assert "--data-root" in message
    assert "is a folder, which this is not" in message


def test_it_listens_here_makes_a_database_and_ends_cleanly(tmp_path: Path) -> None:
    with started(tmp_path, "--create") as (address, lines):
        assert re.fullmatch(r"Serving sqlite:///dse.db at http://127\.0\.0\.1:\d+/", lines[0])
        assert "No token" in lines[1]
        told = httpx.get(f"{address.rstrip('/')}{API}/studies", timeout=PATIENCE_S)
        assert told.json()["studies"] == []
    assert (tmp_path / "dse.db").exists()


def test_elsewhere_it_makes_a_token_and_prints_it_once(tmp_path: Path) -> None:
    options = ("--host", "0.0.0.0")
    with started(tmp_path, "--create", *options) as (address, lines):
        (token,) = [line.removeprefix("Token: ") for line in lines if line.startswith("Token: ")]
        base = f"http://127.0.0.1:{address.rstrip('/').rpartition(':')[2]}{API}"
        assert httpx.get(f"{base}/studies", timeout=PATIENCE_S).status_code == 401
        bearer = {"Authorization": f"Bearer {token}"}
        shown = httpx.get(f"{base}/studies", headers=bearer, timeout=PATIENCE_S)
        assert shown.status_code == 200
        assert os.environ.get("DSE_TOKEN") is None


def test_bad_input_is_one_message_and_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dse", "serve"],
        cwd=tmp_path,
        env=environment(DSE_TOKEN="short"),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("SpecError: DSE_TOKEN: a token has at least 16 characters")
    assert done.stderr.count("\n") == 1
    assert not done.stdout
