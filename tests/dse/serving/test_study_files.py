"""Study files that come through the page: checked, and kept from code and from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dse.errors import DseError, SpecError
from dse.serving.hosts import AllowedHosts
from dse.serving.settings import ServeSettings
from dse.serving.study_files import FILE, check_upload
from dse.spec import StudySpec
from tests.dse.fakes import SPEC


def settings(**changes: Any) -> ServeSettings:
    return ServeSettings(
        storage="sqlite:///x.db",
        shown="sqlite:///x.db",
        home=Path(),
        hosts=AllowedHosts(),
        **changes,
    )


def text(**changes: Any) -> str:
    return yaml.safe_dump({**SPEC, **changes}, sort_keys=False)


def test_a_good_file_is_what_dse_run_makes_of_it(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text())
    found = check_upload(text(), {"budget.trials": 20, "launch.name": None}, settings())
    by_run = StudySpec.from_yaml(file, ["budget.trials=20"])
    assert found.spec.model_copy(update={"folders": ()}) == by_run.model_copy(
        update={"folders": ()}
    )
    assert found.changes == ("budget.trials=20",)
    assert found.text == text()
    assert "regularizer.l1.strength" in found.described()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("", "a study file is a mapping"),
        ("- a", "a study file is a mapping"),
        ("name: [", r"study.yaml:1:8: is not valid YAML"),
        ("name: a\nname: b\n", "'name' stands twice"),
        ("name: !!python/object/apply:os.system [ls]", "is not valid YAML"),
        ("when: 2026-99-99", "is not valid YAML: month must be in 1..12"),
        (f"a: {'9' * 5000}", "a value without quotes has at most 1000 characters, got 5000"),
        ("a: &x [1]\nb: *x", "has no references, got .x; write the value out"),
        ("[" * 40 + "]" * 40, "at most 20 levels deep"),
        ("a: \x00", "is not valid YAML"),
        (f"a: [{'1, ' * 30_000}1]", "at most 20000 entries"),
        (text(spaces=1), "there is no such entry; did you mean 'space'"),
        (text(name="../evil"), "letters, digits"),
        (text(objectives=["maximize money"]), "there is no metric 'money'"),
        (text(task="mlp_mnits"), "did you mean 'mlp_mnist'"),
        (text(sampler="no_such"), "no 'no_such' in 'dse.samplers'"),
    ],
    ids=[str(number) for number in range(16)],
)
def test_a_bad_file_is_told_as_dse_run_tells_it(wrong: str, words: str) -> None:
    with pytest.raises(DseError, match=words):
        check_upload(wrong, {}, settings())


@pytest.mark.parametrize(
    "wrong",
    [
        "name: a\nname: b\n",
        "name: a\ntask:\n  name: x\n  name: mlp_mnist\n",
        "1: a\n",
        "name: [",
        "when: 2026-99-99",
        "a: \x00",
        "[a]: b",
        "- a",
        "",
    ],
)
def test_yaml_is_refused_in_the_words_of_dse_run(wrong: str, tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.write_text(wrong)
    with pytest.raises(SpecError) as of_run:
        StudySpec.from_yaml(file)
    with pytest.raises(SpecError) as of_server:
        check_upload(wrong, {}, settings())
    assert str(of_server.value) == str(of_run.value)


def test_a_key_that_stands_twice_is_refused_before_anything_is_looked_up() -> None:
    """The later one would be what is checked for code, whichever is meant."""
    twice = text() + "folders: [/tmp]\nfolders: []\n"
    with pytest.raises(
        SpecError, match=r"^study\.yaml:\d+:1: is not valid YAML: 'folders' stands"
    ):
        check_upload(twice, {}, settings())


CODE = [
    ("task", {"task": "evil:TASK"}),
    ("task.name", {"task": {"name": "evil:TASK"}}),
    ("task.model", {"task": {"model": "evil:net", "data": "mnist"}}),
    ("task.data", {"task": {"model": None, "data": "evil:DATA"}}),
    ("sampler", {"sampler": "evil:sampler"}),
    ("sampler.name", {"sampler": {"name": "evil:sampler"}}),
    ("fixed.engine", {"fixed": {"engine": "evil:ENGINE"}}),
    ("fixed.adc.model", {"fixed": {"adc": {"model": "evil:ADC"}}}),
    ("space.regularizer", {"space": {"regularizer": ["none", "evil:R"], "adc.bits": "1..8"}}),
    ("space", {"space": {"evil:R": [1], "adc.bits": "1..8"}}),
    ("points.quantizer", {"points": [{"quantizer": "evil:Q"}]}),
    ("folders", {"folders": ["/tmp"]}),
    ("launch.address", {"launch": {"name": "ray", "address": "evil.example:6379"}}),
    ("launch.store", {"launch": {"name": "serial", "store": "file:///etc"}}),
    ("warm_start.database", {"warm_start": {"study": "a", "database": "sqlite:////etc/x.db"}}),
]


@pytest.mark.parametrize(("path", "changes"), CODE, ids=[path for path, _ in CODE])
def test_code_is_neither_named_nor_imported(
    path: str, changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SpecError) as caught:
        check_upload(text(**changes), {}, settings())
    assert str(caught.value).startswith(f"study.yaml: {path}: this server takes ")
    assert "start the server with --allow-code" in str(caught.value)


def test_code_may_be_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    changed = text(fixed={"encoding": "hw_models.encodings.offset:OFFSET"})
    found = check_upload(changed, {}, settings(allow_code=True))
    assert found.spec.fixed["encoding"] == "hw_models.encodings.offset:OFFSET"
    with pytest.raises(DseError, match="cannot import 'no_such_module'"):
        check_upload(text(fixed={"engine": "no_such_module:X"}), {}, settings(allow_code=True))


@pytest.mark.parametrize("entry", ["checkpoint", "data_folder"])
def test_no_files_are_read_without_a_data_root(entry: str) -> None:
    changed = text(task={"name": "mlp_mnist", entry: "/etc/passwd"})
    for allow_code in (False, True):
        with pytest.raises(SpecError, match=f"task.{entry}: this server reads no files"):
            check_upload(changed, {}, settings(allow_code=allow_code))


@pytest.mark.parametrize(
    "place", ["/etc/passwd", "../secret", "a/../../secret", "link/secret", "~/x", "a\x00b"]
)
def test_places_lie_below_the_data_root(place: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    changed = text(task={"name": "mlp_mnist", "checkpoint": place})
    if place == "~/x":  # no user of the server is looked up: a folder of that name
        found = check_upload(changed, {}, settings(data_root=root))
        assert found.spec.task.checkpoint == str(root / "~" / "x")
        return
    with pytest.raises(SpecError, match="a place below the server's --data-root"):
        check_upload(changed, {}, settings(data_root=root))


def test_a_place_below_the_data_root_is_made_absolute(tmp_path: Path) -> None:
    changed = text(task={"name": "mlp_mnist", "checkpoint": "nets/a.safetensors"})
    found = check_upload(changed, {}, settings(data_root=tmp_path))
    place = str(tmp_path / "nets" / "a.safetensors")
    assert found.spec.task.checkpoint == place
    assert found.changes == (f'task.checkpoint="{place}"',)
