"""make_app(): the web application on a database of studies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from dse.database import Database
from dse.plugins import installed
from dse.serving.answers import answer_errors
from dse.serving.exports import Exports
from dse.serving.guard import Guard
from dse.serving.models import ServerInfo
from dse.serving.pages import add_pages
from dse.serving.reading_api import reading_api
from dse.serving.running_api import running_api
from dse.serving.runs import Launcher
from dse.serving.service import Service
from dse.serving.sessions import Sessions
from dse.serving.settings import MAX_BODY_BYTES, ServeSettings

PREFIX = "/api/v1"


def make_app(settings: ServeSettings, database: Database, launcher: Launcher) -> FastAPI:
    """The application; whatever is open is closed when it ends.

    Args:
        settings: What it may do, and for whom.
        database: To be read, for the reports of designs.
        launcher: Starts runs.
    """
    exports = Exports(settings.storage, settings.home)
    service = Service(settings, launcher, exports)
    sessions = Sessions(settings.token)

    @asynccontextmanager
    async def open_until_the_end(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()
        database.storage.engine.dispose()

    app = FastAPI(
        title="dse serve",
        version=version("dse"),
        description="Studies of a database: look at them, start, pause, resume and cancel them.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # their scripts come from another site
        redoc_url=None,
        lifespan=open_until_the_end,
    )
    info = ServerInfo(
        version=version("dse"),
        database=settings.shown,
        allow_code=settings.allow_code,
        data_root=None if settings.data_root is None else str(settings.data_root),
        token_needed=sessions.are_needed,
        max_runs=settings.max_runs,
        max_body_bytes=MAX_BODY_BYTES,
        tasks=list(installed("dse.tasks")),
        samplers=["auto", *installed("dse.samplers")],
    )
    app.include_router(reading_api(service, database, info), prefix=PREFIX)
    app.include_router(running_api(service), prefix=PREFIX)
    add_pages(app, settings, sessions)
    answer_errors(app)
    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=5)
    app.add_middleware(Guard, settings=settings, sessions=sessions)
    return app
