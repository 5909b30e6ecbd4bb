"""The pages: one shell that our scripts fill, the form for the token, scripts and styles."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from urllib.parse import parse_qs

from fastapi import APIRouter, FastAPI, Request
from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dse.catalogue import catalogue
from dse.reporting import front_end
from dse.serving.guard import LOGIN, STATIC, cookie_of
from dse.serving.sessions import Sessions
from dse.serving.settings import ServeSettings

_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_KEEP = {"Cache-Control": "no-cache"}
_WRONG = "wrong=1"


def add_pages(app: FastAPI, settings: ServeSettings, sessions: Sessions) -> None:
    """Routes of what a browser shows."""
    pages = APIRouter(include_in_schema=False)
    shell, form = _file("index.html"), _file("login.html")
    static = {name: _file(name) for name in _names() if name.endswith(tuple(_KINDS))}

    @pages.get("/")
    @pages.get("/studies/{name}")
    def page() -> Response:
        return HTMLResponse(shell, headers=_KEEP)

    @pages.get("/new")
    def new() -> Response:
        # Techniques take seconds to import: while the study file is being written.
        return HTMLResponse(shell, headers=_KEEP, background=BackgroundTask(catalogue))

    @pages.get(LOGIN)
    def ask(request: Request) -> Response:
        if not sessions.are_needed:
            return RedirectResponse("/", status_code=303)
        wrong = "" if request.url.query == _WRONG else " hidden"
        return HTMLResponse(form.replace("{{hidden}}", wrong), headers=_KEEP)

    @pages.post(LOGIN)
    async def enter(request: Request) -> Response:
        fields = parse_qs((await request.body()).decode("utf-8", errors="replace"))
        if not sessions.knows(fields.get("token", [""])[0].strip()):
            return RedirectResponse(f"{LOGIN}?{_WRONG}", status_code=303)
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            settings.cookie, sessions.open(), httponly=True, samesite="strict", path="/"
        )
        return answer

    @pages.post("/logout")
    def leave(request: Request) -> Response:
        sessions.close(cookie_of(request.headers, settings.cookie))
        answer = RedirectResponse(LOGIN, status_code=303)
        answer.delete_cookie(settings.cookie, path="/")
        return answer

    @pages.get(STATIC + "{name}")
    def part(name: str) -> Response:
        return _part(static, name)

    @pages.get("/assets/{name}")
    def asset(name: str) -> Response:
        found = {
            "plotly.js": front_end.plotly,
            "views.js": front_end.script,
            "views.css": front_end.style,
        }
        return _part({name: found[name]()} if name in found else {}, name)

    app.include_router(pages)


def _part(parts: Mapping[str, str], name: str) -> Response:
    if name not in parts:
        return Response("there is no such file", status_code=404, media_type="text/plain")
    kind = _KINDS[name[name.rindex(".") :]]
    return Response(parts[name], media_type=kind, headers=_KEEP)


def _names() -> list[str]:
    return [file.name for file in files("dse.serving").joinpath("static").iterdir()]


def _file(name: str) -> str:
    return files("dse.serving").joinpath("static", name).read_text(encoding="utf-8")
