"""``value_and_gradient``: a loss over glaciers and its exact derivative with respect to everything that is learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.binding import Site, as_list, bind, combine, globalized, learned_leaves, localized, site_of, trainable
from odinn.cache import enable_compilation_cache
from odinn.constants import WATER_DENSITY
from odinn.dates import decimal_year
from odinn.dynamics import Coupling, Window, dynamics_of
from odinn.errors import InputError, where
from odinn.glacier import Glacier, geometry
from odinn.grid import cell_mean
from odinn.inversion.losses import AbstractLoss, Outcome
from odinn.inversion.regularization import AbstractRegularization
from odinn.model import Model, State
from odinn.simulation import CHUNK, Steps, _failure, _replay_of, cast_floats
from odinn.stepping.adjoint import Limits, Record, Replay, snapshots
from odinn.stepping.base import AbstractStepper
from odinn.stepping.rkc import RKC2
from odinn.windows import check_run, padded, plan_windows

Sizes = dict[str, tuple[int, int, int]]  # of each glacier: record of steps, steps per window, stages per step
Method = Literal["discrete", "autodiff", "forward", "finite-difference"]


class Problem(eqx.Module):
    """One glacier of an inversion, prepared on the host: site, windows, targets, step, all as arrays."""

    glacier: Glacier
    site: Site
    windows: Window
    stops: Any
    keep: Any
    targets: tuple
    start: float
    replay: Steps | None


class Settings(eqx.Module):
    """How every run of an inversion is made."""

    span: tuple[float, float]
    stepper: AbstractStepper
    coupling: Coupling
    max_steps: int
    dtype: str


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
        model, glaciers: with parameters and laws where something is to be learned; bound if need be.
        loss: a loss or a sum of losses and regularisations. span: (t0, t1).
        replay: steps to repeat: one ``Steps``, a list in the glaciers' order, or {rgi_id: Steps}.
        method: "discrete" (the transpose of the steps that ran), "autodiff" (reverse mode through the recorded steps),
            "forward" (one directional derivative per number), "finite-difference" (central, over the recorded steps).
        options: keywords of :func:`odinn.simulate` (save_every, stepper, coupling, dtype, max_steps).

    Returns:
        (value, gradient with the structure of ``odinn.trainable(model, glaciers)[0]``).
    """
    listed = as_list(glaciers)
    model = bind(model, listed)
    params, static = trainable(model, listed)
    if not jax.tree.leaves(params):
        raise InputError("nothing to learn: put an odinn.Parameter or a law with weights where a number stands")
    settings = make_settings(span, **options)
    problems = [prepare(model, g, loss, settings, _replay_of(replay, g, i, len(listed))) for i, g in enumerate(listed)]
    value, gradient = 0.0, jax.tree.map(jnp.zeros_like, params)
    for problem in problems:
        own_value, own_gradient, _ = glacier_value_and_gradient(params, static, problem, loss, settings, method)
        value += own_value / len(problems)
        gradient = jax.tree.map(lambda a, b: a + b / len(problems), gradient, own_gradient)
    penalty, penalty_gradient = regularization_value_and_gradient(params, static, loss)
    return value + penalty, jax.tree.map(jnp.add, gradient, penalty_gradient)


def make_settings(
    span: tuple[Any, Any],
    *,
    stepper: AbstractStepper | None = None,
    coupling: Coupling = "source",
    max_steps: int = 1_000_000,
    dtype: str = "float64",
    save_every: float | None = None,
    **unknown: Any,
) -> Settings:
    """Checked settings of the runs of an inversion."""
    if unknown:
        raise InputError(f"unknown keyword {next(iter(unknown))!r}; known: stepper, coupling, max_steps, dtype")
    enable_compilation_cache()
    t0, t1 = (decimal_year(t) for t in span)
    return Settings((t0, t1), RKC2() if stepper is None else stepper, coupling, max_steps, dtype)


def prepare(model: Model, glacier: Glacier, loss: Any, settings: Settings, replay: Steps | None = None) -> Problem:
    """Check a glacier and lay out its windows, law inputs and data."""
    t0, t1 = settings.span
    site = site_of(model, glacier)
    bed, thickness = geometry(site)
    plain = eqx.tree_at(lambda g: (g.bed, g.thickness), glacier, (np.asarray(bed), np.asarray(thickness)))
    check_run(model, plain, t0, t1, t1 - t0, settings.coupling, None, settings.dtype)
    data = [term for _, term in loss.terms if isinstance(term, AbstractLoss)]
    stops = sorted({t for term in data for t in term.stops(glacier, settings.span)})
    for t in stops:
        if not t0 - 1e-9 <= t <= t1 + 1e-9:
            raise InputError(
                where(glacier.rgi_id, f"an observation of {t:.4f} lies outside the span {t0:.4f} to {t1:.4f}")
            )
    windows, _ = plan_windows(model, plain, t0, t1, t1 - t0, settings.coupling, stops=stops)
    ends = np.asarray(windows.start) + np.asarray(windows.length)
    keep = np.array([int(np.argmin(np.abs(ends - t))) for t in stops if t - t0 > 1e-7] or [len(ends) - 1])

    def index(t: float) -> int:
        return 0 if abs(t - t0) < 1e-7 else int(np.argmin(np.abs(ends[keep] - t))) + 1

    targets = tuple(term.targets(glacier, settings.span, index) for term in data)
    if replay is not None and len(replay.start) != len(windows.start):
        raise InputError(
            where(glacier.rgi_id, f"replay has {len(replay.start)} windows, this run has {len(windows.start)}")
        )
    count = -(-len(ends) // CHUNK) * CHUNK
    return Problem(glacier, site, padded(windows, count), ends[keep], keep, targets, t0, replay)


def run_outcome(
    model: Model, site: Site, windows: Window, keep: Any, start: Any, settings: tuple, how: dict
) -> tuple[Outcome, Record]:
    """A run of one glacier inside compiled code, with the states at the ends of the windows ``keep``.

    ``settings`` are (stepper, coupling); ``how`` are keywords of ``snapshots``, and "carries" and "accounts" of
    ``dynamics_of``.
    """
    stepper, coupling = settings
    how = dict(how)
    carries, accounts = how.pop("carries"), how.pop("accounts")
    system = dynamics_of(model, site, coupling, carries=carries, accounts=accounts)
    _, thickness = geometry(site)
    extras = {}
    if carries and system.has_source:
        row = jax.tree.map(lambda a: a[0], windows.forcing)
        shapes = jax.eval_shape(system._source, thickness, row, jnp.asarray(start))
        extras["balance"] = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    if accounts == "balance":
        extras["applied"] = jnp.zeros_like(thickness)
    state = State(jnp.asarray(start), thickness, extras)
    states, record = snapshots(system, state, windows, jnp.asarray(keep), stepper, **how)

    def velocity(H: Any) -> tuple[Any, Any]:
        u, v = system.flow.velocity(system.flow_values, system.bed, H, system.dx, system.dy, "surface")
        return tuple(jnp.where(H > 0, cell_mean(c), 0.0) for c in (u, v))  # type: ignore[return-value]

    at_stops = jnp.maximum(states.thickness, 0.0) if system.signed else states.thickness
    with_start = lambda first, rest: jnp.concatenate([first[None], rest])
    balance = with_start(jnp.zeros_like(thickness), states.extras["applied"]) if accounts == "balance" else None
    outcome = Outcome(
        with_start(thickness, at_stops),
        balance,
        with_start(jnp.asarray(start), states.time),
        velocity,
        model.ice_density / WATER_DENSITY,
    )
    return outcome, record


@eqx.filter_jit
def _terms(params: Any, static: Any, arrays: tuple, loss: Any, settings: tuple, how: dict) -> tuple[Any, Record]:
    """Values of the data terms of one glacier, (terms,), unweighted."""
    return _term_values(params, static, arrays, loss, settings, dict(how))


def _term_values(params: Any, static: Any, arrays: tuple, loss: Any, settings: tuple, how: dict) -> tuple[Any, Record]:
    model, own_geometry = eqx.combine(params, static)
    site, windows, keep, targets, start = arrays
    site = eqx.tree_at(lambda s: (s.bed, s.thickness), site, own_geometry, is_leaf=lambda x: x is None)
    outcome, record = run_outcome(model, site, windows, keep, start, settings, how)
    data = [term for _, term in loss.terms if isinstance(term, AbstractLoss)]
    values = [jnp.sum(term.residuals(outcome, t) ** 2) for term, t in zip(data, targets, strict=True)]
    return jnp.stack(values) if values else jnp.zeros(0), record


@eqx.filter_jit
def _residual_column(
    params: Any, tangent: Any, static: Any, arrays: tuple, loss: Any, settings: tuple, how: dict
) -> tuple[Any, Any]:
    """Weighted residuals of one glacier, (N,), and their derivative along a direction."""
    weights = [w for w, term in loss.terms if isinstance(term, AbstractLoss)]

    def residuals(p: Any) -> Any:
        model, own_geometry = eqx.combine(p, static)
        site, windows, keep, targets, start = arrays
        site = eqx.tree_at(lambda s: (s.bed, s.thickness), site, own_geometry, is_leaf=lambda x: x is None)
        outcome, _ = run_outcome(model, site, windows, keep, start, settings, how)
        data = [term for _, term in loss.terms if isinstance(term, AbstractLoss)]
        rows = [term.residuals(outcome, t) for term, t in zip(data, targets, strict=True)]
        return jnp.concatenate([jnp.ravel(np.sqrt(w) * r) for w, r in zip(weights, rows, strict=True)])

    return jax.jvp(residuals, (params,), (tangent,))


def _weighted(params: Any, static: Any, arrays: tuple, loss: Any, settings: tuple, how: dict) -> tuple[Any, Any]:
    values, record = _term_values(params, static, arrays, loss, settings, how)
    weights = jnp.asarray([w for w, term in loss.terms if isinstance(term, AbstractLoss)])
    return jnp.sum(weights * values), (values, record)


@eqx.filter_jit
def _weighted_with_gradient(params: Any, static: Any, arrays: tuple, loss: Any, settings: tuple, how: dict) -> Any:
    return eqx.filter_value_and_grad(_weighted, has_aux=True)(params, static, arrays, loss, settings, how)


@eqx.filter_jit
def _weighted_with_directional(
    params: Any, tangent: Any, static: Any, arrays: tuple, loss: Any, settings: tuple, how: dict
) -> Any:
    f = lambda p: _weighted(p, static, arrays, loss, settings, how)[0]
    return jax.jvp(f, (params,), (tangent,))


def local_parts(params: Any, static: Any, problem: Problem) -> tuple[Any, Any, tuple]:
    """(params, static, arrays) of one glacier, without its name."""
    model, glaciers = combine(params, static)
    rgi_id = problem.glacier.rgi_id
    own = next(g for g in glaciers if g.rgi_id == rgi_id)
    local = localized(model, rgi_id), localized((own.bed, own.thickness), rgi_id)
    own_params, own_static = eqx.partition(local, learned_leaves(local))
    site = eqx.tree_at(lambda s: (s.bed, s.thickness), problem.site, (None, None))
    return own_params, own_static, (site, problem.windows, problem.keep, problem.targets, problem.start)


def glacier_value(
    params: Any, static: Any, problem: Problem, loss: Any, settings: Settings
) -> tuple[float, np.ndarray, Record]:
    """(weighted value, values of the terms, record of the steps) of one glacier's data."""
    own_params, own_static, arrays = _cast(settings, *local_parts(params, static, problem))
    capacity = 512
    while True:
        how = run_options(problem, loss, settings) | {"capacity": capacity, "replay": _replay(problem)}
        values, record = _terms(own_params, own_static, arrays, loss, (settings.stepper, settings.coupling), how)
        _raise_on(record, problem, settings)
        if int(record.total) <= capacity:
            weights = np.array([w for w, term in loss.terms if isinstance(term, AbstractLoss)])
            values = np.asarray(values, float)
            return float(weights @ values), values, record
        capacity = 1 << (int(record.total) - 1).bit_length()


def glacier_value_and_gradient(
    params: Any,
    static: Any,
    problem: Problem,
    loss: Any,
    settings: Settings,
    method: Method = "discrete",
    sizes: Sizes | None = None,
) -> tuple[float, Any, np.ndarray]:
    """(weighted value, gradient in the structure of ``params``, values of the terms) of one glacier's data.

    ``sizes`` remembers the buffers of each glacier's adjoint between calls.
    """
    own_params, own_static, arrays = _cast(settings, *local_parts(params, static, problem))
    common = run_options(problem, loss, settings)
    ours = settings.stepper, settings.coupling
    if method == "discrete":
        value, values, gradient = _discrete(
            own_params, own_static, arrays, loss, ours, common, problem, settings, {} if sizes is None else sizes
        )
    else:
        value, values, gradient = _other_methods(
            own_params, own_static, arrays, loss, ours, common, problem, settings, params, static, method
        )
    rgi_id = problem.glacier.rgi_id
    like = params
    local_model, local_geometry = gradient
    glaciers = [
        eqx.tree_at(lambda g: (g.bed, g.thickness), g, _place(g, local_geometry, rgi_id), is_leaf=lambda x: x is None)
        for g in like[1]
    ]
    whole = globalized(local_model, like[0], rgi_id), glaciers
    whole = jax.tree.map(lambda p, g: jnp.zeros_like(p) if g is None else jnp.asarray(g, p.dtype), params, whole)
    return value, whole, values


def _discrete(
    own_params: Any,
    own_static: Any,
    arrays: tuple,
    loss: Any,
    ours: tuple,
    common: dict,
    problem: Problem,
    settings: Settings,
    sizes: Sizes,
) -> tuple[float, np.ndarray, Any]:
    """The adjoint, with buffers that fit: their sizes come from the first run, and grow when a later one needs more."""
    replay = _replay(problem)
    key = problem.glacier.rgi_id
    if key not in sizes:
        how = common | {"capacity": 512, "replay": replay}
        record = _terms(own_params, own_static, arrays, loss, ours, how)[1]
        _raise_on(record, problem, settings)
        stages = int(np.asarray(record.stages)[: min(int(record.total), 512)].max(initial=1))
        sizes[key] = _sizes(int(record.total), int(np.asarray(record.count).max()), stages)
    while True:
        capacity, steps, stages = sizes[key]
        how = common | {"capacity": capacity, "replay": replay, "limits": Limits(steps, stages)}
        (value, (values, record)), gradient = _weighted_with_gradient(own_params, own_static, arrays, loss, ours, how)
        _raise_on(record, problem, settings)
        total, count = int(record.total), int(np.asarray(record.count).max())
        stages_used = int(np.asarray(record.stages)[: min(total, capacity)].max(initial=1))
        if total <= capacity and count <= steps and stages_used <= stages:
            return float(value), np.asarray(values, float), gradient
        larger = _sizes(total, count, stages_used)
        sizes[key] = (max(capacity, larger[0]), max(steps, larger[1]), max(stages, larger[2]))


def _sizes(total: int, count: int, stages: int) -> tuple[int, int, int]:
    """Buffer sizes with room: the record, steps per window, stages per step."""
    return max(512, 1 << total.bit_length()), 1 << (max(count, 2) - 1).bit_length(), -(-stages // 4) * 4


def _other_methods(
    own_params: Any,
    own_static: Any,
    arrays: tuple,
    loss: Any,
    ours: tuple,
    common: dict,
    problem: Problem,
    settings: Settings,
    params: Any,
    static: Any,
    method: Method,
) -> tuple[float, np.ndarray, Any]:
    """Checks of the adjoint: reverse mode through the recorded steps, forward mode, and differences, all over a replay."""
    if method not in ("autodiff", "forward", "finite-difference"):
        raise InputError(f"method={method!r}: expected 'discrete', 'autodiff', 'forward' or 'finite-difference'")
    value, values, record = glacier_value(params, static, problem, loss, settings)
    replay = _replay(problem)
    if replay is None:
        replay = record_as_replay(record, len(problem.windows.start))
    how = common | {"capacity": 1, "replay": replay}
    if method == "autodiff":
        bounds = int(replay.count.max()), int(replay.stages.max())
        how = how | {"bounds": bounds}
        (_, _), gradient = _weighted_with_gradient(own_params, own_static, arrays, loss, ours, how)
        return value, values, gradient
    leaves, structure = jax.tree.flatten(own_params)
    columns = []
    for i, leaf in enumerate(leaves):
        flat = np.zeros(leaf.size)
        for j in range(leaf.size):
            unit = np.zeros(leaf.size)
            unit[j] = 1.0
            direction = [jnp.zeros_like(other) for other in leaves]
            direction[i] = jnp.asarray(unit.reshape(leaf.shape), leaf.dtype)
            tangent = jax.tree.unflatten(structure, direction)
            if method == "forward":
                flat[j] = float(_weighted_with_directional(own_params, tangent, own_static, arrays, loss, ours, how)[1])
            else:
                flat[j] = directional_difference(own_params, tangent, own_static, arrays, loss, ours, how)
        columns.append(jnp.asarray(flat.reshape(leaf.shape), leaf.dtype))
    return value, values, jax.tree.unflatten(structure, columns)


def directional_difference(
    own_params: Any, tangent: Any, own_static: Any, arrays: tuple, loss: Any, ours: tuple, how: dict, step: float = 1e-5
) -> float:
    """Central difference along a direction, over the steps in ``how["replay"]``."""
    weights = np.array([w for w, term in loss.terms if isinstance(term, AbstractLoss)])

    def at(h: float) -> float:
        moved = jax.tree.map(lambda p, t: p + h * t, own_params, tangent)
        return float(weights @ np.asarray(_terms(moved, own_static, arrays, loss, ours, how)[0]))

    return (at(step) - at(-step)) / (2 * step)


def regularization_value_and_gradient(params: Any, static: Any, loss: Any) -> tuple[float, Any]:
    """Value and gradient of the regularisation terms, which depend on the parameters alone."""
    if not any(isinstance(term, AbstractRegularization) for _, term in loss.terms):
        return 0.0, jax.tree.map(jnp.zeros_like, params)
    f = lambda p: sum(regularization_values(p, static, loss).values())
    value, gradient = jax.value_and_grad(f)(params)
    return float(value), gradient


def regularization_values(params: Any, static: Any, loss: Any) -> dict[str, Any]:
    """Weighted value of each regularisation term by name."""
    model, glaciers = combine(params, static)
    out: dict[str, Any] = {}
    for weight, term in loss.terms:
        if isinstance(term, AbstractRegularization):
            out[term.name] = out.get(term.name, 0.0) + weight * term.value(model, glaciers)
    return out


def record_as_replay(record: Record | Steps, windows: int) -> Replay:
    """A record as steps to repeat, (windows, K)."""
    count = np.zeros(windows, np.int32)
    count[: len(record.count)] = np.asarray(record.count)
    width = max(int(count.max()), 1)
    dt, stages = np.zeros((windows, width)), np.ones((windows, width), np.int32)
    offset = 0
    for i, n in enumerate(count.tolist()):
        dt[i, :n] = np.asarray(record.dt)[offset : offset + n]
        stages[i, :n] = np.asarray(record.stages)[offset : offset + n]
        offset += n
    return Replay(jnp.asarray(dt), jnp.asarray(stages), jnp.asarray(count))


def _replay(problem: Problem) -> Replay | None:
    if problem.replay is None:
        return None
    return record_as_replay(problem.replay, len(problem.windows.start))


def run_options(problem: Problem, loss: Any, settings: Settings) -> dict[str, Any]:
    """Keywords of ``run_outcome`` that do not depend on the method.

    The balance in force is carried where some window starts within a month, and summed up where a loss asks for it.
    """
    used = np.asarray(problem.windows.length) > 0
    carries = problem.windows.forcing is not None and not bool(np.asarray(problem.windows.evaluate)[used].all())
    summed = any(isinstance(term, AbstractLoss) and term.uses_balance for _, term in loss.terms)
    return {"carries": carries, "accounts": "balance" if summed else "none", "max_steps": settings.max_steps}


def _place(glacier: Any, own: tuple, rgi_id: str) -> tuple:
    if glacier.rgi_id != rgi_id:
        return jax.tree.map(jnp.zeros_like, (glacier.bed, glacier.thickness))
    return globalized(own, (glacier.bed, glacier.thickness), rgi_id)


def _cast(settings: Settings, *trees: Any) -> tuple:
    return trees if settings.dtype == "float64" else tuple(cast_floats(t, jnp.float32) for t in trees)


def _raise_on(record: Record, problem: Problem, settings: Settings) -> None:
    status = int(record.status)
    if status != 0:
        count = np.asarray(record.count)[np.asarray(problem.windows.length) > 0]
        raise _failure(status, problem.glacier, problem.windows, count, np.zeros(0), settings.max_steps)
