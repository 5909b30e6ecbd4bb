"""Who may ask what: token, host, origin, size, and the headers of every answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dse.serving.hosts import AllowedHosts, is_loopback
from dse.serving.sessions import Sessions
from dse.serving.settings import MAX_BODY_BYTES
from tests.dse.serving.served import API, PATIENCE_S, TOKEN, FakeLauncher, serving

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def locked(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that wants a token; it does not show it."""
    with serving(finished, FakeLauncher(tmp_path_factory.mktemp("l")), token=TOKEN) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/server"),
        ("GET", "/openapi.json"),
        ("GET", "/studies"),
        ("GET", "/studies/small"),
        ("GET", "/studies/small/status"),
        ("GET", "/studies/small/front"),
        ("GET", "/studies/small/view"),
        ("GET", "/studies/small/trials"),
        ("GET", "/studies/small/designs/0"),
        ("GET", "/studies/small/log"),
        ("POST", "/studies"),
        ("POST", "/studies/check"),
        ("POST", "/studies/small/pause"),
        ("POST", "/studies/small/resume"),
        ("POST", "/studies/small/cancel"),
        ("POST", "/studies/small/designs/0/export"),
    ],
)
def test_nothing_is_answered_without_the_token(
    locked: httpx.Client, method: str, path: str
) -> None:
    answer = locked.request(method, API + path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "this server wants its token" in answer.json()["detail"]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer",
    ],
)
def test_a_wrong_token_is_none(locked: httpx.Client, header: str) -> None:
    answer = locked.get(f"{API}/studies", headers={"Authorization": header})
    assert answer.status_code == 401


def test_the_token_opens(locked: httpx.Client) -> None:
    assert locked.get(f"{API}/studies", headers=BEARER).status_code == 200


def test_pages_lead_to_the_form_and_the_form_lets_in(locked: httpx.Client) -> None:
    first = locked.get("/studies/small")
    assert (first.status_code, first.headers["location"]) == (303, "/login")
    assert 'name="token"' in locked.get("/login").text
    wrong = locked.post("/login", data={"token": "wrong"})
    assert wrong.headers["location"] == "/login?wrong=1"
    assert "set-cookie" not in wrong.headers
    assert "That is not the token" in locked.get("/login?wrong=1").text
    right = locked.post("/login", data={"token": TOKEN})
    assert right.headers["location"] == "/"
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert locked.get("/studies/small").status_code == 200  # httpx kept the cookie
    assert locked.get(f"{API}/studies").status_code == 200
    kept = {"Cookie": cookie.partition(";")[0]}
    assert locked.post("/logout").headers["location"] == "/login"
    locked.cookies.clear()
    assert locked.get(f"{API}/studies", headers=kept).status_code == 401


def test_a_session_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(TOKEN)
    session = sessions.open()
    assert sessions.admit("", session)
    assert not sessions.admit("", session + "x")
    monkeypatch.setattr("dse.serving.sessions.time.monotonic", lambda: 1e12)
    assert not sessions.admit("", session)


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("dse.serving.sessions.hmac.compare_digest", compare)
    assert not Sessions(TOKEN).admit("Bearer nönsense", "")
    assert compared == [("nönsense".encode(), TOKEN.encode())]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_is_made_to_lead_here_is_refused(client: httpx.Client, host: str) -> None:
    for path in ("/", f"{API}/studies"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "this server is not called" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9000", "[::1]:8765", "LOCALHOST:1"])
def test_a_tunnel_may_end_at_any_port(client: httpx.Client, host: str) -> None:
    assert client.get(f"{API}/studies", headers={"Host": host}).status_code == 200


def test_hosts_of_a_server_that_listens_elsewhere() -> None:
    hosts = AllowedHosts.of("0.0.0.0", ("dse.example.org",))
    assert hosts.allow("192.0.2.7:80")
    assert hosts.allow("[2001:db8::1]:80")
    assert hosts.allow("DSE.example.org")
    assert hosts.allow(socket.gethostname())
    assert not hosts.allow("evil.example")
    assert not AllowedHosts.of("127.0.0.1").allow("192.0.2.7")
    assert is_loopback("127.8.8.8")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/studies/small/cancel"), ("GET", "/studies")):
        answer = client.request(method, API + path, headers=headers)
        assert answer.status_code == 403
        assert "from a page of another site" in answer.json()["detail"]
    assert client.post("/login", headers=headers, data={"token": "x"}).status_code == 403


def test_own_pages_and_other_programs_are_not(client: httpx.Client) -> None:
    own = {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    for headers in (own, {}):
        answer = client.post(f"{API}/studies/check", headers=headers, json={"text": "a: 1"})
        assert answer.status_code == 422


def test_a_link_on_another_page_may_lead_here(client: httpx.Client) -> None:
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_what_is_too_large_is_refused(client: httpx.Client) -> None:
    too_large = b" " * (MAX_BODY_BYTES + 1)
    for content in (too_large, iter([too_large[:-1], b"  "])):
        answer = client.post(f"{API}/studies/check", content=content)
        assert answer.status_code == 413
        assert answer.json()["detail"] == "a request has at most 256 KiB"


def test_a_length_is_not_believed(client: httpx.Client) -> None:
    """Chunks without end, of which the sender says nothing: cut off where the limit is."""
    port = client.base_url.port
    with socket.create_connection(("127.0.0.1", port or 0), timeout=PATIENCE_S) as raw:
        raw.sendall(
            b"POST /api/v1/studies HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        received = b""
        try:
            for _ in range(100):
                raw.sendall(chunk)
        except OSError:
            pass  # closed by the server, as it should be
        try:
            received = raw.recv(4096)
        except ConnectionResetError:
            received = b"HTTP/1.1 413"  # closed before its answer could be read
        assert received.startswith(b"HTTP/1.1 413")


def test_a_body_within_the_limit_arrives_whole(client: httpx.Client) -> None:
    text = "name: x\n# " + "y" * (MAX_BODY_BYTES - 100)
    answer = client.post(f"{API}/studies/check", json={"text": text})
    assert answer.status_code == 422
    assert "study.yaml" in answer.json()["detail"]


def test_every_answer_has_its_headers(client: httpx.Client, locked: httpx.Client) -> None:
    answers = [
        client.get("/"),
        client.get(f"{API}/studies"),
        client.get(f"{API}/nothing"),
        client.get("/assets/views.js"),
        client.get("/", headers={"Host": "evil.example"}),
        locked.get(f"{API}/studies"),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
    assert answers[1].headers["cache-control"] == "no-store"


def test_the_pages_run_no_script_of_their_text(client: httpx.Client) -> None:
    for path in ("/", "/login"):
        text = client.get(path, follow_redirects=True).text
        assert "<script>" not in text
        assert "onclick" not in text
