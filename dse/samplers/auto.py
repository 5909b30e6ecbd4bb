"""auto: which sampler a study gets that names none, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dse.errors import SpecError
from dse.spec_sections import SamplerSpec
from search_spaces.design_point import SLOTS

if TYPE_CHECKING:
    from dse.spec import StudySpec

AUTO = "auto"

GP_FROM, GP_TO = 30, 300
"""Budgets for which Gaussian processes are worth the seconds that a proposal takes them."""

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
    free = spec.design_space().free()
    conditional = [slot for slot in SLOTS if slot in free]
    trains = spec.budget.epochs_at(spec.budget.ladder()[-1]) > 0
    if not conditional and trains and GP_FROM <= trials <= GP_TO:
        return (
            "gp",
            {},
            f"{trials} designs that are trained: each is worth seconds of thought",
        )
    particles = 10 if trials <= SMALL_SWARM_TO else max(30, min(200, trials // 30))
    because = (
        f"{conditional[0]} is free, and other techniques have other knobs"
        if conditional
        else f"{trials} designs" + ("" if trains else " that are not trained")
    )
    return "pso", {"particles": particles}, because
