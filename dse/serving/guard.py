"""Guard: what a request must be before anything looks at it, and headers of every answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders

from dse.serving.sessions import Sessions
from dse.serving.settings import MAX_BODY_BYTES, ServeSettings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

API = "/api/"
LOGIN, STATIC = "/login", "/static/"
"""What is answered without a token: the form that asks for it, and how it looks."""

HEADERS: Mapping[str, str] = {
    # plotly puts style elements into the page and makes pictures from data.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with that, forms would come from the origin "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE = ("GET", "HEAD")
_THROWN_AWAY_BYTES = 4 * 1024 * 1024


class Guard:
    """Refuses by host, size, origin and token, in this order.

    Args:
        app: What is guarded.
        settings: Of the server.
        sessions: Who may enter.
    """

    def __init__(self, app: Application, settings: ServeSettings, sessions: Sessions) -> None:
        self._app = app
        self._settings = settings
        self._sessions = sessions

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there is no other way in
            return
        path: str = scope["path"]

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if path.startswith(API):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        if refusal := self._refusal(scope["method"], path, headers):
            await _refuse(sealed, *refusal)
            return
        body = await _read(receive, headers)
        if body is None:
            await _refuse(sealed, 413, f"a request has at most {MAX_BODY_BYTES // 1024} KiB")
            return
        await self._app(scope, _again(body, receive), sealed)

    def _refusal(self, method: str, path: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        hosts = self._settings.hosts
        if not hosts.allow(host):
            return 421, (
                f"this server is not called {host!r}; it answers to "
                f"{', '.join(sorted(hosts.names))}. Another name is allowed by --allowed-host"
            )
        origin = headers.get("origin")
        if (path.startswith(API) or method not in _SAFE) and (
            (origin is not None and not hosts.is_own(origin, host))
            or headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        ):
            return 403, "this request comes from a page of another site, and is refused"
        if path == LOGIN or path.startswith(STATIC) or self._admits(headers):
            return None
        if method == "GET" and not path.startswith(API):
            return 303, LOGIN
        return 401, (
            "this server wants its token: 'Authorization: Bearer TOKEN', or the form at /login"
        )

    def _admits(self, headers: Headers) -> bool:
        return self._sessions.admit(
            headers.get("authorization", ""), cookie_of(headers, self._settings.cookie)
        )


def cookie_of(headers: Headers, name: str) -> str:
    """A cookie of a request; empty without it."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


async def _read(receive: Receive, headers: Headers) -> bytes | None:
    """The body, however it comes; None if it is too large.

    Somewhat more is taken and thrown away, for who still sends does not read the refusal.
    """
    length = headers.get("content-length", "")
    if length.isdigit() and int(length[:20]) > _THROWN_AWAY_BYTES:
        return None
    body, size = bytearray(), 0
    while size <= _THROWN_AWAY_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            break
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY_BYTES:
            body += part
        if not message.get("more_body", False):
            break
    return bytes(body) if size <= MAX_BODY_BYTES else None


def _again(body: bytes, receive: Receive) -> Receive:
    """Hands out a body that was read already."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


async def _refuse(send: Send, status: int, why: str) -> None:
    text = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
    if status == 303:
        headers.append((b"location", why.encode()))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 413:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
