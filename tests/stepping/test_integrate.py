"""The driver: what is counted, recorded and repeated, and how a run ends that cannot go on."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.stepping.integrate import integrate
from odinn.stepping.interface import NOT_FINITE, OK, OUT_OF_STEPS, TOO_COARSE
from odinn.stepping.steps import Replay, as_replay
from tests.stepping.systems import Cells, cells, store, windows

STEPPERS = [odinn.Euler(), odinn.SSPRK3(), odinn.RKC2(tol=1e-3), odinn.Diffrax(atol=1e-4)]
name = lambda stepper: type(stepper).__name__
every_stepper = pytest.mark.parametrize("stepper", STEPPERS, ids=name)

SPAN = windows(2.0, 0.5, 0.75)
step = eqx.filter_jit(integrate)


def run(stepper, span=SPAN, capacity=64, **options):
    return step(*cells(), span, stepper, capacity=capacity, **options)


def at(span, index):
    return jax.tree.map(lambda a: a[index], span)


def lengths(record):
    """Of the accepted steps, window by window."""
    ends = np.cumsum(np.asarray(record.count))[:-1]
    return np.split(np.asarray(record.dt)[: int(record.total)], ends)


@every_stepper
def test_the_steps_of_a_window_add_up_to_it_and_are_counted(stepper):
    _, reports, record = run(stepper)
    assert int(record.status) == OK
    assert reports.shape == (3,)
    sums = [dt.sum() for dt in lengths(record)]
    np.testing.assert_allclose(sums, SPAN.length, rtol=1e-14)
    assert int(record.total) == int(record.count.sum()) > 3
    assert (np.asarray(record.dt)[int(record.total) :] == 0).all()


@pytest.mark.parametrize(
    ("stepper", "per_try", "per_window"), [(STEPPERS[0], 1, 1), (STEPPERS[1], 3, 0)], ids=str
)
def test_evaluations_of_cfl_steps_are_counted(stepper, per_try, per_window):
    system, empty = store()
    span = windows(30.0, 10.0)
    record = step(system, empty, span, stepper, capacity=512)[2]
    assert int(record.rejected) > 0
    tries = int(record.total) + int(record.rejected)
    assert int(record.evaluations) == per_try * tries + per_window * 2


def test_evaluations_of_rkc2_are_its_stages_and_one_a_window():
    record = run(odinn.RKC2(tol=10.0))[2]
    assert int(record.rejected) == 0
    stages = np.asarray(record.stages)[: int(record.total)]
    assert stages.min() >= 2
    assert int(record.evaluations) == stages.sum() + 3


@pytest.mark.parametrize("stepper", STEPPERS[2:], ids=name)
def test_a_tighter_tolerance_rejects_the_whole_window_and_gives_a_smaller_error(stepper):
    tight = odinn.RKC2(tol=1e-9)
    exact = run(tight, capacity=4096)[0]["u"]
    kind = type(stepper)
    errors, rejected = [], []
    for tol in (1e-3, 1e-5):
        final, _, record = run(kind(tol) if kind is odinn.RKC2 else kind(atol=tol))
        errors.append(float(np.abs(final["u"] - exact).max()))
        rejected.append(int(record.rejected))
    assert rejected[1] > 0
    assert errors[1] < 0.2 * errors[0]
    assert errors[1] < 1e-3


@every_stepper
def test_a_replay_repeats_the_accepted_steps_and_rejects_nothing(stepper):
    system, empty = store()
    span = windows(30.0, 10.0)
    final, reports, record = step(system, empty, span, stepper, capacity=1024)
    assert int(record.rejected) > 0
    replay = as_replay(record, int(record.count.max()) + 2)
    again, reports_again, other = step(system, empty, span, stepper, capacity=1024, replay=replay)
    # Another program, so the same to round-off.
    np.testing.assert_allclose(again, final, rtol=1e-13)
    np.testing.assert_allclose(reports_again, reports, rtol=1e-13)
    for field in ("dt", "stages", "count", "total", "status"):
        assert (np.asarray(getattr(other, field)) == np.asarray(getattr(record, field))).all()
    assert int(other.rejected) == 0


def test_a_replay_takes_steps_that_would_not_be_chosen_and_none_that_is_unstable():
    system, empty = store()
    span = windows(30.0)
    record = step(system, empty, span, odinn.Euler(), capacity=1024)[2]
    replay = as_replay(record, int(record.count[0]))

    def taken(*lengths):
        dt = jnp.zeros_like(replay.dt).at[0, : len(lengths)].set(jnp.array(lengths))
        other = eqx.tree_at(lambda r: (r.dt, r.count), replay, (dt, jnp.array([len(lengths)])))
        return step(system, empty, span, odinn.Euler(), capacity=2, replay=other)

    # in a store that fills up to 4 nothing is stiff up to 1.5
    final, _, steps = taken(1.5, 0.5)
    assert list(np.asarray(steps.dt)) == [1.5, 0.5]
    assert int(steps.status) == OK
    assert float(final) == pytest.approx(1.5 + 0.5 * (1 - (1.5 / 4.0) ** 5), rel=1e-14)
    assert int(taken(15.0, 15.0)[2].status) == TOO_COARSE


@every_stepper
def test_a_record_that_does_not_fit_says_so_and_changes_nothing_else(stepper):
    whole, _, record = run(stepper)
    final, _, short = run(stepper, capacity=2)
    assert int(short.total) == int(record.total) > 2
    assert (short.dt == record.dt[:2]).all()
    assert (short.stages == record.stages[:2]).all()
    assert (short.count == record.count).all()
    assert (final["u"] == whole["u"]).all()


@every_stepper
def test_steps_that_just_suffice_suffice_and_one_less_does_not(stepper):
    span = at(SPAN, slice(0, 1))
    _, _, record = run(stepper, span)
    tries = int(record.total) + int(record.rejected)
    assert int(run(stepper, span, max_steps=tries)[2].status) == OK
    short = run(stepper, span, max_steps=tries - 1)[2]
    assert int(short.status) == OUT_OF_STEPS
    assert int(short.total) + int(short.rejected) == tries - 1


def test_a_window_that_was_given_up_stops_those_after_it():
    record = run(odinn.Euler(courant=0.05), max_steps=20)[2]
    assert int(record.status) == OUT_OF_STEPS
    assert list(np.asarray(record.count)) == [20, 0, 0]


@every_stepper
@pytest.mark.parametrize("wild", [np.nan, np.inf, 1e200])
def test_rates_that_are_not_finite_are_a_status_not_a_number(stepper, wild):
    system, state = cells()
    wrong = Cells(system.decay * wild, system.mixing)
    record = step(wrong, state, SPAN, stepper, capacity=8, max_steps=1000)[2]
    assert int(record.status) in (
        (NOT_FINITE,) if not wild < np.inf else (NOT_FINITE, OUT_OF_STEPS)
    )
    assert list(np.asarray(record.count))[1:] == [0, 0]


@every_stepper
def test_a_replay_of_rates_that_are_not_finite_is_a_status(stepper):
    system, state = cells()
    replay = as_replay(run(stepper)[2], 32)
    wrong = Cells(system.decay * np.nan, system.mixing)
    record = step(wrong, state, SPAN, stepper, capacity=64, replay=replay)[2]
    assert int(record.status) == NOT_FINITE


@every_stepper
def test_windows_of_length_zero_do_nothing(stepper):
    final, reports, record = run(stepper)
    padded = windows(2.0, 0.5, 0.75, 0.0, 0.0)
    longer, more, other = run(stepper, padded)
    assert (longer["u"] == final["u"]).all()
    assert list(np.asarray(other.count)) == [*np.asarray(record.count), 0, 0]
    assert (np.asarray(more)[:3] == np.asarray(reports)).all()
    assert int(other.total) == int(record.total)
    assert int(other.rejected) == int(record.rejected)


@every_stepper
def test_a_run_cut_between_windows_takes_the_same_steps_to_the_last_bit(stepper):
    final, _, record = run(stepper)
    system, state = cells()
    dt = []
    for i in range(3):
        one = at(SPAN, slice(i, i + 1))
        state, _, part = step(system, state, one, stepper, capacity=64)
        dt.extend(np.asarray(part.dt)[: int(part.total)])
    assert (state["u"] == final["u"]).all()
    assert (dt == np.asarray(record.dt)[: int(record.total)]).all()


@every_stepper
def test_nothing_is_remembered_from_one_window_to_the_next(stepper):
    """After a window of small steps, one at rest is one step."""

    class TwoMoods(Cells):
        def tendency(self, held, t, y):
            rates, stiffness = super().tendency(held, t, y)
            busy = jnp.where(t < 1.0, 1.0, 0.0)  # seen at t = 1, too: the second window is at rest
            return {"u": busy * rates["u"]}, busy * (stiffness + 50.0)

    system, state = cells()
    system = TwoMoods(system.decay, system.mixing)
    record = step(system, state, windows(1.0, 3.0), stepper, capacity=512)[2]
    busy, rest = np.asarray(record.count)
    assert busy > (4 if name(stepper) == "RKC2" else 8)
    assert rest == 1


def test_the_last_step_of_a_replay_ends_the_window_whatever_the_round_off():
    tenths = Replay(jnp.full((1, 12), 0.1), jnp.ones((1, 12), jnp.int32), jnp.array([10]))
    assert sum([0.1] * 10) < 1.0  # added up, they would leave a sliver for an eleventh step
    record = run(odinn.Euler(), windows(1.0), replay=tenths)[2]
    assert int(record.count[0]) == 10
    assert int(record.status) == OK
