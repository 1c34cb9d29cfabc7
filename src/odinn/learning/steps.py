"""The steps of an inversion: how each optimiser goes from one state to the next."""

from __future__ import annotations

import dataclasses
import time as clock
import warnings
from collections.abc import Callable
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, SolverError
from odinn.learning.checkpoint import InversionState, Memory
from odinn.learning.optimizers import Stage
from odinn.learning.search import Evaluation, Search
from odinn.physics.processes.base import PyTree

_LONGEST: Final = 1.0  # step of Gauss–Newton, in unconstrained numbers
_STUCK: Final = "stuck"  # in the memory of a stage that found no better point


def first_state(search: Search, stage: Stage) -> InversionState:
    """Before the first step; Gauss–Newton needs no adjoint, so none is compiled for it."""
    began = clock.perf_counter()
    x = search.start
    memory: Memory = {}
    if stage.method == "gauss-newton":
        at, memory = search.linearised(x)
    else:
        at = search.value_and_gradient(x)
    if not at.is_finite:
        raise SolverError(
            f"the loss at the start is {at.value:g}: look at the initial values of what is learned"
        )
    state = InversionState(
        x=x,
        value=at.value,
        gradient=at.gradient,
        best=x,
        best_value=at.value,
        best_gradient=at.gradient,
        stage=0,
        step=0,
        total=0,
        memory=memory,
        records={},
        covariance=memory.get("covariance"),
    )
    return _recorded(state, at.terms, began, rejected=False)


def next_state(search: Search, stage: Stage, state: InversionState, seed: int) -> InversionState:
    """The state after one more step; where the stage ends by it, the next one starts from the
    best point.
    """
    state = _STEPS[stage.method](search, stage, state, seed)
    if not _ended(stage, state):
        return state
    return dataclasses.replace(
        state,
        x=state.best,
        value=state.best_value,
        gradient=state.best_gradient,
        stage=state.stage + 1,
        step=0,
        memory={},
    )


def _adam_step(search: Search, stage: Stage, state: InversionState, seed: int) -> InversionState:
    """One step of Adam; a step into a value that is not finite is taken back, and the next ones are
    half as long.
    """
    import optax

    began = clock.perf_counter()
    parts = [optax.scale_by_adam(), optax.scale(-stage.learning_rate)]
    if stage.clip:
        parts.insert(0, optax.clip_by_global_norm(stage.clip))
    method = optax.chain(*parts)
    x = jnp.asarray(state.x)
    moments = _restored(method.init(x), state.memory.get("moments"))
    scale = float(state.memory.get("scale", 1.0))
    gradient = _batch_gradient(search, stage, state, seed)
    update, moments = method.update(jnp.asarray(gradient), moments, x)
    point = state.x + scale * np.asarray(update)
    at = search.value_and_gradient(point)
    rejected = not at.is_finite
    if rejected:
        # the moments stay: they are of gradients that were finite
        scale, point = 0.5 * scale, state.x
        at = at._replace(value=state.value, gradient=state.gradient)
    memory = {"moments": _arrays(moments), "scale": np.asarray(scale)}
    return _moved(state, point, at, memory, began, rejected=rejected)


def _batch_gradient(search: Search, stage: Stage, state: InversionState, seed: int) -> np.ndarray:
    """The gradient that a step of Adam follows: of all glaciers, or of some that are drawn."""
    number = len(search.problems)
    if stage.batch is None or stage.batch >= number:
        return state.gradient
    # a draw depends on the step alone, so that a continued inversion draws the same
    random = np.random.default_rng((seed, state.total))
    chosen = random.choice(number, stage.batch, replace=False)
    return search.value_and_gradient(state.x, sorted(chosen.tolist())).gradient


def _lbfgs_step(search: Search, stage: Stage, state: InversionState, seed: int) -> InversionState:
    """One step of L-BFGS with a strong-Wolfe line search; where the search fails, steepest descent
    from scratch.
    """
    import optax

    began = clock.perf_counter()
    method = optax.scale_by_lbfgs(memory_size=stage.memory)
    x, gradient = jnp.asarray(state.x), state.gradient
    template = method.init(x)
    pairs = _restored(template, state.memory.get("pairs"))
    descent, pairs = method.update(jnp.asarray(gradient), pairs, x)
    direction = -np.asarray(descent)
    found = None
    # with curvature that round-off has spoilt the direction may lead uphill
    if float(direction @ gradient) < 0:
        found = _line_search(search, state, direction)
    if found is None:
        # curvature that misleads is forgotten
        pairs = template
        direction = -gradient / max(float(np.linalg.norm(gradient)), 1e-300)
        found = _line_search(search, state, direction)
    if found is None:
        return _stuck(state, began)
    return _moved(state, *found, {"pairs": _arrays(pairs)}, began)


def _line_search(
    search: Search, state: InversionState, direction: np.ndarray
) -> tuple[np.ndarray, Evaluation] | None:
    """The point along a direction that meets the strong Wolfe conditions, and the loss there."""
    from scipy.optimize import line_search

    seen: dict[bytes, Evaluation] = {}

    def slope(point: np.ndarray) -> np.ndarray:
        # kept, for the search returns the length but not what was found there
        seen[point.tobytes()] = search.value_and_gradient(point)
        return np.nan_to_num(seen[point.tobytes()].gradient)

    # further than 10 in any unconstrained number a sigmoid is flat
    longest = 10.0 / max(float(np.abs(direction).max()), 1e-12)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns where it returns None
        length = line_search(
            search.value,
            slope,
            state.x,
            direction,
            state.gradient,
            state.value,
            amax=longest,
            maxiter=12,
        )[0]
    if length is None:
        return None
    point = state.x + length * direction
    # the last slope that was looked at is that of the point, but for round-off
    return point, seen.get(point.tobytes()) or search.value_and_gradient(point)


def _gauss_newton_step(
    search: Search, stage: Stage, state: InversionState, seed: int
) -> InversionState:
    """One damped Gauss–Newton step (Levenberg & Marquardt), of at most ``_LONGEST`` in any
    unconstrained number: further the linear model of a sigmoid says nothing. The damping falls
    where the model predicts the gain well, else it grows (Nielsen 1999)."""
    began = clock.perf_counter()
    memory = state.memory
    if "normal" not in memory:
        memory = memory | search.linearised(state.x)[1]
    normal, damping = memory["normal"], float(memory.get("damping", stage.damping))
    # a number that the data say nothing about is damped, too
    scale = np.maximum(np.diag(normal), 1e-6 * np.diag(normal).max(initial=1e-300))
    for _ in range(40):
        step = -0.5 * np.linalg.solve(normal + damping * np.diag(scale), state.gradient)
        if np.abs(step).max() <= _LONGEST:
            gain = state.value - search.value(state.x + step)
            if gain > 0:  # False for NaN
                break
        damping *= 4.0
    else:
        return _stuck(state, began)
    # of the quadratic model, whose Hessian is twice the normal matrix
    predicted = -float(state.gradient @ step + step @ normal @ step)
    at, quadratic = search.linearised(state.x + step)
    damping *= max(0.1, 1.0 - (2.0 * gain / max(predicted, 1e-300) - 1.0) ** 3)
    memory = {"damping": np.asarray(damping)} | quadratic
    moved = _moved(state, state.x + step, at, memory, began)
    return dataclasses.replace(moved, covariance=quadratic["covariance"])


_STEPS: Final[dict[str, Callable[[Search, Stage, InversionState, int], InversionState]]] = {
    "adam": _adam_step,
    "lbfgs": _lbfgs_step,
    "gauss-newton": _gauss_newton_step,
}


def _arrays(memory: PyTree) -> list[np.ndarray]:
    """An optimiser's state as a list of its arrays, which a checkpoint can hold."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(memory)]


def _restored(template: PyTree, leaves: list[np.ndarray] | None) -> PyTree:
    """An optimiser's state from the list of its arrays; the template where there is none."""
    if leaves is None:
        return template
    wanted, structure = jax.tree.flatten(template)
    if [np.shape(leaf) for leaf in leaves] != [np.shape(leaf) for leaf in wanted]:
        raise InputError(
            "the checkpoint's optimiser is of another inversion; remove the checkpoint"
        )
    return jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in leaves])


def _stuck(state: InversionState, began: float) -> InversionState:
    """The state after a step that found no better point: its stage ends."""
    at = Evaluation(state.value, state.gradient, {})
    return _moved(state, state.x, at, {_STUCK: np.asarray(1)}, began, rejected=True)


def _moved(
    state: InversionState,
    x: np.ndarray,
    at: Evaluation,
    memory: Memory,
    began: float,
    *,
    rejected: bool = False,
) -> InversionState:
    """The state after a step to x."""
    if at.value < state.best_value:
        state = dataclasses.replace(state, best=x, best_value=at.value, best_gradient=at.gradient)
    state = dataclasses.replace(
        state,
        x=x,
        value=at.value,
        gradient=at.gradient,
        memory=memory,
        step=state.step + 1,
        total=state.total + 1,
    )
    # every row has every column, also where no point was found or a run failed
    return _recorded(state, state.last_terms | at.terms, began, rejected=rejected)


def _recorded(
    state: InversionState, terms: dict[str, float], began: float, *, rejected: bool
) -> InversionState:
    """The state with one more row of history."""
    row = {
        "loss": state.value,
        **terms,
        "gradient_norm": float(np.linalg.norm(state.gradient)),
        "seconds": clock.perf_counter() - began,
        "stage": float(state.stage),
        "rejected": float(rejected),
    }
    records = {name: [*state.records.get(name, []), value] for name, value in row.items()}
    return dataclasses.replace(state, records=records)


def _ended(stage: Stage, state: InversionState) -> bool:
    if state.step >= stage.steps or _STUCK in state.memory or state.value <= stage.target:
        return True
    if stage.patience is None or state.step <= stage.patience:
        return False
    # over all stages: a new best is one that no earlier stage had
    losses = state.records["loss"]
    return min(losses[-stage.patience :]) >= min(losses[: -stage.patience])
