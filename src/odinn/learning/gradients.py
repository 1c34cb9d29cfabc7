"""``value_and_gradient``: a loss over glaciers and its exact derivative with respect to everything
that is learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from odinn.cache import enable_compilation_cache
from odinn.dates import Date
from odinn.errors import InputError, SolverError, where
from odinn.glacier import Glacier
from odinn.grid import Array
from odinn.learning.problem import Problem, make_settings, prepare_all, with_geometry
from odinn.learning.programs import (
    Call,
    call_of,
    term_values,
    weighted_with_directional,
    weighted_with_gradient,
)
from odinn.learning.terms import Total, as_total
from odinn.model.binding import as_list, bind, combine, globalized, trainable
from odinn.model.model import Model
from odinn.physics.processes.base import PyTree
from odinn.run.checks import Replays, failure
from odinn.run.settings import Settings
from odinn.stepping.steps import Limits, Record, record_as_replay

Method = Literal["discrete", "autodiff", "forward", "finite-difference", "continuous"]
Found = tuple[float, np.ndarray, PyTree]  # weighted value, values of the terms, gradient


# accepted steps that a first run may record
_CAPACITY: Final = 512


class Buffers(NamedTuple):
    """Sizes of an adjoint's buffers: steps recorded, steps per window, stages per step."""

    capacity: int
    steps: int
    stages: int


Sizes = dict[str, Buffers]  # by glacier


def value_and_gradient(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    loss: object,
    span: tuple[Date, Date],
    *,
    replay: Replays = None,
    method: Method = "discrete",
    **options: Any,
) -> tuple[float, PyTree]:
    """The loss over a span and its gradient.

    Args:
        model, glaciers: with parameters and laws where something is to be learned; bound if need
            be.
        loss: a loss or a sum of losses and regularisations. span: (t0, t1).
        replay: steps to repeat: one ``Steps``, a list in the glaciers' order, or {rgi_id: Steps}.
        method: "discrete" (the transpose of the steps that ran), "autodiff" (reverse mode through
            the recorded steps), "forward" (one directional derivative per number),
            "finite-difference" (central, over the recorded steps), "continuous" (the adjoint
            equation, solved by diffrax with its own steps; agrees to its tolerance only).
        options: keywords of :func:`odinn.simulate` (save_every, stepper, coupling, dtype,
            max_steps).

    Returns:
        (value, gradient with the structure of ``odinn.trainable(model, glaciers)[0]``).
    """
    enable_compilation_cache()
    total, listed = as_total(loss), as_list(glaciers)
    model = bind(model, listed)
    params, static = what_is_learned(model, listed)
    settings = make_settings(span, **options)
    value, gradient = regularization_value_and_gradient(params, static, total)
    for problem in prepare_all(model, listed, total, settings, replay):
        own_value, own_gradient, _ = glacier_value_and_gradient(
            params, static, problem, total, settings, method
        )
        value += own_value
        gradient = jax.tree.map(jnp.add, gradient, own_gradient)
    return value, gradient


def what_is_learned(model: Model, glaciers: list[Glacier]) -> tuple[PyTree, PyTree]:
    """:func:`odinn.trainable`; nothing to learn is an error."""
    params, static = trainable(model, glaciers)
    if not jax.tree.leaves(params):
        raise InputError(
            "nothing to learn: put an odinn.Parameter or a law with weights where a number stands"
        )
    return params, static


def misfits(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    loss: object,
    span: tuple[Date, Date],
    **options: Any,
) -> dict[str, dict[str, float]]:
    """How far runs are from data, such as those of glaciers that were held out of an inversion.

    Args:
        model, glaciers, loss, span, options: as for :func:`value_and_gradient`; there need be
            nothing to learn.

    Returns:
        {rgi_id: {name of the term: its value, without weight}}; regularisations are left out.

    Raises:
        InputError: the loss has no term that is about data, or every glacier is left out of one.
    """
    enable_compilation_cache()
    total, listed = as_total(loss), as_list(glaciers)
    if not total.data:
        raise InputError("misfits: the loss has regularisations only; add one of odinn.losses")
    model = bind(model, listed)
    settings = make_settings(span, **options)
    problems = prepare_all(model, listed, total, settings)
    return misfits_of(*trainable(model, listed), problems, total, settings)


def misfits_of(
    params: PyTree, static: PyTree, problems: Sequence[Problem], loss: Total, settings: Settings
) -> dict[str, dict[str, float]]:
    """:func:`misfits` of glaciers that are prepared already."""
    out = {}
    for problem in problems:
        _, values, _ = glacier_value(params, static, problem, loss, settings)
        own = {}
        for (name, _, _), target, value in zip(loss.data, problem.targets, values, strict=True):
            if target is not None:
                own[name] = float(value)
        out[problem.glacier.rgi_id] = own
    return out


def glacier_value(
    params: PyTree, static: PyTree, problem: Problem, loss: Total, settings: Settings
) -> tuple[float, np.ndarray, Record]:
    """(weighted value, values of the terms, record of the steps) of one glacier's data."""
    return _value(call_of(params, static, problem, loss, settings), problem, settings)


def _value(call: Call, problem: Problem, settings: Settings) -> tuple[float, np.ndarray, Record]:
    capacity = _CAPACITY
    while True:
        value, (values, record) = term_values(*call.but(capacity=capacity))
        _raise_on(record, problem, settings)
        if int(record.total) <= capacity:
            return float(value), np.asarray(values, float), record
        # a power of two, so that runs of alike length share a program
        capacity = 1 << (int(record.total) - 1).bit_length()


def glacier_value_and_gradient(
    params: PyTree,
    static: PyTree,
    problem: Problem,
    loss: Total,
    settings: Settings,
    method: Method = "discrete",
    sizes: Sizes | None = None,
) -> tuple[float, PyTree, np.ndarray]:
    """(weighted value, gradient in the structure of ``params``, values of the terms) of one
    glacier's data.

    ``sizes`` remembers the buffers of each glacier's adjoint between calls.
    """
    if method not in _METHODS:
        raise InputError(f"method={method!r}: expected one of {', '.join(map(repr, _METHODS))}")
    call = call_of(params, static, problem, loss, settings)
    # without buffers from before they are measured anew
    known = {} if sizes is None else sizes
    value, values, gradient = _METHODS[method](call, problem, settings, known)
    return value, _in_whole(gradient, params, problem.glacier.rgi_id), values


def _in_whole(local: PyTree, params: PyTree, rgi_id: str) -> PyTree:
    """The gradient of one glacier in the structure of all that is learned; zero elsewhere."""
    own_model, own_geometry = local
    model, glaciers = params
    placed = []
    for glacier in glaciers:
        whole = glacier.bed, glacier.thickness
        if glacier.rgi_id == rgi_id:
            slope = globalized(own_geometry, whole, rgi_id)
        else:
            slope = jax.tree.map(jnp.zeros_like, whole)
        placed.append(with_geometry(glacier, slope))

    # None stands where nothing of this glacier is learned
    def filled(param: Array, slope: Array | None) -> Array:
        return jnp.zeros_like(param) if slope is None else jnp.asarray(slope, param.dtype)

    return jax.tree.map(filled, params, (globalized(own_model, model, rgi_id), placed))


def _discrete(call: Call, problem: Problem, settings: Settings, sizes: Sizes) -> Found:
    """The adjoint, with buffers that fit: their sizes come from the first run, and grow when a
    later one needs more.
    """
    key = problem.glacier.rgi_id
    if key not in sizes:
        record = term_values(*call.but(capacity=_CAPACITY))[1][1]
        _raise_on(record, problem, settings)
        sizes[key] = _with_room(_used(record, _CAPACITY))
    while True:
        capacity, steps, stages = sizes[key]
        sized = call.but(capacity=capacity, limits=Limits(steps, stages))
        (value, (values, record)), gradient = weighted_with_gradient(*sized)
        _raise_on(record, problem, settings)
        used = _used(record, capacity)
        if all(number <= size for number, size in zip(used, sizes[key], strict=True)):
            return float(value), np.asarray(values, float), gradient
        # never smaller, so that points of an inversion do not compile in turn
        sizes[key] = Buffers(*map(max, sizes[key], _with_room(used)))


def _used(record: Record, capacity: int) -> Buffers:
    """What a run would have needed; of the stages, as far as they were recorded."""
    total = int(record.total)
    stages = np.asarray(record.stages)[: min(total, capacity)].max(initial=1)
    return Buffers(total, int(np.asarray(record.count).max()), int(stages))


def _with_room(used: Buffers) -> Buffers:
    """Sizes with room, and few of them, for each compiles a program."""
    return Buffers(
        capacity=max(_CAPACITY, 1 << used.capacity.bit_length()),
        steps=1 << (max(used.steps, 2) - 1).bit_length(),
        stages=-(-used.stages // 4) * 4,
    )


def over_replay(call: Call, problem: Problem, settings: Settings) -> tuple[float, np.ndarray, Call]:
    """(weighted value, values of the terms, the call that repeats the run's steps)."""
    value, values, record = _value(call, problem, settings)
    replay = call.how["replay"]
    # the loss is differentiable over fixed steps only: their choice jumps
    if replay is None:
        replay = record_as_replay(record, len(problem.windows.start))
    return value, values, call.but(capacity=1, replay=replay)


def _autodiff(call: Call, problem: Problem, settings: Settings, sizes: Sizes) -> Found:
    """Reverse mode through the recorded steps."""
    value, values, again = over_replay(call, problem, settings)
    replay = again.how["replay"]
    # reverse mode needs loops of known length
    bounds = int(replay.count.max()), int(replay.stages.max())
    _, gradient = weighted_with_gradient(*again.but(bounds=bounds))
    return value, values, gradient


def _one_by_one(
    derivative: Callable[[Call, PyTree], float],
    call: Call,
    problem: Problem,
    settings: Settings,
    sizes: Sizes,
) -> Found:
    """The derivative along each number in turn, over the recorded steps."""
    value, values, again = over_replay(call, problem, settings)
    leaves, structure = jax.tree.flatten(call.params)
    zeros = [jnp.zeros_like(leaf) for leaf in leaves]
    columns = []
    for i, leaf in enumerate(leaves):
        slope = np.zeros(leaf.shape)
        for place in np.ndindex(leaf.shape):
            unit = np.zeros(leaf.shape)
            unit[place] = 1.0
            direction = list(zeros)
            direction[i] = jnp.asarray(unit, leaf.dtype)
            slope[place] = derivative(again, jax.tree.unflatten(structure, direction))
        columns.append(jnp.asarray(slope, leaf.dtype))
    return value, values, jax.tree.unflatten(structure, columns)


def directional_derivative(call: Call, tangent: PyTree) -> float:
    """The derivative along a direction by forward mode, over the steps in
    ``call.how["replay"]``.
    """
    return float(weighted_with_directional(call.params, tangent, *call[1:])[1])


def directional_difference(call: Call, tangent: PyTree, step: float = 1e-5) -> float:
    """Central difference along a direction, over the steps in ``call.how["replay"]``."""

    def at(h: float) -> float:
        moved = jax.tree.map(lambda p, t: p + h * t, call.params, tangent)
        return float(term_values(moved, *call[1:])[0])

    return (at(step) - at(-step)) / (2 * step)


def _continuous(call: Call, problem: Problem, settings: Settings, sizes: Sizes) -> Found:
    """The continuous adjoint, over the windows that have a length."""
    if settings.coupling == "jump":
        raise InputError(
            "method='continuous': the adjoint equation knows no jumps; use coupling='source'"
        )
    site, windows, *rest = call.arrays
    # windows that fill up a chunk have no length, over which nothing can be integrated
    windows = jax.tree.map(lambda a: np.asarray(a)[problem.used], windows)
    call = call._replace(arrays=(site, windows, *rest)).but(
        continuous=True, capacity=1, replay=None
    )
    (value, (values, good)), gradient = weighted_with_gradient(*call)
    if not bool(good):
        text = "method='continuous': diffrax did not reach the end of a month; raise max_steps"
        raise SolverError(where(problem.glacier.rgi_id, text))
    return float(value), np.asarray(values, float), gradient


_METHODS: dict[Method, Callable[[Call, Problem, Settings, Sizes], Found]] = {
    "discrete": _discrete,
    "autodiff": _autodiff,
    "forward": partial(_one_by_one, directional_derivative),
    "finite-difference": partial(_one_by_one, directional_difference),
    "continuous": _continuous,
}


def regularization_value_and_gradient(
    params: PyTree, static: PyTree, loss: Total
) -> tuple[float, PyTree]:
    """Value and gradient of the regularisation terms, which depend on the parameters alone."""
    if not loss.regularization:
        return 0.0, jax.tree.map(jnp.zeros_like, params)

    def penalty(p: PyTree) -> Array:
        return sum(regularization_values(p, static, loss).values(), start=jnp.zeros(()))

    value, gradient = jax.value_and_grad(penalty)(params)
    return float(value), gradient


def regularization_values(params: PyTree, static: PyTree, loss: Total) -> dict[str, Array]:
    """Weighted value of each regularisation term by name."""
    if not loss.regularization:
        return {}
    parts = combine(params, static)
    return {name: weight * term.value(*parts) for name, weight, term in loss.regularization}


def regularization_residuals(params: PyTree, static: PyTree, loss: Total) -> tuple[Array, Array]:
    """(residuals of the regularisation terms (N,), the weight of their squares in the loss
    (N,)).
    """
    model, glaciers = combine(params, static)
    found: list[Array] = [jnp.zeros(0)]
    weights: list[Array] = [jnp.zeros(0)]
    for _, weight, term in loss.regularization:
        residuals, number = term.residuals(model, glaciers)
        found.append(residuals)
        weights.append(jnp.full(residuals.size, weight / number))
    return jnp.concatenate(found), jnp.concatenate(weights)


def _raise_on(record: Record, problem: Problem, settings: Settings) -> None:
    status = int(record.status)
    # a compiled program cannot raise
    if status != 0:
        count = np.asarray(record.count)[problem.used]
        raise failure(status, problem.glacier, problem.windows, count, settings.max_steps)
