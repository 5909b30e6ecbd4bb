"""The part of the API that looks: studies, fronts, designs, trials, logs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query
from starlette.responses import Response

from dse.database import Database, storage_errors
from dse.reporting.views import design_view, study_view
from dse.serving.answers import JSON
from dse.serving.live import LiveStudy
from dse.serving.models import (
    FileOfStudy,
    LogPart,
    Problem,
    ServerInfo,
    StudyList,
    StudySummary,
    TrialPart,
)
from dse.serving.service import MAX_LOG_BYTES, Service
from dse.serving.trial_pages import trial_page
from dse.spec_sections import NAME

StudyName = Annotated[str, Path(pattern=NAME, max_length=100, description="Name of a study.")]
TrialNumber = Annotated[int, Path(ge=0, lt=2**31, description="Number of a trial.")]
Known = Annotated[str | None, Header(alias="If-None-Match", description="ETag of an answer.")]
Conditions = Annotated[
    list[Annotated[str, Query(max_length=200)]],
    Query(max_length=20, description="Such as `energy_uj<5` or `regularizer==none`; all hold."),
]
PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "Without the token."},
    403: {"model": Problem, "description": "From a page of another site."},
    413: {"model": Problem, "description": "Too large."},
    421: {"model": Problem, "description": "By a name that the server does not have."},
    422: {"model": Problem, "description": "It says what cannot be."},
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "Not there."}}
CACHED: dict[int | str, dict[str, Any]] = {304: {"description": "As it was."}}
OBJECT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}}}
}


def reading_api(service: Service, database: Database, info: ServerInfo) -> APIRouter:
    """Routes that change nothing.

    Args:
        service: Does it.
        database: To be read, for the reports of designs.
        info: About the server.
    """
    api = APIRouter(tags=["look"], responses=PROBLEMS)

    @api.get("/server")
    async def server() -> ServerInfo:
        """What this server is, and what it allows."""
        return info

    @api.get("/studies")
    async def studies() -> StudyList:
        """All studies, those among them that are only being started."""
        return StudyList(database=info.database, studies=await service.summaries())

    @api.get("/studies/{name}", responses=MISSING)
    async def study(name: StudyName) -> StudySummary:
        """A study and what may be done with it."""
        return await service.summary(name)

    @api.get("/studies/{name}/status", responses={**MISSING, **OBJECT})
    async def status(name: StudyName) -> Response:
        """What `dse status NAME --format json` prints."""
        _, found = await service.status(name)
        return JSON(found)

    @api.get("/studies/{name}/front", responses={**MISSING, **CACHED, **OBJECT})
    async def front(
        name: StudyName,
        where: Conditions = [],  # noqa: B006  (FastAPI copies it)
        objectives: Annotated[
            str | None,
            Query(max_length=500, description="Metrics instead of the study's objectives: `a,b`."),
        ] = None,
        if_none_match: Known = None,
    ) -> Response:
        """What `dse pareto NAME --format json` prints; null stands for infinite numbers."""
        version, found = await service.front(name, where, objectives)
        return _tagged(version, if_none_match, found)

    @api.get("/studies/{name}/view", responses={**MISSING, **CACHED, **OBJECT})
    async def view(name: StudyName, if_none_match: Known = None) -> Response:
        """What the page of a study is drawn from."""

        def work(live: LiveStudy) -> tuple[str, bytes]:
            live.require_spec()

            def compute() -> bytes:
                return JSON(study_view(live.source, name, live.columns)).body  # type: ignore[return-value]

            return service.version(live), live.once("view", compute)

        version, text = await service.readers.study(name, work)
        return _tagged(version, if_none_match, text)

    @api.get("/studies/{name}/designs/{trial}", responses={**MISSING, **OBJECT})
    def design(name: StudyName, trial: TrialNumber) -> Response:
        """One design: what `dse explain --format json` prints, and how to reproduce it."""
        with storage_errors(database):
            return JSON(design_view(database, name, trial))

    @api.get("/studies/{name}/trials", responses=MISSING)
    async def trials(
        name: StudyName,
        state: Literal["complete", "fail", "running", "waiting", "pruned"] | None = None,
        where: Conditions = [],  # noqa: B006  (FastAPI copies it)
        sort: Annotated[
            str, Query(max_length=100, description="`trial` or an objective; `-` turns it.")
        ] = "trial",
        offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> TrialPart:
        """Some trials of a study, chosen and sorted where the database is."""

        def work(live: LiveStudy) -> tuple[str, int, list[dict[str, Any]]]:
            live.require_spec()
            matching, found = trial_page(
                live, state=state, where=where, sort=sort, offset=offset, limit=limit
            )
            return service.version(live), matching, found

        version, matching, found = await service.readers.study(name, work)
        part = {
            "study": name,
            "version": version,
            "matching": matching,
            "offset": offset,
            "trials": found,
        }
        return JSON(part)  # type: ignore[return-value]  # the model documents it

    @api.get("/studies/{name}/file", responses=MISSING)
    async def file(name: StudyName) -> FileOfStudy:
        """The study file: as it was sent here, or as the database holds the study."""
        return FileOfStudy(name=name, text=await service.study_file(name))

    @api.get("/studies/{name}/log", responses=MISSING)
    async def log(
        name: StudyName,
        offset: Annotated[
            int | None, Query(ge=0, lt=2**53, description="In bytes; the end if left out.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LOG_BYTES)] = 64 * 1024,
    ) -> LogPart:
        """A part of the log of the runs that were started here: one JSON object a line."""
        return LogPart(**await service.log(name, offset, limit))

    return api


def _tagged(version: str, known: str | None, content: Any) -> Response:
    tag = f'"{version}"'
    if known is not None and tag in known:
        return Response(status_code=304, headers={"ETag": tag})
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if isinstance(content, bytes):
        return Response(content, media_type="application/json", headers=headers)
    return JSON(content, headers=headers)
