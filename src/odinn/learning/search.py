"""The loss of an inversion as a function of a flat vector, and its quadratic model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from odinn.errors import SolverError
from odinn.grid import Array
from odinn.learning import gradients, programs
from odinn.learning.optimizers import Stage
from odinn.learning.problem import Problem
from odinn.learning.terms import Total
from odinn.physics.processes.base import PyTree
from odinn.run.settings import Settings


class Evaluation(NamedTuple):
    """The loss, its gradient, and the weighted terms by name."""

    value: float
    gradient: np.ndarray
    terms: dict[str, float]

    @property
    def is_finite(self) -> bool:
        """Whether one may go on from here."""
        return bool(np.isfinite(self.value) and np.isfinite(self.gradient).all())


class Search:
    """The loss as a function of the unconstrained numbers in one vector, glacier by glacier."""

    def __init__(
        self,
        params: PyTree,
        static: PyTree,
        problems: list[Problem],
        loss: Total,
        settings: Settings,
    ) -> None:
        self.static, self.problems, self.loss, self.settings = static, problems, loss, settings
        start, self.unravel = ravel_pytree(params)
        self.start = np.asarray(start)
        self.weights = np.array([weight for _, weight, _ in loss.data])
        # buffers of each glacier's adjoint, so that they are measured once
        self.sizes: gradients.Sizes = {}

    def signature(self, stages: Sequence[Stage], seed: int) -> str:
        """What a checkpoint has to agree with."""
        ids = ",".join(p.glacier.rgi_id for p in self.problems)
        terms = [(name, weight) for name, weight, _ in self.loss.named]
        return f"{ids}|{self.start.size}|{self.settings.span}|{terms}|{list(stages)}|{seed}"

    def value_and_gradient(self, x: np.ndarray, chosen: Sequence[int] | None = None) -> Evaluation:
        """The loss at x, of all glaciers or those chosen; where a run fails it is infinite."""
        params = self.params_at(x)
        indices = range(len(self.problems)) if chosen is None else chosen
        scale = len(self.problems) / len(indices)  # a batch stands for all
        value, gradient, terms = 0.0, np.zeros_like(x), np.zeros_like(self.weights)
        for problem in [self.problems[i] for i in indices]:
            try:
                own, slope, values = gradients.glacier_value_and_gradient(
                    params, self.static, problem, self.loss, self.settings, sizes=self.sizes
                )
            except SolverError:
                return Evaluation(np.inf, np.full_like(x, np.nan), self._named(terms))
            value += scale * own
            gradient = gradient + scale * _flat(slope)
            terms += scale * self.weights * problem.shares * values
        penalty, slope = gradients.regularization_value_and_gradient(params, self.static, self.loss)
        named = self._named(terms) | self._penalties(params)
        return Evaluation(value + penalty, gradient + _flat(slope), named)

    def value(self, x: np.ndarray) -> float:
        """The loss alone; infinite where a run fails."""
        params = self.params_at(x)
        total = 0.0
        for problem in self.problems:
            try:
                total += gradients.glacier_value(
                    params, self.static, problem, self.loss, self.settings
                )[0]
            except SolverError:
                return np.inf
        total += sum(self._penalties(params).values())
        return total if np.isfinite(total) else np.inf

    def misfits(self, params: PyTree) -> dict[str, dict[str, float]]:
        """Unweighted values of the data terms of each glacier."""
        return gradients.misfits_of(params, self.static, self.problems, self.loss, self.settings)

    def linearised(self, x: np.ndarray) -> tuple[Evaluation, dict[str, np.ndarray]]:
        """The loss at x from all residuals and their derivatives, without the adjoint.

        Returns:
            (evaluation, {"normal": half the Gauss–Newton Hessian, "covariance": of the numbers when
            the residuals have unit variance}).
        """
        params, terms = self.params_at(x), np.zeros_like(self.weights)
        rows = [self._linear_penalty(x)]
        for problem in self.problems:
            parts = self._linear_residuals(params, problem)
            terms += [float(jnp.sum(weight * residual**2)) for residual, _, weight in parts]
            rows += parts
        residuals, jacobian, weights = (
            np.concatenate([np.asarray(part) for part in column])
            for column in zip(*rows, strict=True)
        )
        weighted = weights[:, None] * jacobian
        normal = jacobian.T @ weighted
        inverse = np.linalg.pinv(normal)
        # weights shape the fit, but data err by their errors alone: N⁻¹ (Jᵀ W² J) N⁻¹
        covariance = inverse @ (weighted.T @ weighted) @ inverse
        named = self._named(terms) | self._penalties(params)
        at = Evaluation(float(weights @ residuals**2), 2.0 * weighted.T @ residuals, named)
        return at, {"normal": normal, "covariance": covariance}

    def params_at(self, x: np.ndarray) -> PyTree:
        """The vector in the structure of what is learned."""
        return self.unravel(jnp.asarray(x))

    def _linear_penalty(self, x: np.ndarray) -> programs.LinearResiduals:
        """Residuals of the regularisations, their derivatives, and the weights of their squares."""

        def penalty(v: jax.Array) -> tuple[Array, Array]:
            return gradients.regularization_residuals(self.unravel(v), self.static, self.loss)

        at = jnp.asarray(x)
        residual, weight = penalty(at)
        return residual, jax.jacfwd(lambda v: penalty(v)[0])(at), weight

    def _linear_residuals(self, params: PyTree, problem: Problem) -> list[programs.LinearResiduals]:
        """The same of each data term of a glacier, over the steps of a run."""

        def call_at(own: PyTree) -> programs.Call:
            return programs.call_of(own, self.static, problem, self.loss, self.settings)

        call = gradients.over_replay(call_at(params), problem, self.settings)[2]
        directions = [call_at(self.unravel(unit)).params for unit in jnp.eye(self.start.size)]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *directions)
        return programs.residuals_with_jacobian(call.params, stacked, *call[1:])

    def _named(self, terms: np.ndarray) -> dict[str, float]:
        names = [name for name, _, _ in self.loss.data]
        return dict(zip(names, terms.tolist(), strict=True))

    def _penalties(self, params: PyTree) -> dict[str, float]:
        """Weighted values of the regularisations by name."""
        values = gradients.regularization_values(params, self.static, self.loss)
        return {name: float(value) for name, value in values.items()}


def _flat(tree: PyTree) -> np.ndarray:
    return np.asarray(ravel_pytree(tree)[0])
