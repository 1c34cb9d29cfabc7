"""GeoTIFF: read back with rasterio, the field lies where it belongs."""

import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr

import odinn
from odinn.results.geotiff import FIELDS


@pytest.fixture(scope="module")
def sim(slab):
    model = odinn.Model(odinn.SIA2D(A=5e-17), odinn.LinearBalance(gradient=0.02, ela=2680.0))
    return odinn.simulate(model, slab, 2000.0, 2002.0, save_every=1.0)


@pytest.fixture(scope="module")
def ds(sim):
    return sim.to_dataset()


def test_place_projection_and_values_come_back(sim, tmp_path):
    path = odinn.to_geotiff(sim, "thickness", tmp_path / "new" / "h.tif")
    grid = sim.glacier.grid
    with rasterio.open(path) as raster:
        assert tuple(raster.bounds) == (
            grid.x[0] - 50,
            grid.y[-1] - 50,
            grid.x[-1] + 50,
            grid.y[0] + 50,
        )
        assert raster.transform.to_gdal() == (
            grid.x[0] - 50,
            100.0,
            0.0,
            grid.y[0] + 50,
            0.0,
            -100.0,
        )
        assert pyproj.CRS.from_wkt(raster.crs.to_wkt()) == pyproj.CRS.from_epsg(32632)
        band = raster.read(1, masked=True)
        ice = sim.thickness[-1] > 0
        np.testing.assert_array_equal(~band.mask, ice)
        np.testing.assert_array_equal(band.compressed(), sim.thickness[-1][ice].astype(np.float32))
        row, column = 9, 12
        (value,) = next(raster.sample([(grid.x[column], grid.y[row])]))
        assert value == np.float32(sim.thickness[-1][row, column]) > 0
        assert raster.tags()["units"] == "m"
        assert raster.descriptions == ("thickness",)
    assert [p.name for p in path.parent.iterdir()] == ["h.tif"]


def test_time_is_chosen_by_date_and_change_is_since_the_start(sim, ds, tmp_path):
    for at in (2001.0, "2001-01-01"):
        with rasterio.open(odinn.to_geotiff(ds, "change", tmp_path / "a.tif", at=at)) as raster:
            change = raster.read(1, masked=True)
        ever = (sim.thickness[0] > 0) | (sim.thickness[1] > 0)
        np.testing.assert_array_equal(~change.mask, ever)
        np.testing.assert_allclose(
            change.compressed(), (sim.thickness[1] - sim.thickness[0])[ever], atol=1e-5
        )


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_the_file_is_written_in_its_unit(sim, ds, field, tmp_path):
    with rasterio.open(odinn.to_geotiff(ds, field, tmp_path / "a.tif")) as raster:
        band, units = raster.read(1, masked=True), raster.tags()["units"]
    if field == "change":
        return
    expected = ds[field].values[-1] if ds[field].ndim == 3 else ds[field].values
    whole = field in ("surface", "bed", "glacier_mask")
    np.testing.assert_array_equal(
        ~np.ma.getmaskarray(band), True if whole else sim.thickness[-1] > 0
    )
    np.testing.assert_array_equal(
        band.compressed(), expected[~np.ma.getmaskarray(band)].astype(band.dtype)
    )
    assert units == ds[field].attrs["units"]


def test_a_saved_result_opened_by_xarray_is_exported_alike(sim, tmp_path):
    with xr.open_dataset(odinn.save(sim, tmp_path / "run.nc"), decode_coords="all") as opened:
        paths = [
            odinn.to_geotiff(s, "speed", tmp_path / f"{i}.tif") for i, s in enumerate((sim, opened))
        ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"field": "height"}, "no field 'height': choose from thickness, surface"),
        ({"path": "a.png"}, "ends in .tif or .tiff"),
        (
            {"at": 2001.4},
            r"TEST-00.00001.*2001.4000 was not saved; the result has 3 times .* is 2001.0000",
        ),
        ({"field": "smb", "at": 2000.0}, "none at the first"),
    ],
)
def test_wrong_input_is_named(ds, tmp_path, options, message):
    options = {"field": "thickness", "path": "a.tif"} | options
    with pytest.raises(odinn.InputError, match=message):
        odinn.to_geotiff(ds, path=tmp_path / options.pop("path"), **options)
    assert not list(tmp_path.iterdir())


def test_an_idealised_grid_has_no_place_on_earth(ds, tmp_path):
    with pytest.raises(odinn.InputError, match="no projection"):
        odinn.to_geotiff(ds.drop_vars("crs"), "thickness", tmp_path / "a.tif")
