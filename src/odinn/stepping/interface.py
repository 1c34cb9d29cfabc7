"""The interfaces of time stepping: a system that is stepped, a scheme that takes a step, a
controller that chooses and accepts it, and the scheme's transpose.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import PyTree

from odinn.stepping.batch import anywhere

Array = jax.Array | np.ndarray
Scalar = Array | float
Tendency = Callable[[PyTree, Scalar, PyTree], PyTree]  # (theta, t, y) -> dy/dt
Pullback = Callable[[PyTree], tuple[PyTree, PyTree]]  # cotangent of y1 -> those of theta and y0
Norm = Callable[[PyTree, PyTree, PyTree], Array]  # (error, y0, y1) -> its root mean square

# TOO_COARSE: of steps that are repeated; LEFT: a state left what its system covers
OK, OUT_OF_STEPS, NOT_FINITE, TOO_COARSE, LEFT = 0, 1, 2, 3, 4
_TINY = 1e-300  # yr⁻¹; a system at rest has stiffness 0

Loop = TypeVar("Loop")


class Rates(NamedTuple):
    """dy/dt per year, and a bound on the spectral radius of its Jacobian, yr⁻¹.

    ``lasting`` is the part of both that depends on the unknowns alone, so that it is the same in
    the next window; None: nothing is.
    """

    change: PyTree
    stiffness: Array
    lasting: PyTree = None


RightHandSide = Callable[[Scalar, PyTree], Rates]  # of (t, y)


class AbstractSystem(eqx.Module):
    """What ``integrate`` advances through a sequence of windows.

    The unknowns y are a pytree. Between ``begin`` and ``end`` of a window they obey dy/dt =
    tendency, and after each accepted step they are ``settle``d (projected back onto what is
    allowed, with a tally of what that took).
    Contract: a window begins with the unknowns that the last step of the one before was settled to,
    or no rates last (:class:`Rates`).
    """

    @abc.abstractmethod
    def begin(self, state: PyTree, window: PyTree) -> tuple[PyTree, PyTree, PyTree]:
        """(state, window) -> (what holds throughout the window, unknowns, empty tally)"""

    @abc.abstractmethod
    def tendency(self, held: PyTree, t: Scalar, y: PyTree, lasting: PyTree = None) -> Rates:
        """dy/dt and its stiffness; ``lasting`` is the part that lasts, where it is known."""

    @abc.abstractmethod
    def settle(self, held: PyTree, dt: Scalar, raw: PyTree, tally: PyTree) -> tuple[PyTree, PyTree]:
        """(unknowns after a step of length dt, tally) -> (allowed unknowns, tally)

        What settling took is added to the tally, so its derivative needs no tally.
        """

    @abc.abstractmethod
    def end(
        self, state: PyTree, window: PyTree, held: PyTree, y: PyTree, tally: PyTree
    ) -> tuple[PyTree, PyTree]:
        """-> (state at the end of the window, what the window has to report)"""

    @abc.abstractmethod
    def for_transpose(self) -> AbstractSystem:
        """The same system in the form that the backward pass differentiates."""

    @property
    @abc.abstractmethod
    def end_is_linear(self) -> bool:
        """Whether the state that ``end`` returns is linear in unknowns and tally, so that its
        derivative needs no values.
        """

    @abc.abstractmethod
    def norm(self, error: PyTree, y0: PyTree, y1: PyTree) -> Array:
        """Root mean square of an error, over what matters."""

    def has_left(self, state: PyTree) -> Array:
        """Whether a state is beyond what the system covers, so that a run through it means
        nothing.
        """
        return jnp.asarray(False)


class Step(NamedTuple):
    """Where a step starts (years), its length (years) and its number of stages."""

    t: Scalar
    dt: Scalar
    stages: Scalar


class Trial(NamedTuple):
    """What a step arrives at, before anyone has accepted it."""

    y: PyTree  # at the end, not yet settled
    error: PyTree | None = None  # estimate of the local error, if the scheme has one
    stiffness: Array | None = None  # the largest at later stages and the end, for the CFL rule


class AbstractScheme(eqx.Module):
    """One step of dy/dt = f(t, y)."""

    @property
    @abc.abstractmethod
    def reuses_end(self) -> bool:
        """Whether a step looks at the rates at its end, which are then those of the next start."""

    @abc.abstractmethod
    def stages(self, dt: Scalar, stiffness: Scalar) -> jax.Array:
        """Evaluations that a step of this length takes, int32."""

    @abc.abstractmethod
    def step(
        self, f: RightHandSide, y: PyTree, rate: PyTree, step: Step, bound: int | None
    ) -> Trial:
        """The step from y, where dy/dt is ``rate``; ``bound`` is a static limit on its stages."""

    def looked_at(self, trial: Trial, y: PyTree, rate: PyTree, dt: Scalar, end: Rates) -> Trial:
        """The step from y with what the rates at its settled end say of it, for a scheme that
        reuses these.
        """
        return trial


class AbstractController(eqx.Module):
    """The rule for the length of steps."""

    @abc.abstractmethod
    def plan(self, remaining: Scalar, suggestion: Scalar, stiffness: Scalar) -> Scalar:
        """Length of the next step, years, which divides the rest of the window evenly.

        ``suggestion`` is that of the step before, infinite at the start of a window: nothing is
        remembered from one window to the next.
        """

    @abc.abstractmethod
    def judge(self, dt: Scalar, y: PyTree, trial: Trial, norm: Norm) -> tuple[jax.Array, Scalar]:
        """(whether the step is accepted, suggested length of the next try, years)"""

    @abc.abstractmethod
    def bears(
        self, step: Step, y: PyTree, stiffness: Scalar, trial: Trial, norm: Norm
    ) -> jax.Array:
        """Whether a step that was chosen under other parameters, and starts at this stiffness,
        still gives numbers to rely on; with room, for parameters may move a little.
        """


class AbstractTranspose(eqx.Module):
    """The derivative of a scheme's step, backwards."""

    @abc.abstractmethod
    def linearise(
        self,
        f: Tendency,
        transposed: Tendency,
        theta: PyTree,
        y: PyTree,
        step: Step,
        bound: int,
    ) -> tuple[PyTree, Pullback]:
        """(y at the end of the step, pullback of its cotangent to those of theta and y), for
        dy/dt = f(theta, t, y) and at most ``bound`` stages.

        ``transposed`` is f in the form to be transposed; values come from f, which has a forward
        derivative, too.
        """


class Method(NamedTuple):
    """How a step is taken, how long it is, and how it is transposed."""

    scheme: AbstractScheme
    controller: AbstractController
    transpose: AbstractTranspose


class AbstractStepper(eqx.Module):
    """What a run is stepped with, by its settings."""

    @property
    @abc.abstractmethod
    def method(self) -> Method:
        """Scheme, controller and transpose."""


class TransposeByJax(AbstractTranspose):
    """JAX's own reverse mode, for schemes with a fixed, small number of stages."""

    scheme: AbstractScheme

    def linearise(
        self,
        f: Tendency,
        transposed: Tendency,
        theta: PyTree,
        y: PyTree,
        step: Step,
        bound: int,
    ) -> tuple[PyTree, Pullback]:
        """See :class:`AbstractTranspose`."""

        def once(theta: PyTree, y: PyTree) -> PyTree:
            def rates(t: Scalar, y: PyTree) -> Rates:
                return Rates(transposed(theta, t, y), jnp.zeros(()))

            return self.scheme.step(rates, y, transposed(theta, step.t, y), step, None).y

        return jax.vjp(once, theta, y)


def longest_step(reach: Scalar, stiffness: Scalar) -> Scalar:
    """The dt with dt · stiffness = reach, years."""
    return reach / jnp.maximum(stiffness, _TINY)


def divide_evenly(remaining: Scalar, dt: Scalar) -> Scalar:
    """The step <= dt that divides the rest of the window evenly, so that no tiny step is left
    over.
    """
    count = jnp.ceil(remaining / dt - 1e-9)
    return remaining / jnp.maximum(count, 1.0)


def combine(*terms: tuple[Scalar, PyTree]) -> PyTree:
    """Σ coefficient · pytree"""

    def add(*leaves: Array) -> Array:
        total = terms[0][0] * leaves[0]
        for (coefficient, _), leaf in zip(terms[1:], leaves[1:], strict=True):
            total = total + coefficient * leaf
        return total

    return jax.tree.map(add, *(tree for _, tree in terms))


def bounded_while(
    condition: Callable[[Loop], Array],
    body: Callable[[Loop], Loop],
    carry: Loop,
    bound: int | None,
) -> Loop:
    """``while condition(carry): carry = body(carry)``, until it holds for no system of the batch;
    ``body`` leaves those as they are for which it holds no longer.

    With a static bound the loop becomes a scan of that many iterations, which reverse-mode
    differentiation can pass through; without, a while loop (forward mode only).
    """

    def goes_on(carry: Loop) -> jax.Array:
        return anywhere(condition(carry))

    if bound is None:
        return lax.while_loop(goes_on, body, carry)

    def once(carry: Loop, _: None) -> tuple[Loop, None]:
        return lax.cond(goes_on(carry), body, lambda same: same, carry), None

    return lax.scan(once, carry, None, length=bound)[0]


def chosen(flag: Array, new: PyTree, old: PyTree) -> PyTree:
    """``new`` where a flag is set, else ``old``."""
    return jax.tree.map(lambda a, b: jnp.where(flag, a, b), new, old)
