"""Answers as JSON that every reader takes, and errors as answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from dse.errors import DseError, LaunchError, StorageError, StudyError
from dse.reporting.labels import finite
from hw_models.errors import HardwareError

STATUS: Mapping[type[Exception], int] = {StudyError: 404, LaunchError: 409, StorageError: 503}
"""Of an error's answer; 422 for the others: they say what is wrong with the input."""


class JSON(Response):
    """JSON without infinities, which it does not have: null stands for them."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The text."""
        try:
            return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
        except ValueError:
            return json.dumps(finite(content), separators=(",", ":")).encode()


def answer_errors(app: FastAPI) -> None:
    """Give every error as `{"detail": TEXT}`."""
    app.add_exception_handler(DseError, _ours)
    app.add_exception_handler(HardwareError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def _ours(_: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 422)
    return JSONResponse({"detail": str(error)}, status_code=status)


def _invalid(_: Request, error: Exception) -> Response:
    """The first complaint; what came is not repeated, for it may be anything."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    text = f"{where}: {first['msg']}"
    return JSONResponse({"detail": text.encode(errors="replace").decode()}, status_code=422)


def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"detail": str(error.detail)}, status_code=error.status_code, headers=error.headers
    )
