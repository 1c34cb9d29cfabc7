"""Area: which ice counts, and from when on."""

import dataclasses

import numpy as np
import pytest

import odinn
from odinn.plot import maps, series
from odinn.results.evolution import Evolution
from odinn.results.years import settled

SNOWED = (1, 0)


@pytest.fixture(scope="module")
def field(slab):
    """A glacier of four cells."""
    grid = odinn.Grid(2, 2, 100.0, 100.0, 500_000.0, 5_200_000.0, "EPSG:32632")
    flat, ice = np.full((2, 2), 2500.0), np.array([[0.0, 0.0], [0.0, 50.0]])
    return odinn.Glacier("four", "", grid, flat, ice, np.ones((2, 2), bool))


def through(glacier, times, snow):
    """The glacier with so much snow (m) on one cell that was bare, at each time."""
    thickness = np.repeat(np.asarray(glacier.thickness)[None], len(times), axis=0)
    thickness[(slice(None), *SNOWED)] = snow
    return Evolution(glacier, np.asarray(times), thickness, np.zeros_like(thickness))


def southern(glacier):
    grid = dataclasses.replace(glacier.grid, x0=1_480_000.0, y0=5_220_000.0, crs="EPSG:2193")
    return dataclasses.replace(glacier, grid=grid)


def months(start, count):
    return start + np.arange(count) / 12


@pytest.mark.parametrize("start", [2000.0, 2000.75, 2000.4])
def test_the_snow_of_a_winter_on_bare_ground_is_no_area(field, start):
    times = months(start, 25)
    season = np.cos(2 * np.pi * times)  # most in January
    run = through(field, times, np.where(times > start, 3.0 * np.maximum(season, 0.0), 0.0))
    assert run.thickness[:, 1, 0].max() > 2.5
    np.testing.assert_array_equal(run.area, 1e4)
    assert (run.volume > 50e4).any()  # the volume has it


def test_snow_that_outlasts_a_balance_year_is_area_from_its_end_on(field):
    times = months(2000.0, 25)
    run = through(field, times, np.where(times > 2000.2, 2.0, 0.0))
    np.testing.assert_array_equal(run.area[times < 2000.7], 1e4)
    np.testing.assert_array_equal(run.area[times > 2000.7], 2e4)  # 1 October


def test_balance_years_end_in_april_in_the_south(field):
    times = months(2000.0, 13)
    run = through(southern(field), times, np.where(times > 2000.1, 2.0, 0.0))
    np.testing.assert_array_equal(run.area, np.where(times > 2000.2, 2e4, 1e4))


def test_what_is_there_at_the_start_is_area_at_once_and_what_melts_is_none(field):
    run = through(field, months(2000.0, 13), np.linspace(2.0, 0.0, 13))
    np.testing.assert_array_equal(run.area, np.where(np.arange(13) <= 6, 2e4, 1e4))


def test_without_saved_ends_of_years_the_saved_time_before_counts(field):
    times = np.arange(2000.0, 2004.0)  # in winter, each year
    assert settled(field, times).tolist() == [0, 0, 1, 2]
    assert settled(field, np.array([2000.0, 2000.5, 2001.0, 2001.5])).tolist() == [0, 0, 1, 1]
    run = through(field, times, [0.0, 2.0, 0.0, 2.0])
    np.testing.assert_array_equal(run.area, 1e4)


def test_without_a_hemisphere_balance_years_are_those_of_the_run(field):
    nowhere = dataclasses.replace(field, grid=odinn.Grid(2, 2, 100.0, 100.0))
    assert settled(nowhere, months(2000.5, 15)).tolist() == [0] * 12 + [12] * 3


def test_one_definition_serves_numbers_curves_maps_and_files(slab, tmp_path):
    """Snow of a metre and more lies on the slab's bare margin in winter, inside its outline."""
    wide = dataclasses.replace(slab, mask=np.ones_like(slab.mask))
    snowy = odinn.TemperatureIndex(melt_factor=8e-3, precip_factor=4.0)
    sim = odinn.simulate(odinn.Model(None, snowy), wide, 2000.75, 2001.75)
    frozen = (sim.thickness >= 1).sum(axis=(1, 2)) * 1e4
    assert frozen[:-1].max() > 1.5 * frozen[0]
    assert sim.area[:-1].max() <= sim.area[0]
    np.testing.assert_array_equal(sim.area, sim.is_glacier.sum(axis=(1, 2)) * 1e4)
    np.testing.assert_array_equal(sim.series().area_m2, sim.area)
    np.testing.assert_array_equal(odinn.load(odinn.save(sim, tmp_path / "a.nc")).area, sim.area)
    curve = series.volume_and_area(sim).figure.axes[1].lines[0].get_ydata()
    np.testing.assert_array_equal(curve, sim.area / 1e6)
    drawn = maps.draw_run(sim, "thickness", 6).images[1].get_array()
    np.testing.assert_array_equal(~drawn.mask, sim.is_glacier[6])
