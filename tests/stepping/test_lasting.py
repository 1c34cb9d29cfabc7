"""Rates that last go from window to window: nothing of a run changes, but for what it evaluates."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.stepping.batch import together
from odinn.stepping.integrate import Stepping, integrate
from odinn.stepping.interface import OK, AbstractSystem, Rates
from tests.stepping.systems import windows

# windows of several steps, of one step, and of none
SPAN = windows(0.5, 0.03, 0.0, 0.4, push=0.6)
STEPPERS = [odinn.Euler(courant=0.3), odinn.RKC2(tol=1e-4)]
every_stepper = pytest.mark.parametrize("stepper", STEPPERS, ids=lambda s: type(s).__name__)


class Pushed(AbstractSystem):
    """du/dt = −decay u³ + push; what is beyond a wall is taken back by half after each step.

    The decay lasts, where the system says so.
    """

    decay: jax.Array
    lasts: bool = eqx.field(static=True, default=True)

    def begin(self, state, window):
        return window.push, state, None

    def tendency(self, held, t, y, lasting=None):
        if lasting is None:
            lasting = -self.decay * y**3, 3.0 * jnp.max(self.decay * y**2)
        rate, stiffness = lasting
        return Rates(rate + held, stiffness, lasting if self.lasts else None)

    def settle(self, held, dt, raw, tally):
        return jnp.where(raw > 1.0, 0.5 * (raw + 1.0), raw), None

    def end(self, state, window, held, y, tally):
        return y, None

    def for_transpose(self):
        return self

    @property
    def end_is_linear(self):
        return True

    def norm(self, error, y0, y1):
        return jnp.sqrt(jnp.mean(error**2))


START = jnp.array([0.2, 0.9, 1.6])


def pushed(scale=1.0, *, lasts=True):
    return Pushed(scale * jnp.array([4.0, 0.1, 0.7]), lasts)


@eqx.filter_jit
def run(system, start, span, stepper):
    return integrate(system, start, span, Stepping(stepper, width=32))


@every_stepper
def test_what_lasts_is_evaluated_once_and_not_in_every_window(stepper):
    kept = run(pushed(), START, SPAN, stepper)
    anew = run(pushed(lasts=False), START, SPAN, stepper)
    assert int(kept.record.status) == OK
    np.testing.assert_array_equal(kept.record.steps.count, anew.record.steps.count)
    assert int(kept.record.steps.count[0]) > 1  # so a window has steps within it, too
    assert int(kept.record.steps.count[2]) == 0
    # the sum of two parts is rounded alike, but may be contracted otherwise
    np.testing.assert_allclose(kept.starts, anew.starts, rtol=1e-14)
    spared = int(anew.record.tally.evaluations - kept.record.tally.evaluations)
    assert spared == len(SPAN.length) - 1


@every_stepper
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_run_may_be_cut_at_every_window(stepper, cut):
    whole = run(pushed(), START, SPAN, stepper)
    before, after = (jax.tree.map(lambda a: a[:cut], SPAN), jax.tree.map(lambda a: a[cut:], SPAN))
    first = run(pushed(), START, before, stepper)
    np.testing.assert_array_equal(first.state, whole.starts[cut])
    np.testing.assert_array_equal(run(pushed(), first.state, after, stepper).state, whole.state)


@every_stepper
def test_systems_of_a_batch_keep_their_own(stepper):
    scales = 1.0, 6.0
    batch = jax.tree.map(lambda *rows: jnp.stack(rows), *map(pushed, scales))
    runs = together(lambda system: run(system, START, SPAN, stepper), (0,))(batch)
    counts = np.asarray(runs.record.steps.count)
    assert (counts[0] != counts[1]).any()
    for i, scale in enumerate(scales):
        alone = run(pushed(scale), START, SPAN, stepper)
        np.testing.assert_array_equal(counts[i], alone.record.steps.count)
        np.testing.assert_allclose(runs.state[i], alone.state, rtol=1e-14)  # contracted otherwise
        assert int(runs.record.tally.evaluations[i]) == int(alone.record.tally.evaluations)


@every_stepper
def test_derivatives_pass_through_what_lasts(stepper):
    def slope(lasts):
        def final(scale):
            return run(pushed(scale, lasts=lasts), START, SPAN, stepper).state

        return jax.jvp(final, (1.0,), (1.0,))[1]

    kept = slope(lasts=True)
    assert np.abs(kept).min() > 1e-3
    np.testing.assert_allclose(kept, slope(lasts=False), rtol=1e-12)  # round-off
