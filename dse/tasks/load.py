"""load_task(): the task that a study file names, or the one around a user's own network."""

from __future__ import annotations

from pathlib import Path

from dse.plugins import load
from dse.spec import TaskSpec
from dse.tasks.task import Task
from dse.tasks.user import task_from_model


def load_task(spec: TaskSpec) -> Task:
    """The task of a study.

    Raises:
        PluginError: There is no such task or data set.
        TaskError: The network or its checkpoint cannot be used.
    """
    if spec.name is not None:
        task: Task = load("dse.tasks", spec.name)
        return task
    assert spec.model is not None, "a checked spec has a name or a model"
    assert spec.data is not None, "a checked spec with a model has data"
    return task_from_model(
        spec.model,
        data=spec.data,
        checkpoint=Path(spec.checkpoint) if spec.checkpoint else None,
    )
