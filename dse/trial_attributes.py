"""Names of what a trial carries besides Optuna's own fields; importable without Optuna."""

from __future__ import annotations

from typing import Any, Protocol

DESIGN = "design"
"""User attribute of a trial: which design it evaluates; its entry `draw` counts the designs."""
METRICS = "metrics"
STAGES = "stages"
SECONDS = "seconds"
ERROR = "error"
DUPLICATE_OF = "duplicate_of"
LOST = "lost"
RUNG_RESULT = "rung"
"""Result of a trial below the last rung: `fidelity` and `values`. It is no result of the study."""
RULED_OUT = "ruled_out"
"""Of a design that breaks a constraint: `reason`, and whether it was `trained` at all."""

RETRY_OF = "retry_of"
PROMOTED_FROM = "promoted_from"
NESTED_IN = "nested_in"
"""Entries of the attribute `design`: the trial that a trial follows, tried again, evaluated
better, or swept from the same network."""
RUNG = "rung"
"""Entry of the attribute `design`: which rung; the first if left out."""
SWEEP = "sweep"
NETWORK = "network"
"""Entries of the attribute `design` in a nested search: whether the trial sweeps the hardware of
its network, and the network's digest."""

DRIVER = "driver"
"""Entry of the attribute `design` where several drivers share a study: the lease of the one that
runs the trial."""

SPEC = "dse:spec"
SAMPLER = "dse:sampler"
"""Attributes of a study: its spec; and what the study file asks for as sampler (`asked`), with why
it became the sampler of the spec (`why`)."""

RUNNING, COMPLETE, PRUNED, FAIL, WAITING = range(5)
"""States of a trial, as `optuna.trial.TrialState` numbers them."""
STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")


class StoredTrial(Protocol):
    """What is asked of a trial, Optuna's or one that was read column by column."""

    @property
    def number(self) -> int: ...  # noqa: D102

    @property
    def state(self) -> int: ...  # noqa: D102

    @property
    def user_attrs(self) -> dict[str, Any]: ...  # noqa: D102


class ResultTrial(StoredTrial, Protocol):
    """What it came to."""

    @property
    def values(self) -> Any: ...  # noqa: D102

    @property
    def constraints(self) -> dict[str, float]: ...  # noqa: D102


class ShownTrial(StoredTrial, Protocol):
    """What a report shows of it."""

    @property
    def values(self) -> Any: ...  # noqa: D102

    @property
    def params(self) -> dict[str, Any]: ...  # noqa: D102


def design_of(trial: StoredTrial) -> dict[str, Any] | None:
    """The attribute `design` of a trial that was drawn to its end."""
    design: dict[str, Any] | None = trial.user_attrs.get(DESIGN)
    return design


def is_result(trial: StoredTrial) -> bool:
    """Whether the trial holds the result of a design, and not a copy of one."""
    return trial.state == COMPLETE and DUPLICATE_OF not in trial.user_attrs


def is_given(trial: StoredTrial, n_given: int) -> bool:
    """Whether the trial is the result of one of the designs that the study file gives."""
    design = design_of(trial)
    return (
        is_result(trial)
        and design is not None
        and design["draw"] < n_given
        and NESTED_IN not in design
    )
