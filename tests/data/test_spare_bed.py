"""A file may hold a bed beside surface and thickness: it is compared, not dropped in silence."""

import warnings

import numpy as np
import pytest
import xarray as xr

import odinn


def dataset(bed_off=0.0):
    y, x = np.arange(900.0, -1.0, -100.0), np.arange(0.0, 1200.0, 100.0)
    surface = np.full((10, 12), 2000.0)
    thickness = np.zeros((10, 12))
    thickness[3:7, 3:9] = 50.0
    bed = surface - thickness - bed_off
    fields = {"surface": surface, "consensus_ice_thickness": thickness, "bed": bed}
    variables = {name: (("y", "x"), field) for name, field in fields.items()}
    return xr.Dataset(variables, coords={"x": x, "y": y}, attrs={"pyproj_srs": "EPSG:32632"})


def test_a_bed_that_disagrees_with_surface_and_thickness_is_said():
    with pytest.warns(UserWarning, match=r"bed is not used: .* up to 7 m, .* in 24 cells"):
        glacier = odinn.open_glacier(dataset(7.0))
    assert glacier.bed[5, 5] == 1950.0  # the surface was measured


def test_a_bed_that_agrees_or_has_gaps_is_no_news():
    ds = dataset()
    ds["bed"][0, 0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        glacier = odinn.open_glacier(ds)
    assert np.isfinite(glacier.bed).all()
