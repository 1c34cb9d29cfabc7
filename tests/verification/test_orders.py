"""Each stepper converges with its order where the solution is smooth."""

import diffrax
import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.physics.domain import Domain, domain_of
from odinn.physics.flow.base import AbstractFlow, divergence
from odinn.physics.processes.base import Window
from odinn.stepping.integrate import Stepping, integrate
from odinn.stepping.interface import OK, AbstractSystem, Rates
from odinn.stepping.reference import Diffrax
from odinn.stepping.steps import Replay
from odinn.verification.measures import convergence_order

YEARS = 8.0
REFERENCE = 2048  # steps of a third-order method: its error is (1/8)³ of the finest run's


class Basin(AbstractSystem):
    """Gentle ice in a closed box: every cell has ice, the slope cap is never met, so dH/dt is
    smooth in H.

    The balance (m yr⁻¹) swings with time, so that the times of stages count.
    """

    flow: AbstractFlow
    domain: Domain

    def begin(self, state, window):
        return None, state, None

    def tendency(self, forcing, t, y, lasting=None):
        fluxes = self.flow.fluxes(self.domain, walled(y))
        rate = divergence(fluxes, self.domain)
        return Rates(rate[1:-1, 1:-1] + 3.0 * jnp.sin(t), fluxes.stiffness)

    def settle(self, forcing, dt, raw, tally):
        return raw, tally

    def end(self, state, window, forcing, y, tally):
        return y, None

    def for_transpose(self):
        return self

    @property
    def end_is_linear(self):
        return True

    def norm(self, error, y0, y1):
        return jnp.sqrt(jnp.mean(error**2))


def walled(field):
    """One more cell on each side with the same ice and bed: no slope leads through the border."""
    return jnp.pad(field, 1, mode="edge")


@pytest.fixture(scope="module")
def basin():
    ny, nx, dx = 12, 16, 500.0
    across, along = (
        np.cos(np.pi * (np.arange(ny) + 0.5) / ny)[:, None],
        np.cos(np.pi * (np.arange(nx) + 0.5) / nx),
    )
    bed = np.asarray(walled(30.0 * across * along))
    grid = odinn.Grid(nx + 2, ny + 2, dx, dx)
    ground = odinn.Glacier("basin", "", grid, bed, np.zeros(bed.shape), np.ones(bed.shape, bool))
    system = Basin(odinn.SIA2D(A=1e-16).on(ground), domain_of(ground))
    return system, jnp.asarray(300.0 + 60.0 * along + 40.0 * across * along)


@eqx.filter_jit
def _stepped(system, start, stepper, replay):
    window = Window(jnp.zeros(1), jnp.full(1, YEARS), jnp.zeros(1, bool), jnp.zeros(1, bool))
    run = integrate(system, start, window, Stepping(stepper, width=1), replay)
    return run.state, run.record.status


def advance(basin, stepper, steps, stages=1):
    system, start = basin
    dt = jnp.full((1, steps), YEARS / steps)
    replay = Replay(dt, jnp.full((1, steps), stages, jnp.int32), jnp.full(1, steps, jnp.int32))
    end, status = _stepped(system, start, stepper, replay)
    assert status == OK
    return np.asarray(end)


@pytest.fixture(scope="module")
def reference(basin):
    final = advance(basin, odinn.SSPRK3(), REFERENCE)
    assert np.abs(final - np.asarray(basin[1])).max() > 10.0  # the ice has moved
    return final


@pytest.mark.parametrize(
    ("stepper", "stages", "counts", "order"),
    [
        (odinn.Euler(), 1, (64, 128, 256), 1),
        (odinn.RKC2(), 8, (16, 32, 64), 2),
        (odinn.SSPRK3(), 3, (64, 128, 256), 3),
        # The steps are given: a tolerance that refuses none of them.
        (Diffrax(diffrax.Bosh3(), atol=1.0), 1, (64, 128, 256), 3),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, eqx.Module) else None,
)
def test_stepper_converges_with_its_order(basin, reference, stepper, stages, counts, order):
    errors = [np.abs(advance(basin, stepper, n, stages) - reference).max() for n in counts]
    # The next term of the expansion bends the line by less than 0.15 over a factor of 4 in the
    # step.
    assert convergence_order([1 / n for n in counts], errors) == pytest.approx(order, abs=0.15)
    assert errors[-1] < 0.1
