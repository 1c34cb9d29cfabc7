"""Opening real glaciers, and refusing bad ones."""

import io
import json
import tarfile
import warnings

import numpy as np
import pytest
import xarray as xr

import odinn
from odinn.data.observations import read_observations
from odinn.errors import ClimateError, InputError

HEF = "gdirs/hef/per_glacier/RGI60-11/RGI60-11.00/RGI60-11.00897"


@pytest.fixture(scope="module")
def small():
    """A sound dataset of 12 x 14 cells, to be broken."""
    ny, nx = 12, 14
    ice = np.zeros((ny, nx))
    ice[4:8, 4:9] = 60.0
    time = np.arange("2000-01", "2004-01", dtype="datetime64[M]").astype("datetime64[ns]")
    ds = xr.Dataset(
        {
            "topo": (("y", "x"), 2500.0 + ice + np.arange(nx) * 10.0),
            "thickness_consensus": (("y", "x"), ice),
            "glacier_mask": (("y", "x"), (ice > 0).astype("int8")),
            "temp_monthly_era5": (
                "time_monthly_era5",
                np.linspace(-8, 8, time.size),
                {"ref_hgt": 2400.0},
            ),
            "prcp_monthly_era5": ("time_monthly_era5", np.full(time.size, 80.0)),
        },
        coords={
            "y": 5_200_000.0 - 50.0 * np.arange(ny),
            "x": 500_000.0 + 50.0 * np.arange(nx),
            "time_monthly_era5": time,
        },
        attrs={"rgi_id": "RGI60-99.00001", "name": "Small", "pyproj_srs": "EPSG:32632"},
    )
    return ds


@pytest.mark.parametrize(
    ("name", "area", "volume"),
    [  # data README: area of the outline km2, volume km3
        ("argentiere_RGI60-11.03638", 14.2, 1.169),
        ("aletsch_RGI60-11.01450", 80.5, 13.61),
        ("bodleybreen_RGI60-07.00042", 111.0, 24.10),
        ("vegafonna_RGI60-07.00065", 80.9, 17.34),
        ("hef_RGI60-11.00897", 8.68, 0.577),
        ("kwf_RGI50-11.00787", 4.18, 0.3137),
        ("vernagt_RGI50-11.00719", 8.94, 0.5336),
        ("taschach_RGI50-11.00687", 5.70, 0.3949),
        ("south_glacier_RGI60-01.16195", 5.72, 0.388),
    ],
)
def test_every_glacier_opens_with_its_known_area_and_volume(data, name, area, volume):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # five have no consensus thickness and say so
        g = odinn.open_glacier(data / "glaciers" / f"{name}.nc")
    assert g.rgi_id == name.rsplit("_", 1)[1]
    assert g.mask.sum() * g.grid.cell_area / 1e6 == pytest.approx(
        area, rel=0.005
    )  # README's rounding
    assert g.volume / 1e9 == pytest.approx(volume, rel=0.002)
    assert (np.diff(g.grid.y) < 0).all()
    assert (np.diff(g.grid.x) > 0).all()


def test_default_products_are_chosen_in_the_documented_order(data):
    hef = odinn.open_glacier(data / "glaciers" / "hef_RGI60-11.00897.nc")
    assert hef.climate.name == "era5"
    assert hef.provenance["thickness"] == "consensus"
    with pytest.warns(UserWarning, match=r"RGI60-01.16195: no consensus thickness; using 'oggm'"):
        south = odinn.open_glacier(data / "glaciers" / "south_glacier_RGI60-01.16195.nc")
    assert south.climate.name == "cru"
    radar = odinn.open_glacier(
        data / "glaciers" / "south_glacier_RGI60-01.16195.nc", thickness="radar"
    )
    assert radar.volume / 1e9 == pytest.approx(0.291, rel=0.01)
    assert radar.observations.points.thickness.shape == (9619,)


def test_products_are_named_in_any_case_and_an_unknown_one_lists_those_there(data):
    path = data / "glaciers" / "hef_RGI60-11.00897.nc"
    assert odinn.open_glacier(path, climate="HISTALP").climate.name == "histalp"
    assert odinn.open_glacier(path, climate="ERA5L").climate.name == "era5land"
    with pytest.raises(
        ClimateError, match=r"RGI60-11.00897: no climate 'w5e5' .* era5, era5land, histalp"
    ):
        odinn.open_glacier(path, climate="w5e5")
    with pytest.raises(
        InputError, match=r"RGI60-11.00897: no thickness 'millan'; available: consensus, oggm"
    ):
        odinn.open_glacier(path, thickness="millan")


def test_an_oggm_directory_opens_without_oggm_and_agrees_with_the_netcdf_of_the_same_glacier(data):
    with pytest.warns(UserWarning, match="is missing in 119 of"):
        g = odinn.open_glacier(data / HEF)
    n = odinn.open_glacier(data / "glaciers" / "hef_RGI60-11.00897.nc", climate="histalp")
    assert (g.rgi_id, g.name) == ("RGI60-11.00897", "Hintereisferner")
    assert g.climate.name == "histalp"
    assert g.climate.span == (1802.0, 2003.0)
    np.testing.assert_allclose(g.surface, n.surface, atol=1e-3)  # stored as float32
    np.testing.assert_allclose(g.thickness, n.thickness, atol=1e-3)
    assert (g.mask == n.mask).all()
    assert odinn.open_glacier(data / HEF, thickness="oggm", climate="era5").climate.name == "era5"
    assert odinn.open_glacier(
        data / HEF, thickness="oggm", climate="ERA5L"
    ).climate.ref_height == pytest.approx(2835.53, abs=0.01)
    with pytest.raises(ClimateError, match="no climate 'w5e5'; available"):
        odinn.open_glacier(data / HEF, climate="w5e5")


def test_a_glacier_directory_object_is_read_through_its_folder(data):
    class GlacierDirectory:
        dir = str(data / HEF)

        def get_filepath(self, name):
            return f"{self.dir}/{name}.nc"

    assert odinn.open_glacier(GlacierDirectory(), thickness="oggm").rgi_id == "RGI60-11.00897"


def test_an_oggm_calibration_is_kept_and_not_used(data):
    g = odinn.open_glacier(data / HEF, thickness="oggm")
    assert json.loads(g.provenance["oggm_calibration"])["melt_f"] == pytest.approx(
        6.5417756696782146
    )


@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_coarsening_keeps_the_volume_and_the_observations(data, k):
    path = data / "glaciers" / "vegafonna_RGI60-07.00065.nc"
    fine, coarse = odinn.open_glacier(path), odinn.open_glacier(path, coarsen=k)
    assert coarse.volume == pytest.approx(fine.volume, rel=1e-14)  # round-off
    assert coarse.grid.dx == fine.grid.dx * k
    assert coarse.grid.x[0] == pytest.approx(fine.grid.x[:k].mean())
    assert coarse.grid.y[0] == pytest.approx(fine.grid.y[:k].mean())
    assert np.nanmean(coarse.observations.speed) == pytest.approx(
        np.nanmean(fine.observations.speed), rel=0.2
    )
    assert np.isfinite(coarse.bed).all()


def test_a_dataset_with_rows_from_south_to_north_gives_the_same_glacier(small):
    a, b = (
        odinn.open_glacier(small),
        odinn.open_glacier(small.isel(y=slice(None, None, -1), x=slice(None, None, -1))),
    )
    assert (a.thickness == b.thickness).all()
    assert (a.grid.y == b.grid.y).all()


def test_surface_and_bed_give_the_thickness(small):
    ds = small.drop_vars("thickness_consensus").assign(bed=small.topo - small.thickness_consensus)
    np.testing.assert_allclose(
        odinn.open_glacier(ds).thickness, small.thickness_consensus.values, atol=1e-9
    )


def test_a_climate_of_ones_own_comes_as_a_dataset_in_oggms_form(small):
    days = np.arange("2010-01-01", "2012-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
    own = xr.Dataset(
        {"temp": ("time", np.zeros(days.size)), "prcp": ("time", np.ones(days.size))},
        coords={"time": days},
        attrs={"ref_hgt": 1800.0},
    )
    g = odinn.open_glacier(small, climate=own)
    assert (g.climate.step, g.climate.ref_height, g.climate.span) == (
        "daily",
        1800.0,
        (2010.0, 2012.0),
    )
    assert (g.climate.gradient[g.climate.temp > -999] == -0.0065).all()


def broken(small, **changes):
    ds = small.copy(deep=True)
    for name, (index, value) in changes.items():
        ds[name][index] = value
    return ds


def with_kelvin(ds):
    return ds.assign(
        temp_monthly_era5=(ds.temp_monthly_era5 + 273.15).assign_attrs(ds.temp_monthly_era5.attrs)
    )


def with_gap(ds):
    return ds.isel(time_monthly_era5=np.delete(np.arange(48), 17))


BAD = [
    (
        lambda d: broken(d, topo=((3, 5), np.nan)),
        "surface is NaN in 1 cells .first at row 3, column 5.",
    ),
    (
        lambda d: broken(d.assign(bed=d.topo).drop_vars("topo"), bed=((2, 2), np.nan)),
        "bed is NaN in 1 cells",
    ),
    (
        lambda d: broken(d, thickness_consensus=((5, 5), -3.0)),
        "thickness_consensus is -3 m in 1 cells .first at row 5, column 5.; expected 0 to 5000 m",
    ),
    (
        lambda d: broken(d, thickness_consensus=((0, 5), 9.0), glacier_mask=((0, 5), 1)),
        "outermost ring .* pad the grid",
    ),
    (lambda d: d.assign(topo=d.topo.transpose("x", "y").rename(x="a")), "expected .y, x."),
    (lambda d: d.rename(x="lon", y="lat"), "geographic coordinates .lon, lat."),
    (lambda d: d.assign_attrs(pyproj_srs="EPSG:4326"), "coordinates are geographic"),
    (lambda d: d.assign_attrs(pyproj_srs="EPSG:nonsense"), "is not understood"),
    (
        lambda d: d.drop_attrs(deep=False).assign_attrs(rgi_id="RGI60-99.00001"),
        "no coordinate reference system",
    ),
    (lambda d: d.assign_coords(x=5e5 + 2.0 * np.arange(14.0) ** 2), "x is not evenly spaced"),
    (with_kelvin, "looks like kelvin"),
    (with_gap, "months are missing after 2001-05"),
    (lambda d: broken(d, prcp_monthly_era5=(3, -5.0)), "prcp is -5 kg m-2 on 2000-04"),
    (lambda d: broken(d, temp_monthly_era5=(7, np.nan)), "temp is missing .NaN. on 2000-08"),
    (lambda d: d.assign(temp_monthly_era5=d.temp_monthly_era5.drop_attrs()), "no reference height"),
    (lambda d: d.drop_vars("thickness_consensus"), "no ice thickness"),
    (lambda d: d.drop_vars("topo"), "no surface or bed"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_names_the_glacier_what_was_found_and_what_to_do(small, change, message):
    with pytest.raises(InputError, match=f"RGI60-99.00001: .*{message}"):
        odinn.open_glacier(change(small))


def test_histalps_known_negative_precipitation_is_set_to_zero_under_a_warning(data):
    path = data / "glaciers" / "vernagt_RGI50-11.00719.nc"
    with pytest.warns(UserWarning, match=r"climate 'histalp': prcp is -11.8\d* kg m-2 on 2011-11"):
        g = odinn.open_glacier(path, climate="histalp", thickness="oggm")
    assert g.climate.precip.min() == 0.0


def test_files_that_are_missing_or_truncated_are_errors_that_name_them(data, tmp_path):
    with pytest.raises(InputError, match=r"nowhere.nc: no such file"):
        odinn.open_glacier(tmp_path / "nowhere.nc")
    whole = (data / "glaciers" / "argentiere_RGI60-11.03638.nc").read_bytes()
    (tmp_path / "cut.nc").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        InputError, match=r"cut.nc: cannot be read as NetCDF .* copy or download it again"
    ):
        odinn.open_glacier(tmp_path / "cut.nc")
    with pytest.raises(InputError, match="without gridded_data.nc"):
        odinn.open_glacier(tmp_path)
    with pytest.raises(InputError, match="found int; expected a path"):
        odinn.open_glacier(3)
    with pytest.raises(InputError, match="the list is empty"):
        odinn.open_glaciers([])


def test_errors_come_with_their_field_and_are_coarsened_with_it():
    speed, error = np.arange(24.0).reshape(4, 6), np.full((4, 6), 2.0)
    speed[0, 0] = error[0, 0] = np.nan
    ds = xr.Dataset(
        {"velocity_obs": (("y", "x"), speed), "velocity_obs_error": (("y", "x"), error)}
    )
    read = read_observations(ds, odinn.Grid(6, 4, 100.0, 100.0), InputError)
    np.testing.assert_array_equal(read.errors["speed"], error)
    several = odinn.Observations(
        speed=np.stack([speed, 2 * speed]), dates={"speed": [2000.5, 2001.5]}, errors=read.errors
    )
    coarse = several.coarsened(2)
    assert coarse.speed.shape == (2, 2, 3)
    assert coarse.speed[1, 0, 0] == pytest.approx(2 * np.mean([1.0, 6.0, 7.0]))
    np.testing.assert_array_equal(coarse.errors["speed"], 2.0)
    assert coarse.dates == several.dates


def test_a_climate_that_ends_too_early_names_those_beside_it(small):
    months = np.arange("1990-01", "1995-01", dtype="datetime64[M]").astype("datetime64[ns]")
    ds = small.assign_coords(other=months).assign(
        temp_monthly_cru=("other", np.full(60, -3.0), {"ref_hgt": 2400.0}),
        prcp_monthly_cru=("other", np.full(60, 80.0)),
    )
    glacier = odinn.open_glacier(ds)
    model = odinn.Model(odinn.SIA2D(), odinn.TemperatureIndex())
    with pytest.raises(ClimateError, match=r"1995-01 is needed.* there are cru .1990-01 to 1994-1"):
        odinn.simulate(model, glacier, 1995.0, 1996.0)


# Ids, embedded glaciers, lists.


@pytest.mark.parametrize(
    "rgi_id", ["../../x", "a/b", "..", ".hidden", "a\\b", "a\nb", "a\x00b", "x" * 300]
)
def test_an_id_is_no_path(small, rgi_id):
    with pytest.raises(InputError, match="without separators of paths"):
        odinn.open_glacier(small.assign_attrs(rgi_id=rgi_id))


@pytest.mark.parametrize("rgi_id", ["my glacier", "[bold]", "Glaciär 3", 17])
def test_an_id_may_be_any_other_text(small, rgi_id):
    assert odinn.open_glacier(small.assign_attrs(rgi_id=rgi_id)).rgi_id == str(rgi_id)


def test_an_id_of_rgi_7_is_found_in_the_name_of_a_file(small, tmp_path):
    path = tmp_path / "hef_RGI2000-v7.0-G-11-00897_2003.nc"
    small.drop_attrs(deep=False).assign_attrs(pyproj_srs="EPSG:32632").to_netcdf(path)
    assert odinn.open_glacier(path).rgi_id == "RGI2000-v7.0-G-11-00897"


@pytest.mark.parametrize("wanted", ["RGI60-18.03156", "Ramsay Glacier", "ramsay"])
def test_an_embedded_glacier_opens_by_its_id_or_name_under_its_climate(wanted):
    ramsay = odinn.open_glacier(f"demo:{wanted}")
    assert (ramsay.rgi_id, ramsay.climate.name) == ("RGI60-18.03156", "idealised")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("Aletsch", "no such embedded glacier"), ("glacier", "several embedded glaciers")],
)
def test_an_embedded_glacier_that_is_not_one_is_named(wanted, message):
    with pytest.raises(InputError, match=f"demo:{wanted}: {message}.*RGI60-18.03156"):
        odinn.open_glacier(f"demo:{wanted}")


@pytest.mark.parametrize("rgi_id", ["RGI60-11.03638", "RGI2000-v7.0-G-11-00897"])
def test_an_id_alone_says_how_to_get_its_directory(rgi_id, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"{rgi_id}: is an RGI id.*init_glacier_directories"):
        odinn.open_glacier(rgi_id)


def test_a_list_takes_patterns_and_one_file_is_one_file(small, tmp_path):
    for rgi_id in ("b", "a"):
        small.assign_attrs(rgi_id=rgi_id).to_netcdf(tmp_path / f"{rgi_id}.nc")
    assert [g.rgi_id for g in odinn.open_glaciers(f"{tmp_path}/*.nc")] == ["a", "b"]
    assert [g.rgi_id for g in odinn.open_glaciers(str(tmp_path / "b.nc"))] == ["b"]
    assert [g.rgi_id for g in odinn.open_glaciers([small, tmp_path / "b.nc"])][1] == "b"
    with pytest.raises(InputError, match="no file or folder matches this pattern"):
        odinn.open_glaciers(f"{tmp_path}/*.tif")
    with pytest.raises(InputError, match=r"a: appears twice, the second time in .*a.nc"):
        odinn.open_glaciers([tmp_path / "a.nc", str(tmp_path / "a.nc")])


@pytest.mark.parametrize(
    "call",
    [
        lambda ds: odinn.open_glaciers(5),
        lambda ds: odinn.open_climate(5),
        lambda ds: odinn.open_glacier(ds, climate=5),
        lambda ds: odinn.open_glacier(None),
        lambda ds: odinn.load(5),
    ],
)
def test_what_is_of_another_type_is_called_by_its_type(small, call):
    with pytest.raises(InputError, match="found (int|NoneType)"):
        call(small)


# Directories of OGGM with odd members.


def oggm_directory(small, folder, table):
    """A directory whose outline's table has this content (None: no outline)."""
    folder.mkdir()
    small.to_netcdf(folder / "gridded_data.nc")
    if table is not None:
        with tarfile.open(folder / "outlines.tar.gz", "w:gz") as archive:
            info = tarfile.TarInfo("outlines.dbf")
            info.size = len(table)
            archive.addfile(info, io.BytesIO(table))
    return folder


@pytest.mark.parametrize(
    "table",
    [b"", b"\x03", b"\x03" * 40, bytes(1000), b"text, not a table", bytes(20_000_000)],
    ids=["empty", "short", "odd", "zeros", "text", "large"],
)
def test_an_odd_outline_in_a_directory_is_an_error_that_names_file_and_member(
    small, tmp_path, table
):
    folder = oggm_directory(small, tmp_path / "RGI60-11.00897", table)
    with pytest.raises(InputError, match=r"outlines.tar.gz: the outline .outlines.dbf in it"):
        odinn.open_glacier(folder)


def test_an_archive_that_is_cut_or_of_another_kind_is_an_error_that_names_it(small, tmp_path):
    folder = oggm_directory(small, tmp_path / "RGI60-11.00897", b"\x03" * 400)
    archive = folder / "outlines.tar.gz"
    whole = archive.read_bytes()
    for content in (whole[: len(whole) // 2], b"PK\x03\x04", b""):
        archive.write_bytes(content)
        with pytest.raises(InputError, match=r"outlines.tar.gz: the outline"):
            odinn.open_glacier(folder)
