"""check_upload(): a study file that came through the page, checked as `dse run --dry-run` does."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from dse.errors import SpecError
from dse.plugins import installed, load
from dse.samplers.auto import choose_sampler
from dse.serving.settings import ServeSettings
from dse.spec import StudySpec
from dse.spec_yaml import parse_yaml

FILE = "study.yaml"
_DEPTH, _ENTRIES = 20, 20_000
_PLAIN = 1000
_WIDTH = 110
_PLUGINS = ("task", "fixed", "space", "points", "sampler")
"""Sections in which a name may be `module:attribute`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A study file that may be run.

    Attributes:
        text: As it came.
        spec: What it says, with the changes.
        changes: `path=value` each, as `dse run --set` takes them.
    """

    text: str
    spec: StudySpec
    changes: tuple[str, ...]

    def described(self) -> str:
        """What `dse run --dry-run` prints."""
        from rich.console import Console

        from dse.reporting.describe import describe_spec

        out = StringIO()
        Console(file=out, width=_WIDTH, markup=False, highlight=False, no_color=True).print(
            describe_spec(self.spec)
        )
        return out.getvalue()


def check_upload(text: str, changes: Mapping[str, Any], settings: ServeSettings) -> Upload:
    """Check a study file before any of it is believed.

    Args:
        text: YAML.
        changes: Entries that are replaced, such as `budget.trials`; None leaves one as it is.
        settings: Say what it may name.

    Raises:
        SpecError: It is no study file, says what cannot hold, or what this server does not allow.
        PluginError: It names a technique that is not installed.
    """
    data = parse_yaml(text, FILE, _refuse_large)
    if not settings.allow_code:
        _refuse_code(data)
    wanted = {path: value for path, value in changes.items() if value is not None}
    wanted |= _data_places(data, settings.data_root)
    sets = tuple(f"{path}={json.dumps(value)}" for path, value in wanted.items())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        file.write_text(text, encoding="utf-8")
        spec = StudySpec.from_yaml(file, sets)
    _require("dse.tasks", spec.task.name)
    _require("dse.datasets", spec.task.data)
    _require("dse.samplers", choose_sampler(spec).spec.name)
    return Upload(text=text, spec=spec, changes=sets)


def _require(group: str, name: str | None) -> None:
    """Make sure that a name is installed; what it stands for is not imported.

    Raises:
        PluginError: It is not.
    """
    if name is not None and ":" not in name and name not in installed(group):
        load(group, name)


def _refuse_large(text: str) -> None:
    """Refuse what is deep, long, or has references, which may multiply.

    Raises:
        SpecError: The text is such.
        yaml.YAMLError: It is not YAML.
    """
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if number > _ENTRIES:
            raise SpecError(f"{FILE}: a study file has at most {_ENTRIES} entries")
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise SpecError(
                f"{FILE}:{line}: a study file that is sent to the "
                f"server has no references, got *{event.anchor}; write the value out"
            )
        if (
            isinstance(event, yaml.ScalarEvent)
            and event.style is None
            and len(event.value) > _PLAIN
        ):
            raise SpecError(
                f"{FILE}: a value without quotes has at most {_PLAIN} characters, got "
                f"{len(event.value)}; quote a longer text"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEPTH:
            raise SpecError(f"{FILE}: lists and sections are at most {_DEPTH} levels deep")


def _refuse_code(data: Mapping[str, Any]) -> None:
    """Refuse what would import a module, or reach another machine.

    Raises:
        SpecError: The file names such a thing.
    """
    for section in _PLUGINS:
        for path, word in _words(section, data.get(section)):
            if ":" in word:
                raise _not_allowed(path, word, "code by module:attribute")
    task = data.get("task")
    if isinstance(task, dict) and task.get("model") is not None:
        raise _not_allowed("task.model", task["model"], "code by module:attribute")
    if data.get("folders"):
        raise _not_allowed("folders", data["folders"], "folders of code")
    launch = data.get("launch")
    if isinstance(launch, dict):
        if launch.get("address") not in (None, "auto"):
            raise _not_allowed("launch.address", launch["address"], "the address of a cluster")
        if launch.get("store") is not None:
            raise _not_allowed("launch.store", launch["store"], "the place of a store")
    start = data.get("warm_start")
    if isinstance(start, dict) and start.get("database") is not None:
        raise _not_allowed("warm_start.database", start["database"], "another database")


def _not_allowed(path: str, value: Any, what: str) -> SpecError:
    return SpecError(
        f"{FILE}: {path}: this server takes {what} from no study file that is sent to it, got "
        f"{value!r}. Leave it out or name something installed, run the study with `dse run` on "
        "the server's machine, or start the server with --allow-code"
    )


def _data_places(data: Mapping[str, Any], root: Path | None) -> dict[str, Any]:
    """Where checkpoint and data lie, as absolute paths below the server's data folder.

    Raises:
        SpecError: They lie elsewhere, or the server has no such folder.
    """
    task = data.get("task")
    if not isinstance(task, dict):
        return {}
    found = {}
    for entry in ("checkpoint", "data_folder"):
        given = task.get(entry)
        if not isinstance(given, str):
            continue  # left out; or no text, which the check of the file refuses
        if root is None:
            raise SpecError(
                f"{FILE}: task.{entry}: this server reads no files for studies that are sent to "
                f"it, got {given!r}. Leave it out (data come from DSE_DATA or with the package), "
                "or start the server with --data-root DIR and name a place below it"
            )
        try:
            place = (root / given).resolve()
        except (OSError, ValueError, RuntimeError):  # a NUL in it, a loop of links
            place = Path("/")
        if not place.is_relative_to(root):
            raise SpecError(
                f"{FILE}: task.{entry}: is a place below the server's --data-root {root}, got "
                f"{given!r}"
            )
        found[f"task.{entry}"] = str(place)
    return found


def _words(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every text in a section, keys among them, with where it stands."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield path, str(key)
            yield from _words(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(path, inner)
