"""Nesting: which networks were swept, and how the designs of a sweep become trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import create_trial

from dse.database import Database
from dse.pipeline.hardware_choices import network_digest, swept_values
from dse.spec import StudySpec
from dse.trial_reports import stored_report
from dse.trials import NETWORK, PROMOTED_FROM, RETRY_OF, RUNG, SWEEP
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Choice, Domain, FloatRange, IntRange, Value
from search_spaces.draw import DesignSpace, draw_design


class Nesting:
    """Which networks of a study were swept, as its trials tell; no state besides.

    Args:
        spec: Of the study.
        space: Its space.
    """

    def __init__(self, spec: StudySpec, space: DesignSpace) -> None:
        self._on = spec.search.name == "nested"
        self._space = space
        self._swept = swept_values(space) if self._on else {}
        self._networks: set[str] = set()
        self._last_rung = len(spec.budget.ladder()) - 1
        self._climbed: set[str] = set()
        self._noted: set[int] = set()
        self.n_known_in_a_row = 0
        """Of the last designs asked, how many had a network that was swept before."""

    def mark(self, point: DesignPoint) -> dict[str, Any]:
        """What the attribute `design` says of a new trial: whether its network is to be swept."""
        if not self._on:
            return {}
        network = network_digest(point, self._swept)
        marks = {NETWORK: network, SWEEP: network not in self._networks}
        self.note(marks)
        return marks

    def mark_climbing(self, design: Mapping[str, Any]) -> dict[str, Any]:
        """What changes in the attribute `design` when it goes on to the last rung.

        Of several designs of one network the first that gets there is swept: not all get there.
        """
        if SWEEP not in design:
            return {}
        marks = {SWEEP: design[NETWORK] not in self._climbed}
        self._climbed.add(design[NETWORK])
        return marks

    def note(self, design: Mapping[str, Any]) -> None:
        """Take in the attribute of a trial; the same draw again changes nothing."""
        if SWEEP not in design or RETRY_OF in design:
            return
        if PROMOTED_FROM in design:
            if design[SWEEP] and design[RUNG] == self._last_rung:
                self._climbed.add(design[NETWORK])
            return
        if (draw := design.get("draw")) is not None:
            if draw in self._noted:
                return
            self._noted.add(draw)
        self._networks.add(design[NETWORK])
        self.n_known_in_a_row = 0 if design[SWEEP] else self.n_known_in_a_row + 1

    def add_trial(
        self,
        study: optuna.Study,
        database: Database,
        point: DesignPoint,
        *,
        values: Sequence[float],
        violations: Mapping[str, float],
        attributes: Mapping[str, Any],
        report: Mapping[str, Any],
    ) -> int:
        """Write a finished trial of a design that no sampler asked for.

        Returns:
            Its number.
        """
        params, distributions = self._parameters(point)
        trial = create_trial(
            params=params,
            distributions=distributions,
            values=list(values),
            user_attrs=dict(attributes),
            system_attrs=dict(stored_report(database, report)),
            constraints=dict(violations),
        )
        trial_id = study._storage.create_new_trial(study._study_id, template_trial=trial)
        return study._storage.get_trial(trial_id).number

    def _parameters(
        self, point: DesignPoint
    ) -> tuple[dict[str, Value], dict[str, BaseDistribution]]:
        """The free knobs of a design, as asking for them one by one would have stored them."""
        flat = point.to_json()
        params: dict[str, Value] = {}
        distributions: dict[str, BaseDistribution] = {}

        def choose(path: str, domain: Domain) -> Value:
            params[path], distributions[path] = flat[path], distribution_of(domain)
            return flat[path]

        draw_design(self._space, choose)
        return params, distributions


def distribution_of(domain: Domain) -> BaseDistribution:
    """A knob's domain as Optuna holds it."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if isinstance(domain, IntRange):
        return IntDistribution(domain.low, domain.high)
    assert isinstance(domain, FloatRange), "a free text is listed"
    return FloatDistribution(domain.low, domain.high, log=domain.log)
