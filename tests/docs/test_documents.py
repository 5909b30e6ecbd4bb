"""Every command, study file and piece of Python of the documents."""

from __future__ import annotations

import doctest
import json
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
import pytest

import dse
import dse.cli.app
from dse.cli.study_files import read_study_file
from dse.spec import StudySpec
from dse.spec_yaml import read_yaml
from tests.docs.documents import DOCUMENTS, ROOT, Block, blocks, spans
from tests.docs.not_run import A_TRIAL, NEVER, NOT_RUN, SCRIPTS
from tests.docs.running import (
    check_span,
    help_of,
    make_targets,
    parse,
    run_dse,
    run_program,
    words_of,
)

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

PROGRAMS = ("optuna",)
"""Installed with dse, and run as they stand."""

FRAGMENT = ROOT / "studies" / "joint_mlp.yaml"
"""What completes a block that is a part of a study file: all stages are free in it."""

COMMANDS = [
    (block, command)
    for document in DOCUMENTS
    for block in blocks(document)
    if block.language in ("console", "bash")
    for command in block.commands()
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_shows_runs(
    document: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("document")
    monkeypatch.setitem(sys.modules, "document", module)
    names = module.__dict__
    for block in blocks(document):
        try:
            _run(block, folder, names)
        except BaseException as error:
            error.add_note(f"in {block.where}")
            raise


def _run(block: Block, folder: Path, names: dict[str, Any]) -> None:
    if block.file is not None:
        (folder / block.file).write_text(block.text, encoding="utf-8")
        if block.language == "python":
            compile(block.text, block.where, "exec")
            return  # whoever imports it runs it
    if block.language == "yaml":
        _check_study(block, folder)
    elif block.language == "python":
        text = re.sub(r"explain\(\d+\)", f"explain({A_TRIAL})", block.text)
        sys.path.insert(0, str(folder))  # as in a notebook or a script
        try:
            exec(compile(text, block.where, "exec"), names)
        finally:
            sys.path.remove(str(folder))
            plt.close("all")
    elif block.language == "json":
        for line in block.text.splitlines():
            json.loads(line)
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "console":
        for command in block.commands():
            if command not in NOT_RUN:
                _execute(command)
    elif block.language == "bash":
        assert block.document in SCRIPTS, "use console, or list it in tests/docs/not_run.py"
    else:
        assert block.language == "text", f"what is {block.language!r}?"


def _check_study(block: Block, folder: Path) -> None:
    if block.file is not None:
        read_study_file(folder / block.file)
        return
    file = folder / "block.yaml"
    file.write_text(block.text, encoding="utf-8")
    study = read_yaml(file)
    StudySpec.from_mapping(
        study if "name" in study else {**read_yaml(FRAGMENT), **study}, where=block.where
    )


def _execute(command: str) -> None:
    program, *words = words_of(command)
    if program == "dse":
        assert words[0] not in NEVER, f"{command}: list it in tests/docs/not_run.py, with a reason"
        try:
            run_dse(words)
        except BaseException as error:
            error.add_note(f"$ {command}")
            raise
    else:
        assert program in PROGRAMS, f"{command}: neither run nor listed in tests/docs/not_run.py"
        run_program([program, *words])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_their_options_exist(document: str) -> None:
    for block, command in COMMANDS:
        program, *words = words_of(command)
        if block.document != document:
            continue
        try:
            if program == "dse":
                parse(words)
            elif program == "make":
                assert set(words) <= make_targets()
        except Exception as error:
            error.add_note(f"{block.where}: {command}")
            raise
    for span in spans(document):
        words = [word for word in words_of(span)[1:] if word not in ("...", "…")]
        if words and words[0].islower():
            check_span(words)


@pytest.mark.parametrize("name", list(dse.cli.app.COMMANDS))
def test_the_example_in_the_help_of_a_command_can_be_read(name: str) -> None:
    _, found, example = help_of(name).partition("Example: dse ")
    assert found, f"dse {name} --help has no example"
    words = words_of(example)
    assert words[0] == name
    parse(words)


def test_the_examples_in_docstrings_run(folder: Path) -> None:
    finder = doctest.DocTestFinder(recurse=False)
    examples = [each for each in finder.find(dse.load, "load", globs={}) if each.examples]
    assert examples
    for example in examples:
        assert doctest.DocTestRunner().run(example).failed == 0


def test_whatever_is_not_run_still_stands_in_a_document() -> None:
    gone = set(NOT_RUN) - {command for _, command in COMMANDS}
    gone |= set(SCRIPTS) - {block.document for block, _ in COMMANDS if block.language == "bash"}
    assert not gone, f"take out of tests/docs/not_run.py: {sorted(gone)}"


def test_every_study_is_in_the_table_of_studies_and_can_be_read() -> None:
    text = (ROOT / "studies" / "README.md").read_text()
    files = sorted(file.name for file in (ROOT / "studies").glob("*.yaml"))
    assert sorted(set(re.findall(r"`(\w+\.yaml)`", text))) == files
    for name in files:
        assert StudySpec.from_yaml(ROOT / "studies" / name).name


def test_a_study_file_with_a_mistake_would_not_pass(folder: Path) -> None:
    block = Block(document="D", line=1, language="yaml", text="budget: {trails: 4}\n")
    with pytest.raises(Exception, match="trails"):
        _run(block, folder, {})
    block = Block(document="D", line=1, language="console", text="$ dse pareto no-such-study\n")
    with pytest.raises(Exception, match="no-such-study"):
        _run(block, folder, {})
    block = Block(document="D", line=1, language="console", text="$ curl example.org  # fetch\n")
    with pytest.raises(AssertionError, match=r"^curl example.org: neither run nor listed"):
        _run(block, folder, {})
    with pytest.raises(Exception, match="No such option: --plto"):
        parse(["pareto", "quickstart", "--plto", "x.png"])
