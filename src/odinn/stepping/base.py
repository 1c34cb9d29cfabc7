"""The interfaces of time stepping: a system that is stepped, and a stepper. Neither knows about
ice.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

PyTree = Any
RightHandSide = Callable[[Any, PyTree], tuple[PyTree, Any]]  # (t, y) -> (dy/dt, stiffness)
Tendency = Callable[[PyTree, Any, PyTree], PyTree]  # (theta, t, y) -> dy/dt
Pullback = Callable[[PyTree], tuple[PyTree, PyTree]]
Norm = Callable[[PyTree, PyTree, PyTree], Any]  # (error, y0, y1) -> root mean square of the error

OK, OUT_OF_STEPS, NOT_FINITE = 0, 1, 2


class AbstractSystem(eqx.Module):
    """What ``integrate`` advances through a sequence of windows.

    The unknowns y are a pytree. Between ``begin`` and ``end`` of a window they obey dy/dt =
    tendency, and after each accepted step they are ``settle``d (projected back onto what is
    allowed, with a tally of what that took).
    Contract: the tendency of settled unknowns equals that of the raw ones (but for rare repairs of
    round-off size), so steppers may reuse it.
    """

    @abc.abstractmethod
    def begin(self, state: PyTree, window: PyTree) -> tuple[PyTree, PyTree, PyTree]:
        """(state, window) -> (forcing of the window, unknowns, empty tally)"""

    @abc.abstractmethod
    def tendency(self, forcing: PyTree, t: Any, y: PyTree) -> tuple[PyTree, Any]:
        """dy/dt per year, and a bound on the spectral radius of its Jacobian, yr⁻¹."""

    @abc.abstractmethod
    def settle(self, forcing: PyTree, dt: Any, raw: PyTree, tally: PyTree) -> tuple[PyTree, PyTree]:
        """(unknowns after a step of length dt, tally) -> (allowed unknowns, tally)"""

    @abc.abstractmethod
    def end(
        self, state: PyTree, window: PyTree, forcing: PyTree, y: PyTree, tally: PyTree
    ) -> tuple[PyTree, PyTree]:
        """-> (state at the end of the window, what the window has to report)"""

    @abc.abstractmethod
    def for_transpose(self) -> "AbstractSystem":
        """The same system in the form that the backward pass differentiates."""

    @property
    @abc.abstractmethod
    def end_is_linear(self) -> bool:
        """Whether the state that ``end`` returns is linear in unknowns and tally, so that its
        derivative needs no values.
        """

    @abc.abstractmethod
    def norm(self, error: PyTree, y0: PyTree, y1: PyTree) -> Any:
        """Root mean square of an error, over what matters."""


class AbstractStepper(eqx.Module):
    """One step of dy/dt = f(t, y), and the rule for its size.

    ``order`` is the order of the method; ``reuses_end`` says that ``step`` returns f at the end of
    the step.
    """

    order: eqx.AbstractClassVar[int]
    reuses_end: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def plan(self, remaining: Any, suggestion: Any, stiffness: Any) -> tuple[Any, Any]:
        """Length of the next step (years, dividing the rest of the window evenly) and its number of
        stages.
        """

    @abc.abstractmethod
    def step(
        self,
        f: RightHandSide,
        t: Any,
        y: PyTree,
        f0: PyTree,
        dt: Any,
        stages: Any,
        bound: int | None,
    ) -> tuple[PyTree, tuple[PyTree, Any] | None, PyTree | None]:
        """(y at t + dt, f there or None, error estimate or None); ``bound`` is a static limit on
        ``stages``.
        """

    @abc.abstractmethod
    def linearise(
        self,
        f: Tendency,
        transposed: Tendency,
        theta: PyTree,
        t: Any,
        y: PyTree,
        dt: Any,
        stages: Any,
        bound: int,
    ) -> tuple[PyTree, Pullback]:
        """(y at t + dt, pullback of its cotangent to those of theta and y) for dy/dt = f(theta, t,
        y).

        ``transposed`` is f in the form to be transposed; values come from f, which has a forward
        derivative, too.
        """

    @abc.abstractmethod
    def ratio(self, error: PyTree, y0: PyTree, y1: PyTree, norm: Norm) -> Any:
        """Size of the error over what is tolerated; the step is accepted where it is <= 1."""


def linearise_by_jax(
    stepper: AbstractStepper, f: Tendency, theta: PyTree, t: Any, y: PyTree, dt: Any, stages: Any
) -> tuple[PyTree, Pullback]:
    """``AbstractStepper.linearise`` for methods with a fixed, small number of stages."""

    def once(theta: PyTree, y: PyTree) -> PyTree:
        g = lambda t, y: (f(theta, t, y), jnp.zeros(()))
        return stepper.step(g, t, y, f(theta, t, y), dt, stages, None)[0]

    return jax.vjp(once, theta, y)


def divide_evenly(remaining: Any, dt: Any) -> Any:
    """The step <= dt that divides the rest of the window evenly, so that no tiny step is left
    over.
    """
    count = jnp.ceil(remaining / dt - 1e-9)
    return remaining / jnp.maximum(count, 1.0)


def combine(*terms: tuple[Any, PyTree]) -> PyTree:
    """Σ coefficient · pytree"""

    def add(*leaves: Any) -> Any:
        total = terms[0][0] * leaves[0]
        for (coefficient, _), leaf in zip(terms[1:], leaves[1:], strict=True):
            total = total + coefficient * leaf
        return total

    return jax.tree.map(add, *(tree for _, tree in terms))


def bounded_while(condition: Callable, body: Callable, carry: PyTree, bound: int | None) -> PyTree:
    """``while condition(carry): carry = body(carry)``.

    With a static bound the loop becomes a scan of that many iterations, which reverse-mode
    differentiation can pass through; without, a while loop (forward mode only).
    """
    if bound is None:
        return lax.while_loop(condition, body, carry)
    step = lambda c, _: (lax.cond(condition(c), body, lambda c: c, c), None)
    return lax.scan(step, carry, None, length=bound)[0]
