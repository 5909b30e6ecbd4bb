"""The API keeps to its OpenAPI document, whatever comes: no answer that is not in it, no 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.dse.serving.served import API, FakeLauncher, serving

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
OPERATIONS = [
    ("GET", "/server"),
    ("GET", "/studies"),
    ("GET", "/studies/{name}"),
    ("GET", "/studies/{name}/status"),
    ("GET", "/studies/{name}/front"),
    ("GET", "/studies/{name}/view"),
    ("GET", "/studies/{name}/designs/{trial}"),
    ("GET", "/studies/{name}/trials"),
    ("GET", "/studies/{name}/file"),
    ("GET", "/studies/{name}/log"),
    ("POST", "/studies/check"),
    ("POST", "/studies"),
    ("POST", "/studies/{name}/resume"),
    ("POST", "/studies/{name}/pause"),
    ("POST", "/studies/{name}/cancel"),
    ("POST", "/studies/{name}/designs/{trial}/export"),
]


@pytest.fixture(scope="module")
def client(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of a server on a copy of the study: it is cancelled now and then."""
    folder = tmp_path_factory.mktemp("fuzzed")
    for file in finished.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    with serving(folder, FakeLauncher(folder)) as opened:
        yield opened


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{API}/openapi.json").json()
    return found


def test_no_operation_is_left_out(document: dict[str, Any]) -> None:
    there = {(verb.upper(), path) for path, verbs in document["paths"].items() for verb in verbs}
    assert there == {(verb, API + path) for verb, path in OPERATIONS}


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("verb", "path"), OPERATIONS, ids=[f"{v}-{p}" for v, p in OPERATIONS])
def test_answers_are_those_of_the_document(
    client: httpx.Client, document: dict[str, Any], verb: str, path: str, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_dict(document)
    operation = schema[API + path][verb]
    if mode == GenerationMode.NEGATIVE and not (operation.path_parameters or operation.body):
        pytest.skip("nothing that could be wrong")

    @settings(
        max_examples=8,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        known=st.booleans(),
        trial=st.integers(0, 14),
    )
    def check(case: Case, known: bool, trial: int) -> None:
        if known and "name" in case.path_parameters:
            case.path_parameters["name"] = "small"
            if "trial" in case.path_parameters and path.startswith("/studies/{name}/designs"):
                case.path_parameters["trial"] = trial + 20 if path.endswith("export") else trial
        case.call_and_validate(base_url=str(client.base_url), checks=CHECKS)

    check()
