"""Series by year and by altitude."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

import odinn
from odinn.errors import InputError
from odinn.results.years import first_month

MODEL = odinn.Model(None, odinn.TemperatureIndex(4e-3, 2.0))


@pytest.fixture(scope="module")
def sim(slab):
    return odinn.simulate(MODEL, slab, 2000.0, 2003.0, hydrology=True)


def _southern(glacier):
    """The same glacier in New Zealand."""
    grid = odinn.Grid(
        glacier.grid.nx, glacier.grid.ny, 100.0, 100.0, 1_480_000.0, 5_220_000.0, "EPSG:2193"
    )
    return dataclasses.replace(glacier, grid=grid)


def test_years_start_in_october_in_the_north_and_in_april_in_the_south(slab):
    assert first_month(slab) == 10
    assert first_month(_southern(slab)) == 4
    assert first_month(slab, "calendar") == 1


def _at(glacier, **grid):
    return dataclasses.replace(glacier, grid=odinn.Grid(30, 24, 100.0, 100.0, **grid))


@pytest.mark.parametrize(
    ("grid", "why"),
    [
        ({}, "no crs"),
        ({"x0": 500_000.0, "y0": 0.0, "crs": "EPSG:32632"}, "at latitude -0.01, on the"),
        ({"x0": 310_000.0, "y0": 9_983_000.0, "crs": "EPSG:32737"}, "at latitude -0.16, on the"),
    ],
)
def test_where_no_hemisphere_says_when_years_start_the_month_is_asked_for(slab, grid, why):
    with pytest.raises(InputError, match=rf"TEST-00.00001: .*{why}.*give hydro_month="):
        first_month(_at(slab, **grid))
    assert first_month(_at(slab, **grid), hydro_month=1) == 1


@pytest.mark.parametrize(
    ("where", "labels", "first"),
    [("north", [2001, 2002], 9), ("south", [2001, 2002], 3)],
)
def test_a_hydrological_year_has_the_label_of_its_end_and_the_sum_of_its_months(
    sim, where, labels, first
):
    glacier = sim.glacier if where == "north" else _southern(sim.glacier)
    own = odinn.simulate(MODEL, glacier, 2000.0, 2003.0, hydrology=True)
    ds = own.annual("hydro")
    assert ds.year.values.tolist() == labels
    monthly = own.hydrology.series()
    for name in ("melt_on_glacier", "liq_prcp_off_glacier", "runoff"):
        np.testing.assert_allclose(ds[name][0], monthly[name][first : first + 12].sum(), rtol=1e-13)
    assert float(ds.snow_bucket[0]) == monthly["snow_bucket"][first + 11]
    assert float(ds.volume_m3[0]) == own.volume[first + 12]
    assert "month" not in ds.dims


def test_years_and_bands_add_up_to_the_run(sim):
    ds, bands = sim.annual(), sim.by_altitude(100.0)
    assert ds.year.values.tolist() == [2000, 2001, 2002]
    np.testing.assert_allclose(ds.volume_m3, sim.volume[[12, 24, 36]])
    area = sim.area[[0, 12, 24]]
    np.testing.assert_allclose(bands.band_area_m2.sum("altitude"), area)
    change = 900 * np.diff(sim.volume[::12])  # kg
    np.testing.assert_allclose(ds.specific_balance * area, change, rtol=1e-10)
    profile = bands.band_balance.mean("year").dropna("altitude")
    assert profile[-1] > profile[0] + 500  # higher up, less is lost
    assert (bands.altitude.values % 100 == 50).all()


def test_ice_below_the_sea_is_counted_apart(slab):
    deep = dataclasses.replace(slab, bed=slab.bed - slab.bed.mean() + 50.0)
    sim = odinn.simulate(odinn.Model(None, None), deep, 2000.0, 2001.0, save_every=1.0)
    expected = np.clip(-deep.bed, 0, deep.thickness).sum() * 1e4
    assert 0.1 * sim.volume[0] < expected < sim.volume[0]
    np.testing.assert_allclose(sim.series().volume_bsl_m3, expected)


def test_runs_without_a_full_or_a_saved_year_are_refused(slab):
    short = odinn.simulate(MODEL, slab, 2000.0, 2000.5)
    with pytest.raises(InputError, match="no complete year"):
        short.annual()
    coarse = odinn.simulate(MODEL, slab, 2000.0, 2003.0, save_every=1.5)
    with pytest.raises(
        InputError, match=r"2001\.0000, an end of a year, is not among the saved times"
    ):
        coarse.annual()
    with pytest.raises(InputError, match="'calendar' or 'hydro'"):
        coarse.annual("glacier")


def test_the_file_has_the_water_with_its_conventions(sim, tmp_path):
    with xr.open_dataset(odinn.save(sim, tmp_path / "run.nc")) as ds:
        assert ds.month.size == 36
        assert (
            ds.month_bounds.values[0] == [np.datetime64("2000-01-01"), np.datetime64("2000-02-01")]
        ).all()
        assert ds.snowfall_amount.attrs["standard_name"] == "snowfall_amount"
        assert ds.melt_amount.attrs["units"] == "kg m-2"
        assert ds.runoff.attrs["cell_methods"] == "month: sum"
        np.testing.assert_array_equal(ds.runoff, sim.hydrology.series()["runoff"])
        assert ds.attrs["water_relative_residual"] < 1e-12
        xr.testing.assert_allclose(
            ds.runoff.drop_vars("month_decimal_year"),
            sim.series().runoff.drop_vars("month_decimal_year"),
        )
