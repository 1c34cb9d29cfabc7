"""``value_and_gradient``: a loss over glaciers and its exact derivative with respect to everything
that is learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.cache import enable_compilation_cache
from odinn.errors import InputError, SolverError, where
from odinn.glacier import Glacier
from odinn.learning.problem import (
    Problem,
    local_parts,
    make_settings,
    prepare_all,
    residuals_of,
    run_options,
)
from odinn.learning.terms import Total, as_total
from odinn.model.binding import as_list, bind, combine, globalized, trainable
from odinn.model.model import Model
from odinn.numbers.parameter import cast_floats
from odinn.run.checks import failure
from odinn.run.settings import Settings
from odinn.stepping.steps import Limits, Record, record_as_replay

Sizes = dict[
    str, tuple[int, int, int]
]  # of each glacier: record of steps, steps per window, stages per step
Method = Literal["discrete", "autodiff", "forward", "finite-difference", "continuous"]
Found = tuple[float, np.ndarray, Any]  # weighted value, values of the terms, gradient


class Call(NamedTuple):
    """What the compiled functions of one glacier take, in their order; see :func:`residuals_of`."""

    params: Any
    static: Any
    arrays: tuple
    loss: Total
    settings: tuple
    how: dict[str, Any]

    def but(self, **how: Any) -> Call:
        """The same with other keywords of the run."""
        return self._replace(how=self.how | how)


def value_and_gradient(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    loss: Any,
    span: tuple[Any, Any],
    *,
    replay: Any = None,
    method: Method = "discrete",
    **options: Any,
) -> tuple[float, Any]:
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
    loss, listed = as_total(loss), as_list(glaciers)
    model = bind(model, listed)
    params, static = trainable(model, listed)
    if not jax.tree.leaves(params):
        raise InputError(
            "nothing to learn: put an odinn.Parameter or a law with weights where a number stands"
        )
    settings = make_settings(span, **options)
    value, gradient = regularization_value_and_gradient(params, static, loss)
    for problem in prepare_all(model, listed, loss, settings, replay):
        own_value, own_gradient, _ = glacier_value_and_gradient(
            params, static, problem, loss, settings, method
        )
        value += own_value
        gradient = jax.tree.map(jnp.add, gradient, own_gradient)
    return value, gradient


def misfits(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    loss: Any,
    span: tuple[Any, Any],
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
    loss, listed = as_total(loss), as_list(glaciers)
    if not loss.data:
        raise InputError("misfits: the loss has regularisations only; add one of odinn.losses")
    model = bind(model, listed)
    params, static = trainable(model, listed)
    settings = make_settings(span, **options)
    return misfits_of(params, static, prepare_all(model, listed, loss, settings), loss, settings)


def misfits_of(
    params: Any, static: Any, problems: Sequence[Problem], loss: Total, settings: Settings
) -> dict[str, dict[str, float]]:
    """:func:`misfits` of glaciers that are prepared already."""
    out = {}
    for problem in problems:
        _, values, _ = glacier_value(params, static, problem, loss, settings)
        rows = zip(loss.data, problem.targets, values, strict=True)
        out[problem.glacier.rgi_id] = {
            name: float(v) for (name, _, _), own, v in rows if own is not None
        }
    return out


def _values(
    params: Any, static: Any, arrays: tuple, loss: Total, settings: tuple, how: dict
) -> tuple[Any, Record]:
    found, record = residuals_of(params, static, arrays, loss, settings, how)
    return jnp.stack([jnp.sum(r * r) / n for r, n in found]) if found else jnp.zeros(0), record


def weighted_value(
    params: Any, static: Any, arrays: tuple, loss: Total, settings: tuple, how: dict
) -> tuple[Any, tuple[Any, Record]]:
    """(weighted value of the data terms of one glacier, (their values, record)); arguments as of
    :func:`residuals_of`.
    """
    values, record = _values(params, static, arrays, loss, settings, how)
    weights = jnp.asarray([w for _, w, _ in loss.data])
    return jnp.sum(weights * arrays[-1] * values), (values, record)


@eqx.filter_jit
def term_values(
    params: Any, static: Any, arrays: tuple, loss: Total, settings: tuple, how: dict
) -> tuple[Any, tuple[Any, Record]]:
    """:func:`weighted_value`, compiled."""
    return weighted_value(params, static, arrays, loss, settings, how)


@eqx.filter_jit
def weighted_with_gradient(
    params: Any, static: Any, arrays: tuple, loss: Total, settings: tuple, how: dict
) -> tuple[tuple[Any, tuple[Any, Record]], Any]:
    """(:func:`weighted_value`, its gradient), compiled."""
    return eqx.filter_value_and_grad(weighted_value, has_aux=True)(
        params, static, arrays, loss, settings, how
    )


@eqx.filter_jit
def weighted_with_directional(
    params: Any, tangent: Any, static: Any, arrays: tuple, loss: Total, settings: tuple, how: dict
) -> tuple[Any, Any]:
    """(weighted value, its derivative along a direction), compiled."""
    f = lambda p: weighted_value(p, static, arrays, loss, settings, how)[0]
    return jax.jvp(f, (params,), (tangent,))


@eqx.filter_jit
def residuals_with_jacobian(
    params: Any, tangents: Any, static: Any, arrays: tuple, loss: Total, settings: tuple, how: dict
) -> list[tuple[Any, Any, Any]]:
    """Of each data term of one glacier: residuals (N,), their derivatives along K directions (N,
    K), and the weights (N,) of their squares in the loss. The leaves of ``tangents`` have a leading
    axis K; the run itself is made once."""

    def residuals(p: Any) -> tuple[list, list]:
        found, _ = residuals_of(p, static, arrays, loss, settings, how)
        scales = [
            w * share / n
            for (_, w, _), share, (_, n) in zip(loss.data, arrays[-1], found, strict=True)
        ]
        weights = [
            jnp.broadcast_to(scale, r.size) for scale, (r, _) in zip(scales, found, strict=True)
        ]
        return [jnp.ravel(r) for r, _ in found], weights

    one = lambda tangent: jax.jvp(residuals, (params,), (tangent,), has_aux=True)
    values, slopes, weights = jax.vmap(one, out_axes=(None, 1, None))(tangents)
    return list(zip(values, slopes, weights, strict=True))


def call_of(params: Any, static: Any, problem: Problem, loss: Total, settings: Settings) -> Call:
    """What compiled functions take of a glacier, in the precision of the runs."""
    parts, replay = local_parts(params, static, problem), problem.steps
    if settings.dtype == "float32":
        parts, replay = cast_floats((parts, replay), jnp.float32)
    how = run_options(problem, loss, settings) | {"replay": replay}
    return Call(*parts, loss, (settings.stepper, settings.coupling), how)


def glacier_value(
    params: Any, static: Any, problem: Problem, loss: Total, settings: Settings
) -> tuple[float, np.ndarray, Record]:
    """(weighted value, values of the terms, record of the steps) of one glacier's data."""
    return _value(call_of(params, static, problem, loss, settings), problem, settings)


def _value(call: Call, problem: Problem, settings: Settings) -> tuple[float, np.ndarray, Record]:
    capacity = 512
    while True:
        value, (values, record) = term_values(*call.but(capacity=capacity))
        _raise_on(record, problem, settings)
        if int(record.total) <= capacity:
            return float(value), np.asarray(values, float), record
        capacity = 1 << (int(record.total) - 1).bit_length()


def glacier_value_and_gradient(
    params: Any,
    static: Any,
    problem: Problem,
    loss: Total,
    settings: Settings,
    method: Method = "discrete",
    sizes: Sizes | None = None,
) -> tuple[float, Any, np.ndarray]:
    """(weighted value, gradient in the structure of ``params``, values of the terms) of one
    glacier's data.

    ``sizes`` remembers the buffers of each glacier's adjoint between calls.
    """
    if method not in _METHODS:
        raise InputError(f"method={method!r}: expected one of {', '.join(map(repr, _METHODS))}")
    call = call_of(params, static, problem, loss, settings)
    value, values, gradient = _METHODS[method](
        call, problem, settings, {} if sizes is None else sizes
    )
    rgi_id = problem.glacier.rgi_id
    local_model, local_geometry = gradient
    glaciers = [
        eqx.tree_at(
            lambda g: (g.bed, g.thickness),
            g,
            _place(g, local_geometry, rgi_id),
            is_leaf=lambda x: x is None,
        )
        for g in params[1]
    ]
    whole = globalized(local_model, params[0], rgi_id), glaciers
    whole = jax.tree.map(
        lambda p, g: jnp.zeros_like(p) if g is None else jnp.asarray(g, p.dtype), params, whole
    )
    return value, whole, values


def _discrete(call: Call, problem: Problem, settings: Settings, sizes: Sizes) -> Found:
    """The adjoint, with buffers that fit: their sizes come from the first run, and grow when a
    later one needs more.
    """
    key = problem.glacier.rgi_id
    if key not in sizes:
        record = term_values(*call.but(capacity=512))[1][1]
        _raise_on(record, problem, settings)
        stages = int(np.asarray(record.stages)[: min(int(record.total), 512)].max(initial=1))
        sizes[key] = _sizes(int(record.total), int(np.asarray(record.count).max()), stages)
    while True:
        capacity, steps, stages = sizes[key]
        sized = call.but(capacity=capacity, limits=Limits(steps, stages))
        (value, (values, record)), gradient = weighted_with_gradient(*sized)
        _raise_on(record, problem, settings)
        total, count = int(record.total), int(np.asarray(record.count).max())
        stages_used = int(np.asarray(record.stages)[: min(total, capacity)].max(initial=1))
        if total <= capacity and count <= steps and stages_used <= stages:
            return float(value), np.asarray(values, float), gradient
        larger = _sizes(total, count, stages_used)
        sizes[key] = (max(capacity, larger[0]), max(steps, larger[1]), max(stages, larger[2]))


def _sizes(total: int, count: int, stages: int) -> tuple[int, int, int]:
    """Buffer sizes with room: the record, steps per window, stages per step."""
    return (
        max(512, 1 << total.bit_length()),
        1 << (max(count, 2) - 1).bit_length(),
        -(-stages // 4) * 4,
    )


def over_replay(call: Call, problem: Problem, settings: Settings) -> tuple[float, np.ndarray, Call]:
    """(weighted value, values of the terms, the call that repeats the run's steps)."""
    value, values, record = _value(call, problem, settings)
    replay = call.how["replay"]
    if replay is None:
        replay = record_as_replay(record, len(problem.windows.start))
    return value, values, call.but(capacity=1, replay=replay)


def _autodiff(call: Call, problem: Problem, settings: Settings, sizes: Sizes) -> Found:
    """Reverse mode through the recorded steps."""
    value, values, again = over_replay(call, problem, settings)
    replay = again.how["replay"]
    _, gradient = weighted_with_gradient(
        *again.but(bounds=(int(replay.count.max()), int(replay.stages.max())))
    )
    return value, values, gradient


def _one_by_one(
    derivative: Callable[[Call, Any], float],
    call: Call,
    problem: Problem,
    settings: Settings,
    sizes: Sizes,
) -> Found:
    """The derivative along each number in turn, over the recorded steps."""
    value, values, again = over_replay(call, problem, settings)
    leaves, structure = jax.tree.flatten(call.params)
    columns = []
    for i, leaf in enumerate(leaves):
        flat = np.zeros(leaf.size)
        for j in range(leaf.size):
            unit = np.zeros(leaf.size)
            unit[j] = 1.0
            direction = [jnp.zeros_like(other) for other in leaves]
            direction[i] = jnp.asarray(unit.reshape(leaf.shape), leaf.dtype)
            flat[j] = derivative(again, jax.tree.unflatten(structure, direction))
        columns.append(jnp.asarray(flat.reshape(leaf.shape), leaf.dtype))
    return value, values, jax.tree.unflatten(structure, columns)


def directional_derivative(call: Call, tangent: Any) -> float:
    """The derivative along a direction by forward mode, over the steps in
    ``call.how["replay"]``.
    """
    return float(weighted_with_directional(call.params, tangent, *call[1:])[1])


def directional_difference(call: Call, tangent: Any, step: float = 1e-5) -> float:
    """Central difference along a direction, over the steps in ``call.how["replay"]``."""

    def at(h: float) -> float:
        return float(
            term_values(jax.tree.map(lambda p, t: p + h * t, call.params, tangent), *call[1:])[0]
        )

    return (at(step) - at(-step)) / (2 * step)


def _continuous(call: Call, problem: Problem, settings: Settings, sizes: Sizes) -> Found:
    """The continuous adjoint, over the windows that have a length."""
    if settings.coupling == "jump":
        raise InputError(
            "method='continuous': the adjoint equation knows no jumps; use coupling='source'"
        )
    site, windows, *rest = call.arrays
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


def regularization_value_and_gradient(params: Any, static: Any, loss: Total) -> tuple[float, Any]:
    """Value and gradient of the regularisation terms, which depend on the parameters alone."""
    if not loss.regularization:
        return 0.0, jax.tree.map(jnp.zeros_like, params)
    f = lambda p: sum(regularization_values(p, static, loss).values())
    value, gradient = jax.value_and_grad(f)(params)
    return float(value), gradient


def regularization_values(params: Any, static: Any, loss: Total) -> dict[str, Any]:
    """Weighted value of each regularisation term by name."""
    if not loss.regularization:
        return {}
    model, glaciers = combine(params, static)
    return {
        name: weight * term.value(model, glaciers) for name, weight, term in loss.regularization
    }


def regularization_residuals(params: Any, static: Any, loss: Total) -> tuple[Any, Any]:
    """(residuals of the regularisation terms (N,), the weight of their squares in the loss
    (N,)).
    """
    model, glaciers = combine(params, static)
    found = [(weight, *term.residuals(model, glaciers)) for _, weight, term in loss.regularization]
    if not found:
        return jnp.zeros(0), jnp.zeros(0)
    weights = [jnp.full(residuals.size, weight / number) for weight, residuals, number in found]
    return jnp.concatenate([residuals for _, residuals, _ in found]), jnp.concatenate(weights)


def _place(glacier: Any, own: tuple, rgi_id: str) -> tuple:
    if glacier.rgi_id != rgi_id:
        return jax.tree.map(jnp.zeros_like, (glacier.bed, glacier.thickness))
    return globalized(own, (glacier.bed, glacier.thickness), rgi_id)


def _raise_on(record: Record, problem: Problem, settings: Settings) -> None:
    status = int(record.status)
    if status != 0:
        count = np.asarray(record.count)[problem.used]
        raise failure(status, problem.glacier, problem.windows, count, settings.max_steps)
