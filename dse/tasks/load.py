"""load_task(): the task that a study file names, or the one around a user's own network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dse.plugins import load
from dse.spec_sections import TaskSpec
from dse.tasks.task import Normalisation, Task
from dse.tasks.user import task_from_model


def load_task(spec: TaskSpec) -> Task:
    """The task of a study, with the checkpoint and the normalisation that it names.

    Raises:
        PluginError: There is no such task or data set.
        TaskError: The network or its checkpoint cannot be used.
    """
    checkpoint = Path(spec.checkpoint) if spec.checkpoint else None
    if spec.name is not None:
        installed: Task = load("dse.tasks", spec.name)
        task = installed
        if checkpoint is not None:
            task = replace(installed, checkpoint=checkpoint)
            task.load_checkpoint_(task.build(seed=0))
    else:
        assert spec.model is not None, "a checked spec has a name or a model"
        assert spec.data is not None, "a checked spec with a model has data"
        task = task_from_model(spec.model, data=spec.data, checkpoint=checkpoint)
    if spec.mean is None or spec.std is None:
        return task
    return replace(task, normalisation=Normalisation(mean=spec.mean, std=spec.std))
