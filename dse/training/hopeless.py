"""HopelessRule: end a fine-tuning that cannot meet an accuracy constraint any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dse.errors import StageError
from dse.objectives import Constraint
from dse.training.fit import Epoch

MARGIN = 0.03
"""What the test set may be kinder than the validation split, and unlimited ADCs than the real
ones unkinder: so much below what is needed, and only then, is hopeless."""


class HopelessError(StageError):
    """Fine-tuning was ended: a constraint on the accuracy is out of reach.

    Attributes:
        violations: By constraint, by how much it would be missed at least.
    """

    def __init__(self, message: str, violations: Mapping[str, float]) -> None:
        super().__init__(message)
        self.violations = dict(violations)


class HopelessRule:
    """Called after every epoch; raises once even an optimist would give up.

    The optimist expects the gain of the last epoch from each one that is left, those with the
    converters in the loop included; gains shrink as training goes on, unless a schedule lowers
    the learning rate late. It looks from the second epoch of a round of pruning on, for the first
    one starts from weights that were just removed.

    Args:
        needed: Validation accuracy that each constraint asks for.
        epochs: In all: of every round, and those with the converters in the loop.

    Raises:
        HopelessError: When called.
    """

    def __init__(self, needed: Mapping[str, float], *, epochs: int) -> None:
        self._needed = dict(needed)
        self._left = epochs
        self._last: float | None = None
        self._best = 0.0

    def __call__(self, epoch: Epoch) -> None:
        """Take note of an epoch."""
        self._left -= 1
        before, self._last = self._last, epoch.val_accuracy
        if epoch.number == 1 or before is None:
            self._best = epoch.val_accuracy
            return
        self._best = max(self._best, epoch.val_accuracy)
        gain = max(0.0, epoch.val_accuracy - before)
        reach = max(self._best, epoch.val_accuracy + gain * self._left)
        missed = {name: least - reach for name, least in self._needed.items()}
        out_of_reach = {name: by for name, by in missed.items() if by > MARGIN}
        if out_of_reach:
            raise HopelessError(
                f"fine-tuning ended with {self._left} epochs left: at {epoch.val_accuracy:.4f} on "
                f"validation images and a gain of {gain:.4f} per epoch it misses "
                + ", ".join(f"{name} by {by:.4f}" for name, by in out_of_reach.items()),
                out_of_reach,
            )


def needed_accuracies(constraints: Iterable[Constraint], *, of_float: float) -> dict[str, float]:
    """Validation accuracy that each constraint on the accuracy asks for.

    Args:
        constraints: Of a study; those on other metrics are left out.
        of_float: Validation accuracy of the network before compression.
    """
    needed: dict[str, float] = {}
    for constraint in constraints:
        bound = constraint.bound * constraint.metric.factor
        if constraint.metric.si == "accuracy_loss" and constraint.at_most:
            needed[str(constraint)] = of_float - bound
        elif constraint.metric.si == "accuracy" and not constraint.at_most:
            needed[str(constraint)] = bound
    return needed
