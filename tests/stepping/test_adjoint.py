"""Derivatives of states at window ends: the exact adjoint against JAX's own and differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.stepping.adjoint import snapshots
from odinn.stepping.integrate import Stepping
from odinn.stepping.steps import Limits, narrowed
from tests.stepping.systems import FLOOR, cells, differences, dot, windows

# The first window has several steps, the third none.
SPAN = windows(1.5, 0.5, 0.0, 0.75)
STEPPERS = [odinn.Euler(), odinn.SSPRK3(), odinn.RKC2(tol=1e-3), odinn.Diffrax(atol=1e-3)]
take = eqx.filter_jit(snapshots)


def recorded(stepper, linear_end=True):
    """Steps per window, stages per step, and the steps as a replay."""
    record = take(*cells(linear_end), SPAN, jnp.array([0]), Stepping(stepper, width=64))[1]
    steps = int(record.longest)
    assert 2 < steps <= 64
    return steps, int(record.most_stages), jax.tree.map(jnp.asarray, narrowed(record.steps))


def value_of(stepper, keep, linear_end=True, replay=None, limits=None, bounds=None):
    """A scalar of the kept states as a function of decay, mixing and the first state."""
    system, state = cells(linear_end)

    def value(decay, mixing, u):
        moved = eqx.tree_at(lambda s: (s.decay, s.mixing), system, (decay, mixing))
        how = Stepping(stepper, width=64, bounds=bounds)
        start = {**state, "u": u}
        kept, _ = snapshots(moved, start, SPAN, jnp.array(keep), how, replay, limits)
        weights = jnp.cos(jnp.arange(kept["u"].size)).reshape(kept["u"].shape)
        return jnp.sum(weights * kept["u"] ** 2)

    return value, (system.decay, system.mixing, state["u"])


def assert_same(a, b, tolerance):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=tolerance * np.abs(right).max())


def test_kept_states_are_those_at_the_ends_of_their_windows():
    system, state = cells()
    how = Stepping(STEPPERS[2], width=64)
    kept, _ = take(system, state, SPAN, jnp.array([3, 0]), how)
    ends = []
    for count in (4, 1):
        span = jax.tree.map(lambda a, n=count: a[:n], SPAN)
        last = jnp.array([count - 1])
        ends.append(take(system, state, span, last, how)[0]["u"][0])
    assert (kept["u"] == jnp.stack(ends)).all()
    assert list(np.asarray(kept["windows"])) == [4, 1]
    assert kept["u"][0, -1] < FLOOR + 1.0  # the drained cell has come down, so settling counts


@pytest.mark.parametrize(
    ("stepper", "keep", "linear_end"),
    [
        *((stepper, [0, 3], True) for stepper in STEPPERS),
        (STEPPERS[0], [1], False),
        (STEPPERS[2], [2, 1], False),
    ],
    ids=str,
)
def test_the_adjoint_is_the_reverse_derivative_of_the_steps_that_were_taken(
    stepper, keep, linear_end
):
    steps, stages, replay = recorded(stepper, linear_end)
    adjoint, at = value_of(stepper, keep, linear_end, limits=Limits(steps + 1, stages + 1))
    by_jax, _ = value_of(stepper, keep, linear_end, replay=replay, bounds=(steps, stages))
    gradient = jax.jit(jax.grad(adjoint, argnums=(0, 1, 2)))(*at)
    assert_same(gradient, jax.jit(jax.grad(by_jax, argnums=(0, 1, 2)))(*at), 1e-12)  # round-off
    replayed, _ = value_of(stepper, keep, linear_end, replay=replay)
    along = jax.tree.map(lambda x: jnp.cos(1.0 + jnp.arange(x.size)).reshape(x.shape), at)
    difference = jax.jit(lambda *at: differences(replayed, at, along))(*at)
    assert float(dot(gradient, along)) == pytest.approx(float(difference), rel=1e-7)  # h²
    assert all(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(gradient))


def test_the_adjoint_over_replayed_steps_is_that_of_the_run():
    stepper = STEPPERS[2]
    steps, stages, replay = recorded(stepper)
    limits = Limits(steps, stages)
    own, at = value_of(stepper, [0, 3], limits=limits)
    repeated, _ = value_of(stepper, [0, 3], limits=limits, replay=replay)
    gradients = [jax.jit(jax.grad(f, argnums=(0, 1, 2)))(*at) for f in (own, repeated)]
    assert_same(*gradients, 1e-12)  # round-off


@pytest.mark.parametrize("stepper", [STEPPERS[0], STEPPERS[2]], ids=str)
def test_the_gradient_has_a_forward_derivative(stepper):
    steps, stages, replay = recorded(stepper)
    value, at = value_of(stepper, [0, 3], limits=Limits(steps, stages), replay=replay)
    gradient = jax.grad(value, argnums=(0, 1, 2))
    along = jax.tree.map(jnp.ones_like, at)
    product = jax.jit(lambda *at: jax.jvp(gradient, at, along)[1])(*at)
    difference = jax.jit(lambda *at: differences(gradient, at, along))(*at)
    assert_same(product, difference, 1e-7)  # h² and round-off / h


def test_what_is_not_perturbed_costs_no_derivative():
    steps, stages, _ = recorded(STEPPERS[2])
    value, at = value_of(STEPPERS[2], [0, 3], limits=Limits(steps, stages))
    every = jax.jit(jax.grad(value, argnums=(0, 1, 2)))(*at)
    one = jax.jit(jax.grad(value, argnums=1))(*at)
    assert float(one) == pytest.approx(float(every[1]), rel=1e-12)
