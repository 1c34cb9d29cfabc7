"""Systems of a batch: each steps as if it were alone, and the loops stay loops."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

import odinn
from odinn.stepping.adjoint import snapshots
from odinn.stepping.batch import anywhere, most, together
from odinn.stepping.integrate import Stepping, integrate
from odinn.stepping.interface import NOT_FINITE, OK, OUT_OF_STEPS, TOO_COARSE
from odinn.stepping.steps import Limits, narrowed
from tests.stepping.systems import Cells, Store, cells, windows

STEPPERS = [odinn.Euler(), odinn.SSPRK3(), odinn.RKC2(tol=1e-3)]
name = lambda stepper: type(stepper).__name__
every_stepper = pytest.mark.parametrize("stepper", STEPPERS, ids=name)

# the third window is empty
SPAN = windows(1.0, 0.5, 0.0, 0.75)
LIMITS = Limits(steps=64, stages=16)
KEEP = jnp.array([0, 3])
# A program for a batch fuses operations in other ways than one for a single system, so results
# differ in the last bits; steps grow those a little. Counts are the same.
ROUND_OFF = 1e-12


class Members(NamedTuple):
    """Systems and their states, with a leading axis."""

    systems: Cells
    states: dict

    def __getitem__(self, i):
        return at(tuple(self), i)


def at(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


def unlike(seed, size=4):
    """Cells whose rates differ by a factor of up to thirty."""
    random = np.random.default_rng(seed)
    system, state = jax.tree.map(np.asarray, cells())
    spread = lambda leaf: leaf * random.uniform(1.0, 1.5, (size, *leaf.shape))
    pace = random.permutation(np.geomspace(0.3, 6.0, size))
    rates = pace[:, None] * spread(system.decay), pace * spread(system.mixing)
    systems = Cells(*map(jnp.asarray, rates))
    states = {"u": jnp.asarray(spread(state["u"])), "windows": jnp.zeros(size, jnp.int32)}
    return Members(systems, states)


@eqx.filter_jit
def alone(system, state, how, replay=None, span=SPAN):
    return integrate(system, state, span, how, replay)


@eqx.filter_jit
def as_batch(systems, states, how, replay=None, span=SPAN):
    one = lambda system, state, replay: integrate(system, state, span, how, replay)
    return together(one, (0, 0, 0))(systems, states, replay)


def assert_same(found, expected, tolerance=ROUND_OFF):
    """Whole numbers to the last bit, others to round-off."""
    for left, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        left, right = np.asarray(left), np.asarray(right)
        if np.issubdtype(right.dtype, np.inexact):
            scale = np.abs(right).max(initial=0.0)
            np.testing.assert_allclose(left, right, rtol=0, atol=tolerance * scale)
        else:
            np.testing.assert_array_equal(left, right)


@every_stepper
@pytest.mark.parametrize("seed", [1, 2])
def test_each_system_of_a_batch_steps_as_if_it_were_alone(stepper, seed):
    members, how = unlike(seed), Stepping(stepper, width=64)
    batch = as_batch(*members, how)
    counts = np.asarray(batch.record.steps.count).max(axis=1)
    assert len(set(counts)) == len(counts)  # they do differ
    if name(stepper) == "RKC2":
        assert len(set(np.asarray(batch.record.steps.stages).max(axis=(1, 2)).tolist())) > 1
    for i in range(len(counts)):
        own = alone(*members[i], how)
        assert int(own.record.status) == OK
        assert int(own.record.longest) <= 64
        assert_same(at(batch, i), own)


@every_stepper
def test_the_company_of_a_system_changes_nothing_to_the_last_bit(stepper):
    members, how = unlike(3), Stepping(stepper, width=64)
    batch = as_batch(*members, how)
    others = unlike(4)
    with_others = jax.tree.map(lambda a, b: jnp.concatenate([a[:1], b[1:]]), members, others)
    mixed = as_batch(*with_others, how)
    # the same program: not a bit of the first system depends on the rest
    jax.tree.map(np.testing.assert_array_equal, at(tuple(mixed), 0), at(tuple(batch), 0))
    assert not (np.asarray(mixed.state["u"])[1:] == np.asarray(batch.state["u"])[1:]).any()


def scalar(system, state, how, replay=None, limits=LIMITS):
    """A number of the kept states."""
    kept, record = snapshots(system, state, SPAN, KEEP, how, replay, limits)
    weights = jnp.cos(jnp.arange(kept["u"].size)).reshape(kept["u"].shape)
    return jnp.sum(weights * kept["u"] ** 2), record


def gradient(system, state, how, replay=None):
    """((value, record), cotangents of system and state)"""

    def value(system, u):
        return scalar(system, {**state, "u": u}, how, replay)

    both = lambda wanted: value(*wanted)
    return eqx.filter_value_and_grad(both, has_aux=True)((system, state["u"]))


@eqx.filter_jit
def gradient_within(systems, states, how, replay=None):
    """A batch of gradients: the derivative is taken inside."""
    one = lambda system, state, replay: gradient(system, state, how, replay)
    return together(one, (0, 0, 0))(systems, states, replay)


@eqx.filter_jit
def gradient_of_sum(systems, states, how, replay=None):
    """The gradient of a batch: the derivative is taken outside."""

    def total(wanted):
        systems, u = wanted
        one = lambda system, state, replay: scalar(system, state, how, replay)
        values, record = together(one, (0, 0, 0))(systems, {**states, "u": u}, replay)
        return jnp.sum(values), (values, record)

    (_, aux), bars = eqx.filter_value_and_grad(total, has_aux=True)((systems, states["u"]))
    return aux, bars


ORDERS = [gradient_within, gradient_of_sum]
either_order = pytest.mark.parametrize("taken", ORDERS, ids=lambda f: f.__wrapped__.__name__)
gradient_alone = eqx.filter_jit(gradient)


@every_stepper
@either_order
def test_the_adjoint_of_a_batch_is_that_of_each_system_alone(stepper, taken):
    members, how = unlike(5), Stepping(stepper, width=LIMITS.steps)
    (values, record), bars = taken(*members, how)
    assert int(record.steps.count.max()) <= LIMITS.steps
    assert int(record.steps.stages.max()) <= LIMITS.stages
    assert len(set(np.asarray(record.steps.count).max(axis=1).tolist())) > 2
    for i in range(len(values)):
        (value, _), own = gradient_alone(*members[i], how)
        assert_same((values[i], at(bars, i)), (value, own))
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(own))


@every_stepper
def test_a_system_that_fails_stops_and_leaves_its_companions_as_they_are(stepper):
    members, how = unlike(6), Stepping(stepper, width=64)
    well = as_batch(*members, how)
    ill = members.systems.decay.at[1].set(jnp.nan)
    broken = as_batch(eqx.tree_at(lambda s: s.decay, members.systems, ill), members.states, how)
    status = np.asarray(broken.record.status)
    assert status.tolist() == [OK, NOT_FINITE, OK, OK]
    assert np.asarray(broken.record.steps.count)[1].sum() == 0
    for i in (0, 2, 3):
        # the same program
        jax.tree.map(np.testing.assert_array_equal, at(tuple(broken), i), at(tuple(well), i))


@every_stepper
def test_a_system_that_runs_out_of_steps_is_given_up_alone(stepper):
    members = unlike(7)
    whole = as_batch(*members, Stepping(stepper, width=64))
    tries = np.asarray(whole.record.steps.count).sum(axis=1) + whole.record.tally.rejected
    enough = np.asarray(whole.record.steps.count)[:, 0].max() - 1
    how = Stepping(stepper, width=64, max_steps=jnp.int32(enough))
    batch = as_batch(*members, how)
    status = np.asarray(batch.record.status)
    slowest = int(np.argmax(tries))
    assert status[slowest] == OUT_OF_STEPS
    assert (status == OK).any()
    for i in range(len(status)):
        assert_same(at(batch, i), alone(*members[i], how))
        if status[i] == OK:
            assert_same(at(batch, i), at(whole, i))


@every_stepper
def test_steps_are_repeated_in_a_batch_as_alone(stepper):
    members, how = unlike(8), Stepping(stepper, width=LIMITS.steps)
    chosen = as_batch(*members, how)
    replay = chosen.record.steps
    assert int(replay.count.max()) <= LIMITS.steps
    again = as_batch(*members, how, replay)
    assert_same((again.state, again.reports), (chosen.state, chosen.reports))
    jax.tree.map(np.testing.assert_array_equal, again.record.steps, chosen.record.steps)
    assert (np.asarray(again.record.status) == OK).all()
    # of two of them, more than twice as fast, the steps are too long
    fast = jnp.array([1.0, 20.0, 1.0, 20.0])
    faster = Cells(members.systems.decay * fast[:, None], members.systems.mixing * fast)
    refused = as_batch(faster, members.states, how, replay)
    assert np.asarray(refused.record.status).tolist() == [OK, TOO_COARSE, OK, TOO_COARSE]
    for i in range(4):
        own = at((faster, members.states), i)
        assert_same(at(refused, i), alone(*own, how, at(replay, i)))
    for i in (0, 2):
        assert_same(at(refused, i), at(again, i))


@either_order
def test_the_adjoint_over_repeated_steps_is_that_of_each_system_alone(taken):
    members, how = unlike(9), Stepping(STEPPERS[2], width=LIMITS.steps)
    replay = as_batch(*members, how).record.steps
    assert int(replay.count.max()) <= LIMITS.steps
    _, bars = taken(*members, how, replay)
    _, chosen = taken(*members, how)
    assert_same(bars, chosen)
    for i in range(4):
        own = jax.tree.map(jnp.asarray, narrowed(at(replay, i)))
        assert_same(at(bars, i), gradient_alone(*members[i], how, own)[1])


def test_windows_of_their_own_length_end_when_they_end():
    """As batches are filled up: one system has windows where another has none left."""
    members, how = unlike(10, size=2), Stepping(STEPPERS[2], width=64)
    spans = [windows(1.0, 0.5, 0.25), windows(0.75, 0.0, 0.0)]
    span = jax.tree.map(lambda *rows: jnp.stack(rows), *spans)
    one = lambda system, state, span: integrate(system, state, span, how)
    batch = eqx.filter_jit(together(one, (0, 0, 0)))(*members, span)
    for i, own in enumerate(spans):
        assert_same(at(batch, i), alone(*members[i], how, span=own))
    assert np.asarray(batch.record.steps.count)[1, 1:].tolist() == [0, 0]


def test_a_store_that_rejects_steps_does_so_in_company():
    supply, full = jnp.array([1.0, 0.01, 5.0]), jnp.array([4.0, 4.0, 2.0])
    span, how = windows(30.0, 10.0), Stepping(odinn.Euler(), width=512)
    one = lambda system, state: integrate(system, state, span, how)
    batch = eqx.filter_jit(together(one, (0, 0)))(Store(supply, full), jnp.zeros(3))
    rejected = np.asarray(batch.record.tally.rejected)
    assert rejected[1] == 0 < min(rejected[0], rejected[2])
    for i in range(3):
        own = alone(Store(supply[i], full[i]), jnp.array(0.0), how, span=span)
        assert_same(at(batch, i), own)


def test_a_condition_and_a_number_are_those_of_the_batch_or_of_one_alone():
    flags, numbers = jnp.array([False, True, False]), jnp.array([3, -7, 5], jnp.int32)
    both = lambda flag, number: (anywhere(flag), most(number))
    there, largest = together(both, (0, 0))(flags, numbers)
    assert there.tolist() == [True] * 3
    assert largest.tolist() == [5] * 3
    assert not together(anywhere, (0,))(flags[::2]).any()
    assert [bool(anywhere(flag)) for flag in flags] == flags.tolist()
    assert int(most(numbers[0])) == 3


@eqx.filter_jit
def product(systems, states, how, replay, batch):
    """Forward derivatives of value and gradient along ones."""

    def along_ones(system, state, replay):
        u = state["u"]
        both = lambda system, u: gradient(system, {**state, "u": u}, how, replay)[1]
        value = lambda system, u: scalar(system, {**state, "u": u}, how, replay, None)[0]
        ones = jax.tree.map(jnp.ones_like, (system, u))
        return tuple(jax.jvp(f, (system, u), ones)[1] for f in (value, both))

    return (together(along_ones, (0, 0, 0)) if batch else along_ones)(systems, states, replay)


def test_forward_derivatives_of_a_batch_are_those_of_each_system_alone():
    members, how = unlike(11, size=3), Stepping(STEPPERS[2], width=LIMITS.steps)
    replay = as_batch(*members, how).record.steps
    assert int(replay.count.max()) <= LIMITS.steps
    batch = product(*members, how, replay, batch=True)
    for i in range(3):
        own = product(*members[i], how, at(replay, i), batch=False)
        assert_same(at(batch, i), own)
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(own))


def loops(jaxpr):
    """The ``while`` loops of a program, also those inside others."""
    is_program = lambda x: isinstance(x, ClosedJaxpr | Jaxpr)
    for equation in jaxpr.eqns:
        if equation.primitive.name == "while":
            yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=is_program):
            if is_program(inner):
                yield from loops(getattr(inner, "jaxpr", inner))


def of_batch(jaxpr):
    """The ``while`` loops that are left: (all, those with one condition for the batch). The others
    choose for each system between all that they carry, at every turn.
    """
    found = list(loops(jaxpr))
    return len(found), sum(loop.params["cond_jaxpr"].out_avals[0].shape == () for loop in found)


def program(call, members, how):
    """The program of a compiled function for a batch."""
    run = lambda members: eqx.filter(call(*members, how), eqx.is_array)
    return jax.make_jaxpr(run)(members).jaxpr


@every_stepper
def test_the_loop_over_the_steps_of_a_batch_has_one_condition(stepper):
    how = Stepping(stepper, width=64)
    number, with_one = of_batch(program(as_batch, unlike(1), how))
    assert number == with_one == (2 if name(stepper) == "RKC2" else 1)  # steps, and stages
    # a mapped loop without the name of the axis is what this is about
    one = lambda system, state, _: integrate(system, state, SPAN, how)
    mapped = lambda systems, states, how: jax.vmap(one, (0, 0, None))(systems, states, None)
    number, with_one = of_batch(program(mapped, unlike(1), how))
    assert number > 0
    assert with_one == 0


@every_stepper
def test_the_loops_of_a_batch_of_gradients_have_one_condition_each(stepper):
    """Where the derivative is taken of each system, inside the batch; of a sum over a batch, JAX
    maps the backward pass without the name of the axis, and its loops choose.
    """
    number, with_one = of_batch(program(gradient_within, unlike(1), Stepping(stepper, width=64)))
    # the run; backwards: the steps again, their transposes; for RKC2, the stages of each, and of
    # a transposed step its values first
    assert number == with_one == (7 if name(stepper) == "RKC2" else 3)
