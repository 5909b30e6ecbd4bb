"""GaussianProcess: a smooth guess at one number of a design, and how far it may be off."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular  # type: ignore[import-untyped]
from scipy.optimize import minimize  # type: ignore[import-untyped]

Array = NDArray[np.float64]

MAX_FITTED = 150
"""Designs by which length scales are chosen, whose time grows with the cube of them."""

_ROOT5 = 5**0.5
_JITTER = 1e-8
_STEPS = 30
_BOUNDS = ((-7.0, 5.0), (-2.0, 3.0), (np.log(1e-4), 0.0))
_MEANS, _SPREADS = (-1.0, 0.0, np.log(1e-3)), (2.0, 1.0, 2.0)
"""Of log inverse squared length scales, log variance and log noise: bounds, and the normal
distributions that they have before anything is known; knobs that do nothing are the rule."""


class GaussianProcess:
    """A Gaussian process with a Matern-5/2 kernel, one length scale per knob, and noise.

    Length scales, variance and noise maximise the posterior density, from one start, by L-BFGS
    with the gradients of [Rasmussen2006], equation 5.9. Targets are standardised.

    Args:
        positions: Of the designs, in the unit box; knobs with several coordinates share a scale.
        targets: What is to be guessed.
        knob_of: Number of the knob of every coordinate.
        rng: Chooses the designs of the fit if there are many.

    Shapes:
        positions: `(designs, width)`.
        targets: `(designs,)`.
        knob_of: `(width,)`.

    [Rasmussen2006] C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning",
        MIT Press, 2006.
    """

    def __init__(
        self,
        positions: Array,
        targets: Array,
        knob_of: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> None:
        self._mean = float(targets.mean())
        self._scale = float(targets.std()) or 1.0
        self._targets = (targets - self._mean) / self._scale
        self._positions = positions
        chosen = np.arange(len(targets))
        if len(chosen) > MAX_FITTED:
            chosen = np.sort(rng.choice(len(chosen), MAX_FITTED, replace=False))
        likelihood = _Likelihood(positions[chosen], self._targets[chosen], knob_of)
        found = minimize(
            likelihood,
            likelihood.start,
            jac=True,
            method="L-BFGS-B",
            bounds=likelihood.bounds,
            options={"maxiter": _STEPS},
        )
        knobs = likelihood.knobs
        self._weights = np.exp(0.5 * found.x[:knobs])[knob_of]
        self._variance, self._noise = np.exp(found.x[knobs:]).tolist()
        self._factorise()

    def predict(self, positions: Array) -> tuple[Array, Array]:
        """Means and standard deviations, noise left out; `(designs,)` both."""
        near = self._kernel(positions)
        mean = near @ self._solved
        explained = solve_triangular(self._factor, near.T, lower=True)
        variance = np.maximum(self._variance - (explained**2).sum(axis=0), 1e-10)
        return mean * self._scale + self._mean, np.sqrt(variance) * self._scale

    def believe(self, positions: Array) -> None:
        """Take designs that are being evaluated for as good as guessed [Ginsbourger2010].

        [Ginsbourger2010] D. Ginsbourger et al., "Kriging is well-suited to parallelize
            optimization", in: Computational Intelligence in Expensive Optimization Problems, 2010.
        """
        guessed = self._kernel(positions) @ self._solved
        self._positions = np.vstack([self._positions, positions])
        self._targets = np.concatenate([self._targets, guessed])
        self._factorise()

    def _factorise(self) -> None:
        kernel = self._kernel(self._positions)
        kernel[np.diag_indices(len(kernel))] += self._noise + _JITTER
        self._factor = np.linalg.cholesky(kernel)
        self._solved = cho_solve((self._factor, True), self._targets)

    def _kernel(self, positions: Array) -> Array:
        a, b = positions * self._weights, self._positions * self._weights
        squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        return np.asarray(self._variance * _matern(np.maximum(squared, 0.0))[0])


class _Likelihood:
    """Negative log posterior density of the settings of a kernel, and its gradient."""

    def __init__(self, positions: Array, targets: Array, knob_of: NDArray[np.int64]) -> None:
        self.knobs = int(knob_of.max()) + 1
        count = len(targets)
        self._targets = targets
        self._squared = np.zeros((self.knobs, count, count))
        for column, knob in zip(positions.T, knob_of.tolist(), strict=True):
            self._squared[knob] += (column[:, None] - column) ** 2
        each = (self.knobs, 1, 1)
        self.bounds = [bound for bound, n in zip(_BOUNDS, each, strict=True) for _ in range(n)]
        self._means, self._spreads = np.repeat(_MEANS, each), np.repeat(_SPREADS, each)
        self.start = np.concatenate([np.zeros(self.knobs + 1), [np.log(1e-2)]])

    def __call__(self, settings: Array) -> tuple[float, Array]:
        weights = np.exp(settings[: self.knobs])
        variance, noise = np.exp(settings[self.knobs :])
        count = len(self._targets)
        shape, slope = _matern(np.tensordot(weights, self._squared, 1))
        kernel = variance * shape
        kernel[np.diag_indices(count)] += noise + _JITTER
        try:
            factor = np.linalg.cholesky(kernel)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(settings)
        solved = cho_solve((factor, True), self._targets)
        away = (settings - self._means) / self._spreads
        value = (
            0.5 * self._targets @ solved + np.log(np.diag(factor)).sum() + 0.5 * float(away @ away)
        )
        inner = np.outer(solved, solved) - cho_solve((factor, True), np.eye(count))
        by_weight = 0.25 * weights * np.tensordot(self._squared, inner * slope, 2) * variance
        by_variance = -0.5 * variance * float((inner * shape).sum())
        by_noise = -0.5 * noise * float(np.trace(inner))
        gradient = np.concatenate([by_weight, [by_variance, by_noise]])
        return float(value), gradient + away / self._spreads


def _matern(squared: Array) -> tuple[Array, Array]:
    """The kernel at squared distances, and -2 times its slope there."""
    distance = np.sqrt(squared)
    decay = np.exp(-_ROOT5 * distance)
    linear = 1 + _ROOT5 * distance
    return (linear + 5 / 3 * squared) * decay, 5 / 3 * linear * decay
