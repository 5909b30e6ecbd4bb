"""auto: which sampler a study gets that names none, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dse.errors import SpecError
from dse.spec_sections import SamplerSpec

if TYPE_CHECKING:
    from dse.spec import StudySpec

AUTO = "auto"

EXPENSIVE = "ehvi"
"""What is worth a tenth of a second per proposal: Gaussian processes."""

EXPENSIVE_FROM, EXPENSIVE_TO = 20, 500
"""Budgets for which it is: below nobody has learned anything yet, above its window forgets."""

SMALL_SWARM_TO = 200
"""Up to this budget ten particles do better than thirty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSampler:
    """What `auto` stands for in a study.

    Attributes:
        spec: The sampler with its settings and the seed of the study.
        why: One line for a person.
    """

    spec: SamplerSpec
    why: str


def choose_sampler(spec: StudySpec) -> ChosenSampler:
    """The sampler of a study: its own, or by what docs/benchmarks.md shows for a case like it.

    Raises:
        SpecError: `auto` is given settings.
    """
    asked = spec.sampler
    if asked.name != AUTO:
        return ChosenSampler(spec=asked, why="named by the study")
    if settings := sorted(asked.settings()):
        raise SpecError(
            f"sampler.{settings[0]}: auto chooses the settings itself and takes none but seed; "
            "name the sampler to set it up"
        )
    name, chosen, why = _choice(spec)
    return ChosenSampler(
        spec=SamplerSpec.model_validate({"name": name, "seed": asked.seed, **chosen}), why=why
    )


def _choice(spec: StudySpec) -> tuple[str, dict[str, Any], str]:
    trials = spec.budget.trials
    trains = spec.budget.epochs_at(spec.budget.ladder()[-1]) > 0
    if trains and EXPENSIVE_FROM <= trials <= EXPENSIVE_TO:
        return EXPENSIVE, {}, f"{trials} designs that are trained, each worth some thought"
    particles = 10 if trials <= SMALL_SWARM_TO else max(30, min(200, trials // 30))
    kind = "" if trains else " that are not trained"
    return "pso", {"particles": particles}, f"{trials} designs{kind}"
