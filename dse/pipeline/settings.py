"""EvaluationSettings: what every evaluation of a study has in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from dse.spec import TaskSpec, TrainingSpec


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
        folders: Where `module:attribute` names are searched besides the installed packages.
    """

    task: TaskSpec
    epochs: int
    fidelity: Literal["full", "short", "post_training"] = "full"
    training: TrainingSpec
    threads: int
    store: Path
    folders: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """Where to compute: `cpu` or `cuda`."""
        wanted = self.training.device
        if wanted == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        return wanted
