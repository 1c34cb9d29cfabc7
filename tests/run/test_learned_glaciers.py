"""Runs of glaciers whose thickness or bed is learned: at their present values."""

import numpy as np
import pytest
import xarray as xr

import odinn
from odinn.data.checks import check_fields
from odinn.plot import maps

MODEL = odinn.Model(odinn.SIA2D(A=6e-17), odinn.TemperatureIndex(4e-3, 2.0))
SPAN = (2000.0, 2000.25)


def learned_thickness(slab):
    guess = odinn.Parameter(1.2 * slab.thickness, per="cell")
    return slab.replace(thickness=guess, keep="surface")


def learned_bed(slab):
    return slab.replace(bed=odinn.Parameter(slab.bed - 15.0 * slab.mask, per="cell"))


@pytest.fixture(params=[learned_thickness, learned_bed], ids=["thickness", "bed"])
def glacier(slab, request):
    return request.param(slab)


def test_a_learned_glacier_runs_as_its_present_values_do(glacier):
    sim = odinn.simulate(MODEL, glacier, *SPAN)
    plain = odinn.simulate(MODEL, glacier.without_parameters(), *SPAN)
    np.testing.assert_array_equal(sim.thickness, plain.thickness)
    np.testing.assert_array_equal(sim.surface, plain.surface)
    (listed,) = odinn.simulate(MODEL, [glacier], *SPAN)
    np.testing.assert_array_equal(listed.thickness, plain.thickness)


def test_the_run_of_a_learned_glacier_is_saved_drawn_and_continued(glacier, tmp_path):
    sim = odinn.simulate(MODEL, glacier, *SPAN)
    with xr.open_dataset(odinn.save(sim, tmp_path / "run.nc")) as saved:
        surface = sim.glacier.bed + sim.thickness
        np.testing.assert_allclose(saved["surface"], surface, rtol=1e-6)  # single precision
    assert maps.thickness_and_speed(sim).axes
    longer = odinn.simulate(MODEL, sim.glacier, SPAN[1], 2000.5, initial=sim.state)
    whole = odinn.simulate(MODEL, glacier, SPAN[0], 2000.5)
    np.testing.assert_array_equal(longer.thickness[-1], whole.thickness[-1])


def test_a_learned_glacier_is_checked_like_a_plain_one(slab, glacier):
    check_fields(glacier)
    uphill = slab.replace(thickness=slab.thickness + 1.0)
    everywhere = uphill.replace(thickness=odinn.Parameter(uphill.thickness, per="cell"))
    with pytest.raises(odinn.InputError, match="TEST-00.00001: ice on the outermost ring"):
        check_fields(everywhere)
