"""describe_spec(): what a study would do, for a person to check before it runs."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from dse.samplers.auto import choose_sampler
from dse.spec import StudySpec
from search_spaces.adc import MAX_SLICES, slice_path
from search_spaces.domains import Choice, is_single, only_value
from search_spaces.draw import DesignSpace


def describe_spec(spec: StudySpec) -> RenderableType:
    """The study's settings, its free knobs, and the knobs it holds fixed."""
    space = spec.design_space()
    about = Table(title=f"Study {spec.name}", show_header=False)
    task = ", ".join(f"{key} {value}" for key, value in spec.task.identity().items())
    warm = spec.warm_start
    for row in (
        ("task", task),
        ("objectives", ", ".join(map(str, spec.parsed_objectives()))),
        ("constraints", ", ".join(map(str, spec.parsed_constraints())) or "none"),
        ("sampler", _sampler(spec)),
        ("budget", _budget(spec)),
        ("given designs", str(len(spec.points))),
        ("warm start", f"{warm.designs} designs of {warm.study}" if warm else "none"),
        ("launch", ", ".join(f"{k} {v}" for k, v in spec.launch.model_dump(mode="json").items())),
    ):
        about.add_row(*row)
    knobs = Table(title="Knobs")
    for column in ("knob", "domain"):
        knobs.add_column(column)
    for path, domain in space.free().items():
        knobs.add_row(path, str(domain))
    knobs.add_section()
    slices = _most_slices(space)
    for path, domain in space.domains.items():
        if is_single(domain) and path not in map(slice_path, range(slices, MAX_SLICES)):
            knobs.add_row(path, f"fixed at {only_value(domain)}")
    return Group(about, knobs)


def _sampler(spec: StudySpec) -> str:
    chosen = choose_sampler(spec)
    text = ", ".join(f"{key} {value}" for key, value in chosen.spec.model_dump().items())
    return text if chosen.spec == spec.sampler else f"auto: {text} ({chosen.why})"


def _budget(spec: StudySpec) -> str:
    budget = spec.budget
    kind = "designs" if spec.search.name == "flat" else "networks, the hardware of each swept"
    text = f"{budget.trials} {kind}"
    if len(budget.ladder()) == 1:
        return f"{text}, {budget.epochs_at(budget.fidelity)} epochs each"
    rungs = (f"{rung} ({budget.epochs_at(rung)} epochs)" for rung in budget.ladder())
    who = {"rank": "by rank", "expected": "by expected hypervolume"}[budget.promotion]
    return f"{text}, 1 of {budget.reduction} goes on {who}: {', '.join(rungs)}"


def _most_slices(space: DesignSpace) -> int:
    """Slice groups of 8-bit codes in the smallest cell that the study allows."""
    cells = space.domains["cell.bits"]
    assert isinstance(cells, Choice)
    return -(-MAX_SLICES // min(int(bits) for bits in cells.values))
