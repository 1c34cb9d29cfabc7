"""The loss of an inversion as a function of a flat vector, and its quadratic model; on the host."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PyTree

from odinn.errors import SolverError
from odinn.glacier import Glacier
from odinn.grid import Array
from odinn.learning.covariance import covariance
from odinn.learning.evaluation import Sizes, gradient_of, value_of
from odinn.learning.misfit import GlacierMisfit, compiled_jacobian
from odinn.learning.pure_objective import Objective

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
        self._sizes: Sizes = {}
        self._names = [name for name, _, _ in objective.loss.data]

    @property
    def members(self) -> list[tuple[Glacier, GlacierMisfit]]:
        """The glaciers with their misfits."""
        return list(zip(self.objective.glaciers, self.objective.misfits, strict=True))

    def params_at(self, x: Vector) -> PyTree:
        """The vector in the structure of what is learned."""
        return self.unravel(jnp.asarray(x))

    def value_and_gradient(self, x: Vector, chosen: Sequence[int] | None = None) -> Evaluation:
        """The loss at x, of all glaciers or those chosen; where a run fails it is infinite."""
        params, members = self.params_at(x), self.members
        if chosen is not None:
            members = [members[i] for i in chosen]
        scale = len(self.members) / len(members)  # a batch stands for all
        value, gradient, terms = 0.0, np.zeros_like(x), np.zeros(len(self._names))
        for glacier, misfit in members:
            local, pull = jax.vjp(partial(self.objective.local, glacier=glacier), params)
            try:
                one, values, slope = gradient_of(misfit, local, glacier, self._sizes)
            except SolverError:
                return Evaluation(np.inf, np.full_like(x, np.nan), self._named(terms))
            value += scale * one
            gradient = gradient + scale * _flat(*pull(slope))
            terms += scale * misfit.weights * values
        penalty, slope = jax.value_and_grad(self.objective.penalty)(params)
        named = self._named(terms) | self._penalties(params)
        return Evaluation(value + float(penalty), gradient + _flat(slope), named)

    def value(self, x: Vector) -> float:
        """The loss alone; infinite where a run fails."""
        value = self.evaluated(x).value
        return value if np.isfinite(value) else np.inf

    def evaluated(self, x: Vector) -> Evaluation:
        """The loss and its terms by forward runs, with a gradient of zero."""
        params, terms, zero = self.params_at(x), np.zeros(len(self._names)), np.zeros_like(x)
        total = 0.0
        for glacier, misfit in self.members:
            local = self.objective.local(params, glacier)
            try:
                value, values, _ = value_of(misfit, local, glacier)
            except SolverError:
                return Evaluation(np.inf, zero, self._named(terms))
            total += value
            terms += misfit.weights * values
        penalties = self._penalties(params)
        total += sum(penalties.values())
        return Evaluation(total, zero, self._named(terms) | penalties)

    def linearised(self, x: Vector) -> tuple[Evaluation, Quadratic]:
        """The loss at x from all residuals and their derivatives, without the adjoint."""
        params, terms = self.params_at(x), np.zeros(len(self._names))
        rows = self._linear_penalties(x)
        for glacier, misfit in self.members:
            parts = self._linear_residuals(params, glacier, misfit)
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
        self, params: PyTree, glacier: Glacier, misfit: GlacierMisfit
    ) -> list[tuple[Array, Array, Array]]:
        """The same of each data term of a glacier, over the steps of a run."""
        local = self.objective.local(params, glacier)
        fixed = misfit.repeating(value_of(misfit, local, glacier)[2])
        units = [self.unravel(unit) for unit in jnp.eye(self.start.size)]
        directions = [self.objective.local(unit, glacier) for unit in units]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *directions)
        return compiled_jacobian(fixed, local, stacked)

    def _named(self, terms: np.ndarray) -> dict[str, float]:
        return dict(zip(self._names, terms.tolist(), strict=True))

    def _penalties(self, params: PyTree) -> dict[str, float]:
        return {name: float(value) for name, value in self.objective.penalties(params).items()}


def _flat(tree: PyTree) -> Vector:
    return np.asarray(ravel_pytree(tree)[0])
