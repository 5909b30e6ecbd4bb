"""EvaluationSettings: what every evaluation of a study has in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from dse.objectives import Constraint, Objective
from dse.spec_sections import Fidelity, TaskSpec, TrainingSpec
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """What every evaluation of a study has in common.

    Attributes:
        task: Network and data.
        epochs: Epochs of fine-tuning.
        fidelity: `full`, or the cheaper forms of `BudgetSpec`.
        training: Seed and pre-training.
        threads: Torch threads; results may differ in the last bit between numbers of threads.
        store: Folder of the stage store.
        shared_store: URL of a store behind it, common to all nodes.
        folders: Where `module:attribute` names are searched besides the installed packages.
        epochs_at: Epochs of fine-tuning at other fidelities.
        objectives: Of the study; a sweep of the hardware keeps what no other design dominates.
        constraints: Of the study; a design that is known to break one is not trained.
        stop_hopeless: Whether fine-tuning ends early where it cannot meet them any more.
        swept: Values of every hardware knob in the study's space, by path, for a sweep.
        simulations: Most simulations of one sweep.
    """

    task: TaskSpec
    epochs: int
    fidelity: Fidelity = "full"
    training: TrainingSpec
    threads: int
    store: Path
    shared_store: str | None = None
    folders: tuple[str, ...] = ()
    epochs_at: Mapping[Fidelity, int] = field(default_factory=dict)
    objectives: tuple[Objective, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    stop_hopeless: bool = False
    swept: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    simulations: int = 200

    def at(self, fidelity: Fidelity | None) -> EvaluationSettings:
        """The same for evaluations at another fidelity; None changes nothing."""
        if fidelity is None or fidelity == self.fidelity:
            return self
        return replace(self, fidelity=fidelity, epochs=self.epochs_at[fidelity])

    def tunes(self, point: DesignPoint) -> bool:
        """Whether the network of a design is trained with its converters in the loop."""
        return self.fidelity != "post_training" and point.adc_loop.tune_epochs > 0

    @property
    def device(self) -> str:
        """Where to compute: `cpu` or `cuda`."""
        wanted = self.training.device
        if wanted == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        return wanted
