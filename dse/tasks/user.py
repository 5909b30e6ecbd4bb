"""A task from a user's own network, named as `module:factory`."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from dse.errors import PluginError, TaskError
from dse.plugins import load_attribute
from dse.tasks.task import Task, TrainingRecipe, read_checkpoint


def task_from_model(
    model: str,
    *,
    data: str,
    checkpoint: Path | None = None,
    recipe: TrainingRecipe | None = None,
) -> Task:
    """The task of training and mapping a user's network.

    Args:
        model: `package.module:factory`; the factory takes no arguments and gives an `nn.Module`
            of `nn.Linear` and `nn.Conv2d` layers, from normalised images to class scores.
        data: Name in `dse.datasets`, or `module:attribute`.
        checkpoint: Trained weights, `.safetensors`, in place of pre-training.
        recipe: How to train; the default recipe otherwise.

    Raises:
        TaskError: The factory cannot be imported or called, or the checkpoint cannot be used.
    """
    try:
        factory = load_attribute(model)
    except PluginError as error:
        raise TaskError(f"model: {error}") from error
    except Exception as error:
        raise TaskError(
            f"model: {model}: importing its module succeeds, got {type(error).__name__}: {error}. "
            "Correct the module"
        ) from error
    if not callable(factory) or isinstance(factory, nn.Module):
        raise TaskError(
            f"model: {model} is a function or class that makes a network, "
            f"got {type(factory).__name__}. Name a callable that takes no arguments"
        )
    task = Task(
        name=model,
        dataset=data,
        network=factory,
        recipe=recipe or TrainingRecipe(),
        checkpoint=checkpoint,
    )
    network = task.build(seed=0)
    if checkpoint is not None:
        read_checkpoint(task.name, checkpoint)
        task.load_checkpoint_(network)
    return task
