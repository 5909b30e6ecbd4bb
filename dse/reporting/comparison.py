"""A comparison of studies as JSON and as a table."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from dse.comparing import ComparedStudy, Comparison


def comparison_json(found: Comparison) -> dict[str, Any]:
    """What `dse compare --format json` prints."""
    return {
        "objectives": [{"name": o.name, "direction": o.direction} for o in found.objectives],
        "reference_point": list(found.reference_point),
        "hypervolume": found.hypervolume,
        "studies": [
            {
                "study": each.name,
                "results": each.results,
                "front": len(each.front.trials),
                "kept": each.kept,
                "beaten_of_others": each.beaten,
                "hypervolume": each.front.hypervolume,
                "share": _share(each, found),
                "best": dict(zip([o.name for o in found.objectives], each.best, strict=False)),
            }
            for each in found.studies
        ],
    }


def comparison_table(found: Comparison) -> Table:
    """The same for a person."""
    table = Table(
        title="Fronts of studies",
        caption=f"hypervolume to the common reference point "
        f"{', '.join(f'{v:.4g}' for v in found.reference_point)}; of all studies together "
        f"{found.hypervolume:.4g}. kept: designs that no other study beats; beats: share of the "
        "others' fronts",
    )
    table.add_column("study", overflow="fold")
    for heading in ("results", "front", "kept", "beats", "hypervolume", "of all"):
        table.add_column(heading, justify="right", overflow="fold")
    for objective in found.objectives:
        table.add_column(f"best {objective.name}", justify="right", overflow="fold")
    for each in found.studies:
        best = [f"{value:.4g}" for value in each.best] or ["none"] * len(found.objectives)
        table.add_row(
            each.name,
            str(each.results),
            str(len(each.front.trials)),
            str(each.kept),
            f"{each.beaten:.0%}",
            f"{each.front.hypervolume:.4g}",
            f"{_share(each, found):.1%}",
            *best,
        )
    return table


def _share(study: ComparedStudy, found: Comparison) -> float:
    return study.front.hypervolume / found.hypervolume if found.hypervolume else 0.0
