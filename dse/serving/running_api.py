"""The part of the API that acts: launch, pause, resume, cancel, export."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from dse.serving.models import Checked, Problem, Resume, Started, StudyFile, Told
from dse.serving.reading_api import MISSING, PROBLEMS, StudyName, TrialNumber
from dse.serving.service import Service, run_info
from dse.serving.study_files import Upload, check_upload

UNREADABLE: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is no text."}
}
CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "It cannot be done now."}
}


def running_api(service: Service) -> APIRouter:
    """Routes that start, stop, or take away."""
    api = APIRouter(tags=["act"], responses={**PROBLEMS, **UNREADABLE})

    async def checked(file: StudyFile) -> Upload:
        return await asyncio.to_thread(check_upload, file.text, file.entries(), service.settings)

    @api.post("/studies/check")
    async def check(file: StudyFile) -> Checked:
        """Check a study file as `dse run --dry-run` does; nothing is started."""
        upload = await checked(file)
        return Checked(
            name=upload.spec.name,
            exists=upload.spec.name in await service.readers.names(),
            described=await asyncio.to_thread(upload.described),
        )

    @api.post("/studies", status_code=201, responses=CONFLICT)
    async def launch(file: StudyFile) -> Started:
        """Start a study, in a process of its own."""
        upload = await checked(file)
        run = await service.launch(upload)
        return Started(name=upload.spec.name, run=run_info(run))

    @api.post("/studies/{name}/resume", status_code=202, responses={**MISSING, **CONFLICT})
    async def resume(name: StudyName, how: Resume) -> Started:
        """Go on with a study, as `dse resume` does, in a process of its own."""
        options = [
            word
            for flag, value in (
                ("--trials", how.trials),
                ("--workers", how.workers),
                ("--launch", how.launch),
                ("--timeout", how.timeout_s),
            )
            if value is not None
            for word in (flag, str(value))
        ]
        return Started(name=name, run=run_info(await service.resume(name, options)))

    @api.post("/studies/{name}/pause", status_code=202, responses={**MISSING, **CONFLICT})
    async def pause(name: StudyName) -> Told:
        """Ask the run of a study to stop; what it evaluates goes back to the queue."""
        return Told(name=name, told=await service.stop(name, pause=True))

    @api.post("/studies/{name}/cancel", status_code=202, responses={**MISSING, **CONFLICT})
    async def cancel(name: StudyName) -> Told:
        """The same, and say of the study that it is not to go on; `resume` still may."""
        return Told(name=name, told=await service.stop(name, pause=False))

    @api.post(
        "/studies/{name}/designs/{trial}/export",
        response_class=FileResponse,
        responses={
            **MISSING,
            200: {"content": {"application/zip": {"schema": {"type": "string", "format":
                  "binary"}}}},
        },
    )  # fmt: skip
    async def export(name: StudyName, trial: TrialNumber, request: Request) -> Response:
        """The design as `dse export` writes it, in a zip file; `dse score` takes the folder."""
        await service.require_result(name, trial)
        folder = Path(tempfile.mkdtemp(prefix="dse-export-"))
        forget = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
        try:
            file = await service.exports.zipped(name, trial, folder, request.is_disconnected)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return FileResponse(
            file, media_type="application/zip", filename=file.name, background=forget
        )

    return api
