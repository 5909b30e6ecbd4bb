"""What the API takes and gives, for its OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dse.serving.state import Action, Name


class Model(BaseModel):
    """Frozen, and nothing besides what it knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(Model):
    """What went wrong: what should hold, what came, what to do."""

    detail: str


class RunInfo(Model):
    """The last run of a study that this server, or one before it, started."""

    action: str
    host: str
    pid: int
    at: Annotated[str, Field(description="When it was started, UTC, ISO 8601.")]
    alive: bool
    exit_code: Annotated[int | None, Field(description="Null while it runs, or if unknown.")]


class StudySummary(Model):
    """A study and what may be done with it."""

    name: str
    made_by_dse: bool
    state: Name | None
    why: Annotated[str, Field(description="A sentence on the state.")]
    actions: list[Action]
    objectives: list[str]
    n_trials: dict[str, int]
    done: Annotated[int, Field(description="Designs that count towards the budget.")]
    budget: int | None
    version: Annotated[str, Field(description="Changes whenever the study does.")]
    run: RunInfo | None


class StudyList(Model):
    """The studies of the database."""

    database: str
    studies: list[StudySummary]


class ServerInfo(Model):
    """What this server is, and what it allows."""

    version: str
    database: str
    allow_code: bool
    data_root: str | None
    token_needed: bool
    max_runs: int
    max_body_bytes: int
    tasks: list[str]
    samplers: list[str]


class Changes(BaseModel):
    """Entries of the study file that are replaced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    trials: Annotated[int | None, Field(ge=1, le=10**9, description="budget.trials")] = None
    workers: Annotated[int | None, Field(ge=1, le=10_000, description="launch.workers")] = None
    launch: Annotated[
        str | None, Field(pattern="^(serial|ray|tune)$", description="launch.name")
    ] = None

    def entries(self) -> dict[str, Any]:
        """By their paths in the study file."""
        return {
            "budget.trials": self.trials,
            "launch.workers": self.workers,
            "launch.name": self.launch,
        }


class StudyFile(Changes):
    """A study file, as YAML, with changes."""

    text: Annotated[str, Field(min_length=1, description="The study file.")]


class Resume(Changes):
    """How a study goes on."""

    timeout_s: Annotated[
        float | None, Field(ge=0, le=1e9, description="After which no design is started.")
    ] = None


class Checked(Model):
    """A study file that may be run."""

    name: str
    exists: Annotated[bool, Field(description="Whether the database holds a study of that name.")]
    described: Annotated[str, Field(description="What `dse run --dry-run` prints.")]


class Started(Model):
    """A run that was started."""

    name: str
    run: RunInfo


class FileOfStudy(Model):
    """A study as a study file: as it was sent, or as the database holds it."""

    name: str
    text: str


class Told(Model):
    """What was done."""

    name: str
    told: str


class LogPart(Model):
    """A part of a log."""

    text: str
    offset: Annotated[int, Field(ge=0, description="Of the first byte of the text.")]
    next: Annotated[int, Field(ge=0, description="Offset to ask for next.")]
    size: Annotated[int, Field(ge=0, description="Bytes in all.")]
    kept: Annotated[bool, Field(description="Whether there is a log: of runs started here.")]


class TrialPart(Model):
    """Some trials."""

    study: str
    version: str
    matching: Annotated[int, Field(ge=0, description="Trials that meet the conditions.")]
    offset: int
    trials: list[dict[str, Any]]
