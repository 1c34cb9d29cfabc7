"""The driver: what is counted, recorded and repeated, and how a run ends that cannot go on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.stepping.interface import NOT_FINITE, OK, OUT_OF_STEPS, TOO_COARSE, Rates
from odinn.stepping.steps import Replay, flat, narrowed
from tests.stepping.systems import Cells, cells, stepped, store, used, windows

STEPPERS = [odinn.Euler(), odinn.SSPRK3(), odinn.RKC2(tol=1e-3), odinn.Diffrax(atol=1e-4)]
name = lambda stepper: type(stepper).__name__
every_stepper = pytest.mark.parametrize("stepper", STEPPERS, ids=name)

SPAN = windows(2.0, 0.5, 0.75)


def run(stepper, span=SPAN, **options):
    return stepped(*cells(), span, stepper, **options)


def assert_equal(left, right):
    """Every array the same to the last bit."""
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert (np.asarray(a) == np.asarray(b)).all()


def at(span, index):
    return jax.tree.map(lambda a: a[index], span)


def tries(record):
    return int(record.steps.count.sum() + record.tally.rejected)


@every_stepper
def test_the_steps_of_a_window_add_up_to_it_and_are_counted(stepper):
    _, reports, record, starts = run(stepper)
    assert int(record.status) == OK
    assert reports.shape == (3,)
    assert starts["u"].shape == (3, 4)
    dt, count = np.asarray(record.steps.dt), np.asarray(record.steps.count)
    np.testing.assert_allclose(dt.sum(axis=1), SPAN.length, rtol=1e-14)
    assert int(record.longest) == count.max() > 1
    assert ((dt > 0) == (np.arange(64) < count[:, None])).all()


@pytest.mark.parametrize(
    ("stepper", "per_try", "per_window"), [(STEPPERS[0], 1, 1), (STEPPERS[1], 3, 0)], ids=str
)
def test_evaluations_of_cfl_steps_are_counted(stepper, per_try, per_window):
    system, empty = store()
    span = windows(30.0, 10.0)
    record = stepped(system, empty, span, stepper).record
    assert int(record.tally.rejected) > 0
    assert int(record.tally.evaluations) == per_try * tries(record) + per_window * 2


def test_evaluations_of_rkc2_are_its_stages_and_one_a_window():
    record = run(odinn.RKC2(tol=10.0)).record
    assert int(record.tally.rejected) == 0
    _, stages = used(record.steps)
    assert stages.min() >= 2
    assert stages.max() == int(record.most_stages)
    assert int(record.tally.evaluations) == stages.sum() + 3


@pytest.mark.parametrize("stepper", STEPPERS[2:], ids=name)
def test_a_tighter_tolerance_rejects_the_whole_window_and_gives_a_smaller_error(stepper):
    tight = odinn.RKC2(tol=1e-9)
    exact = run(tight).state["u"]
    kind = type(stepper)
    errors, rejected = [], []
    for tol in (1e-3, 1e-5):
        rough = run(kind(tol) if kind is odinn.RKC2 else kind(atol=tol))
        errors.append(float(np.abs(rough.state["u"] - exact).max()))
        rejected.append(int(rough.record.tally.rejected))
    assert rejected[1] > 0
    assert errors[1] < 0.2 * errors[0]
    assert errors[1] < 1e-3


@every_stepper
def test_a_replay_repeats_the_accepted_steps_and_rejects_nothing(stepper):
    system, empty = store()
    span = windows(30.0, 10.0)
    own = stepped(system, empty, span, stepper, width=512)
    assert int(own.record.tally.rejected) > 0
    assert int(own.record.longest) <= 512
    replay = narrowed(own.record.steps)
    again = stepped(system, empty, span, stepper, replay, width=512)
    # Another program, so the same to round-off.
    np.testing.assert_allclose(again.state, own.state, rtol=1e-13)
    np.testing.assert_allclose(again.reports, own.reports, rtol=1e-13)
    for repeated, chosen in zip(flat(again.record.steps), flat(own.record.steps), strict=True):
        assert (repeated == chosen).all()
    assert int(again.record.status) == OK
    assert int(again.record.tally.rejected) == 0


def test_a_replay_takes_steps_that_would_not_be_chosen_and_none_that_is_unstable():
    system, empty = store()
    span = windows(30.0)

    def taken(*lengths):
        dt = jnp.array([lengths])
        replay = Replay(dt, jnp.ones_like(dt, jnp.int32), jnp.array([len(lengths)]))
        return stepped(system, empty, span, odinn.Euler(), replay, width=2)

    # in a store that fills up to 4 nothing is stiff up to 1.5
    short = taken(1.5, 0.5)
    assert list(np.asarray(short.record.steps.dt[0])) == [1.5, 0.5]
    assert int(short.record.status) == OK
    assert float(short.state) == pytest.approx(1.5 + 0.5 * (1 - (1.5 / 4.0) ** 5), rel=1e-14)
    assert int(taken(15.0, 15.0).record.status) == TOO_COARSE


@every_stepper
def test_rows_that_are_too_short_say_so_and_change_nothing_else(stepper):
    whole, cut = run(stepper), run(stepper, width=2)
    record, short = whole.record, cut.record
    assert short.width == 2 < int(record.longest) <= record.width == 64
    assert int(short.longest) == int(record.longest)
    assert (short.steps.count == record.steps.count).all()
    assert (short.steps.dt == record.steps.dt[:, :2]).all()
    assert (short.steps.stages == record.steps.stages[:, :2]).all()
    assert_equal((cut.state, cut.reports, short.tally), (whole.state, whole.reports, record.tally))


@every_stepper
def test_steps_that_just_suffice_suffice_and_one_less_does_not(stepper):
    span = at(SPAN, slice(0, 1))
    needed = tries(run(stepper, span).record)
    assert int(run(stepper, span, max_steps=needed).record.status) == OK
    short = run(stepper, span, max_steps=needed - 1).record
    assert int(short.status) == OUT_OF_STEPS
    assert tries(short) == needed - 1


def test_a_window_that_was_given_up_stops_those_after_it():
    record = run(odinn.Euler(courant=0.05), max_steps=20).record
    assert int(record.status) == OUT_OF_STEPS
    assert list(np.asarray(record.steps.count)) == [20, 0, 0]


@every_stepper
@pytest.mark.parametrize("wild", [np.nan, np.inf, 1e200])
def test_rates_that_are_not_finite_are_a_status_not_a_number(stepper, wild):
    system, state = cells()
    wrong = Cells(system.decay * wild, system.mixing)
    record = stepped(wrong, state, SPAN, stepper, max_steps=1000).record
    assert int(record.status) in (
        (NOT_FINITE,) if not wild < np.inf else (NOT_FINITE, OUT_OF_STEPS)
    )
    assert list(np.asarray(record.steps.count))[1:] == [0, 0]


@every_stepper
def test_a_replay_of_rates_that_are_not_finite_is_a_status(stepper):
    system, state = cells()
    replay = narrowed(run(stepper).record.steps)
    wrong = Cells(system.decay * np.nan, system.mixing)
    record = stepped(wrong, state, SPAN, stepper, replay).record
    assert int(record.status) == NOT_FINITE


@every_stepper
def test_windows_of_length_zero_do_nothing(stepper):
    whole, padded = run(stepper), run(stepper, windows(2.0, 0.5, 0.75, 0.0, 0.0))
    assert (padded.state["u"] == whole.state["u"]).all()
    counts = np.asarray(whole.record.steps.count)
    assert list(np.asarray(padded.record.steps.count)) == [*counts, 0, 0]
    assert_equal(
        at((padded.reports, padded.record.steps), slice(3)), (whole.reports, whole.record.steps)
    )
    assert int(padded.record.tally.rejected) == int(whole.record.tally.rejected)


@every_stepper
def test_a_run_cut_between_windows_takes_the_same_steps_to_the_last_bit(stepper):
    whole = run(stepper)
    system, state = cells()
    for i in range(3):
        assert_equal(at(whole.starts, i), state)
        part = stepped(system, state, at(SPAN, slice(i, i + 1)), stepper)
        assert_equal(at(part.record.steps, 0), at(whole.record.steps, i))
        state = part.state
    assert_equal(state, whole.state)


@every_stepper
def test_nothing_is_remembered_from_one_window_to_the_next(stepper):
    """After a window of small steps, one at rest is one step."""

    class TwoMoods(Cells):
        def tendency(self, held, t, y, lasting=None):
            rates, stiffness, _ = super().tendency(held, t, y)
            busy = jnp.where(t < 1.0, 1.0, 0.0)  # seen at t = 1, too: the second window is at rest
            return Rates({"u": busy * rates["u"]}, busy * (stiffness + 50.0))

    system, state = cells()
    system = TwoMoods(system.decay, system.mixing)
    busy, rest = np.asarray(stepped(system, state, windows(1.0, 3.0), stepper).record.steps.count)
    assert busy > (4 if name(stepper) == "RKC2" else 8)
    assert rest == 1


def test_the_last_step_of_a_replay_ends_the_window_whatever_the_round_off():
    tenths = Replay(jnp.full((1, 12), 0.1), jnp.ones((1, 12), jnp.int32), jnp.array([10]))
    assert sum([0.1] * 10) < 1.0  # added up, they would leave a sliver for an eleventh step
    record = run(odinn.Euler(), windows(1.0), replay=tenths).record
    assert int(record.steps.count[0]) == 10
    assert int(record.status) == OK
