"""A run as a dataset: made once, computed when asked for, shown in a notebook."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest

import odinn
from odinn.results import evolution, simulation
from odinn.results.altitude import in_bands, zero_crossing
from odinn.results.years import balance_between, years_before

MODEL = odinn.Model(odinn.SIA2D(A=5e-17), odinn.TemperatureIndex(4e-3, 2.0))


@pytest.fixture(scope="module")
def run(slab):
    return odinn.simulate(MODEL, slab, 2000.0, 2003.0, hydrology=True)


@pytest.fixture
def calls(monkeypatch):
    """How often the surface and the velocities were evaluated."""
    count = {"surface": 0, "velocity": 0}

    def counted(name, function):
        def call(*args, **options):
            count[name] += 1
            return function(*args, **options)

        return call

    surface = counted("surface", evolution.surface_of)
    monkeypatch.setattr(evolution, "surface_of", surface)
    monkeypatch.setattr(simulation, "surface_of", surface)
    velocity = counted("velocity", simulation.velocity_of)
    monkeypatch.setattr(simulation, "velocity_of", velocity)
    return count


@pytest.mark.parametrize("ask", ["series", "annual", "by_altitude", "to_dataset"])
def test_the_surface_is_evaluated_once_and_no_velocity_for_series(run, calls, ask):
    getattr(run, ask)()
    assert calls == {"surface": 1, "velocity": 0}


def test_velocities_of_a_dataset_are_evaluated_once_and_only_when_asked_for(run, calls):
    ds = run.to_dataset()
    ds.thickness.load()
    assert "vx" in ds._repr_html_()
    assert calls["velocity"] == 0
    speed = np.hypot(ds.vx.values, ds.vy.values)
    # Each is rounded to single precision, which loses digits below 1e-38.
    np.testing.assert_allclose(ds.speed.values, speed, rtol=1e-6, atol=1e-37)
    ds.load()
    assert calls["velocity"] == 1


def test_a_file_takes_one_evaluation_of_the_velocities(run, calls, tmp_path):
    odinn.save(run, tmp_path / "run.nc")
    assert calls["velocity"] == 1


def test_the_dataset_is_kept_and_copies_are_one_s_own(run):
    assert run.dataset is run.dataset
    before = run.thickness.copy()
    own = run.to_dataset()
    own.thickness.values[...] = -1.0
    own["smb"] = own.smb * 0.0
    np.testing.assert_array_equal(run.thickness, before)
    np.testing.assert_array_equal(run.dataset.thickness, before)


def test_a_dataset_can_be_copied_and_sent_before_its_fields_are_computed(run):
    vx = run.velocity()[0].astype(np.float32)
    deep = copy.deepcopy(run.to_dataset())
    deep.thickness.values[...] = 0.0
    sent = pickle.loads(pickle.dumps(run.to_dataset()))
    for ds in (deep, sent):
        np.testing.assert_array_equal(ds.vx, vx)
        np.testing.assert_array_equal(ds.vx.isel(time=-1)[3:5], vx[-1, 3:5])
    assert (run.thickness > 0).any()


def test_area_is_that_of_the_file(run):
    np.testing.assert_array_equal(run.area, run.dataset.area_m2)
    np.testing.assert_array_equal(run.area, run.is_glacier.sum(axis=(1, 2)) * 1e4)


def test_balance_between_times_is_the_sum_of_the_intervals_in_between():
    rng = np.random.default_rng(0)
    times = 2000.0 + np.cumsum(rng.uniform(0.01, 0.2, 60))
    smb = rng.normal(size=(60, 5))
    smb[0] = np.nan  # no balance before the first time
    first, last = np.array([0, 7, 8, 20]), np.array([59, 8, 30, 21])
    expected = [
        sum((times[j] - times[i]) * smb[j] for i, j in pairwise(range(a, b + 1)))
        for a, b in zip(first, last, strict=True)
    ]
    # Round-off of a running sum over 60 intervals.
    np.testing.assert_allclose(balance_between(times, smb, first, last), expected, atol=1e-14)


def test_a_year_ends_at_every_saved_time_that_has_one_a_year_before():
    monthly = 2000.0 + np.arange(30) / 12
    first, last = years_before(monthly)
    np.testing.assert_array_equal(last, np.arange(12, 30))
    np.testing.assert_array_equal(first, np.arange(18))
    coarse = np.array([2000.0, 2000.7, 2001.4, 2002.0, 2002.4])
    np.testing.assert_array_equal(years_before(coarse), [[2], [4]])


def test_rows_of_bands_are_profiles_of_their_own():
    rng = np.random.default_rng(1)
    altitude, values = rng.uniform(2000, 2400, (4, 50)), rng.normal(size=(4, 50))
    weights = rng.uniform(size=(4, 50)) * (altitude > 2100)
    values[weights == 0] = np.nan  # what has no weight does not count, whatever it holds
    together = in_bands(altitude, values, weights, 30.0)
    for i in range(4):
        alone = in_bands(altitude[[i]], values[[i]], weights[[i]], 30.0)
        at = np.searchsorted(together.altitude, alone.altitude)
        np.testing.assert_array_equal(together.mean[i, at], alone.mean[0])
        np.testing.assert_allclose(together.weight[i].sum(), weights[i].sum(), rtol=1e-14)
    np.testing.assert_array_equal(np.diff(together.altitude), 30.0)
    assert ((together.altitude - 15.0) % 30.0 == 0.0).all()


def test_without_ice_there_is_no_band_and_no_equilibrium_line():
    nothing = np.zeros((2, 3))
    bands = in_bands(nothing, nothing, nothing, 20.0)
    assert bands.altitude.size == 0
    assert bands.mean.shape == (2, 0)
    assert np.isnan(zero_crossing(bands.altitude, bands.mean[0], bands.weight[0]))


def test_the_equilibrium_line_is_the_crossing_with_least_area_on_the_wrong_side():
    altitude = np.array([2000.0, 2100.0, 2200.0, 2300.0])
    balance = np.array([-1.0, 1.0, -1.0, 1.0])
    low, high = np.array([5.0, 5.0, 1.0, 5.0]), np.array([5.0, 1.0, 5.0, 5.0])
    assert zero_crossing(altitude, balance, low) == 2050.0
    assert zero_crossing(altitude, balance, high) == 2250.0
    assert zero_crossing(altitude, balance, np.array([5.0, 0.0, 0.0, 5.0])) == 2150.0
    assert np.isnan(zero_crossing(altitude, -np.ones(4), low))


def test_results_show_themselves_in_a_notebook(run):
    shown = run._repr_html_()
    assert run.glacier.rgi_id in shown
    assert "2000.00 to 2003.00, 37 saved times" in shown
    water = run.hydrology._repr_html_()
    assert "36 months" in water
    assert f"{run.hydrology.sums['runoff'].sum() / 1e6:.2f}" in water
