"""Processes add up, and what they keep in the state is differentiated with it."""

from dataclasses import replace
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.numbers.slot import with_fields
from odinn.physics.flow.base import AbstractWarmFlow, Fluxes
from odinn.physics.processes.border import EdgeTally, IceFreeBorder
from odinn.physics.processes.flow import IceFlow
from odinn.physics.processes.system import Prognostic, System, initial_state
from odinn.physics.state import State, StateField
from odinn.run.assembly import start_of, system_of
from odinn.run.plan import plan_run
from odinn.run.settings import settings_of
from odinn.stepping.adjoint import snapshots
from odinn.stepping.integrate import Stepping
from odinn.stepping.steps import Limits, narrowed

TI = odinn.TemperatureIndex(melt_factor=4e-3, precip_factor=2.0)
MODEL = odinn.Model(odinn.SIA2D(A=5e-17), TI)


@pytest.fixture(scope="module")
def glacier(slab):
    """The slab with an outline that ends above its tongue, so that ice and snow lie outside."""
    mask = slab.mask.copy()
    mask[:, 18:] = False
    return replace(slab, mask=mask)


def laid_out(model, glacier, years=0.25, **options):
    """(system, first state, windows as arrays) of a run."""
    plan = plan_run(model, glacier, settings_of(2000.0, 2000.0 + years))
    system = system_of(model, glacier, **options)
    state, plan = start_of(system, glacier, plan, None)
    return system, state, jax.tree.map(jnp.asarray, plan.windows)


def first(windows):
    return jax.tree.map(lambda column: column[0], windows)


def test_the_tendency_is_the_sum_of_its_processes(glacier):
    system, state, windows = laid_out(MODEL, glacier)
    held, y, _ = system.begin(state, first(windows))
    whole, stiffness, _ = system.tendency(held, 2000.0, y)
    parts = []
    for process, own, unknowns in zip(system.processes, held, y.of_processes, strict=True):
        alone = System(system.domain, (process,), system.edge)
        parts.append(alone.tendency((own,), 2000.0, Prognostic(y.thickness, (unknowns,))))
    np.testing.assert_allclose(
        whole.thickness, sum(rate.thickness for rate, *_ in parts), rtol=1e-15, atol=1e-15
    )
    assert stiffness == parts[0][1] > 0
    assert parts[1][1] == 0  # a balance is not stiff
    assert np.abs(parts[0][0].thickness).max() > 0.1
    assert np.abs(parts[1][0].thickness).max() > 0.1


def test_a_system_declares_the_fields_of_its_state(glacier):
    fields = {f.name: f for f in system_of(MODEL, glacier, water=True, balance_so_far=True).fields}
    assert set(fields) == {"balance", "snow", "applied"}
    assert fields["snow"].unit == "kg m-2"
    assert all(f.differentiated for f in fields.values())
    assert system_of(odinn.Model(mass_balance=None), glacier).fields == ()
    assert system_of(MODEL, glacier, carried=False).fields == ()
    # a balance in force matters to who goes on within a month
    for end, kept in ((2000.25, {"snow"}), (2000.3, {"balance", "snow"})):
        run = odinn.simulate(MODEL, glacier, 2000.0, end, hydrology=True)
        assert set(run.state.extras) == kept


def test_no_gradient_passes_through_a_field_that_is_not_differentiated(glacier, monkeypatch):
    from odinn.physics.processes import balance

    system, state, windows = laid_out(MODEL, glacier)
    later = jax.tree.map(lambda column: column[1], windows)
    later = eqx.tree_at(lambda w: w.evaluate, later, jnp.asarray(False))

    def melt(scale):
        carried = jax.tree.map(lambda leaf: scale * leaf, state.extras)
        held, _, _ = system.begin(State(state.time, state.thickness, carried), later)
        return jnp.sum(held[1].rate)

    held, _, _ = system.begin(state, first(windows))
    state = State(state.time, state.thickness, {"balance": held[1]})
    assert jax.grad(melt)(1.0) != 0
    constant = balance._IN_FORCE._replace(differentiated=False)
    monkeypatch.setattr(balance, "_IN_FORCE", constant)
    assert jax.grad(melt)(1.0) == 0


def snow_after(precip_factor, glacier, replay=None, limits=None):
    """The snowpack and the ice at the end of winter in one number, and the record of the steps."""
    model = odinn.Model(odinn.SIA2D(A=5e-17), odinn.TemperatureIndex(4e-3, precip_factor))
    system, state, windows = laid_out(model, glacier, water=True, reports=False)
    keep = jnp.asarray([len(windows.start) - 1])
    how = Stepping(odinn.RKC2(), width=64)
    states, record = snapshots(system, state, windows, keep, how, replay, limits)
    snow, ice = states.extras["snow"][0], states.thickness[0]
    return jnp.sum(snow) + jnp.sum(ice**2), record


def test_the_snowpack_is_part_of_what_is_differentiated(glacier):
    _, record = jax.jit(lambda factor: snow_after(factor, glacier))(2.0)
    replay = narrowed(record.steps)
    value = jax.jit(lambda factor: snow_after(factor, glacier, replay)[0])
    limits = Limits(int(record.longest), int(record.most_stages))
    adjoint = jax.jit(jax.grad(lambda f: snow_after(f, glacier, None, limits)[0]))(2.0)
    h = 1e-4
    difference = (value(2.0 + h) - value(2.0 - h)) / (2 * h)
    assert adjoint == pytest.approx(float(difference), rel=1e-7)  # h² and round-off over h
    bare = odinn.simulate(MODEL, glacier, 2000.0, 2000.25, hydrology=True).state.extras["snow"]
    assert bare.sum() > 1e4  # kg m⁻² over all cells: there was snow to look at


def test_a_run_goes_on_with_the_snow_that_lies(glacier):
    whole = odinn.simulate(MODEL, glacier, 2000.0, 2001.0, hydrology=True)
    winter = odinn.simulate(MODEL, glacier, 2000.0, 2000.25, hydrology=True)
    rest = odinn.simulate(MODEL, glacier, 2000.25, 2001.0, initial=winter.state, hydrology=True)
    assert (rest.state.extras["snow"] == whole.state.extras["snow"]).all()
    forgotten = odinn.State(2000.25, winter.state.thickness)
    without = odinn.simulate(MODEL, glacier, 2000.25, 2001.0, initial=forgotten, hydrology=True)
    assert without.hydrology.snow_at_start.sum() == 0 < rest.hydrology.snow_at_start.sum()


@pytest.mark.parametrize("save_every", [1.0, 0.25, 1 / 12])
def test_unmet_melt_does_not_depend_on_when_states_are_saved(slab, save_every):
    model = odinn.Model(odinn.SIA2D(A=5e-17), odinn.PrescribedBalance(-6.0))
    reference = odinn.simulate(model, slab, 2000.0, 2006.0, save_every=6.0).budget
    budget = odinn.simulate(model, slab, 2000.0, 2006.0, save_every=save_every).budget
    asked = 6.0 / 0.9 * 6.0 * slab.area
    assert reference["unmet_melt"] > 0.05 * asked
    # what melted depends on the steps within the stepper's tolerance alone
    assert budget["unmet_melt"] == pytest.approx(reference["unmet_melt"], abs=2e-3 * asked)


def test_bare_ground_outside_the_outline_asks_for_no_melt(slab):
    """Of what the balance asks inside the outline, all is met or unmet; outside, only ice can
    melt.
    """
    model = odinn.Model(None, odinn.PrescribedBalance(-2.0))
    budget = odinn.simulate(model, slab, 2000.0, 2003.0, save_every=3.0).budget
    asked = 2.0 / 0.9 * 3.0 * slab.mask.sum() * slab.grid.cell_area
    assert budget["ablation"] + budget["unmet_melt"] == pytest.approx(asked, rel=1e-12)
    assert budget["unmet_melt"] > 0
    shrunk = replace(slab, mask=slab.mask & (slab.thickness > 60))
    inside = odinn.simulate(model, shrunk, 2000.0, 2003.0, save_every=3.0).budget
    assert inside["unmet_melt"] < budget["unmet_melt"]
    assert inside["ablation"] == pytest.approx(budget["ablation"], rel=1e-12)


def settled(raw, asked=None, interior=None):
    raw = np.asarray(raw, float)
    inside = np.zeros(raw.shape, bool)
    inside[1:-1, 1:-1] = True
    domain = eqx.filter(system_of(odinn.Model(None, None), flat(raw.shape)).domain, lambda _: True)
    zero = jnp.zeros(raw.shape)
    edge = IceFreeBorder()
    kept, tally = edge.settle(domain, jnp.asarray(raw), asked, EdgeTally(zero, zero))
    return np.asarray(kept), edge.close(domain, tally)


def flat(shape):
    grid = odinn.Grid(shape[1], shape[0], 100.0, 100.0)
    return odinn.Glacier("flat", "", grid, np.zeros(shape), np.zeros(shape), np.ones(shape, bool))


def test_what_enters_the_ring_is_lost_and_never_less_than_nothing():
    raw = np.zeros((6, 6))
    raw[2, 2:4], raw[0, 2], raw[2, 0] = 10.0, 0.25, -0.5
    kept, edge = settled(raw)
    assert edge.lost == 0.25
    ring = np.ones(raw.shape, bool)
    ring[1:-1, 1:-1] = False
    assert (kept[ring] == 0).all()
    raw[2, 1] = 4.0  # a neighbour that can give back what the ring lacks
    kept, edge = settled(raw)
    assert edge.lost == 0.25
    assert edge.made == 0
    assert kept.sum() == pytest.approx(raw.sum() - 0.25, rel=1e-14)


def test_a_cell_that_exported_too_much_takes_it_back_from_its_neighbours():
    raw = np.zeros((7, 7))
    raw[3, 3], raw[3, 4], raw[2, 3] = -1e-3, 5.0, 3.0
    kept, edge = settled(raw)
    assert kept.min() == 0
    assert kept.sum() == pytest.approx(raw.sum(), rel=1e-15)
    assert edge.made == edge.lost == 0
    assert (np.asarray(edge.deficit) == 0).all()


def test_melt_that_finds_no_ice_is_a_deficit_and_no_ice_is_made():
    raw = np.zeros((5, 5))
    raw[2, 2] = -0.3
    asked = np.zeros((5, 5))
    asked[2, 2] = 0.5
    kept, edge = settled(raw, jnp.asarray(asked))
    assert kept.max() == 0
    assert float(edge.deficit[2, 2]) == pytest.approx(0.3)
    assert edge.made == 0


def test_ice_that_nothing_explains_is_counted_as_made():
    raw = np.zeros((5, 5))
    raw[2, 2] = -0.3
    _, edge = settled(raw)
    assert edge.made == pytest.approx(0.3)


def test_ice_that_is_made_is_no_melt_that_found_no_ice():
    """A cell lifted to zero is explained by melt as far as melt asked, and made for the rest."""
    raw, asked = np.zeros((5, 5)), np.zeros((5, 5))
    raw[2, 2], asked[2, 2] = -0.3, 0.1
    _, edge = settled(raw, jnp.asarray(asked))
    assert edge.made == pytest.approx(0.2, rel=1e-11)  # melt explains its own round-off, 1e-12
    assert np.asarray(edge.deficit).sum() == pytest.approx(0.1, rel=1e-11)


def test_a_process_of_ones_own_adds_to_the_others(glacier):
    """Ten metres a year of ice from nowhere, in one cell, and a field of the state that has layers
    and starts at a value of its own.
    """
    from odinn.physics.processes import base

    class Spring(base.AbstractProcess):
        end_is_linear: ClassVar[bool] = True
        fields = (StateField("layers", "K", "temperature of layers"),)

        def first(self, domain, thickness, window):
            return {"layers": jnp.full((3, *thickness.shape), 270.0)}

        def tendency(self, domain, held, t, thickness):
            return base.Rate(jnp.zeros_like(thickness).at[10, 10].set(10.0))

        def record(self, state, held, ledger):
            return {"layers": state.extras["layers"]}

    plain, state, windows = laid_out(odinn.Model(odinn.SIA2D(A=5e-17), None), glacier)
    both = System(plain.domain, (*plain.processes, Spring()), plain.edge)
    held, y, _ = both.begin(state, first(windows))
    rate = both.tendency(held, 0.0, y).change
    alone, *_ = plain.tendency(held[:1], 0.0, Prognostic(y.thickness, y.of_processes[:1]))
    assert float((rate.thickness - alone.thickness).sum()) == pytest.approx(10.0)
    assert isinstance(both.for_transpose().processes[0], IceFlow)
    start = initial_state(both, 2000.0, state.thickness, {"snow": state.thickness}, first(windows))
    assert set(start.extras) == {"layers"}
    assert start.extras["layers"].shape == (3, *state.thickness.shape)
    colder = {"layers": start.extras["layers"] - 5.0}
    again = initial_state(both, 2000.0, state.thickness, colder, first(windows))
    assert float(again.extras["layers"].max()) == 265.0


class Remembering(AbstractWarmFlow):
    """A flow that moves nothing and counts the windows, where it keeps its warm start."""

    windows: object = None
    ice_density: float = 900.0
    gravity: float = 9.81

    @property
    def fields(self):
        return (StateField("windows", "1", "windows so far"),)

    def warmed(self, domain, thickness, kept):
        return with_fields(self, windows=kept["windows"] + 1.0)

    def kept(self):
        return {"windows": self.windows}

    def fluxes(self, domain, thickness):
        x, y = thickness[1:-1, 1:], thickness[1:, 1:-1]
        return Fluxes(0.0 * x, 0.0 * y, jnp.zeros(()))

    def velocity(self, domain, thickness, at):
        zero = 0.0 * thickness[1:, 1:]
        return zero, zero


def test_a_flow_may_keep_a_warm_start_in_the_state(slab):
    model = odinn.Model(Remembering(), TI)
    run = odinn.simulate(model, slab, 2000.0, 2000.5)
    assert (run.state.extras["windows"] == 6).all()
    rest = odinn.simulate(model, slab, 2000.5, 2000.75, initial=run.state)
    assert (rest.state.extras["windows"] == 9).all()
