"""StudySpec: a study file as a checked, frozen value."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dse.catalogue import design_space
from dse.errors import SpecError
from dse.objectives import Constraint, Objective
from dse.published_points import place_given
from dse.spec_yaml import read_yaml
from search_spaces.domains import Value
from search_spaces.draw import DesignSpace
from search_spaces.narrowing import NarrowingError

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TaskSpec(_Section):
    """The network and the data.

    Attributes:
        name: An installed task; instead of `model`.
        model: `package.module:factory` of the user's own network.
        data: Data set of `model`.
        checkpoint: Trained weights (safetensors); without them the network is trained.
        mean: What the checkpoint's training subtracted from `pixel / 255`, per channel; with
            `std`. The data set's own when left out.
        std: What it divided by.
        data_folder: Where the data lie, if not in `DSE_DATA` or shipped.
        train_images: Use the first so many of a fixed permutation; all when left out.
        test_images: Likewise.
    """

    name: str | None = None
    model: str | None = None
    data: str | None = None
    checkpoint: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    data_folder: str | None = None
    train_images: Annotated[int, Field(ge=100)] | None = None
    test_images: Annotated[int, Field(ge=1)] | None = None

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _tuples(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    def identity(self) -> dict[str, Any]:
        """What a result depends on: all but the place of the data."""
        return self.model_dump(exclude={"data_folder"}, exclude_none=True)


class SamplerSpec(_Section):
    """Which sampler proposes designs, with settings of its own beside these."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str = "tpe"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    def settings(self) -> dict[str, Any]:
        """Settings that the sampler itself understands."""
        return dict(self.model_extra or {})


class BudgetSpec(_Section):
    """How much may be spent.

    Attributes:
        trials: Designs to evaluate.
        epochs: Epochs of fine-tuning in each evaluation; 0 quantises without training.
        short_epochs: The same at fidelity `short`.
        fidelity: `full`; `short` fine-tunes for `short_epochs`, pruning in one round;
            `post_training` does not train at all after pre-training.
    """

    trials: Annotated[int, Field(ge=1)] = 100
    epochs: Annotated[int, Field(ge=0, le=10_000)] = 5
    short_epochs: Annotated[int, Field(ge=0, le=10_000)] = 1
    fidelity: Literal["full", "short", "post_training"] = "full"


class TrainingSpec(_Section):
    """How networks are trained.

    Attributes:
        seed: Seed of initial weights, of the validation split and of the order of the images, and
            of device effects.
        pretrain_epochs: Epochs of the network before compression; the task's own if left out.
        images_per_epoch: Of the training images, drawn anew for every epoch; all if left out.
        batch_norm: `digital` computes it beside the crossbars; `folded` multiplies it into the
            weights before they are quantised.
        device: Where to train and simulate: `auto` takes a GPU if this process sees one.
    """

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    pretrain_epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    images_per_epoch: Annotated[int, Field(ge=100)] | None = None
    batch_norm: Literal["digital", "folded"] = "digital"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def identity(self) -> dict[str, Any]:
        """What a result depends on: all but the device."""
        return self.model_dump(exclude={"device"})


class LaunchSpec(_Section):
    """Where evaluations run.

    Attributes:
        name: `ray`, or `serial` for this process.
        workers: Evaluations at the same time; `auto` fills the machine or cluster.
        cpus_per_trial: CPUs, and torch threads, of one evaluation.
        gpus_per_trial: GPUs of one evaluation, fractions included; Ray hides the others.
        address: Ray cluster; a local one is started if left out.
        attempts: How often a design is tried whose worker dies.
    """

    name: Literal["ray", "serial"] = "ray"
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    cpus_per_trial: Annotated[int, Field(ge=1)] = 1
    gpus_per_trial: Annotated[float, Field(ge=0)] = 0.0
    address: str | None = None
    attempts: Annotated[int, Field(ge=1)] = 3


class WarmStartSpec(_Section):
    """Another study, whose best designs are evaluated first.

    Attributes:
        study: Its name.
        database: URL of its database; that of the new study if left out.
        designs: How many of its designs.
    """

    study: Annotated[str, Field(pattern=NAME)]
    database: str | None = None
    designs: Annotated[int, Field(ge=1, le=1000)] = 10


class StudySpec(_Section):
    """A study: what is free, what is wanted, how to search and where to run."""

    name: Annotated[str, Field(pattern=NAME)]
    task: TaskSpec
    fixed: dict[str, Any] = {}
    space: dict[str, Any] = {}
    points: tuple[dict[str, Any], ...] = ()
    warm_start: WarmStartSpec | None = None
    objectives: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    sampler: SamplerSpec = SamplerSpec()
    budget: BudgetSpec = BudgetSpec()
    training: TrainingSpec = TrainingSpec()
    launch: LaunchSpec = LaunchSpec()
    folders: tuple[str, ...] = ()

    @field_validator("task", mode="before")
    @classmethod
    def _task(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("sampler", mode="before")
    @classmethod
    def _sampler(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("launch", mode="before")
    @classmethod
    def _launch(cls, value: Any) -> Any:
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
