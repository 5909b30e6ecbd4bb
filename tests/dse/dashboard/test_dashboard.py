"""dse dashboard: what the page is told, what it may not do, and how it grows with a study."""

from __future__ import annotations

import json
import sqlite3
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError
from typer.testing import CliRunner

from dse.cli.app import make_app
from dse.cli.dashboard import _LAST
from dse.dashboard.app import DashboardApp
from dse.dashboard.feed import MANY
from dse.dashboard.server import is_loopback, open_server
from dse.database import Database, open_database
from dse.errors import LaunchError, StorageError
from dse.pareto import pareto_front
from dse.resuming import load_optuna
from tests.dse.fakes import database_in, small_spec
from tests.dse.reading.made import add_trials, empty_study

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def asked(app: DashboardApp, path: str, query: str = "", **changes: Any) -> tuple[str, Any]:
    """Status and JSON of an answer."""
    told: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query,
        "HTTP_HOST": "localhost", "SERVER_NAME": "localhost", "SERVER_PORT": "80",
        "wsgi.url_scheme": "http", **changes,
    }  # fmt: skip
    body = b"".join(app(environ, lambda status, headers, error=None: told.append(status)))  # type: ignore[arg-type,return-value]
    return told[0], json.loads(body)


def opened(folder: Path) -> Database:
    return open_database(f"sqlite:///{folder / 'dse.db'}", write=False)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    add_trials(empty_study(database_in(folder)), 120)
    return folder / "dse.db"


@pytest.fixture
def study(template: Path, tmp_path: Path) -> optuna.Study:
    source, target = (sqlite3.connect(file) for file in (template, tmp_path / "dse.db"))
    with closing(source), closing(target):
        source.backup(target)
    return load_optuna(database_in(tmp_path), "small")


def numbers(trials: list[dict[str, Any]]) -> list[int]:
    return [trial["number"] for trial in trials]


def test_the_page_is_told_what_optuna_holds(study: optuna.Study, tmp_path: Path) -> None:
    status, page = asked(DashboardApp(opened(tmp_path)), "/api/studies/1")
    assert status == "200 OK"
    assert (page["name"], page["objective_names"]) == ("small", ["accuracy", "energy_uj"])
    trials = study.get_trials(deepcopy=False)
    assert numbers(page["trials"]) == [trial.number for trial in trials]
    for seen, trial in zip(page["trials"], trials, strict=True):
        assert seen["state"].upper() == trial.state.name
        values = seen.get("values")
        assert (values and [float(value) for value in values]) == trial.values
        told = {each["name"]: each["param_external_value"] for each in seen["params"]}
        assert told == {name: str(value) for name, value in trial.params.items()}
        assert seen["constraints"] == [trial.constraints[k] for k in sorted(trial.constraints)]
    attributes = {each["key"]: each["sortable"] for each in page["union_user_attrs"]}
    assert attributes["adc_energy_vs_8bit"]
    assert attributes["accuracy_ideal"]
    assert not attributes["design"]
    assert {each["name"] for each in page["union_search_space"]} == {
        "bits", "regularizer", "strength"
    }  # fmt: skip


def test_best_trials_are_feasible_and_those_of_our_front(
    study: optuna.Study, tmp_path: Path
) -> None:
    _, page = asked(DashboardApp(opened(tmp_path)), "/api/studies/1")
    front = pareto_front(study.trials, small_spec().parsed_objectives())
    assert sorted(numbers(page["best_trials"])) == sorted(t.number for t in front.trials)
    assert any(any(v > 0 for v in t["constraints"]) for t in page["trials"])
    assert not any(any(v > 0 for v in t["constraints"]) for t in page["best_trials"])


def test_a_page_is_told_only_what_it_lacks_and_changes_are_seen(
    study: optuna.Study, tmp_path: Path
) -> None:
    app = DashboardApp(opened(tmp_path))
    asked(app, "/api/studies/1")
    running = study._storage.create_new_trial(study._study_id)
    _, page = asked(app, "/api/studies/1", "after=120")
    assert [(t["number"], t["state"]) for t in page["trials"]] == [(120, "Running")]
    study._storage.set_trial_state_values(running, TrialState.COMPLETE, [2.0, float("-inf")])
    _, page = asked(app, "/api/studies/1", "after=120")
    assert [(t["number"], t["state"]) for t in page["trials"]] == [(120, "Complete")]
    now = load_optuna(opened(tmp_path), "small").trials
    front = pareto_front(now, small_spec().parsed_objectives())
    assert sorted(numbers(page["best_trials"])) == sorted(t.number for t in front.trials)
    _, page = asked(app, "/api/studies/1", "after=121")
    assert page["trials"] == []


def test_of_a_large_study_the_last_trials_and_the_front_are_shown(
    study: optuna.Study, tmp_path: Path
) -> None:
    _, whole = asked(DashboardApp(opened(tmp_path)), "/api/studies/1")
    app = DashboardApp(opened(tmp_path), last=10)
    _, page = asked(app, "/api/studies/1")
    unfinished = {t["number"] for t in whole["trials"] if t["state"] in ("Running", "Waiting")}
    front = set(numbers(whole["best_trials"]))
    assert set(numbers(page["trials"])) == set(range(110, 120)) | unfinished | front
    assert page["best_trials"] == whole["best_trials"]
    study._storage.create_new_trial(study._study_id)
    _, later = asked(app, "/api/studies/1", f"after={len(page['trials'])}")
    assert numbers(later["trials"]) == [120]


def test_what_a_failing_database_hid_is_shown_later(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = DashboardApp(opened(tmp_path))
    asked(app, "/api/studies/1")
    study._storage.create_new_trial(study._study_id)

    def fails(*_: object, **__: object) -> None:
        raise optuna.exceptions.StorageInternalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(app._storage, "get_all_trials", fails)
        status, told = asked(app, "/api/studies/1", "after=120")
        assert (status, told["reason"][-4:]) == ("503 Service Unavailable", "gone")
    _, page = asked(app, "/api/studies/1", "after=120")
    assert numbers(page["trials"]) == [120]


def test_a_trial_that_optuna_has_overlooked_is_shown(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = DashboardApp(opened(tmp_path))
    plain = app._storage.get_all_trials
    monkeypatch.setattr(
        app._storage,
        "get_all_trials",
        lambda *a, **n: [t for t in plain(*a, **n) if t.number != 7],
    )
    _, page = asked(app, "/api/studies/1")
    assert numbers(page["trials"]) == list(range(120))


def test_one_objective_without_constraints_and_foreign_studies(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    foreign = optuna.create_study(storage=database.storage, study_name="foreign")
    optuna.create_study(storage=database.storage, study_name="empty", directions=["minimize"] * 3)
    for x in (3.0, 1.0, 2.0):
        trial = foreign.ask()
        trial.suggest_float("x", 0, 5)
        trial.report(x, step=1)
        foreign.tell(trial, x)
    app = DashboardApp(opened(tmp_path))
    _, page = asked(app, "/api/studies/1")
    assert numbers(page["best_trials"]) == [1]
    assert page["has_intermediate_values"]
    assert page["trials"][0]["intermediate_values"] == [{"step": 1, "value": 3.0}]
    _, page = asked(app, "/api/studies/2")
    assert (page["trials"], page["best_trials"], page["union_search_space"]) == ([], [], [])


def test_bad_questions_get_a_reason(study: optuna.Study, tmp_path: Path) -> None:
    app = DashboardApp(opened(tmp_path), hosts=frozenset({"localhost"}))
    assert asked(app, "/api/studies/7") == ("404 Not Found", {"reason": "study_id=7 is not found"})
    status, told = asked(app, "/api/studies/1", "after=-1")
    assert (status, told["reason"]) == ("400 Bad Request", "after: expected 0 or more, got '-1'")
    status, told = asked(app, "/api/studies/1", HTTP_HOST="page.example:80")
    assert status == "403 Forbidden"
    assert "not this machine's" in told["reason"]
    with closing(sqlite3.connect(tmp_path / "dse.db")) as connection:
        connection.execute("DROP TABLE trial_values")
    status, told = asked(app, "/api/studies/1")
    assert status == "503 Service Unavailable"
    assert "no such table: trial_values" in told["reason"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("HEAD", "/api/studies/1"),
        ("DELETE", "/api/studies/1"),
        ("POST", "/api/studies"),
        ("POST", "/api/studies/1/rename"),
        ("PUT", "/api/studies/1/note"),
        ("POST", "/api/trials/1/tell"),
    ],
)
def test_nothing_can_be_changed(
    study: optuna.Study, tmp_path: Path, method: str, path: str
) -> None:
    before = [repr(trial) for trial in study.trials]
    status, told = asked(DashboardApp(opened(tmp_path)), path, REQUEST_METHOD=method)
    assert status == "403 Forbidden"
    assert told["reason"].startswith("dse dashboard only reads")
    assert [repr(trial) for trial in load_optuna(opened(tmp_path), "small").trials] == before


def test_both_databases_are_shown_and_refuse_to_be_written(any_url: str) -> None:
    made = empty_study(open_database(any_url, write=True))
    add_trials(made, 20)
    database = open_database(any_url, write=False)
    _, page = asked(DashboardApp(database), f"/api/studies/{made._study_id}")
    assert len(page["trials"]) == 20
    with pytest.raises((SQLAlchemyError, optuna.exceptions.StorageInternalError)) as caught:
        database.storage.set_study_user_attr(made._study_id, "mine", 1)
    cause = str(caught.value.__cause__ or caught.value)
    assert "readonly database" in cause or "read-only transaction" in cause


@pytest.fixture
def address(study: optuna.Study, tmp_path: Path) -> Iterator[str]:
    with open_server(opened(tmp_path), host="127.0.0.1", port=0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_page_and_its_api_are_served(address: str) -> None:
    for path, part in (
        ("/dashboard", b"bundle.js"),
        ("/api/meta", b"artifact_is_available"),
        ("/api/studies", b"small"),
        ("/api/studies/1?after=0", b'"best_trials"'),
        ("/api/studies/1/param_importances", b"param_importances"),
        ("/csv/1", b"Number,State,accuracy,energy_uj"),
    ):
        with urllib.request.urlopen(address + path, timeout=120) as answer:
            assert part in answer.read(), path
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{address}/api/studies", data=b"{}", timeout=120)


def test_a_taken_port_and_a_strange_address_are_refused(address: str, tmp_path: Path) -> None:
    port = int(address.rpartition(":")[2])
    with pytest.raises(LaunchError, match=rf"cannot listen on 127.0.0.1, port {port}: .*--port"):
        open_server(opened(tmp_path), host="127.0.0.1", port=port)
    with pytest.raises(LaunchError, match=r"cannot listen on 203\.0\.113\.7"):
        open_server(opened(tmp_path), host="203.0.113.7", port=0)


def test_it_listens_on_an_address_of_version_6(study: optuna.Study, tmp_path: Path) -> None:
    try:
        server = open_server(opened(tmp_path), host="::1", port=0)
    except LaunchError as error:
        pytest.skip(str(error))
    with server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://[::1]:{server.server_port}/api/studies"
        with urllib.request.urlopen(url, timeout=120) as answer:
            assert b"small" in answer.read()
        thread.join()


def test_loopback_is_told_from_the_world() -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "localhost", "::1", "127.1.2.3")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "10.0.0.1", "example.org")] == [False] * 4


class _ServedError(Exception):
    """Stands for a server that would run for ever."""


def test_the_command_says_where_how_much_and_to_whom(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise _ServedError

    monkeypatch.setattr("wsgiref.simple_server.WSGIServer.serve_forever", stop)
    url = f"sqlite:///{tmp_path / 'dse.db'}"
    command, runner = make_app(["dashboard"]), CliRunner()
    arguments = ["dashboard", "--storage", url, "--port", "0"]
    done = runner.invoke(command, [*arguments, "--last", "100"])
    assert isinstance(done.exception, _ServedError)
    assert f"Studies of {url} on http://127.0.0.1:" in done.stdout
    assert "a page gets the last 100 trials, those on the front and new ones" in done.stdout
    assert "That cuts small: 120 trials." in done.stdout
    assert "Warning" not in done.output
    done = runner.invoke(command, [*arguments, "--host", "0.0.0.0"])
    assert "Warning: whoever reaches 0.0.0.0 can read all studies" in done.stderr
    assert f"the last {MANY} trials" in done.stdout
    assert "That cuts" not in done.stdout
    assert _LAST == MANY


def test_a_database_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        make_app(["dashboard"]), ["dashboard", "--storage", f"sqlite:///{tmp_path / 'no.db'}"]
    )
    assert isinstance(done.exception, StorageError)
    assert "there is no such database" in str(done.exception)
