"""The driver of forward runs: windows, budget, replay, restart, lists, failures."""

import dataclasses
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.errors import InputError, SolverError
from odinn.run.assembly import start_of, system_of
from odinn.run.plan import plan_run
from odinn.run.settings import settings_of
from odinn.stepping.integrate import Stepping, integrate
from odinn.stepping.steps import all_of

TI = odinn.TemperatureIndex(melt_factor=4e-3, precip_factor=2.0)
STEPPERS = [odinn.RKC2(), odinn.SSPRK3(), odinn.Euler(), odinn.Diffrax(atol=1e-3)]


@pytest.fixture(scope="module")
def model():
    return odinn.Model(mass_balance=TI)


@pytest.fixture(scope="module")
def run(model, slab):
    return odinn.simulate(model, slab, 2000.0, 2003.0)


@pytest.mark.parametrize("stepper", STEPPERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("coupling", ["source", "jump"])
def test_the_budget_closes_with_every_stepper_and_coupling(model, slab, stepper, coupling):
    sim = odinn.simulate(model, slab, 2000.0, 2003.0, stepper=stepper, coupling=coupling)
    assert sim.relative_residual < 1e-12
    budget = sim.budget
    assert all(budget[k] >= 0 for k in budget if k != "residual")
    assert budget["ablation"] > 0.05 * budget["initial"]  # there was something to close
    assert sim.thickness.min() == 0.0
    assert sim.volume[-1] == pytest.approx(budget["final"], rel=1e-13)


@pytest.mark.parametrize(
    "balance",
    [odinn.LinearBalance(8e-3, 2650.0), odinn.PrescribedBalance(-1.0), None],
    ids=["state", "fixed", "none"],
)
def test_the_budget_closes_with_every_kind_of_balance(slab, balance):
    sim = odinn.simulate(odinn.Model(mass_balance=balance), slab, 2000.0, 2010.0, save_every=1.0)
    assert sim.relative_residual < 1e-12


def test_balance_over_the_run_is_the_change_of_volume_without_flow(slab):
    sim = odinn.simulate(odinn.Model(None, TI), slab, 2000.0, 2003.0, save_every=0.5)
    # smb is in m w.e., the thickness is ice of 900 kg m⁻³
    change = np.tensordot(np.diff(sim.times), sim.smb[1:], 1) / 0.9
    np.testing.assert_allclose(change, sim.thickness[-1] - sim.thickness[0], atol=1e-10)


def test_melt_is_limited_to_the_ice_there_is(slab):
    sim = odinn.simulate(odinn.Model(None, odinn.PrescribedBalance(-30.0)), slab, 2000.0, 2010.0)
    assert sim.volume[-1] == 0.0
    assert sim.budget["ablation"] == pytest.approx(sim.budget["initial"], rel=1e-12)
    assert sim.budget["unmet_melt"] > 0
    assert sim.budget["clipped"] == pytest.approx(0.0, abs=1e-6 * sim.budget["initial"])


def test_ice_that_reaches_the_border_is_booked_as_lost():
    from tests.conftest import make_slab

    g = make_slab(14, 18)
    with pytest.warns(UserWarning, match="left the grid at its border"):
        sim = odinn.simulate(
            odinn.Model(odinn.SIA2D(A=5e-15), None),
            g.replace(thickness=_inside(g)),
            2000.0,
            2020.0,
            save_every=5.0,
        )
    assert sim.budget["lost_at_border"] > 0.01 * sim.budget["initial"]
    (fault,) = sim.faults
    assert re.match(
        r"TEST-00.00001: 0.0\d+ km3 of ice \(0.\d+ of the initial .* from 20\d\d-", fault
    )
    assert sim.relative_residual < 1e-12
    ring = np.ones(g.grid.shape, bool)
    ring[1:-1, 1:-1] = False
    assert (sim.thickness[:, ring] == 0).all()


def _inside(g):
    ice = g.thickness.copy()
    ice[:2] = ice[-2:] = 0
    ice[:, :2] = ice[:, -2:] = 0
    return ice


def test_saved_times_are_the_starts_of_months_to_the_last_bit(run):
    assert len(run.times) == 37
    assert (run.times == np.arange(2000 * 12, 2003 * 12 + 1) / 12).all()


def test_windows_stop_at_months_only_for_a_monthly_balance(slab, model):
    plan = plan_run(model, slab, settings_of(2000.0, 2002.0, save_every=1.0))
    assert plan.count == 24
    assert plan.saved.sum() == 2
    assert not plan.carries
    plan = plan_run(odinn.Model(), slab, settings_of(2000.0, 2002.0, save_every=1.0))
    assert plan.count == 2
    plan = plan_run(model, slab, settings_of(2000.1, 2000.3, save_every=1.0), stops=[2000.2])
    assert plan.starts == pytest.approx([2000.1, 2000 + 2 / 12, 2000.2, 2000.25])
    assert list(plan.windows.evaluate) == [True, True, False, True]
    assert plan.carries
    assert list(plan.nearest([2000.2, 2000.3])) == [1, 3]


def test_replay_repeats_the_run(model, slab, run):
    again = odinn.simulate(model, slab, 2000.0, 2003.0, replay=run.steps)
    np.testing.assert_allclose(
        again.thickness, run.thickness, rtol=0, atol=1e-12 * run.thickness.max()
    )
    assert (again.steps.dt == run.steps.dt).all()
    by_id = odinn.simulate(model, [slab], 2000.0, 2003.0, replay={slab.rgi_id: run.steps})
    assert (by_id[0].thickness == again.thickness).all()


def test_replay_in_much_softer_ice_is_an_error_and_no_wrong_number(model, slab, run):
    soft = odinn.Model(odinn.SIA2D(A=1e-12), model.mass_balance)
    with pytest.raises(odinn.SolverError, match="steps to repeat are too long"):
        odinn.simulate(soft, slab, 2000.0, 2003.0, replay=run.steps)


@pytest.mark.parametrize("steps", [0, -3, 2.5, "many"])
def test_a_number_of_steps_that_is_none_is_an_error(model, slab, steps):
    with pytest.raises(InputError, match=r"max_steps=.*: expected a whole number of at least 1"):
        odinn.simulate(model, slab, 2000.0, 2001.0, max_steps=steps)


def test_more_steps_than_counters_hold_are_as_many_as_one_likes(model, slab):
    odinn.simulate(model, slab, 2000.0, 2000.5, max_steps=3_000_000_000)


def test_replay_of_another_run_is_an_error(model, slab, run):
    with pytest.raises(InputError, match="the recorded run has 36 windows"):
        odinn.simulate(model, slab, 2000.0, 2002.0, replay=run.steps)
    with pytest.raises(InputError, match="one Steps for several glaciers"):
        odinn.simulate(model, [slab, named(slab, "OTHER")], 2000.0, 2003.0, replay=run.steps)
    with pytest.raises(InputError, match="replay has no entry"):
        odinn.simulate(model, [slab], 2000.0, 2003.0, replay={"other": run.steps})


@pytest.mark.parametrize(
    ("cut", "save_every"), [(2001.0, 1 / 12), (2001 + 5 / 12, 1 / 12), (2001.3, 0.1)]
)
@pytest.mark.parametrize("stepper", STEPPERS[:3], ids=lambda s: type(s).__name__)
def test_a_run_cut_at_a_windows_end_equals_the_run_in_one_piece(
    model, slab, cut, save_every, stepper
):
    options = {"save_every": save_every, "stepper": stepper}
    whole = odinn.simulate(model, slab, 2000.0, 2003.0, **options)
    first = odinn.simulate(model, slab, 2000.0, cut, **options)
    second = odinn.simulate(model, slab, cut, 2003.0, initial=first.state, **options)
    assert (second.thickness[-1] == whole.thickness[-1]).all()


def test_a_month_end_acts_once_also_where_a_call_is_filled_up_with_idle_windows(model, slab):
    """Five months leave seven windows of the call idle, after one at whose end a balance acts."""
    cut, end = 2000 + 5 / 12, 2000 + 10 / 12
    whole = odinn.simulate(model, slab, 2000.0, end, coupling="jump")
    first = odinn.simulate(model, slab, 2000.0, cut, coupling="jump")
    assert (first.state.thickness == first.thickness[-1]).all()
    second = odinn.simulate(model, slab, cut, end, coupling="jump", initial=first.state)
    assert (second.thickness[-1] == whole.thickness[-1]).all()
    assert np.abs(whole.smb[5]).max() > 0.1  # m yr⁻¹ in May: acting twice would be seen


def test_a_state_of_another_time_or_grid_is_an_error(model, slab, run):
    with pytest.raises(InputError, match="initial state is of 2003.0"):
        odinn.simulate(model, slab, 2002.0, 2003.0, initial=run.state)
    with pytest.raises(InputError, match=r"initial thickness has shape \(3, 3\)"):
        odinn.simulate(model, slab, 2000.0, 2001.0, initial=odinn.State(2000.0, np.zeros((3, 3))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"t0": 2001.0, "t1": 2001.0}, "ends at 2001, which is not after its start 2001"),
        ({"t1": "2002-13-01"}, "expected a decimal year or a date"),
        ({"save_every": 0.0}, "save_every=0.0"),
        ({"coupling": "sources"}, "expected 'source' or 'jump'"),
        ({"coupling": "jump", "t1": 2001.51}, "needs whole months"),
        ({"dtype": "float16"}, "expected 'float64' or 'float32'"),
    ],
)
def test_arguments_that_make_no_sense_fail_before_anything_is_compiled(
    model, slab, arguments, message
):
    options = {"t0": 2000.0, "t1": 2002.0} | arguments
    with pytest.raises(InputError, match=message):
        odinn.simulate(model, slab, **options)


def test_a_glacier_that_was_spoiled_after_opening_is_refused(model, slab):
    import equinox as eqx

    bed = slab.bed.copy()
    bed[3, 4] = np.nan
    with pytest.raises(
        InputError, match="TEST-00.00001: bed is not finite in 1 cells .first at row 3, column 4."
    ):
        odinn.simulate(model, eqx.tree_at(lambda g: g.bed, slab, bed), 2000.0, 2001.0)


def named(g, rgi_id):
    return dataclasses.replace(g, rgi_id=rgi_id)


def test_whatever_goes_wrong_with_one_glacier_of_a_list_is_kept(model, slab, monkeypatch):
    def fails(*rest):
        raise ZeroDivisionError("in a library")

    monkeypatch.setattr("odinn.run.driver.Job", fails)
    (failure,) = odinn.simulate(model, [slab], 2000.0, 2001.0, on_error="keep")
    assert isinstance(failure.error, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        odinn.simulate(model, [slab], 2000.0, 2001.0)


def test_what_is_wrong_for_all_glaciers_is_no_failure_of_one(model, slab):
    with pytest.raises(InputError, match="found str, expected odinn.Model"):
        odinn.simulate("model", [slab], 2000.0, 2001.0, on_error="keep")
    with pytest.raises(InputError, match="TEST-00.00001: appears twice"):
        odinn.simulate(model, [slab, slab], 2000.0, 2001.0, on_error="keep")


def test_a_run_goes_on_from_a_run_as_from_its_state(model, slab):
    first = odinn.simulate(model, slab, 2000.0, 2001.0, save_every=1.0)
    from_run, from_state = (
        odinn.simulate(model, slab, 2001.0, 2002.0, save_every=1.0, initial=initial)
        for initial in (first, first.state)
    )
    assert (from_run.thickness == from_state.thickness).all()


def test_one_bad_glacier_is_reported_and_does_not_stop_the_others(model, slab):
    bad = odinn.Glacier("BAD-00.00001", "", slab.grid, slab.bed, slab.thickness, slab.mask)
    three = [slab, bad, named(slab, "OTHER")]
    results = odinn.simulate(model, three, 2000.0, 2001.0, on_error="keep")
    assert [type(r).__name__ for r in results] == ["Simulation", "Failure", "Simulation"]
    assert results[1].rgi_id == "BAD-00.00001"
    with pytest.raises(odinn.ClimateError, match="BAD-00.00001"):
        odinn.simulate(model, [slab, bad], 2000.0, 2001.0)
    with pytest.raises(InputError, match="list of glaciers is empty"):
        odinn.simulate(model, [], 2000.0, 2001.0)


def test_steps_that_run_out_and_values_that_explode_are_errors_with_a_place(slab):
    with pytest.raises(
        SolverError, match=r"TEST-00.00001: 3 steps did not suffice between 2000.0000 and 2020.0000"
    ):
        odinn.simulate(
            odinn.Model(odinn.SIA2D(A=1e-14), None),
            slab,
            2000.0,
            2020.0,
            save_every=20.0,
            max_steps=3,
        )
    with pytest.raises(SolverError, match="stopped being finite"):
        odinn.simulate(odinn.Model(odinn.SIA2D(A=1e300), None), slab, 2000.0, 2001.0)
    with pytest.raises(SolverError, match="stopped being finite"):
        odinn.simulate(
            odinn.Model(odinn.SIA2D(A=1e300), None), slab, 2000.0, 2001.0, stepper=odinn.Euler()
        )


def test_a_record_of_steps_that_does_not_fit_is_made_anew(slab, monkeypatch):
    whole = odinn.simulate(
        odinn.Model(odinn.SIA2D(A=1e-15), None), slab, 2000.0, 2040.0, save_every=10.0
    )
    monkeypatch.setattr("odinn.run.job._LONG_WIDTH", 2)
    again = odinn.simulate(
        odinn.Model(odinn.SIA2D(A=1e-15), None), slab, 2000.0, 2040.0, save_every=10.0
    )
    assert len(whole.steps.dt) > 2
    assert (again.steps.dt == whole.steps.dt).all()
    assert (again.thickness == whole.thickness).all()


def test_another_value_of_a_number_compiles_nothing_new(model, slab, run):
    from odinn.run.march import march

    before = march._cached._cache_size()
    odinn.simulate(
        odinn.Model(odinn.SIA2D(A=6e-17), odinn.TemperatureIndex(5e-3, 1.5, 0.5)),
        slab,
        2000.0,
        2002.0,
    )
    odinn.simulate(model, slab, 2001.0, 2002.0, save_every=0.5)
    assert march._cached._cache_size() == before


def test_single_precision_is_close_to_double(model, slab, run):
    single = odinn.simulate(model, slab, 2000.0, 2003.0, dtype="float32")
    difference = np.abs(single.thickness[-1] - run.thickness[-1])
    assert (
        0 < difference.max() < 0.02
    )  # 36 windows of float32 round-off, 7.6e-6 m at 100 m, and other steps
    assert single.relative_residual < 1e-4


def test_a_second_process_compiles_nothing(tmp_path):
    code = """
import jax, odinn
events = []
jax.monitoring.register_event_listener(lambda name, **_: events.append(name))
from tests.conftest import make_slab
odinn.simulate(odinn.Model(mass_balance=odinn.TemperatureIndex()), make_slab(), 2000.0, 2000.5)
cache = '/jax/compilation_cache/cache_'
print(events.count(cache + 'misses'), events.count(cache + 'hits'))
"""
    env = os.environ | {"ODINN_CACHE": str(tmp_path / "programs"), "PYTHONPATH": "."}
    call = lambda: subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    first, second = (tuple(map(int, call().stdout.split())) for _ in range(2))
    assert first[0] > 0
    assert second[0] == 0
    assert second[1] >= first[0]


def test_a_cache_that_is_already_set_is_respected(tmp_path):
    code = """
import jax, odinn
from odinn.cache import enable_compilation_cache
enable_compilation_cache()
print(jax.config.jax_compilation_cache_dir)
"""
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "mine"),
        "ODINN_CACHE": str(tmp_path / "other"),
    }
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    assert out.stdout.strip() == str(tmp_path / "mine")


def _final_volume(model, slab, run, scale, bounds):
    """Volume after a year of replayed steps as a function of one factor on A: what a gradient is
    taken of.
    """
    plan = plan_run(model, slab, settings_of(2000.0, 2001.0))
    flow = odinn.SIA2D(A=jnp.asarray(2e-16) * scale)
    system = system_of(odinn.Model(flow, TI), slab)
    state, plan = start_of(system, slab, plan, None)
    windows = jax.tree.map(jnp.asarray, plan.windows)
    replay = jax.tree.map(jnp.asarray, all_of(run.steps, 12))
    how = Stepping(odinn.RKC2(), width=1, bounds=bounds)
    final = integrate(system, state, windows, how, replay).state
    return jnp.sum(final.thickness**2)


def test_integrate_is_differentiable_both_ways_through_the_steps_that_ran(slab):
    model = odinn.Model(odinn.SIA2D(A=2e-16), TI)
    run = odinn.simulate(model, slab, 2000.0, 2001.0)
    f = jax.jit(lambda s: _final_volume(model, slab, run, s, None))
    bounds = int(run.steps.count.max()), int(run.steps.stages.max())
    _, forward = jax.jvp(f, (1.0,), (1.0,))
    backward = jax.jit(jax.grad(lambda s: _final_volume(model, slab, run, s, bounds)))(1.0)
    h = 1e-5
    difference = (f(1 + h) - f(1 - h)) / (2 * h)
    assert backward == pytest.approx(float(forward), rel=1e-11)  # the same derivative: round-off
    assert forward == pytest.approx(float(difference), rel=1e-7)  # h² and round-off / h


def test_the_glaciers_series_are_sums_over_its_ice(slab):
    sim = odinn.simulate(odinn.Model(None, TI), slab, 2000.0, 2001.0)
    series = sim.glacier_series
    assert (series["melt"] >= 0).all()
    summer, winter = series["melt"][5:8].sum(), series["melt"][[0, 1, 11]].sum()
    assert summer > 10 * winter
    area = (slab.thickness > 0).sum() * slab.grid.cell_area
    year = slab.climate.precip[:12].sum() * 2.0 / 1000 * area
    assert series["accumulation"].sum() + series["rain"].sum() == pytest.approx(
        year, rel=0.02
    )  # ice area shrinks a little
