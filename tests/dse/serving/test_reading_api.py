"""Studies, fronts, designs, trials and logs as the API gives them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import optuna
import pytest
import yaml

from dse.cli.app import make_app
from dse.database import open_database
from dse.resuming import load_spec
from dse.spec import StudySpec
from tests.dse.fakes import database_in
from tests.dse.reading.made import add_trials, empty_study
from tests.dse.serving.served import API, FakeLauncher, serving


def printed(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> Any:
    """What a command prints as JSON."""
    storage = f"sqlite:///{folder / 'dse.db'}"
    make_app([arguments[0]])(
        [*arguments, "--format", "json", "--storage", storage], standalone_mode=False
    )
    return json.loads(capsys.readouterr().out)


def test_the_list_names_state_progress_and_what_may_be_done(client: httpx.Client) -> None:
    found = client.get(f"{API}/studies").json()
    (study,) = found["studies"]
    assert study["name"] == "small"
    assert study["state"] == "finished"
    assert (study["done"], study["budget"]) == (12, 12)
    assert study["actions"] == ["resume"]
    assert study["objectives"] == ["maximize accuracy", "minimize energy_uj"]
    assert client.get(f"{API}/studies/small").json() == study


def test_the_status_is_that_of_the_command(
    client: httpx.Client, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.get(f"{API}/studies/small/status").json() == printed(
        capsys, finished, "status", "small"
    )


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", []),
        ("?where=energy_uj<0.2&where=regularizer!=none",
         ["--where", "energy_uj<0.2", "--where", "regularizer!=none"]),
        ("?objectives=accuracy,latency_us", ["--objectives", "accuracy,latency_us"]),
    ],
)  # fmt: skip
def test_the_front_is_that_of_the_command(
    client: httpx.Client,
    finished: Path,
    capsys: pytest.CaptureFixture[str],
    query: str,
    options: list[str],
) -> None:
    shown = client.get(f"{API}/studies/small/front{query}").json()
    assert shown == printed(capsys, finished, "pareto", "small", *options)


def test_what_has_not_changed_is_not_sent_again(client: httpx.Client) -> None:
    for path in ("front", "view"):
        first = client.get(f"{API}/studies/small/{path}")
        again = client.get(
            f"{API}/studies/small/{path}", headers={"If-None-Match": first.headers["etag"]}
        )
        assert again.status_code == 304
        assert not again.content


def test_the_view_is_what_the_report_draws(client: httpx.Client, finished: Path) -> None:
    from dse.reading.source import open_source
    from dse.reporting.views import study_view

    with open_source(f"sqlite:///{finished / 'dse.db'}") as source:
        expected = json.loads(json.dumps(study_view(source, "small")))
    assert client.get(f"{API}/studies/small/view").json() == expected


def test_a_design_is_explained(client: httpx.Client) -> None:
    found = client.get(f"{API}/studies/small/designs/0").json()
    assert found["trial"] == 0
    assert found["explained"]["params"]["regularizer"] == "none"
    assert any(line.startswith("dse explain small 0") for line in found["commands"])


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("studies/nothing", 404, "there is no study 'nothing' in sqlite:///"),
        ("studies/nothing/view", 404, "there is no study 'nothing'"),
        ("studies/nothing/log", 404, "there is no study 'nothing'"),
        ("studies/small/designs/12", 404, "has no trial 12"),
        ("studies/small/designs/x", 422, "path.trial: Input should be a valid integer"),
        ("studies/small/front?where=energy", 422, "a condition reads 'NAME<NUMBER'"),
        ("studies/small/front?objectives=money", 422, "there is no metric 'money'"),
        ("studies/small/trials?where=nothing<1", 422, "neither a metric nor a knob"),
        ("studies/small/trials?sort=nothing", 422, "sort: trial, accuracy, energy_uj"),
        ("studies/small/trials?limit=5000", 422, "query.limit: Input should be less than"),
        ("studies/-small", 422, "path.name: String should match pattern"),
        ("nothing", 404, "Not Found"),
    ],
)
def test_what_is_wrong_is_said(client: httpx.Client, path: str, status: int, words: str) -> None:
    answer = client.get(f"{API}/{path}")
    assert answer.status_code == status
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "studies/..%2f..%2fetc%2fpasswd/log",
        "studies/%2e%2e/log",
        "studies/..%5c..%5cdse.db/log",
        "studies/small%00/log",
        "studies/small/designs/..%2f0",
    ],
)
def test_names_that_lead_elsewhere_are_refused(client: httpx.Client, path: str) -> None:
    assert client.get(f"{API}/{path}").status_code in (404, 422)


def test_static_files_are_those_of_the_package_alone(client: httpx.Client) -> None:
    assert client.get("/static/main.js").headers["content-type"].startswith("text/javascript")
    for path in (
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/index.html",
        "/assets/x.js",
    ):
        assert client.get(path).status_code == 404


def test_every_part_of_the_pages_is_there(client: httpx.Client) -> None:
    for path in ("/", "/new", "/studies/small"):
        assert "/static/main.js" in client.get(path).text
    for path in (
        "/assets/plotly.js",
        "/assets/views.js",
        "/assets/views.css",
        "/static/serve.css",
    ):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"


def numbers(client: httpx.Client, query: str) -> list[int]:
    return [t["trial"] for t in client.get(f"{API}/studies/small/trials?{query}").json()["trials"]]


def test_trials_come_page_by_page(client: httpx.Client) -> None:
    first = client.get(f"{API}/studies/small/trials?limit=5").json()
    assert first["matching"] == 12
    assert numbers(client, "limit=5") == [0, 1, 2, 3, 4]
    assert numbers(client, "limit=5&offset=10") == [10, 11]
    assert numbers(client, "offset=400") == []
    assert numbers(client, "sort=-trial&limit=2") == [11, 10]
    assert first["trials"][0]["values"].keys() == {"accuracy", "energy_uj"}
    assert first["trials"][0]["state"] == "complete"


def test_trials_are_sorted_and_chosen_where_the_database_is(client: httpx.Client) -> None:
    rows = client.get(f"{API}/studies/small/trials?sort=-accuracy").json()["trials"]
    accuracies = [row["values"]["accuracy"] for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    chosen = client.get(
        f"{API}/studies/small/trials?where=regularizer==none&sort=energy_uj"
    ).json()
    assert chosen["matching"] == sum(row["params"]["regularizer"] == "none" for row in rows) > 0
    assert numbers(client, "state=fail") == []


def test_trials_of_every_kind_are_given_as_plain_json(
    tmp_path: Path, launcher: FakeLauncher
) -> None:
    database = database_in(tmp_path)
    study = empty_study(database)
    add_trials(study, 120)
    with serving(tmp_path, launcher) as client:
        found = client.get(f"{API}/studies/small/trials?limit=200").json()
        assert found["matching"] == 120
        assert {t["state"] for t in found["trials"]} == {
            "running", "complete", "pruned", "fail", "waiting",
        }  # fmt: skip
        assert "Infinity" not in client.get(f"{API}/studies/small/trials?limit=200").text
        assert client.get(f"{API}/studies/small/front").status_code == 200
        assert client.get(f"{API}/studies/small/status").status_code == 200


def test_what_is_new_is_read_and_the_version_says_so(
    tmp_path: Path, launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dse.serving.live._LEAST_AGE_S", 0.0)
    monkeypatch.setattr("dse.serving.live._MOST_AGE_S", 0.0)
    study = empty_study(database_in(tmp_path))
    with serving(tmp_path, launcher) as client:
        before = client.get(f"{API}/studies/small").json()
        assert before["n_trials"]["complete"] == 0
        assert client.get(f"{API}/studies/small").json() == before
        add_trials(study, 40)
        after = client.get(f"{API}/studies/small").json()
        assert after["version"] != before["version"]
        assert after["n_trials"]["complete"] > 0


def test_a_study_of_another_program_is_listed_and_not_opened(
    tmp_path: Path, launcher: FakeLauncher
) -> None:
    optuna.create_study(storage=database_in(tmp_path).storage, study_name="theirs")
    with serving(tmp_path, launcher) as client:
        (study,) = client.get(f"{API}/studies").json()["studies"]
        assert (study["name"], study["made_by_dse"], study["state"]) == ("theirs", False, None)
        answer = client.get(f"{API}/studies/theirs/front")
        assert answer.status_code == 404
        assert "was not made by dse" in answer.json()["detail"]


def test_the_log_is_given_from_where_one_was(finished: Path, launcher: FakeLauncher) -> None:
    with serving(finished, launcher) as client:
        check_log(client, launcher)


def check_log(client: httpx.Client, launcher: FakeLauncher) -> None:
    assert client.get(f"{API}/studies/small/log").json()["kept"] is False
    launcher.log("small").parent.mkdir()
    launcher.log("small").write_bytes(b"one\ntwo\nthr")
    first = client.get(f"{API}/studies/small/log").json()
    assert first == {"text": "one\ntwo\n", "offset": 0, "next": 8, "size": 11, "kept": True}
    with launcher.log("small").open("ab") as log:
        log.write(b"ee \xff\n")
    second = client.get(f"{API}/studies/small/log", params={"offset": first["next"]}).json()
    assert second["text"] == "three \ufffd\n"
    assert client.get(f"{API}/studies/small/log?offset=9999").json()["text"] == ""
    assert client.get(f"{API}/studies/small/log?limit=9").json()["text"] == "three \ufffd\n"


def test_a_database_that_is_gone_is_told_and_found_again(
    tmp_path: Path, launcher: FakeLauncher
) -> None:
    empty_study(database_in(tmp_path))
    elsewhere = tmp_path / "elsewhere.db"
    with serving(tmp_path, launcher) as client:
        (tmp_path / "dse.db").rename(elsewhere)
        answer = client.get(f"{API}/studies")
        assert answer.status_code == 503
        assert "there is no such database" in answer.json()["detail"]
        elsewhere.rename(tmp_path / "dse.db")
        assert client.get(f"{API}/studies").status_code == 200


def test_several_users_look_at_once(finished: Path, launcher: FakeLauncher) -> None:
    with serving(finished, launcher) as client, ThreadPoolExecutor(8) as users:
        paths = ["studies", "studies/small", "studies/small/front", "studies/small/designs/3"] * 10
        answers = list(users.map(lambda path: client.get(f"{API}/{path}"), paths))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 4


def test_postgresql_is_served_alike(
    postgresql_url: str, tmp_path: Path, launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dse.serving.live._LEAST_AGE_S", 0.0)
    monkeypatch.setattr("dse.serving.live._MOST_AGE_S", 0.0)
    study = empty_study(open_database(postgresql_url, write=True, home=tmp_path))
    with serving(tmp_path, launcher, postgresql_url) as client:
        (before,) = client.get(f"{API}/studies").json()["studies"]
        assert (before["state"], before["done"]) == ("interrupted", 0)
        add_trials(study, 40)
        assert client.get(f"{API}/studies/small/trials").json()["matching"] == 40
        assert client.get(f"{API}/studies/small/front").status_code == 200
        assert client.get(f"{API}/studies/small/view").status_code == 200
        assert client.post(f"{API}/studies/small/cancel").status_code == 202
        assert client.get(f"{API}/studies/small").json()["state"] == "cancelled"


def test_the_file_of_a_study_is_given_and_makes_the_same_study(
    finished: Path, launcher: FakeLauncher
) -> None:
    with serving(finished, launcher) as client:
        text = client.get(f"{API}/studies/small/file").json()["text"]
        again = StudySpec.from_mapping(yaml.safe_load(text), where="again")
        stored = load_spec(database_in(finished), "small")
        assert again.identity() == stored.identity()
        sent = launcher.log("small").with_name("study.yaml")
        sent.parent.mkdir()
        sent.write_text("name: small  # as it was sent")
        shown = client.get(f"{API}/studies/small/file").json()
        assert shown == {"name": "small", "text": "name: small  # as it was sent"}
        assert client.get(f"{API}/studies/nothing/file").status_code == 404


def test_a_database_that_another_file_replaced_is_opened_anew(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, trials in ((first, 5), (second, 9)):
        folder.mkdir()
        database = database_in(folder)
        add_trials(empty_study(database), trials)
        database.storage.engine.dispose()
    with serving(first, FakeLauncher(tmp_path)) as client:
        address = f"{API}/studies/small/trials"
        assert client.get(address).json()["matching"] == 5
        for rest in ("-wal", "-shm"):
            (first / f"dse.db{rest}").unlink(missing_ok=True)
        (first / "dse.db").unlink()
        gone = client.get(address)
        assert gone.status_code == 503, gone.text
        assert "there is no such database" in gone.text
        (second / "dse.db").rename(first / "dse.db")
        assert client.get(address).json()["matching"] == 9
