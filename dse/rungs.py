"""Rungs: how far every design has climbed, and which one is due for the next fidelity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dse.objectives import Objective
from dse.promotion import RungResult, is_due, next_promotion
from dse.savings import COMPRESS
from dse.spec_sections import BudgetSpec, Fidelity
from dse.trial_attributes import (
    COMPLETE,
    DUPLICATE_OF,
    FAIL,
    LOST,
    NESTED_IN,
    PROMOTED_FROM,
    PRUNED,
    RULED_OUT,
    RUNG,
    RUNG_RESULT,
    STAGES,
    ResultTrial,
    design_of,
)
from search_spaces.domains import is_single, only_value

if TYPE_CHECKING:
    import optuna

    from dse.spec import StudySpec
    from search_spaces.draw import DesignSpace


class Rungs:
    """The ladder of a study, as its trials tell; no state besides.

    Args:
        budget: Names the rungs; a study without has one.
        objectives: Of the study.
        choose: Which of some trials promises most, None if that cannot be told; left out, rank
            decides.
        shares_training: Whether designs that differ in hardware only need one training.
    """

    def __init__(
        self,
        budget: BudgetSpec,
        objectives: Sequence[Objective],
        *,
        choose: Callable[[Sequence[int]], int | None] | None = None,
        shares_training: bool = True,
    ) -> None:
        self._choose = choose
        self._shares_training = shares_training
        self.ladder = budget.ladder()
        self._reduction = budget.reduction
        self._signs = [1.0 if o.direction == "minimize" else -1.0 for o in objectives]
        self._results: list[list[RungResult]] = [[] for _ in self.ladder]
        self._by_number: dict[int, RungResult] = {}
        self._gains: list[dict[str, float]] = [{} for _ in self.ladder]
        self._promoted: set[int] = set()
        self._climbing: set[int] = set()
        self._in_vain: set[int] = set()
        self._hopeless: set[str | None] = set()
        self._trained: list[set[str]] = [set() for _ in self.ladder]
        self._due: tuple[int | None] | None = (None,)

    def fidelity_of(self, design: Mapping[str, Any]) -> Fidelity:
        """How thoroughly a design is evaluated on its rung."""
        return self.ladder[int(design.get(RUNG, 0))]

    def is_last(self, design: Mapping[str, Any]) -> bool:
        """Whether a result of the design is a result of the study."""
        return int(design.get(RUNG, 0)) == len(self.ladder) - 1

    def due(self) -> int | None:
        """The trial whose design goes on to the next rung, from the upper rungs first."""
        if self._due is None:
            self._due = (self._find(),)
        return self._due[0]

    def promoted(self, number: int) -> None:
        """The design of a trial is in the queue for the next rung."""
        self._promoted.add(number)
        self._climbing.add(number)
        self._due = None

    def note(self, trial: ResultTrial) -> None:
        """Take in a trial of whatever state."""
        if len(self.ladder) == 1:
            return
        design = design_of(trial)
        if design is None or DUPLICATE_OF in trial.user_attrs:
            return
        if NESTED_IN in design:  # it came with a network on the last rung and does not climb
            return
        self._due = None
        before = design.get(PROMOTED_FROM)
        if before is not None:
            self._promoted.add(before)
            there = trial.state in (COMPLETE, PRUNED, FAIL) and LOST not in trial.user_attrs
            (self._climbing.discard if there else self._climbing.add)(before)
            if there and trial.state != COMPLETE and RUNG_RESULT not in trial.user_attrs:
                self._in_vain.add(before)
                if trial.user_attrs.get(RULED_OUT, {}).get("trained"):
                    self._hopeless |= {self._by_number[before].network} - {None}
        low = trial.user_attrs.get(RUNG_RESULT)
        if (trial.state != COMPLETE and low is None) or trial.number in self._by_number:
            return
        values = trial.values if low is None else low["values"]
        rung = int(design.get(RUNG, 0))
        result = RungResult(
            number=trial.number,
            losses=tuple(s * v for s, v in zip(self._signs, values, strict=True)),
            violations=trial.constraints,
            network=self._network_of(trial),
        )
        self._by_number[trial.number] = result
        self._results[rung].append(result)
        if before is not None:
            if (network := self._by_number[before].network) is not None:
                self._trained[rung - 1].add(network)
            gains = self._gains[rung - 1]
            for name, violation in self._by_number[before].violations.items():
                gain = violation - result.violations.get(name, violation)
                gains[name] = max(gains.get(name, 0.0), gain)

    def _find(self) -> int | None:
        for rung in reversed(range(len(self.ladder) - 1)):
            results = sorted(self._results[rung], key=lambda result: result.number)
            waiting = [result for result in results if result.number not in self._promoted]
            for result in waiting:
                if result.network in self._trained[rung]:
                    return result.number
            if not is_due(
                results,
                self._promoted,
                reduction=self._reduction,
                first=rung == 0,
                in_vain=self._in_vain,
            ):
                continue
            climbing = {r.network for r in results if r.number in self._climbing} - {None}
            not_now = climbing | self._hopeless
            passed = self._promoted | {r.number for r in waiting if r.network in not_now}
            waiting = [result for result in waiting if result.number not in passed]
            if not waiting:
                continue
            if self._choose is not None:
                due = self._choose([result.number for result in waiting])
                if due is not None:
                    return due
            return next_promotion(results, passed, gains=self._gains[rung])
        return None

    def _network_of(self, trial: ResultTrial) -> str | None:
        trace = trial.user_attrs.get(STAGES, {}).get(COMPRESS)
        return str(trace["key"]) if trace is not None and self._shares_training else None


def rungs_of(spec: StudySpec, space: DesignSpace, study: optuna.Study) -> Rungs:
    """The ladder of a study, without any trial.

    Args:
        spec: Of the study.
        space: Its space.
        study: Where who promises most is learned.
    """
    choose = None
    if spec.budget.rungs and spec.budget.promotion == "expected":
        from dse.samplers.promising import most_promising  # scipy, for those who need it

        choose = partial(most_promising, study, seed=spec.sampler.seed)
    tuned = space.domains["adc.tune_epochs"]
    return Rungs(
        spec.budget,
        spec.parsed_objectives(),
        choose=choose,
        shares_training=is_single(tuned) and only_value(tuned) == 0,
    )
