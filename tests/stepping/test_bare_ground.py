"""A window that starts without ice has no stiffness at its start: what grows in it has."""

import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.stepping.interface import OK, Step
from tests.conftest import make_slab
from tests.stepping.systems import stepped, store, used, windows

BY_CFL = [odinn.Euler(), odinn.SSPRK3()]
name = lambda stepper: type(stepper).__name__


@pytest.fixture(scope="module")
def fifty_years():
    """A run of fifty years in one window, from bare ground under a balance that falls along the
    slope, by stepper.
    """
    bare = make_slab()
    along = np.linspace(6.0, -12.0, bare.grid.nx)  # m w.e. yr⁻¹: thick ice, soon
    balance = np.broadcast_to(along, bare.grid.shape)
    bare = bare.replace(thickness=np.zeros(bare.grid.shape))
    model = odinn.Model(odinn.SIA2D(A=1e-16), odinn.PrescribedBalance(balance))

    def run(stepper):
        return odinn.simulate(model, bare, 0.0, 50.0, save_every=50.0, stepper=stepper)

    return run


@pytest.mark.parametrize("stepper", BY_CFL, ids=name)
def test_fifty_years_from_bare_ground_in_one_window_grow_the_glacier_that_rkc2_grows(
    fifty_years, stepper
):
    expected, sim = fifty_years(odinn.RKC2()), fifty_years(stepper)
    assert sim.steps.rejected > 0
    assert expected.volume[-1] > 3e7  # m³: there is a glacier
    # Euler is of first order: 3e-4 with steps as long as stability allows. Without the flow, which
    # a single step from bare ground does not see, the volume is off by 7e-3.
    assert sim.volume[-1] == pytest.approx(expected.volume[-1], rel=1e-3)
    assert sim.budget["clipped"] == 0.0
    assert sim.relative_residual < 1e-12


@pytest.mark.parametrize("stepper", [*BY_CFL, odinn.RKC2()], ids=name)
def test_a_store_that_stiffens_as_it_fills_ends_full_and_not_beyond(stepper):
    system, empty = store()
    run = stepped(system, empty, windows(500.0), stepper)
    assert int(run.record.status) == OK
    assert int(run.record.tally.rejected) > 0
    assert float(run.state) == pytest.approx(4.0, rel=1e-2)


@pytest.mark.parametrize("stepper", BY_CFL, ids=name)
def test_no_accepted_step_was_beyond_the_limit_of_stability_with_its_slack(stepper):
    system, empty = store()
    controller = stepper.method.controller
    run = stepped(system, empty, windows(40.0), stepper, width=512)
    y = empty
    lengths, _ = used(run.record.steps)
    assert len(lengths) == int(run.record.longest)
    for dt in lengths:
        rates = lambda t, y: system.tendency(None, t, y)
        step = Step(0.0, jnp.array(dt), 3)
        scheme, rate = stepper.method.scheme, rates(0.0, y).change
        trial = scheme.step(rates, y, rate, step, None)
        if scheme.reuses_end:
            trial = scheme.looked_at(trial, y, rate, step.dt, rates(dt, trial.y))
        assert dt * float(trial.stiffness) <= 1.25 * controller.limit * (1 + 1e-12)
        y = trial.y
    assert lengths[0] < 40.0
    # After a step that went well the next is at most five times as long.
    assert (lengths[1:] <= 5.0 * lengths[:-1] * (1 + 1e-12)).all()
