"""``value_and_gradient``: a loss over glaciers and its exact derivative with respect to everything
that is learned; and the other methods, to compare with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from odinn.dates import Date
from odinn.errors import InputError, SolverError, of_glacier, one_of
from odinn.glacier import Glacier
from odinn.learning.evaluation import Runs, value_of
from odinn.learning.misfit import (
    GlacierMisfit,
    compiled_derivative,
    compiled_gradient,
    compiled_value,
)
from odinn.learning.pure_objective import Objective, misfits_to, objective
from odinn.model.model import Model
from odinn.run.checks import Replays

Method = Literal["discrete", "autodiff", "forward", "finite-difference", "continuous"]
Derivative = Callable[[GlacierMisfit, PyTree, PyTree], float]
Compared = Callable[[GlacierMisfit, PyTree, Glacier], tuple[float, PyTree]]


def value_and_gradient(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    loss: object,
    period: tuple[Date, Date],
    *,
    replay: Replays = None,
    method: Method = "discrete",
    **options: Any,
) -> tuple[float, PyTree]:
    """The loss over a period and its gradient.

    Args:
        model, glaciers: with parameters and laws where something is to be learned; bound if need
            be.
        loss: a loss or a sum of losses. period: (t0, t1).
        replay: steps to repeat: one ``Steps``, a list in the glaciers' order, or {rgi_id: Steps}.
        method: "discrete" (the transpose of the steps that ran), "autodiff" (reverse mode through
            the recorded steps), "forward" (one directional derivative per number),
            "finite-difference" (central, over the recorded steps), "continuous" (the adjoint
            equation, solved by diffrax with its own steps; agrees to its tolerance only).
        options: stepper, coupling, dtype, max_steps as of :func:`odinn.simulate`; its other
            keywords are refused, since they say nothing here.

    Returns:
        (value, gradient with the structure of ``odinn.trainable(model, glaciers)[0]``).

    It runs on the host. Inside ``jax.jit`` and the like use :func:`odinn.objective`.
    """
    one_of("method", method, ("discrete", *OTHERS))
    whole = objective(model, glaciers, loss, period, replay=replay, **options)
    if method == "continuous" and whole.settings.coupling == "jump":
        raise InputError(
            "method='continuous': the adjoint equation knows no jumps; use coupling='source'"
        )
    penalty, of_penalty = jax.value_and_grad(whole.penalty)(whole.params)
    if method == "discrete":
        each, gradient = Runs(whole).gradients(whole.params)
        value = sum(found.value for found in each)
    else:
        value, gradient = _glacier_by_glacier(whole, OTHERS[method])
    return float(penalty) + value, jax.tree.map(jnp.add, of_penalty, gradient)


def misfits(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    loss: object,
    period: tuple[Date, Date],
    **options: Any,
) -> dict[str, dict[str, float]]:
    """How far runs are from data, such as those of glaciers that were held out of an inversion.

    Args:
        model, glaciers, loss, period, options: as for :func:`value_and_gradient`; there need be
            nothing to learn.

    Returns:
        {rgi_id: {name of the term: its value, without weight}}; regularisations are left out.

    Raises:
        InputError: the loss has no term that is about data, or every glacier is left out of one.
    """
    whole = misfits_to(model, glaciers, loss, period, None, options)
    if not whole.loss.data:
        raise InputError("misfits: the loss has regularisations only; add one that needs a run")
    return misfits_at(whole, whole.params)


def misfits_at(whole: Objective, params: PyTree) -> dict[str, dict[str, float]]:
    """Unweighted values of the data terms of each glacier; a term that leaves it out is absent."""
    table = {}
    each = Runs(whole).values(params)
    for glacier, misfit, found in zip(whole.glaciers, whole.misfits, each, strict=True):
        table[glacier.rgi_id] = {
            name: float(value)
            for (name, _, _), target, value in zip(
                whole.loss.data, misfit.targets, found.terms, strict=True
            )
            if target is not None
        }
    return table


def _glacier_by_glacier(whole: Objective, method: Compared) -> tuple[float, PyTree]:
    """(sum of the values, its gradient) by a method to compare with, each on its whole grid."""
    own, pull = jax.vjp(lambda p: whole.locals(p, range(len(whole.glaciers))), whole.params)
    total, slopes = 0.0, []
    for glacier, misfit, local in zip(whole.glaciers, whole.misfits, own, strict=True):
        value, slope = method(misfit, local, glacier)
        total += value
        slopes.append(slope)
    (gradient,) = pull(slopes)
    return total, gradient


def _autodiff(misfit: GlacierMisfit, params: PyTree, glacier: Glacier) -> tuple[float, PyTree]:
    """Reverse mode through the recorded steps."""
    value, _, record = value_of(misfit, params, glacier)
    return value, compiled_gradient(misfit.repeating(record), params, "bounded")[1]


def _number_by_number(
    derivative: Derivative, misfit: GlacierMisfit, params: PyTree, glacier: Glacier
) -> tuple[float, PyTree]:
    """The derivative along each number in turn, over the recorded steps."""
    value, _, record = value_of(misfit, params, glacier)
    fixed = misfit.repeating(record)
    leaves, structure = jax.tree.flatten(params)
    columns = []
    for i, leaf in enumerate(leaves):
        slope = np.zeros(leaf.shape)
        for place in np.ndindex(leaf.shape):
            direction = [np.zeros(other.shape, other.dtype) for other in leaves]
            direction[i][place] = 1.0
            tangent = jax.tree.unflatten(structure, [jnp.asarray(part) for part in direction])
            slope[place] = derivative(fixed, params, tangent)
        columns.append(jnp.asarray(slope, leaf.dtype))
    return value, jax.tree.unflatten(structure, columns)


def directional_derivative(misfit: GlacierMisfit, params: PyTree, tangent: PyTree) -> float:
    """The derivative along a direction by forward mode, over steps that are repeated."""
    return float(compiled_derivative(misfit, params, tangent)[1])


def directional_difference(
    misfit: GlacierMisfit, params: PyTree, tangent: PyTree, step: float = 1e-5
) -> float:
    """Central difference along a direction, over steps that are repeated."""

    def at(h: float) -> float:
        moved = jax.tree.map(lambda p, t: p + h * t, params, tangent)
        return float(compiled_value(misfit, moved)[0])

    return (at(step) - at(-step)) / (2 * step)


def _continuous(misfit: GlacierMisfit, params: PyTree, glacier: Glacier) -> tuple[float, PyTree]:
    """The continuous adjoint, over the windows that have a length."""
    # nothing can be integrated over windows that fill up a chunk
    used = np.asarray(misfit.windows.length) > 0
    windows = jax.tree.map(lambda column: np.asarray(column)[used], misfit.windows)
    misfit = dataclasses.replace(misfit, windows=windows, replay=None)
    (value, (_, good)), gradient = compiled_gradient(misfit, params, "continuous")
    if not bool(good):
        text = "method='continuous': diffrax did not reach the end of a month; raise max_steps"
        raise SolverError(of_glacier(glacier.rgi_id, text))
    return float(value), gradient


OTHERS: dict[str, Compared] = {
    "autodiff": _autodiff,
    "forward": partial(_number_by_number, directional_derivative),
    "finite-difference": partial(_number_by_number, directional_difference),
    "continuous": _continuous,
}
