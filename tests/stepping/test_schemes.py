"""Single steps: order, stability, error estimate, what is seen of the stiffness, transposes."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.stepping.integrate import Stepping, integrate
from odinn.stepping.interface import Rates, Step
from odinn.stepping.rkc import MAX_STAGES
from odinn.stepping.steps import Replay
from odinn.verification.measures import convergence_order
from tests.stepping.systems import cells, differences, dot, windows

STEPPERS = [odinn.Euler(), odinn.SSPRK3(), odinn.RKC2(), odinn.Diffrax()]
LIMITED = [(odinn.Euler(), 2.0), (odinn.SSPRK3(), 2.51)]
name = lambda value: type(value).__name__ if isinstance(value, eqx.Module) else None


MOST = 64  # steps


@eqx.filter_jit
def _final(stepper, count, stages):
    system, state = cells()
    state = {**state, "u": state["u"] + 1.0}  # stays above the floor: smooth
    shape = (1, MOST)
    replay = Replay(jnp.full(shape, 0.4) / count, jnp.full(shape, stages), count[None])
    return integrate(system, state, windows(0.4), Stepping(stepper, width=1), replay).state["u"]


def final(stepper, count, stages):
    return np.asarray(_final(stepper, jnp.int32(count), jnp.int32(stages)))


@pytest.fixture(scope="module")
def exact():
    return final(odinn.Diffrax(diffrax.Dopri8()), 64, 1)


@pytest.mark.parametrize(
    ("stepper", "stages", "order"),
    [
        (odinn.Euler(), 1, 1),
        (odinn.RKC2(), 2, 2),
        (odinn.RKC2(), 3, 2),
        (odinn.RKC2(), 11, 2),
        (odinn.SSPRK3(), 3, 3),
        # repeated steps may err by ten times what is tolerated
        (odinn.Diffrax(diffrax.Bosh3(), atol=1.0), 1, 3),
    ],
    ids=name,
)
def test_a_stepper_converges_with_its_order(exact, stepper, stages, order):
    counts = (16, 32, 64)
    errors = [np.abs(final(stepper, n, stages) - exact).max() for n in counts]
    # The next term of the expansion bends the line by less than 0.15 over a factor of 4.
    assert convergence_order([1 / n for n in counts], errors) == pytest.approx(order, abs=0.15)
    assert errors[-1] > 1e-11  # beyond round-off: it is the scheme that is measured


def decay(t, y):
    return Rates(-y, jnp.ones(()))


def taken(scheme, rates, y, step):
    """A step from y, and what the rates at its end say of it."""
    rate = rates(step.t, y).change
    trial = scheme.step(rates, y, rate, step, None)
    if not scheme.reuses_end:
        return trial
    return scheme.looked_at(trial, y, rate, step.dt, rates(step.t + step.dt, trial.y))


def amplified(scheme, z, stages):
    """|y1 / y0| of dy/dt = −y with dt = z."""
    y = jnp.ones(())
    step = Step(jnp.zeros(()), jnp.asarray(z), jnp.int32(stages))
    return abs(float(scheme.step(decay, y, -y, step, None).y))


@pytest.mark.parametrize(("stepper", "limit"), LIMITED, ids=name)
def test_a_scheme_is_stable_up_to_its_limit_and_not_beyond(stepper, limit):
    scheme = stepper.method.scheme
    stages = int(scheme.stages(1.0, 1.0))
    assert max(amplified(scheme, z, stages) for z in np.linspace(0.01, limit, 40)) <= 1.0 + 1e-12
    assert amplified(scheme, limit * 1.01, stages) > 1.0


def test_the_stages_of_rkc2_are_enough_for_the_step_and_no_more_than_needed():
    scheme = odinn.RKC2().method.scheme
    assert int(scheme.stages(0.0, 1.0)) == 2
    one = jnp.ones(())

    @jax.jit
    def step(z, stages):
        return scheme.step(decay, one, -one, Step(jnp.zeros(()), z, stages), None).y

    for z in np.geomspace(1.0, 6400.0, 40):
        stages = int(scheme.stages(z, 1.0))
        assert abs(float(step(z, stages))) < 1.0
        # One stage less would not reach as far, but for the two that every step has.
        assert stages == 2 or 0.652 * ((stages - 1) ** 2 - 1) < z
    assert int(scheme.stages(1e9, 1.0)) == MAX_STAGES


def test_the_error_estimate_of_rkc2_is_of_third_order_and_of_the_size_of_the_error():
    scheme, y = odinn.RKC2().method.scheme, jnp.ones(())
    estimates, errors = [], []
    for z in (0.1, 0.05):
        trial = taken(scheme, decay, y, Step(0.0, jnp.asarray(z), jnp.int32(4)))
        estimates.append(float(trial.error))
        errors.append(float(trial.y) - np.exp(-z))
    assert estimates[0] / estimates[1] == pytest.approx(8.0, rel=0.05)
    assert 0.2 < abs(estimates[0] / errors[0]) < 5.0  # the paper's is one of many third terms


@pytest.mark.parametrize(
    ("stepper", "seen", "unseen"),
    [(odinn.Euler(), (1.5,), (1.0,)), (odinn.SSPRK3(), (1.5, 1.25), (1.0,))],
    ids=name,
)
def test_the_stiffness_is_looked_at_wherever_a_step_gets_to(stepper, seen, unseen):
    scheme = stepper.method.scheme
    step = Step(jnp.array(1.0), jnp.array(0.5), jnp.int32(3))

    def stiffest_at(time):
        rates = lambda t, y: Rates(y, jnp.where(jnp.abs(t - time) < 1e-12, 7.0, 1.0))
        return float(taken(scheme, rates, jnp.array(1.0), step).stiffness)

    assert [stiffest_at(time) for time in seen] == [7.0] * len(seen)
    # The start is what the step was planned with.
    assert [stiffest_at(time) for time in unseen] == [1.0]


def _rates(theta, t, y):
    return theta.tendency({"push": jnp.array(0.4), "forward": jnp.array(True)}, t, y)


def _moved(method, theta, y, step):
    """y at the end of a step, by the scheme itself."""
    rates = lambda t, y: _rates(theta, t, y)
    return method.scheme.step(rates, y, rates(step.t, y)[0], step, None).y


@eqx.filter_jit
def _both_ways(stepper, at, tangents, bar, step):
    """(y1, y1 of the transpose, directional derivative, pulled cotangents)"""
    method = stepper.method
    forward = lambda theta, y: _moved(method, theta, y, step)
    if isinstance(stepper, odinn.Diffrax):  # its loop over stages has no forward derivative
        derivative = differences(forward, at, tangents)
    else:
        derivative = jax.jvp(forward, at, tangents)[1]
    plain = lambda theta, t, y: _rates(theta, t, y)[0]
    transposed = lambda theta, t, y: _rates(theta.for_transpose(), t, y)[0]
    y1, pull = method.transpose.linearise(plain, transposed, *at, step, 9)
    return forward(*at), y1, derivative, pull(bar)


@pytest.mark.parametrize("stepper", STEPPERS, ids=name)
@pytest.mark.parametrize("stages", [2, 3, 9])
def test_the_transpose_of_a_step_is_that_of_its_forward_derivative(stepper, stages):
    random = np.random.default_rng(stages)
    system, state = cells()
    y = {"u": state["u"] + 0.1}
    at = system, y
    like = lambda leaf: jnp.asarray(random.normal(size=leaf.shape))
    tangents, bar = jax.tree.map(like, at), jax.tree.map(like, y)
    step = Step(jnp.array(0.3), jnp.array(0.2), jnp.int32(stages))
    y1, again, derivative, pulled = _both_ways(stepper, at, tangents, bar, step)
    np.testing.assert_allclose(again["u"], y1["u"], rtol=1e-14)
    # Round-off; of the differences, h² and round-off / h.
    tolerance = 1e-8 if isinstance(stepper, odinn.Diffrax) else 1e-12
    forward, backward = float(dot(bar, derivative)), float(dot(pulled, tangents))
    assert backward == pytest.approx(forward, rel=tolerance)
    assert all(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(pulled))
