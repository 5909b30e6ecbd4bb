"""The sections of a study file, each a checked, frozen value."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
Fidelity = Literal["post_training", "short", "full"]
"""How thoroughly a design is evaluated, the cheapest first."""


class Section(BaseModel):
    """Entries of a study file: checked, frozen, and none besides those it knows."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TaskSpec(Section):
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


class SamplerSpec(Section):
    """Which sampler proposes designs, with settings of its own beside these.

    Attributes:
        name: An installed sampler, `module:factory`, or `auto` for one that suits the study.
        seed: Of every random number of the search.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    def settings(self) -> dict[str, Any]:
        """Settings that the sampler itself understands."""
        return dict(self.model_extra or {})


FIRST_PROMOTION = "rank"
"""How designs were promoted before studies said so."""


class BudgetSpec(Section):
    """How much may be spent.

    Attributes:
        trials: Designs to evaluate.
        epochs: Epochs of fine-tuning in each evaluation; 0 quantises without training.
        short_epochs: The same at fidelity `short`.
        fidelity: `full`; `short` fine-tunes for `short_epochs`, pruning in one round;
            `post_training` does not train at all after pre-training.
        rungs: Several fidelities, the cheapest first and `full` last: every design starts on the
            first rung, and the best of a rung are evaluated again on the next one.
        reduction: One of so many designs of a rung goes on to the next.
        promotion: Which design goes on: the best by non-dominated `rank` and crowding, or the one
            that is `expected` to add most hypervolume, once enough have gone on to tell.
        stop_hopeless: End a fine-tuning that cannot meet an accuracy constraint any more.
    """

    trials: Annotated[int, Field(ge=1)] = 100
    epochs: Annotated[int, Field(ge=0, le=10_000)] = 5
    short_epochs: Annotated[int, Field(ge=0, le=10_000)] = 1
    fidelity: Fidelity = "full"
    rungs: tuple[Fidelity, ...] = ()
    reduction: Annotated[int, Field(ge=2, le=100)] = 3
    promotion: Literal["rank", "expected"] = "expected"
    stop_hopeless: bool = False

    @field_validator("rungs", mode="before")
    @classmethod
    def _tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _rungs_ascend(self) -> BudgetSpec:
        order = get_args(Fidelity)
        if not self.rungs:
            return self
        places = [order.index(rung) for rung in self.rungs]
        if places != sorted(set(places)) or self.rungs[-1] != "full" or len(places) < 2:
            raise ValueError(
                "rungs: two or three of post_training, short, full, in this order and with full "
                f"at the end, not {', '.join(self.rungs)}"
            )
        if self.fidelity != "full":
            raise ValueError(
                f"rungs: they end with full, not {self.fidelity}; leave budget.fidelity out"
            )
        return self

    def ladder(self) -> tuple[Fidelity, ...]:
        """Fidelities that a design goes through, the cheapest first."""
        return self.rungs or (self.fidelity,)

    def epochs_at(self, fidelity: Fidelity) -> int:
        """Epochs of fine-tuning."""
        return {"full": self.epochs, "short": self.short_epochs, "post_training": 0}[fidelity]

    def refinements(self) -> dict[str, Any]:
        """What else a result depends on, where it is not left at its default."""
        found: dict[str, Any] = {}
        if self.rungs:
            found |= {
                "rungs": list(self.rungs),
                "reduction": self.reduction,
                "promotion": self.promotion,
            }
        if self.stop_hopeless:
            found["stop_hopeless"] = True
        return found


class SearchSpec(Section):
    """What one trial looks at.

    Attributes:
        name: `flat`: one design. `nested`: also every hardware choice that leaves its network
            unchanged; the non-dominated ones become trials of their own.
        simulations: Most simulations of ADC resolutions for one network of a nested search.
    """

    name: Literal["flat", "nested"] = "flat"
    simulations: Annotated[int, Field(ge=1, le=100_000)] = 200


class TrainingSpec(Section):
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


class LaunchSpec(Section):
    """Where evaluations run.

    Attributes:
        name: `ray`; `serial` for this process; `tune` for Ray Tune.
        workers: Evaluations at the same time; `auto` fills the machine or cluster.
        cpus_per_trial: CPUs, and torch threads, of one evaluation.
        gpus_per_trial: GPUs of one evaluation, fractions included; Ray hides the others.
        resources: What else one evaluation takes on its node, by the names that the nodes were
            started with; `memory` in bytes.
        address: Ray cluster; a local one is started if left out.
        attempts: How often a design is tried whose worker dies.
        lane: `expensive` tells designs one by one, `cheap` in batches; `auto` measures the first
            ones, and stays with what it found.
        trial_timeout_s: Seconds after which an evaluation is stopped and its design fails.
        database_patience_s: So long a run waits for a database that does not answer.
        scheduler: With `tune`: `asha` evaluates every design at growing fidelity and stops those
            that fall behind in the first objective.
        store: URL (fsspec) of a folder through which nodes without a common disk share results
            of stages.
        join: Share the study with other drivers that were started so, in PostgreSQL.
    """

    name: Literal["ray", "serial", "tune"] = "ray"
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    cpus_per_trial: Annotated[int, Field(ge=1)] = 1
    gpus_per_trial: Annotated[float, Field(ge=0)] = 0.0
    resources: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    address: str | None = None
    attempts: Annotated[int, Field(ge=1)] = 3
    lane: Literal["auto", "expensive", "cheap"] = "auto"
    trial_timeout_s: Annotated[float, Field(gt=0)] | None = None
    database_patience_s: Annotated[float, Field(ge=0)] = 600.0
    scheduler: Literal["fifo", "asha"] = "fifo"
    store: str | None = None
    join: bool = False

    @model_validator(mode="after")
    def _resources_and_store(self) -> LaunchSpec:
        for name in self.resources:
            if name.upper() in ("CPU", "GPU"):
                raise ValueError(
                    f"resources: {name} has an entry of its own, launch.{name.lower()}s_per_trial"
                )
        if self.store is not None and "://" not in self.store:
            raise ValueError(
                f"store: a URL such as file:///mnt/stages or s3://bucket/stages, got {self.store}"
            )
        if self.name == "tune" and self.trial_timeout_s is not None:
            raise ValueError("trial_timeout_s: Ray Tune has none; use launch.name: ray")
        if self.name == "tune" and self.join:
            raise ValueError(
                "join: drivers of Ray Tune do not share a study; use launch.name: ray"
            )
        if self.name != "tune" and self.scheduler != "fifo":
            raise ValueError(f"scheduler: {self.scheduler} goes with launch.name: tune")
        return self


class WarmStartSpec(Section):
    """Another study, whose best designs are evaluated first.

    Attributes:
        study: Its name.
        database: URL of its database; that of the new study if left out.
        designs: How many of its designs.
    """

    study: Annotated[str, Field(pattern=NAME)]
    database: str | None = None
    designs: Annotated[int, Field(ge=1, le=1000)] = 10
