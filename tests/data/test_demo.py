"""The embedded glaciers: what NOTICE says of them, and that the demo starts near balance."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyproj
import pytest
import xarray as xr

import odinn
from odinn.data.demo import rakaia
from odinn.learning.calibration import annual_balance
from odinn.model.velocities import velocity_of
from odinn.results.years import first_month

# RGI id: area of the inventory (km²), consensus volume (km³; Farinotti et al. 2019)
PUBLISHED = {
    "RGI60-18.03156": (11.595, 0.9451),
    "RGI60-18.03066": (10.358, 0.7003),
    "RGI60-18.03098": (1.305, 0.0465),
    "RGI60-18.03095": (0.864, 0.0325),
    "RGI60-18.03141": (0.433, 0.0103),
    "RGI60-18.03145": (0.428, 0.0123),
    "RGI60-18.03091": (0.425, 0.0125),
    "RGI60-18.03339": (0.326, 0.0086),
    "RGI60-18.03168": (0.299, 0.0065),
}


@pytest.fixture(scope="module")
def glaciers():
    return {g.rgi_id: g for g in odinn.demo_glaciers()}


def test_the_nine_glaciers_have_the_area_and_volume_that_is_published(glaciers):
    assert set(glaciers) == set(PUBLISHED)
    assert [g.name for g in glaciers.values()][:2] == ["Ramsay Glacier", "Lyell Glacier"]
    for rgi_id, (area, volume) in PUBLISHED.items():
        g = glaciers[rgi_id]
        # cells of 50 m: the border of a glacier of 0.4 km² alone is a third of its cells
        assert g.mask.sum() * g.grid.cell_area / 1e6 == pytest.approx(
            area, rel=0.01 if area > 10 else 0.03
        )
        assert g.volume / 1e9 == pytest.approx(volume, rel=0.15)


def test_grids_are_projected_and_have_room_for_an_advance(glaciers):
    for g in glaciers.values():
        assert pyproj.CRS(g.grid.crs).to_epsg() == 2193
        assert (g.grid.dx, g.grid.dy) == (50.0, 50.0)
        near_border = np.ones(g.grid.shape, bool)
        near_border[10:-10, 10:-10] = False
        assert not g.mask[near_border].any()
        assert not (g.thickness[~g.mask] > 0).any()


def test_stored_surface_is_stored_bed_plus_thickness_and_fits_the_package():
    files = sorted(rakaia.FOLDER.glob("*.nc"))
    assert sum(f.stat().st_size for f in files) < 1_000_000
    for file in files:
        with xr.open_dataset(
            file, mask_and_scale=False
        ) as ds:  # whole decimetres: the sum is exact
            assert ds.surface.dtype == np.int16
            assert ds.surface.attrs["scale_factor"] == 0.1
            assert (ds.surface.values == ds.bed.values + ds.thickness.values).all()
            assert ds.attrs["rgi_id"] == file.stem
    assert "CC BY 4.0" in (rakaia.FOLDER / "NOTICE").read_text()


@pytest.fixture(scope="module")
def fifty(glaciers):
    """Fifty years under the climate that each comes with."""
    span = "2000-04-01", "2050-04-01"
    return [
        odinn.simulate(odinn.demo_model(), g, *span, save_every=50.0, progress=False)
        for g in list(glaciers.values())[:2]
    ]


def front(sim, k):
    """The lowest ice of 10 m, as (row, column)."""
    ice = sim.thickness[k] >= 10
    lowest = np.where(ice, sim.glacier.surface, np.inf)
    return np.array(np.unravel_index(lowest.argmin(), ice.shape))


def test_the_two_large_glaciers_stay_as_they_are_for_fifty_years(fifty):
    for sim in fifty:
        assert abs(sim.volume[-1] / sim.volume[0] - 1) < 0.01  # measured 0.1 %
        assert np.abs(front(sim, -1) - front(sim, 0)).max() <= 2
        tongue = sim.glacier.mask & (sim.glacier.surface < 1300)
        assert (sim.thickness[-1][tongue] > 1).mean() > 0.95 * (sim.thickness[0][tongue] > 1).mean()
        beyond = (sim.thickness[-1] > 1) & ~sim.glacier.mask
        assert beyond.sum() <= 5  # of some 4500 cells
        change = sim.thickness[-1] - sim.thickness[0]
        assert np.sqrt(np.mean(change**2)) < 2.0
        assert sim.velocity()[2].max() < 300.0  # measured 229 and 151
        assert sim.relative_residual < 1e-12  # round-off


def test_each_glacier_is_near_balance_with_its_climate(glaciers):
    for g in glaciers.values():
        balance = annual_balance(odinn.demo_model(), g, (2000.25, 2001.25), rakaia.HYDRO_MONTH)
        (first,) = balance.values()
        # m w.e.; of some 11 m of precipitation: what leaves over the outline, and what is bare
        assert abs(first) < 0.8


def test_debris_shields_the_tongues(glaciers):
    law = odinn.demo_model().mass_balance.melt_factor
    for g in list(glaciers.values())[:2]:
        factor = np.asarray(law(g.surface, g.mask.astype(float)))
        assert factor[g.mask & (g.surface < 1300)].max() < 0.2 * law.bare
        assert factor[g.mask & (g.surface > 2000)].min() > 0.99 * law.bare
        assert (factor[~g.mask] == law.outside).all()


@pytest.mark.parametrize("rgi_id", list(PUBLISHED)[:2])
def test_thick_ice_lies_on_gentle_slopes_and_is_what_flows_fast(glaciers, rgi_id):
    g = glaciers[rgi_id]
    slope = np.hypot(*np.gradient(g.surface, g.grid.dx))
    thick, thin = g.thickness > 100, (g.thickness > 1) & (g.thickness < 30)
    assert np.median(slope[thick]) < 0.6 * np.median(slope[thin])
    speed = velocity_of(odinn.demo_model(), g, g.thickness[np.newaxis])[2][0]
    above = g.surface > 1700  # below, the tongues hardly move
    assert np.median(speed[above & thick]) > 2 * np.median(speed[above & thin])


def test_the_climates_know_southern_seasons_and_differ_by_their_mean_temperature(glaciers):
    ramsay, *others = (g.climate for g in glaciers.values())
    assert ramsay.precip[:12].sum() == 4484
    assert ramsay.temp[:12].argmax() == 1  # February
    assert ramsay.span == (1970.0, 2070.0)
    assert first_month(next(iter(glaciers.values()))) == rakaia.HYDRO_MONTH
    assert ramsay.complete_years(rakaia.HYDRO_MONTH)[0] == 1971  # April 1970 to March 1971
    for climate in others:
        assert np.ptp(climate.temp - ramsay.temp) < 1e-12
        assert 7.5 < climate.temp[:12].mean() < 9.5


def test_the_data_is_shipped_with_the_package():
    import tomllib

    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert settings["tool"]["setuptools"]["package-data"]["odinn.data.demo"] == ["*.nc", "NOTICE"]


def test_opening_takes_no_network_and_less_than_a_second_after_imports():
    code = """
import socket, time, odinn, xarray, odinn.data.opening
def refuse(*arguments, **options): raise OSError("no network in the demo")
socket.socket.connect = socket.getaddrinfo = refuse
odinn.demo_glaciers()
began = time.process_time(); odinn.demo_glaciers(); print(time.process_time() - began)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(out.stdout) < 1.0  # 0.2 s measured
