"""The compiled programs of one glacier: values of its data terms, gradient, residuals."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from odinn.grid import Array
from odinn.learning.problem import (
    Arrays,
    How,
    Problem,
    Scheme,
    local_parts,
    residuals_of,
    run_options,
)
from odinn.learning.terms import Total
from odinn.numbers.parameter import cast_floats
from odinn.physics.processes.base import PyTree
from odinn.run.settings import Settings
from odinn.stepping.steps import Record

LinearResiduals = tuple[Array, Array, Array]  # (N,), their derivatives (N, K), weights (N,)


class Call(NamedTuple):
    """What the compiled functions of one glacier take, in their order; see :func:`residuals_of`."""

    params: PyTree
    static: PyTree
    arrays: Arrays
    loss: Total
    settings: Scheme
    how: How

    def but(self, **how: PyTree) -> Call:
        """The same with other keywords of the run."""
        return self._replace(how=self.how | how)


def weighted_value(
    params: PyTree, static: PyTree, arrays: Arrays, loss: Total, settings: Scheme, how: How
) -> tuple[Array, tuple[Array, Record]]:
    """(weighted value of the data terms of one glacier, (their values, record)); arguments as of
    :func:`residuals_of`.
    """
    found, record = residuals_of(params, static, arrays, loss, settings, how)
    each = [jnp.sum(residuals * residuals) / number for residuals, number in found]
    values = jnp.stack(each) if each else jnp.zeros(0)
    weights = jnp.asarray([weight for _, weight, _ in loss.data])
    # what the glacier counts in the mean of each term over the glaciers that have data of it
    shares = arrays[-1]
    return jnp.sum(weights * shares * values), (values, record)


# (weighted value, (values of the terms, record)), compiled
term_values = eqx.filter_jit(weighted_value)

# (the same, gradient of the weighted value), compiled
weighted_with_gradient = eqx.filter_jit(eqx.filter_value_and_grad(weighted_value, has_aux=True))


@eqx.filter_jit
def weighted_with_directional(
    params: PyTree, tangent: PyTree, *rest: PyTree
) -> tuple[Array, Array]:
    """(weighted value, its derivative along a direction), compiled; ``rest`` is that of a
    :class:`Call`.
    """
    return jax.jvp(lambda p: weighted_value(p, *rest)[0], (params,), (tangent,))


@eqx.filter_jit
def residuals_with_jacobian(
    params: PyTree,
    tangents: PyTree,
    static: PyTree,
    arrays: Arrays,
    loss: Total,
    settings: Scheme,
    how: How,
) -> list[LinearResiduals]:
    """Of each data term of one glacier: residuals (N,), their derivatives along K directions (N,
    K), and the weights (N,) of their squares in the loss. The leaves of ``tangents`` have a leading
    axis K; the run itself is made once."""

    def residuals(p: PyTree) -> tuple[list[jax.Array], list[jax.Array]]:
        found, _ = residuals_of(p, static, arrays, loss, settings, how)
        values, weights = [], []
        for (_, weight, _), share, (residual, number) in zip(
            loss.data, arrays[-1], found, strict=True
        ):
            values.append(jnp.ravel(residual))
            weights.append(jnp.broadcast_to(weight * share / number, residual.size))
        return values, weights

    def along(tangent: PyTree) -> tuple[PyTree, PyTree, PyTree]:
        return jax.jvp(residuals, (params,), (tangent,), has_aux=True)

    # what does not depend on the direction has no axis for it
    values, slopes, weights = jax.vmap(along, out_axes=(None, 1, None))(tangents)
    return list(zip(values, slopes, weights, strict=True))


def call_of(
    params: PyTree, static: PyTree, problem: Problem, loss: Total, settings: Settings
) -> Call:
    """What compiled functions take of a glacier, in the precision of the runs."""
    parts, replay = local_parts(params, static, problem), problem.steps
    if settings.dtype == "float32":
        parts, replay = cast_floats((parts, replay), jnp.float32)
    how = run_options(problem, loss, settings) | {"replay": replay}
    return Call(*parts, loss, (settings.stepper, settings.coupling), how)
