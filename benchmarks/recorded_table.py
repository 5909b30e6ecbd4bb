"""A recorded table: every design of a full grid with what the pipeline measured of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.catalogue import design_space
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.settings import EvaluationSettings
from dse.spec import TaskSpec, TrainingSpec
from search_spaces.design_point import DesignPoint
from search_spaces.draw import DesignSpace, draw_design

FOLDER = Path(__file__).parent / "tables"
METRICS = ("accuracy", "energy_j", "area_m2", "latency_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableKnob:
    """One axis of the grid.

    Attributes:
        name: For people and samplers.
        paths: Knobs of a design that take its value, all the same.
        values: The levels, in order if they have one.
        ordered: Whether neighbours are alike; a sampler sees ordered levels as integers.
    """

    name: str
    paths: tuple[str, ...]
    values: tuple[Any, ...]
    ordered: bool = True


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """What a table is of; `tables/NAME.json`.

    Attributes:
        name: Of the files.
        about: What is searched, in a sentence.
        task: As in a study file.
        training: As in a study file.
        epochs: Of fine-tuning.
        fixed: Knobs that all designs share.
        knobs: Axes of the grid, the last one fastest.
        objectives: As in a study file.
        constraints: As in a study file; of the constrained form of the problem.
    """

    name: str
    about: str
    task: Mapping[str, Any]
    training: Mapping[str, Any]
    epochs: int
    fixed: Mapping[str, Any]
    knobs: tuple[TableKnob, ...]
    objectives: tuple[str, ...]
    constraints: tuple[str, ...]

    @classmethod
    def read(cls, name: str, folder: Path = FOLDER) -> TableSpec:
        """The description of a table."""
        found = json.loads((folder / f"{name}.json").read_text())
        knobs = [
            TableKnob(
                name=each["name"],
                paths=tuple(each["paths"]),
                values=tuple(each["values"]),
                ordered=each.get("ordered", True),
            )
            for each in found.pop("knobs")
        ]
        for key in ("objectives", "constraints"):
            found[key] = tuple(found[key])
        return cls(knobs=tuple(knobs), **found)

    @property
    def shape(self) -> tuple[int, ...]:
        """Levels of every axis."""
        return tuple(len(knob.values) for knob in self.knobs)

    def settings(self, levels: Sequence[int]) -> dict[str, Any]:
        """Knobs of the design at some levels, by path."""
        chosen = dict(self.fixed)
        for knob, level in zip(self.knobs, levels, strict=True):
            chosen |= dict.fromkeys(knob.paths, knob.values[level])
        return chosen

    def point(self, levels: Sequence[int]) -> DesignPoint:
        """The design at some levels."""
        chosen = self.settings(levels)

        def value(path: str, domain: object) -> Any:
            if path not in chosen:
                raise SystemExit(f"{self.name}: {path} is free; fix it, or give it an axis")
            return chosen[path]

        return draw_design(self._space, value)

    @cached_property
    def _space(self) -> DesignSpace:
        axes = {path: list(knob.values) for knob in self.knobs for path in knob.paths}
        return design_space(self.name, self.fixed, axes)

    def evaluator(self, store: Path) -> Evaluator:
        """What a study of these designs would evaluate with.

        Args:
            store: Folder of stage results.
        """
        return Evaluator(self.evaluation_settings(store))

    def evaluation_settings(self, store: Path) -> EvaluationSettings:
        """Of such a study."""
        return EvaluationSettings(
            task=TaskSpec(**self.task),
            epochs=self.epochs,
            training=TrainingSpec(**self.training),
            threads=1,
            store=store,
        )


class RecordedTable:
    """Metrics of all designs of a grid.

    Args:
        name: `tables/NAME.npz` beside its description.
        folder: Where they are.
    """

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        self.spec = TableSpec.read(name, folder)
        with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
            self._stored = {key: stored[key] for key in stored.files}

    @cached_property
    def metrics(self) -> dict[str, NDArray[np.float64]]:
        """Arrays in the shape of the grid, by SI name, `accuracy_loss` included."""
        images = int(self._stored["images"])
        found = {
            name: self._stored[name].astype(np.float64) for name in METRICS if name != "accuracy"
        }
        found["accuracy"] = self._stored["correct"] / images
        found["accuracy_loss"] = float(self._stored["accuracy_float"]) - found["accuracy"]
        return found

    def at(self, levels: Sequence[int]) -> dict[str, float]:
        """Metrics of one design."""
        place = tuple(levels)
        return {name: float(values[place]) for name, values in self.metrics.items()}
