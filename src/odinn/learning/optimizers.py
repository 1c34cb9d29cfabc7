"""Optimisers as stages of an inversion: ``[adam(1e-2, steps=50), lbfgs(steps=30)]``.

Each is a class with ``init``, ``step`` and ``done``, as in optimistix; what it carries from step to
step is its memory, a dict of arrays that a checkpoint holds. They run on the host, since buffers
may grow within a step and a run that fails is an answer.
"""

import abc
import warnings
from typing import ClassVar, Final, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from odinn.errors import InputError, positive, whole
from odinn.learning.search import Evaluation, Search, Vector
from odinn.learning.state import InversionState, Memory

__all__ = ["AbstractOptimizer", "adam", "gauss_newton", "lbfgs"]

_LONGEST: Final = 1.0  # step of Gauss–Newton, in unconstrained numbers
_STUCK: Final = "stuck"  # in the memory of a stage that found no better point


class Move(NamedTuple):
    """Where a step leads, the loss there, and what is carried on; rejected: no better point was
    found.
    """

    x: Vector
    at: Evaluation
    memory: Memory
    rejected: bool = False


class AbstractOptimizer(eqx.Module):
    """One stage of an inversion.

    ``steps``: at most so many. ``target``: value of the loss at which it ends. ``patience``: steps
    without a new best value after which it ends; None: never. ``most_numbers``: how many it can
    learn; None: any number.
    """

    steps: eqx.AbstractVar[int]
    target: eqx.AbstractVar[float]
    patience: eqx.AbstractVar[int | None]
    most_numbers: eqx.AbstractClassVar[int | None]
    name: eqx.AbstractClassVar[str]

    @abc.abstractmethod
    def init(self, search: Search, x: Vector) -> tuple[Evaluation, Memory]:
        """(loss at x, memory) before the first step."""

    @abc.abstractmethod
    def step(self, search: Search, state: InversionState, seed: int) -> Move:
        """One step from a state; ``seed`` is that of random draws."""

    def done(self, state: InversionState) -> bool:
        """Whether the stage ends with this state."""
        if state.step >= self.steps or _STUCK in state.memory or state.value <= self.target:
            return True
        if self.patience is None or state.step <= self.patience:
            return False
        # over all stages: a new best is one that no earlier stage had
        losses = state.records["loss"]
        return min(losses[-self.patience :]) >= min(losses[: -self.patience])

    def __check_init__(self) -> None:
        whole("steps", self.steps, of=f"optimizers.{self.name}")


class Adam(AbstractOptimizer):
    """Adam (Kingma & Ba 2015) by optax. A step into a value that is not finite is taken back, and
    the next ones are half as long.

    ``batch``: glaciers per step (None: all), drawn anew each step from (seed, step); the history
    then has the loss of all glaciers and the gradient of the batch. ``clip``: largest norm of a
    gradient. The others are as of every optimiser.
    """

    learning_rate: float = 1e-2
    steps: int = 50
    batch: int | None = eqx.field(default=None, kw_only=True)
    clip: float | None = eqx.field(default=None, kw_only=True)
    patience: int | None = eqx.field(default=None, kw_only=True)
    target: float = eqx.field(default=0.0, kw_only=True)

    name: ClassVar[str] = "adam"
    most_numbers: ClassVar[None] = None

    def __check_init__(self) -> None:
        if self.batch is not None:
            whole("batch", self.batch, of="optimizers.adam")
        positive("learning_rate", self.learning_rate, of="optimizers.adam")

    def init(self, search: Search, x: Vector) -> tuple[Evaluation, Memory]:
        """See :class:`AbstractOptimizer`."""
        moments = _arrays(self._rule().init(jnp.asarray(x)))
        return search.value_and_gradient(x), {"moments": moments, "scale": np.asarray(1.0)}

    def step(self, search: Search, state: InversionState, seed: int) -> Move:
        """See :class:`AbstractOptimizer`."""
        rule, x = self._rule(), jnp.asarray(state.x)
        moments = _restored(rule.init(x), state.memory["moments"])
        scale = float(state.memory["scale"])
        batch = self._batch(search, state, seed)
        gradient = state.gradient
        if batch is not None:
            gradient = search.value_and_gradient(state.x, batch).gradient
        update, moments = rule.update(jnp.asarray(gradient), moments, x)
        point = state.x + scale * np.asarray(update)
        if batch is None:
            at = search.value_and_gradient(point)
        else:  # the gradient of all glaciers is what a batch saves; their loss is cheap
            at = search.evaluated(point)._replace(gradient=gradient)
        rejected = not at.is_finite
        if rejected:
            # the moments stay: they are of gradients that were finite
            scale, point = 0.5 * scale, state.x
            at = at._replace(value=state.value, gradient=state.gradient)
        memory = {"moments": _arrays(moments), "scale": np.asarray(scale)}
        return Move(point, at, memory, rejected)

    def _rule(self) -> PyTree:
        import optax

        rules = [optax.scale_by_adam(), optax.scale(-self.learning_rate)]
        if self.clip:
            rules.insert(0, optax.clip_by_global_norm(self.clip))
        return optax.chain(*rules)

    def _batch(self, search: Search, state: InversionState, seed: int) -> list[int] | None:
        """The glaciers of this step that are drawn; None: all."""
        number = len(search.objective.glaciers)
        if self.batch is None or self.batch >= number:
            return None
        # a draw depends on the step alone, so that a continued inversion draws the same
        random = np.random.default_rng((seed, state.total))
        return sorted(random.choice(number, self.batch, replace=False).tolist())


class LBFGS(AbstractOptimizer):
    """L-BFGS: direction by optax, strong-Wolfe line search by ``scipy.optimize.line_search``. Where
    the search fails, steepest descent from scratch.

    ``memory``: pairs of steps and gradients that are kept. The others are as of every optimiser.
    """

    steps: int = 30
    memory: int = eqx.field(default=10, kw_only=True)
    patience: int | None = eqx.field(default=None, kw_only=True)
    target: float = eqx.field(default=0.0, kw_only=True)

    name: ClassVar[str] = "lbfgs"
    most_numbers: ClassVar[None] = None

    def init(self, search: Search, x: Vector) -> tuple[Evaluation, Memory]:
        """See :class:`AbstractOptimizer`."""
        pairs = _arrays(self._rule().init(jnp.asarray(x)))
        return search.value_and_gradient(x), {"pairs": pairs}

    def step(self, search: Search, state: InversionState, seed: int) -> Move:
        """See :class:`AbstractOptimizer`."""
        rule, x, gradient = self._rule(), jnp.asarray(state.x), state.gradient
        nothing = rule.init(x)
        pairs = _restored(nothing, state.memory["pairs"])
        descent, pairs = rule.update(jnp.asarray(gradient), pairs, x)
        direction = -np.asarray(descent)
        better = None
        # with curvature that round-off has spoilt the direction may lead uphill
        if float(direction @ gradient) < 0:
            better = _line_search(search, state, direction)
        if better is None:
            # curvature that misleads is forgotten
            pairs = nothing
            direction = -gradient / max(float(np.linalg.norm(gradient)), 1e-300)
            better = _line_search(search, state, direction)
        if better is None:
            return _stuck(state)
        return Move(*better, {"pairs": _arrays(pairs)})

    def _rule(self) -> PyTree:
        import optax

        return optax.scale_by_lbfgs(memory_size=self.memory)


class GaussNewton(AbstractOptimizer):
    """Gauss–Newton with Levenberg–Marquardt damping, for at most 100 numbers: one forward
    derivative for each, and no adjoint. A step is at most 1 in any unconstrained number: further
    the linear model of a sigmoid says nothing. The damping falls where the model predicts the gain
    well, else it grows (Nielsen 1999).
    """

    steps: int = 10
    damping: float = eqx.field(default=1e-3, kw_only=True)
    patience: int | None = eqx.field(default=None, kw_only=True)
    target: float = eqx.field(default=0.0, kw_only=True)

    name: ClassVar[str] = "gauss_newton"
    # each costs one forward derivative of the run
    most_numbers: ClassVar[int] = 100

    def init(self, search: Search, x: Vector) -> tuple[Evaluation, Memory]:
        """See :class:`AbstractOptimizer`."""
        at, quadratic = search.linearised(x)
        return at, {"damping": np.asarray(self.damping)} | quadratic._asdict()

    def step(self, search: Search, state: InversionState, seed: int) -> Move:
        """See :class:`AbstractOptimizer`."""
        normal, damping = state.memory["normal"], float(state.memory["damping"])
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
            return _stuck(state)
        # of the quadratic model, whose Hessian is twice the normal matrix
        predicted = -float(state.gradient @ step + step @ normal @ step)
        at, quadratic = search.linearised(state.x + step)
        if not at.is_finite:
            return _stuck(state)
        damping *= max(0.1, 1.0 - (2.0 * gain / max(predicted, 1e-300) - 1.0) ** 3)
        memory = {"damping": np.asarray(damping)} | quadratic._asdict()
        return Move(state.x + step, at, memory)


# called like functions, as optax's are
adam, lbfgs, gauss_newton = Adam, LBFGS, GaussNewton


def _line_search(
    search: Search, state: InversionState, direction: Vector
) -> tuple[Vector, Evaluation] | None:
    """The point along a direction that meets the strong Wolfe conditions, and the loss there."""
    from scipy.optimize import line_search

    seen: dict[bytes, Evaluation] = {}

    def slope(point: Vector) -> Vector:
        # kept, for the search returns the length but not what was found there
        seen[point.tobytes()] = search.value_and_gradient(point)
        return np.nan_to_num(seen[point.tobytes()].gradient)

    # further than 10 in any unconstrained number a sigmoid is flat
    longest = 10.0 / max(float(np.abs(direction).max()), 1e-12)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns where it returns None
        length, *_ = line_search(
            search.value,
            slope,
            state.x,
            direction,
            state.gradient,
            state.value,
            amax=longest,
            maxiter=12,
        )
    if length is None:
        return None
    point = state.x + length * direction
    # the last slope that was looked at is that of the point, but for round-off
    return point, seen.get(point.tobytes()) or search.value_and_gradient(point)


def _stuck(state: InversionState) -> Move:
    """No better point was found: the stage ends."""
    stays = Evaluation(state.value, state.gradient, {})
    return Move(state.x, stays, {_STUCK: np.asarray(1)}, rejected=True)


def _arrays(memory: PyTree) -> list[np.ndarray]:
    """An optimiser's state as a list of its arrays, which a checkpoint can hold."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(memory)]


def _restored(template: PyTree, leaves: list[np.ndarray]) -> PyTree:
    """An optimiser's state from the list of its arrays."""
    wanted, structure = jax.tree.flatten(template)
    if [np.shape(leaf) for leaf in leaves] != [np.shape(leaf) for leaf in wanted]:
        raise InputError(
            "the checkpoint's optimiser is of another inversion; remove the checkpoint"
        )
    return jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in leaves])
