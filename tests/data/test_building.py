"""A glacier from an outline and an elevation model: a cone that everybody can check."""

import json

import numpy as np
import pyproj
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import shapely
import xarray as xr

import odinn
from odinn.data.slab import slab_thickness

UTM = "EPSG:32632"
X0, Y0 = 500_000.0, 5_200_000.0
RADIUS, HOLE = 1000.0, 250.0
TO_DEGREES = pyproj.Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)


def circle(radius, x=X0, y=Y0):
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])


RING = shapely.Polygon(circle(RADIUS), [circle(HOLE)])  # a nunatak at the top
DEGREES = shapely.transform(RING, lambda p: np.column_stack(TO_DEGREES.transform(*p.T)))
AREA = RING.area


def cone(step=20.0, half=1600.0):
    """3000 m at the top, falling by a quarter."""
    x = X0 + np.arange(-half, half + 1, step)
    y = Y0 + np.arange(half, -half - 1, -step)
    height = 3000.0 - 0.25 * np.hypot(x - X0, (y - Y0)[:, None])
    return xr.DataArray(height, {"y": y, "x": x}, ("y", "x")).rio.write_crs(UTM)


@pytest.fixture(scope="module")
def dem(tmp_path_factory):
    path = tmp_path_factory.mktemp("dem") / "cone.tif"
    cone().rio.write_nodata(-9999.0).rio.to_raster(path)
    return path


def write(path, *features, crs="EPSG:4326"):
    """A vector file of (id, polygon)."""
    from pyogrio import raw

    ids, shapes = zip(*features, strict=True)
    raw.write(
        path,
        geometry=np.array([shapely.to_wkb(shape) for shape in shapes], object),
        field_data=[np.array(ids, object)],
        fields=["RGIId"],
        geometry_type="Polygon",
        crs=crs,
    )
    return path


class Table:
    """What a geodataframe has."""

    crs = "EPSG:4326"

    @property
    def __geo_interface__(self):
        feature = {"type": "Feature", "properties": {}, "geometry": DEGREES.__geo_interface__}
        return {"type": "FeatureCollection", "features": [feature]}


def test_every_form_of_an_outline_makes_the_same_glacier(dem, tmp_path):
    mapping = DEGREES.__geo_interface__
    files = [write(tmp_path / f"a{s}", ("cone", DEGREES)) for s in (".gpkg", ".shp", ".geojson")]
    forms = [DEGREES.wkt, f"SRID=4326;{DEGREES.wkt}", mapping, json.dumps(mapping), DEGREES]
    made = [odinn.glacier_from(f, dem, rgi_id="cone", crs="EPSG:4326") for f in forms]
    made += [odinn.glacier_from(f, dem) for f in (*files, str(files[0]), Table())]
    made += [odinn.glacier_from(write(tmp_path / "u.gpkg", ("cone", RING), crs=UTM), dem)]
    first = made[0]
    for other in made[1:]:
        assert other.grid == first.grid
        np.testing.assert_array_equal(other.mask, first.mask)
        np.testing.assert_allclose(other.surface, first.surface, atol=1e-6)
        np.testing.assert_allclose(other.thickness, first.thickness, atol=1e-6)
    assert {g.rgi_id for g in made} == {"cone", "glacier"}  # the table has no id


def test_the_glacier_lies_on_oggms_grid_with_its_hole_and_its_heights(dem):
    g = odinn.glacier_from(RING, dem, crs=UTM)
    assert g.grid.dx == round(14 * np.sqrt(AREA / 1e6) + 10)
    assert g.mask.sum() * g.grid.cell_area == pytest.approx(AREA, rel=0.02)
    assert pyproj.CRS(g.grid.crs).to_dict()["proj"] == "tmerc"
    rows, columns = np.nonzero(g.mask)
    assert min(rows.min(), columns.min()) == 10
    middle = tuple(np.round([rows.mean(), columns.mean()]).astype(int))
    assert not g.mask[middle]
    there = pyproj.Transformer.from_crs(g.grid.crs, UTM, always_xy=True)
    x, y = there.transform(*np.meshgrid(g.grid.x, g.grid.y))
    want = 3000.0 - 0.25 * np.hypot(x - X0, y - Y0)
    np.testing.assert_allclose(g.surface[g.mask], want[g.mask], atol=1.0)
    assert odinn.glacier_from(RING, dem, dx=50.0, crs=UTM).grid.shape == (60, 60)


def test_without_a_thickness_it_is_the_slabs_and_the_provenance_says_so(dem):
    g = odinn.glacier_from(RING, dem, crs=UTM, dx=50)
    want = slab_thickness(g.surface, g.mask, 50.0, 50.0)
    np.testing.assert_array_equal(g.thickness, want)
    # stress of 0.005 + 1.598 ΔZ − 0.435 ΔZ² bar on a slope of a quarter, far from the outline
    span = np.ptp(g.surface[g.mask]) / 1000
    stress = 1e5 * (0.005 + 1.598 * span - 0.435 * span**2)
    slab = stress / (0.8 * 900.0 * 9.81 * np.sin(np.arctan(0.25)))
    assert g.thickness.max() == pytest.approx(slab * np.sqrt(375 / 400), rel=0.05)
    assert g.provenance["thickness"] == "slab"
    assert "Haeberli" in g.provenance["thickness_source"]
    assert g.provenance["source"] == "Polygon, cone.tif"


def test_a_thickness_may_be_a_number_an_array_or_a_map(dem, tmp_path):
    def made(thickness):
        return odinn.glacier_from(RING, dem, thickness, dx=50.0, crs=UTM)

    g = made(40.0)
    assert (g.thickness[g.mask] == 40.0).all()
    assert not g.thickness[~g.mask].any()
    field = np.where(g.mask, 7.0, 0.0)
    np.testing.assert_array_equal(made(field).thickness, field)
    even = cone() * 0 + 25.0
    even.rio.write_crs(UTM).rio.to_raster(tmp_path / "ice.tif")
    for source in (even.rio.write_crs(UTM), tmp_path / "ice.tif"):
        np.testing.assert_allclose(made(source).thickness[g.mask], 25.0)
    for wrong in (-1.0, np.nan, 1e9, "thick.tif", np.ones((2, 2)), {}, even - 99.0):
        with pytest.raises(odinn.InputError):
            made(wrong)


def test_elevation_may_be_coarse_in_degrees_or_integer(dem):
    g = odinn.glacier_from(RING, dem, dx=50.0, crs=UTM)
    degrees = cone().rio.reproject("EPSG:4326")
    coarse = cone(step=90.0)
    whole = cone().round().astype("int16").rio.write_crs(UTM)
    for other, off in (
        (degrees, 2.0),
        (coarse, 6.0),
        (whole, 1.0),
        (cone().isel(y=np.s_[::-1]), 1),
    ):
        got = odinn.glacier_from(RING, other, dx=50.0, crs=UTM)
        np.testing.assert_allclose(got.surface[g.mask], g.surface[g.mask], atol=off)


def test_gaps_far_from_the_ice_are_filled_and_those_inside_are_an_error(dem):
    away = cone()
    away[:20, :20] = np.nan
    g = odinn.glacier_from(RING, away, dx=50.0, crs=UTM)
    assert np.isfinite(g.surface).all()
    assert "cells away from the outline" in g.provenance["elevation_filled"]
    declared = cone().fillna(-9999.0)
    declared[:20, :20] = -9999.0
    odinn.glacier_from(RING, declared.rio.write_nodata(-9999.0), dx=50.0, crs=UTM)
    inside = cone()
    inside[45:50, 45:50] = np.nan
    with pytest.raises(odinn.InputError, match=r"cone-1: .* gaps in \d+ of \d+ cells inside"):
        odinn.glacier_from(RING, inside, dx=50.0, crs=UTM, rgi_id="cone-1")


def two(path):
    return write(path, ("left", DEGREES), ("right", shapely.transform(DEGREES, lambda p: p + 0.1)))


def test_one_of_several_outlines_is_chosen_by_its_id(dem, tmp_path):
    path = two(tmp_path / "two.gpkg")
    assert odinn.glacier_from(path, dem, rgi_id="left").rgi_id == "left"
    for rgi_id, message in ((None, r"holds 2 outlines \(left, right\)"), ("up", "none of them")):
        with pytest.raises(odinn.InputError, match=message):
            odinn.glacier_from(path, dem, rgi_id=rgi_id)
    with pytest.raises(odinn.InputError, match="does not reach the outline"):
        odinn.glacier_from(path, dem, rgi_id="right")


CROSSING = "POLYGON ((7 46, 8 47, 8 46, 7 47, 7 46))"


@pytest.mark.parametrize(
    ("outline", "options", "message"),
    [
        (RING, {}, "say which with crs="),
        (RING.wkt, {"crs": "EPSG:banana"}, "not understood"),
        (RING.wkt, {"crs": "EPSG:4326"}, "are no degrees"),
        (shapely.box(1e30, 1e30, 2e30, 2e30), {"crs": UTM}, "cannot be projected"),
        (CROSSING, {"crs": "EPSG:4326"}, "crosses itself"),
        ("POLYGON EMPTY", {"crs": UTM}, "is empty"),
        ("POLYGON ((1 2", {"crs": UTM}, "cannot be read as WKT"),
        ("LINESTRING (0 0, 1 1)", {"crs": UTM}, "is a LineString"),
        ("{", {}, "cannot be read as GeoJSON"),
        ({"type": "Polygon", "coordinates": "no"}, {}, "not in GeoJSON's form"),
        ({"type": "FeatureCollection", "features": []}, {}, "holds no outline"),
        ({}, {}, "no 'type'"),
        ({"type": "FeatureCollection", "features": 3}, {}, "'features' are no list"),
        (7, {}, "found int"),
        ("nowhere.gpkg", {}, "nowhere.gpkg: no such file"),
        (RING, {"crs": UTM, "dx": -1.0}, r"glacier_from\(dx=-1.0\)"),
        (RING, {"crs": UTM, "dx": 1e-3}, "choose a larger dx"),
        (RING, {"crs": UTM, "dx": 9000.0}, "no centre of a cell"),
        (RING, {"crs": UTM, "border": 0}, r"glacier_from\(border=0\)"),
        (RING, {"crs": UTM, "climate": "nowhere.csv"}, "no such climate file"),
    ],
)
def test_an_outline_that_makes_no_glacier_says_why(dem, outline, options, message):
    with pytest.raises(odinn.InputError, match=message):
        odinn.glacier_from(outline, dem, **options)


def test_an_elevation_model_that_cannot_be_says_why(tmp_path):
    (tmp_path / "text.tif").write_text("no map")
    (tmp_path / "text.gpkg").write_text("no outline")
    undeclared = cone()
    undeclared[0, 0] = -32768.0
    bands = xr.concat([cone(), cone()], "band")
    feet = cone().assign_attrs(units="ft")
    nowhere = cone().drop_vars("spatial_ref")
    for dem, message in (
        (tmp_path / "none.tif", "none.tif: no such file"),
        (tmp_path / "text.tif", "text.tif: cannot be read as a map"),
        (undeclared, "-32768: if they mark gaps, declare them"),
        (bands, "expected one band"),
        (feet, "its unit is 'ft'"),
        (nowhere, "elevation model: no coordinate reference system"),
        (cone().rename(x="u", y="v"), "expected coordinates x and y"),
        (3.0, "found float"),
    ):
        with pytest.raises(odinn.InputError, match=message):
            odinn.glacier_from(f"SRID=32632;{RING.wkt}", dem, dx=50.0)
    with pytest.raises(odinn.InputError, match=r"text.gpkg: cannot be read as an outline"):
        odinn.glacier_from(tmp_path / "text.gpkg", cone())


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".tif"])
def test_a_damaged_file_makes_a_glacier_or_says_why(dem, tmp_path, suffix):
    """Cut short, or with some bytes changed."""
    outline, path = write(tmp_path / "o.geojson", ("cone", DEGREES)), tmp_path / f"a{suffix}"
    whole = dem.read_bytes() if suffix == ".tif" else write(path, ("cone", DEGREES)).read_bytes()
    for seed in range(8):
        random = np.random.default_rng(seed)
        damaged = bytearray(whole[: random.integers(len(whole))] if seed % 2 else whole)
        for place in random.integers(min(len(whole), 2000), size=20 * (1 - seed % 2)):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            glacier = odinn.glacier_from(*((outline, path) if suffix == ".tif" else (path, dem)))
            assert np.isfinite(glacier.surface).all()
        except odinn.InputError:
            pass
