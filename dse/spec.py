"""StudySpec: a study file as a checked, frozen value."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator

from dse.catalogue import design_space
from dse.errors import SpecError
from dse.objectives import Constraint, Objective
from dse.published_points import place_given
from dse.spec_sections import (
    FIRST_PROMOTION,
    NAME,
    BudgetSpec,
    LaunchSpec,
    SamplerSpec,
    SearchSpec,
    Section,
    TaskSpec,
    TrainingSpec,
    WarmStartSpec,
)
from dse.spec_yaml import read_yaml
from search_spaces.domains import Value
from search_spaces.draw import DesignSpace
from search_spaces.narrowing import NarrowingError


class StudySpec(Section):
    """A study: what is free, what is wanted, how to search and where to run."""

    name: Annotated[str, Field(pattern=NAME)]
    task: TaskSpec
    fixed: dict[str, Any] = Field(default_factory=dict)
    space: dict[str, Any] = Field(default_factory=dict)
    points: tuple[dict[str, Any], ...] = ()
    warm_start: WarmStartSpec | None = None
    objectives: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    sampler: SamplerSpec = SamplerSpec()
    search: SearchSpec = SearchSpec()
    budget: BudgetSpec = BudgetSpec()
    training: TrainingSpec = TrainingSpec()
    launch: LaunchSpec = LaunchSpec()
    folders: tuple[str, ...] = ()

    @field_validator("task", "sampler", "search", "launch", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("points", "objectives", "constraints", "folders", mode="before")
    @classmethod
    def _tuples(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @classmethod
    def from_yaml(cls, path: Path, overrides: Sequence[str] = ()) -> StudySpec:
        """Read a study file.

        Args:
            path: The file.
            overrides: `path=value` each, the value as YAML; as `--set` gives them.

        Raises:
            SpecError: Not readable, not YAML, or it says what cannot hold.
        """
        data = read_yaml(path)
        for override in overrides:
            _override(data, override)
        spec = cls.from_mapping(data, where=path.name)
        return spec._at(path.resolve().parent)

    @classmethod
    def from_stored(cls, data: Mapping[str, Any], *, where: str) -> StudySpec:
        """Check a study as a database holds it, perhaps from before something could be chosen.

        Raises:
            SpecError: It says what cannot hold.
        """
        budget = data["budget"]
        if budget.get("rungs"):
            data = {**data, "budget": {"promotion": FIRST_PROMOTION, **budget}}
        return cls.from_mapping(data, where=where)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], *, where: str) -> StudySpec:
        """Check a study that was read already.

        Raises:
            SpecError: It says what cannot hold.
        """
        try:
            spec = cls.model_validate(dict(data))
        except ValidationError as error:
            raise SpecError(f"{where}: {_first(error)}") from None
        spec._check(where)
        return spec

    def design_space(self) -> DesignSpace:
        """What is free and what is fixed."""
        return design_space(f"study {self.name}", self.fixed, self.space, self.points)

    def parsed_objectives(self) -> tuple[Objective, ...]:
        """The objectives."""
        return tuple(Objective.parse(text) for text in self.objectives)

    def parsed_constraints(self) -> tuple[Constraint, ...]:
        """The constraints."""
        return tuple(Constraint.parse(text) for text in self.constraints)

    def given_points(self, space: DesignSpace) -> tuple[dict[str, Value], ...]:
        """Free knobs of the designs that are evaluated first."""
        return tuple(place_given(space, point) for point in self.points)

    def identity(self) -> dict[str, Any]:
        """What the trials of a study have in common; may not change when it continues.

        Budget (its epochs excepted), launching and the place of the data may.
        """
        start = self.warm_start
        return {
            "name": self.name,
            "task": self.task.identity(),
            "domains": {
                path: str(domain) for path, domain in sorted(self.design_space().domains.items())
            },
            "objectives": [str(o) for o in self.parsed_objectives()],
            "constraints": [str(c) for c in self.parsed_constraints()],
            "sampler": self.sampler.model_dump(),
            "epochs": self.budget.epochs,
            "short_epochs": self.budget.short_epochs,
            "fidelity": self.budget.fidelity,
            "training": self.training.identity(),
            **self.budget.refinements(),
            **({} if self.search.name == "flat" else {"search": self.search.model_dump()}),
            **({} if start is None else {"warm_start": start.model_dump(exclude={"database"})}),
        }

    def digest(self) -> str:
        """Digest of the identity."""
        canonical = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def _check(self, where: str) -> None:
        task = self.task
        if (task.name is None) == (task.model is None):
            raise SpecError(
                f"{where}: task: give the name of a task, or 'model: package.module:factory' with "
                f"'data'; got {task.model_dump(exclude_none=True) or 'nothing'}"
            )
        if task.model is not None and task.data is None:
            raise SpecError(f"{where}: task.data: a network of your own needs its data set's name")
        if task.name is not None and task.data:
            raise SpecError(
                f"{where}: task: {task.name!r} brings its own data; 'data' goes with 'model'"
            )
        if (task.mean is None) != (task.std is None):
            raise SpecError(
                f"{where}: task: 'mean' and 'std' go together, one number of each per channel; "
                f"got only {'std' if task.mean is None else 'mean'!r}"
            )
        if not self.objectives:
            raise SpecError(f"{where}: objectives: at least one, such as 'maximize accuracy'")
        try:
            names = [objective.name for objective in self.parsed_objectives()]
            self.parsed_constraints()
        except SpecError as error:
            raise SpecError(f"{where}: {error}") from None
        if len(set(names)) < len(names):
            raise SpecError(f"{where}: objectives: every metric once, got {', '.join(names)}")
        space = design_space(where, self.fixed, self.space, self.points)
        if not space.free():
            raise SpecError(
                f"{where}: space: leaves nothing to choose; give a knob a list or a range"
            )
        self._check_warm_start(where)
        try:
            self.given_points(space)
        except NarrowingError as error:
            raise SpecError(f"{where}: {error}") from None

    def _check_warm_start(self, where: str) -> None:
        start = self.warm_start
        if start is None:
            return
        if start.database is None and start.study == self.name:
            raise SpecError(
                f"{where}: warm_start.study: a study cannot start from itself; name another one, "
                "or give the database of the other one"
            )
        if start.database is not None and urlsplit(start.database).password is not None:
            raise SpecError(
                f"{where}: warm_start.database: its password would be stored in the study; leave "
                "it out of the URL and give it as PGPASSWORD or in ~/.pgpass"
            )

    def _at(self, folder: Path) -> StudySpec:
        """With paths that hold wherever the study continues."""
        task = self.task
        places = {
            field: str((folder / Path(text).expanduser()).resolve())
            for field, text in (("checkpoint", task.checkpoint), ("data_folder", task.data_folder))
            if text is not None
        }
        return self.model_copy(
            update={
                "task": task.model_copy(update=places),
                "folders": tuple(dict.fromkeys((*self.folders, str(folder), str(Path.cwd())))),
            }
        )


def _override(data: dict[str, Any], text: str) -> None:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise SpecError(f"--set takes path=value such as budget.trials=20, got {text!r}")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SpecError(f"--set {text}: the value is not YAML: {error}") from None
    section, dot, rest = path.partition(".")
    if section in ("fixed", "space") and dot:
        data.setdefault(section, {})[rest] = parsed
        return
    here = data
    *sections, last = path.split(".")
    for name in sections:
        inner = here.setdefault(name, {})
        if isinstance(inner, str):  # `task: mlp_mnist` is short for `task: {name: mlp_mnist}`
            inner = here[name] = {"name": inner}
        if not isinstance(inner, dict):
            raise SpecError(f"--set {text}: {name!r} is no section of the study file")
        here = inner
    here[last] = parsed


def _first(error: ValidationError) -> str:
    """The first complaint, as one line with its path."""
    problem = error.errors(include_url=False)[0]
    path = [str(part) for part in problem["loc"] if not str(part).startswith("literal[")]
    where = ".".join(path)
    if problem["type"] == "extra_forbidden":
        known = _known_fields(path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{where}: there is no such entry; {hint}Entries: {', '.join(known)}"
    if problem["type"] == "missing":
        return f"{where}: is missing"
    if problem["type"] == "string_pattern_mismatch":
        return (
            f"{where}: letters, digits, '.', '_' and '-', a letter or digit first, at most 100; "
            f"got {problem['input']!r}"
        )
    if problem["type"] == "value_error":  # of ours, complete with what came
        return f"{where}.{problem['ctx']['error']}"
    return f"{where}: {problem['msg']}, got {problem['input']!r}"


def _known_fields(path: Sequence[str]) -> list[str]:
    section: type[BaseModel] = StudySpec
    for part in path:
        annotation = section.model_fields[part].annotation
        if not isinstance(annotation, type):  # `WarmStartSpec | None`
            annotation = get_args(annotation)[0]
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        section = annotation
    return sorted(set(section.model_fields) - {"folders"})
