"""The rules for the length of steps."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odinn
from odinn.errors import InputError
from odinn.stepping.controller import GROW, SAFETY, SHRINK, SLACK, CFLController, ErrorController
from odinn.stepping.interface import Trial
from odinn.stepping.rkc import MAX_STAGES

INF = jnp.inf
BY_ERROR = ErrorController(0.5, order=2)
BY_CFL = CFLController(1.5, 2.0)


def judged_by_error(error, controller=BY_ERROR, y=1.0, y1=1.0, dt=0.1):
    trial = Trial(jnp.array(y1), error=jnp.array(error))
    accept, suggestion = controller.judge(
        jnp.array(dt), jnp.array(y), trial, lambda error, y0, y1: jnp.abs(error)
    )
    return bool(accept), float(suggestion) / dt


def judged_by_cfl(reached, dt=0.1):
    trial = Trial(jnp.array(1.0), stiffness=jnp.array(reached / dt))
    accept, suggestion = BY_CFL.judge(jnp.array(dt), jnp.array(1.0), trial, None)
    return bool(accept), float(suggestion) / dt


@pytest.mark.parametrize(
    ("ratio", "accept", "factor"),
    [
        (1 / 8, True, SAFETY * 2.0),  # the local error goes with the third power of the step
        (1.0, True, SAFETY),
        (1.0 + 1e-12, False, SAFETY),
        (8.0, False, SAFETY / 2.0),
        (0.0, True, GROW),
        (1e9, False, SHRINK),
        (INF, False, SHRINK),
        (jnp.nan, False, SHRINK),
    ],
)
def test_the_next_step_follows_from_the_error_of_this_one(ratio, accept, factor):
    assert judged_by_error(ratio * 0.5) == (accept, pytest.approx(factor, rel=1e-9))


def test_a_relative_tolerance_adds_to_the_absolute_one_on_the_larger_end_of_the_step():
    controller = ErrorController(0.5, order=2, rtol=0.25)
    tolerated = 0.5 + 0.25 * 6.0
    for ends in ((-6.0, 1.0), (1.0, -6.0)):
        assert judged_by_error(tolerated * 0.999, controller, *ends)[0]
        assert not judged_by_error(tolerated * 1.001, controller, *ends)[0]


@pytest.mark.parametrize(
    ("reached", "accept", "factor"),
    [
        (1.5, True, GROW),
        (2.0 * SLACK * (1 - 1e-9), True, GROW),
        (2.0 * SLACK * (1 + 1e-9), False, SAFETY * 1.5 / (2.0 * SLACK)),
        (3.0, False, SAFETY * 1.5 / 3.0),
        (1e9, False, SHRINK),
        (INF, False, SHRINK),
        (jnp.nan, False, SHRINK),
    ],
)
def test_a_step_that_became_too_stiff_is_rejected_and_its_stiffness_sets_the_next(
    reached, accept, factor
):
    assert judged_by_cfl(reached) == (accept, pytest.approx(factor, rel=1e-6))


@settings(deadline=None)  # the first call compiles
@given(
    remaining=st.floats(1e-3, 1e4),
    wanted=st.floats(1e-5, 1e5),
    stiffness=st.floats(0.0, 1e4),
)
def test_a_planned_step_is_as_long_as_allowed_and_divides_the_window_evenly(
    remaining, wanted, stiffness
):
    for controller, reach in ((BY_CFL, 1.5), (ErrorController(1.0, 2, reach=7.0), 7.0)):
        dt = float(controller.plan(*map(jnp.array, (remaining, wanted, stiffness))))
        longest = min(remaining, wanted, reach / max(stiffness, 1e-300))
        count = remaining / dt
        assert dt <= longest * (1 + 1e-8)  # a sliver of 1e-9 of a step is no step of its own
        assert count == pytest.approx(round(count), rel=1e-9)
        assert count < remaining / longest + 1.0  # one step less would be too long


@pytest.mark.parametrize(
    ("controller", "longest"),
    [
        (odinn.Euler(courant=1.2).method.controller, 1.2 / 4.0),
        (odinn.SSPRK3(courant=2.0).method.controller, 2.0 / 4.0),
        (odinn.Diffrax().method.controller, 2.0 / 4.0),
        (odinn.RKC2().method.controller, 1000.0),
    ],
)
def test_the_first_try_of_a_window_is_the_whole_window_or_the_cfl_step(controller, longest):
    for remaining in (1000.0, 0.25):
        dt = float(controller.plan(jnp.array(remaining), jnp.array(INF), jnp.array(4.0)))
        count = np.ceil(remaining / min(longest, remaining) - 1e-9)
        assert dt == pytest.approx(remaining / count, rel=1e-12)
        assert float(controller.plan(jnp.array(remaining), jnp.array(INF), jnp.array(0.0))) == (
            remaining  # at rest nothing limits it
        )


def test_the_most_stages_limit_a_step_of_rkc2():
    controller, scheme = odinn.RKC2().method[1::-1]
    dt = controller.plan(jnp.array(100.0), jnp.array(INF), jnp.array(1e6))
    assert int(scheme.stages(dt, 1e6)) == MAX_STAGES
    assert 0.65 * (MAX_STAGES**2 - 1) < float(dt) * 1e6 < 0.66 * (MAX_STAGES**2 - 1)


@pytest.mark.parametrize(("kind", "limit"), [(odinn.Euler, 2.0), (odinn.SSPRK3, 2.51)])
def test_a_courant_number_beyond_linear_stability_is_refused(kind, limit):
    assert kind(courant=limit).courant == limit
    for courant in (limit * 1.01, 0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match=rf"{kind.__name__}\(courant=.*stable up to {limit:g}"):
            kind(courant=courant)


def test_a_tolerance_that_nothing_can_meet_is_refused():
    for tol in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="expected a positive tolerance"):
            odinn.RKC2(tol=tol)


def test_steppers_print_as_they_are_written():
    assert repr(odinn.Euler()) == "Euler()"
    assert repr(odinn.SSPRK3(courant=2.0)) == "SSPRK3(courant=2.0)"
    assert repr(odinn.RKC2(tol=0.1)) == "RKC2(tol=0.1)"
