"""Small systems to step: cells that decay, mix and are pushed, and a store that stiffens as it
fills.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.stepping.integrate import Stepping, integrate
from odinn.stepping.interface import AbstractSystem, Rates
from odinn.stepping.steps import flat


class Window(NamedTuple):
    start: jax.Array
    length: jax.Array
    push: jax.Array


def windows(*lengths, start=0.0, push=0.4):
    """Consecutive windows; the push changes from one to the next."""
    lengths = np.array(lengths, float)
    starts = start + np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    pushes = push * (1.0 + 0.3 * np.arange(len(lengths)))
    return Window(*map(jnp.asarray, (starts, lengths, pushes)))


FLOOR = 0.3


@jax.custom_vjp
def _square(x):
    return x * x


_square.defvjp(lambda x: (x * x, x), lambda x, bar: (2.0 * x * bar,))


class Cells(AbstractSystem):
    """du/dt = −decay u² + mixing (neighbours − u) + push (1 + sin(3t)/2), u >= FLOOR.

    As with ice, rates below the floor are those at the floor. The last cell is drained, so it lies
    there from some time on; settling sums up what that took, and the state at a window's end
    depends on the sum.
    """

    decay: jax.Array
    mixing: jax.Array
    linear_end: bool = eqx.field(static=True, default=True)
    by_hand: bool = eqx.field(static=True, default=False)

    def begin(self, state, window):
        held = {"push": window.push * self.mixing, "forward": window.push > 0}
        return held, {"u": state["u"]}, jnp.zeros(())

    def tendency(self, held, t, y, lasting=None):
        u = jnp.where(y["u"] > FLOOR, y["u"], FLOOR)
        square = _square(u) if self.by_hand else u * u
        mixed = self.mixing * (jnp.roll(u, 1) - u)
        sign = jnp.where(held["forward"], 1.0, -1.0)
        push = sign * held["push"] * (1.0 + 0.5 * jnp.sin(3.0 * t))
        drain = jnp.zeros_like(u).at[-1].set(2.0)
        rate = mixed - self.decay * square + push - drain
        return Rates({"u": rate}, 2.0 * (jnp.max(self.decay * u) + self.mixing))

    def settle(self, held, dt, raw, tally):
        settled = jnp.where(raw["u"] > FLOOR, raw["u"], FLOOR)
        return {"u": settled}, tally + jnp.sum(settled - raw["u"]) + dt * held["push"]

    def end(self, state, window, held, y, tally):
        u = y["u"] + 0.1 * tally
        if not self.linear_end:
            u = u + 0.05 * y["u"] ** 2 * tally
        return {"u": u, "windows": state["windows"] + 1}, tally

    def for_transpose(self):
        return Cells(self.decay, self.mixing, self.linear_end, by_hand=True)

    @property
    def end_is_linear(self):
        return self.linear_end

    def norm(self, error, y0, y1):
        return jnp.sqrt(jnp.mean(error["u"] ** 2))


def cells(linear_end=True):
    system = Cells(jnp.array([0.8, 0.5, 0.3, 0.6]), jnp.array(0.9), linear_end)
    state = {"u": jnp.array([2.0, 1.2, 0.7, 1.5]), "windows": jnp.int32(0)}
    return system, state


class Store(AbstractSystem):
    """dh/dt = supply (1 − (h / full)⁵): at rest it has no stiffness, half full it has some."""

    supply: jax.Array
    full: jax.Array

    def begin(self, state, window):
        return None, state, None

    def tendency(self, held, t, y, lasting=None):
        share = y / self.full
        stiffness = 5.0 * self.supply / self.full * jnp.abs(share) ** 4
        return Rates(self.supply * (1.0 - share**5), stiffness)

    def settle(self, held, dt, raw, tally):
        return raw, None

    def end(self, state, window, held, y, tally):
        return y, y

    def for_transpose(self):
        return self

    @property
    def end_is_linear(self):
        return True

    def norm(self, error, y0, y1):
        return jnp.abs(error)


def store(supply=1.0, full=4.0):
    return Store(jnp.array(supply), jnp.array(full)), jnp.array(0.0)


_integrate = eqx.filter_jit(integrate)


def stepped(system, state, span, stepper, replay=None, width=64, **limits):
    """A run, compiled; a window records up to ``width`` steps."""
    return _integrate(system, state, span, Stepping(stepper, width, **limits), replay)


def used(steps):
    """(lengths, stages) of the steps of a run, one after the other."""
    dt, stages, _ = flat(steps)
    return dt, stages


def dot(a, b):
    """Inner product of two pytrees."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return sum(jnp.vdot(left, right) for left, right in pairs)


def differences(f, at, along, h=1e-5):
    """Central differences of f in a direction."""

    def beside(h):
        return f(*jax.tree.map(lambda x, v: x + h * v, at, along))

    return jax.tree.map(lambda after, before: (after - before) / (2.0 * h), beside(h), beside(-h))
