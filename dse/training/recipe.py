"""TrainingRecipe: the settings of stochastic gradient descent that belong to a task."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TypedDict

from dse.errors import TaskError
from dse.training.augmentation import Augmentation
from dse.training.schedule import Constant, Schedule


class Descent(TypedDict):
    """Arguments of `fit` that a recipe sets."""

    learning_rate: float
    momentum: float
    batch_size: int
    weight_decay: float
    nesterov: bool
    schedule: Schedule
    augmentation: Augmentation | None
    max_images_per_epoch: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """Settings of stochastic gradient descent, for pre-training and fine-tuning.

    The defaults shorten the schedule of [Zhang2019] (100 epochs at momentum 0.5) to 12 epochs at
    momentum 0.9; learning rate, batch and penalty are the paper's.

    Attributes:
        pretrain_epochs: Epochs of fp32 training.
        pretrain_l1: Strength of the L1 penalty while pre-training; 0 for none.
        learning_rate: Of the first epoch, in both stages.
        momentum: Of the gradient.
        batch_size: Images per step.
        weight_decay: Strength of `weight_decay / 2 * |w|_2^2` over all parameters, pre-training.
        nesterov: Whether the momentum looks ahead.
        schedule: Of the learning rate while pre-training.
        augmentation: Changes the training images, in both stages; None for none.
        images_per_epoch: An epoch takes so many images, drawn anew each time; None takes all.
        finetune_learning_rate: Takes the place of `learning_rate` when fine-tuning.
        finetune_weight_decay: Likewise of the weight decay; none when left out, as in [Zhang2019].
        finetune_schedule: Likewise of the schedule; constant when left out.

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019.
    """

    pretrain_epochs: int = 12
    pretrain_l1: float = 10.0
    learning_rate: float = 0.01
    momentum: float = 0.9
    batch_size: int = 64
    weight_decay: float = 0.0
    nesterov: bool = False
    schedule: Schedule = field(default_factory=Constant)
    augmentation: Augmentation | None = None
    images_per_epoch: int | None = None
    finetune_learning_rate: float | None = None
    finetune_weight_decay: float = 0.0
    finetune_schedule: Schedule = field(default_factory=Constant)

    def __post_init__(self) -> None:
        finetune_rate = self.finetune_learning_rate
        for name, value, holds in (
            ("pretrain_epochs", self.pretrain_epochs, self.pretrain_epochs >= 0),
            ("pretrain_l1", self.pretrain_l1, self.pretrain_l1 >= 0),
            ("learning_rate", self.learning_rate, self.learning_rate > 0),
            ("momentum", self.momentum, 0 <= self.momentum < 1),
            ("batch_size", self.batch_size, self.batch_size >= 1),
            ("weight_decay", self.weight_decay, self.weight_decay >= 0),
            ("finetune_learning_rate", finetune_rate, finetune_rate is None or finetune_rate > 0),
            ("finetune_weight_decay", self.finetune_weight_decay, self.finetune_weight_decay >= 0),
        ):
            if not holds:
                raise TaskError(
                    f"a recipe has epochs, decay and penalty from 0, learning rates above 0, "
                    f"momentum in 0..1 and batch size from 1, got {name}={value}. Correct it"
                )
        if self.nesterov and self.momentum == 0:
            raise TaskError(
                "a momentum that looks ahead is above 0, got nesterov=True and momentum=0. "
                "Give the momentum, or leave nesterov out"
            )

    def pretraining(self) -> Descent:
        """Arguments of `fit` for fp32 training."""
        return Descent(
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            batch_size=self.batch_size,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            schedule=self.schedule,
            augmentation=self.augmentation,
            max_images_per_epoch=self.images_per_epoch,
        )

    def fine_tuning(self) -> Descent:
        """Arguments of `fit` for training on a quantiser's grid."""
        return Descent(
            learning_rate=self.finetune_learning_rate or self.learning_rate,
            momentum=self.momentum,
            batch_size=self.batch_size,
            weight_decay=self.finetune_weight_decay,
            nesterov=self.nesterov,
            schedule=self.finetune_schedule,
            augmentation=self.augmentation,
            max_images_per_epoch=self.images_per_epoch,
        )

    def identity(self) -> dict[str, object]:
        """JSON-representable value that changes whenever a setting does."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        plain = (int, float, bool, type(None))
        return {name: v if isinstance(v, plain) else repr(v) for name, v in values.items()}
