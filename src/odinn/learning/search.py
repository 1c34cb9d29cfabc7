"""The loss of an inversion as a function of a flat vector, and its quadratic model; on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PyTree

from odinn.errors import SolverError
from odinn.grid import Array
from odinn.learning.covariance import covariance
from odinn.learning.evaluation import Runs
from odinn.learning.misfit import compiled_jacobian
from odinn.learning.pure_objective import Objective
from odinn.stepping.steps import Record

Vector = Float[np.ndarray, " n"]


class Evaluation(NamedTuple):
    """The loss, its gradient, and the weighted terms by name."""

    value: float
    gradient: Vector
    terms: dict[str, float]

    @property
    def is_finite(self) -> bool:
        """Whether one may go on from here."""
        return bool(np.isfinite(self.value) and np.isfinite(self.gradient).all())


class Quadratic(NamedTuple):
    """The Gauss–Newton model of the loss: half its Hessian, and the covariance of the numbers when
    the residuals have unit variance (infinite variances where they do not determine a number).
    """

    normal: Float[np.ndarray, "n n"]
    covariance: Float[np.ndarray, "n n"]


class Search:
    """An objective as a function of the unconstrained numbers in one vector, over the steps that
    each run chooses; buffers grow where a run needs more.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        start, self.unravel = ravel_pytree(objective.params)
        self.start = np.asarray(start)
        self.runs = Runs(objective)
        self._weights = np.array([misfit.weights for misfit in objective.misfits])
        self._names = [name for name, _, _ in objective.loss.data]

    def params_at(self, x: Vector) -> PyTree:
        """The vector in the structure of what is learned."""
        return self.unravel(jnp.asarray(x))

    def value_and_gradient(self, x: Vector, chosen: Sequence[int] | None = None) -> Evaluation:
        """The loss at x, of all glaciers or those chosen; where a run fails it is infinite."""
        params = self.params_at(x)
        numbers = range(len(self._weights)) if chosen is None else chosen
        scale = len(self._weights) / len(numbers)  # a batch stands for all
        try:
            each, gradient = self.runs.gradients(params, numbers)
        except SolverError:
            return Evaluation(
                np.inf, np.full_like(x, np.nan), self._named(np.zeros(len(self._names)))
            )
        value = sum(found.value for found in each)
        terms = sum(self._weights[k] * found.terms for k, found in zip(numbers, each, strict=True))
        penalty, slope = jax.value_and_grad(self.objective.penalty)(params)
        named = self._named(scale * terms) | self._penalties(params)
        whole = scale * _flat(gradient) + _flat(slope)
        return Evaluation(scale * value + float(penalty), whole, named)

    def value(self, x: Vector) -> float:
        """The loss alone; infinite where a run fails."""
        value = self.evaluated(x).value
        return value if np.isfinite(value) else np.inf

    def evaluated(self, x: Vector) -> Evaluation:
        """The loss and its terms by forward runs, with a gradient of zero."""
        params, zero = self.params_at(x), np.zeros_like(x)
        try:
            each = self.runs.values(params)
        except SolverError:
            return self._failed(zero)
        terms = sum(own * found.terms for own, found in zip(self._weights, each, strict=True))
        penalties = self._penalties(params)
        total = sum(found.value for found in each) + sum(penalties.values())
        return Evaluation(total, zero, self._named(terms) | penalties)

    def linearised(self, x: Vector) -> tuple[Evaluation, Quadratic]:
        """The loss at x from all residuals and their derivatives, without the adjoint."""
        params, terms = self.params_at(x), np.zeros(len(self._names))
        rows = self._linear_penalties(x)
        for number, (_, record) in enumerate(self.runs.records(params)):
            parts = self._linear_residuals(params, number, record)
            terms += [float(jnp.sum(weight * residual**2)) for residual, _, weight in parts]
            rows += parts
        residuals, jacobian, weights = (
            np.concatenate([np.asarray(part) for part in column])
            for column in zip(*rows, strict=True)
        )
        weighted = weights[:, None] * jacobian
        normal = jacobian.T @ weighted
        if not np.isfinite(normal).all():
            nothing = np.full_like(normal, np.nan)
            return Evaluation(np.inf, np.full_like(x, np.nan), {}), Quadratic(nothing, nothing)
        eps = float(np.finfo(self.objective.settings.dtype).eps)
        named = self._named(terms) | self._penalties(params)
        at = Evaluation(float(weights @ residuals**2), 2.0 * weighted.T @ residuals, named)
        return at, Quadratic(normal, covariance(jacobian, weights, x, eps))

    def _linear_penalties(self, x: Vector) -> list[tuple[Array, Array, Array]]:
        """Of each regularisation: residuals (N,), derivatives (N, n), weights (N,)."""

        if not self.objective.loss.regularization:
            return []

        def residuals(x: jax.Array) -> list[Array]:
            found = self.objective.penalty_residuals(self.unravel(x))
            return [residual for residual, _ in found.values()]

        at = jnp.asarray(x)
        weights = [w for _, w in self.objective.penalty_residuals(self.unravel(at)).values()]
        columns = zip(residuals(at), jax.jacfwd(residuals)(at), weights, strict=True)
        return [(r, slope, jnp.full(r.size, weight)) for r, slope, weight in columns]

    def _linear_residuals(
        self, params: PyTree, number: int, record: Record
    ) -> list[tuple[Array, Array, Array]]:
        """The same of each data term of a glacier, over the steps of a run."""
        fixed = self.runs.laid[number].misfit.repeating(record)
        (given,) = self.runs.given(params, [number])
        units = [self.unravel(unit) for unit in jnp.eye(self.start.size)]
        directions = [self.runs.given(unit, [number])[0] for unit in units]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *directions)
        return compiled_jacobian(fixed, given, stacked)

    def _failed(self, gradient: Vector) -> Evaluation:
        return Evaluation(np.inf, gradient, dict.fromkeys(self._names, 0.0))

    def _named(self, terms: np.ndarray) -> dict[str, float]:
        return dict(zip(self._names, terms.tolist(), strict=True))

    def _penalties(self, params: PyTree) -> dict[str, float]:
        return {name: float(value) for name, value in self.objective.penalties(params).items()}


def _flat(tree: PyTree) -> Vector:
    return np.asarray(ravel_pytree(tree)[0])
