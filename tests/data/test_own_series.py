"""Climate series of one's own, and their units."""

import numpy as np
import pytest
import xarray as xr

import odinn
from odinn.data.quantities import WEATHER
from odinn.data.units import converted
from odinn.errors import ClimateError, InputError

DAYS = np.arange("2001-01-01", "2003-01-01", dtype="datetime64[D]")
MONTHS = np.arange("2000-01", "2004-01", dtype="datetime64[M]")


def weather(time):
    noise = np.random.default_rng(0)
    return np.round(noise.normal(-2, 6, time.size), 2), np.round(
        noise.gamma(0.5, 8.0, time.size), 2
    )


def csv(path, time, head="# ref_height: 2400\ntime,temp,prcp", columns=None):
    columns = weather(time) if columns is None else columns
    lines = [",".join(map(str, row)) for row in zip(time, *columns, strict=True)]
    path.write_text(head + "\n" + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("time", "step"), [(DAYS, "daily"), (MONTHS, "monthly")])
def test_a_csv_of_three_columns_is_a_climate(tmp_path, time, step):
    climate = odinn.open_climate(csv(tmp_path / "station.csv", time))
    temp, precip = weather(time)
    assert (climate.name, climate.step, climate.ref_height) == ("station", step, 2400.0)
    np.testing.assert_array_equal(climate.temp[climate.used], temp)
    np.testing.assert_array_equal(climate.precip[climate.used], precip)
    assert (climate.gradient[climate.used] == -0.0065).all()
    assert (
        odinn.open_climate(tmp_path / "station.csv", ref_height=1800.0, name="Own").ref_height
        == 1800.0
    )


def test_units_in_brackets_and_a_gradient_are_read(tmp_path):
    temp, precip = weather(DAYS)
    columns = np.round(temp + 273.15, 2), precip / 1000, np.full(DAYS.size, -5.5)
    head = "# ref_height: 2400 m\nTime, temp [K], prcp (m), gradient [K/km]"
    got = odinn.open_climate(csv(tmp_path / "a.csv", DAYS, head, columns))
    np.testing.assert_allclose(got.temp[got.used], temp, atol=1e-9)
    np.testing.assert_allclose(got.precip[got.used], precip, rtol=1e-12)
    np.testing.assert_allclose(got.gradient[got.used], -0.0055)


def test_the_file_stands_for_the_climate_of_a_glacier(slab, tmp_path):
    path = csv(tmp_path / "station.csv", DAYS)
    ds = xr.Dataset(
        {"surface": (("y", "x"), slab.surface), "thickness": (("y", "x"), slab.thickness)},
        coords={"y": slab.grid.y, "x": slab.grid.x},
        attrs={"crs": slab.grid.crs, "rgi_id": "RGI60-99.00001"},
    )
    for given in (path, str(path)):
        g = odinn.open_glacier(ds, climate=given)
        assert g.climate.name == "station"
        assert g.provenance["climate"] == "station (daily, 2001-01 to 2002-12, 2400 m)"


def without(k, value):
    temp, precip = weather(DAYS)
    text = temp.astype(str).astype(object)
    text[k] = value
    return text, precip


BAD = [
    ({"head": "time,temp,prcp"}, "no reference height: give ref_height="),
    (
        {"head": "# ref_height: 1\ntime,temp,rain"},
        "column 'rain' is not understood; expected time, temp, prcp",
    ),
    ({"head": "# ref_height: 1\ntime,temp,temp [K]"}, "appears twice"),
    (
        {"head": "# ref_height: 1\ntime,temp [F],prcp"},
        "temp is in 'F', which is not understood here; expected degC or what",
    ),
    ({"head": "# ref_height: 1\ntime,temp,prcp [buckets]"}, "prcp is in 'buckets'"),
    ({"columns": without(9, "")}, r"temp is missing \(NaN\) on 2001-01-10"),
    ({"columns": without(9, "cold")}, "temp is 'cold' on 2001-01-10, expected a number"),
    ({"columns": without(9, "-9999")}, "temp is -9999 degC on 2001-01-10; expected -100 to 70"),
    (
        {"time": np.delete(DAYS, 40), "columns": [c[1:] for c in weather(DAYS)]},
        "days are missing after 2001-02-09",
    ),
    (
        {"time": np.delete(MONTHS, 7), "columns": [c[1:] for c in weather(MONTHS)]},
        "months are missing after 2000-07",
    ),
    (
        {"time": [f"{d.astype(object):%d.%m.%Y}" for d in DAYS], "columns": weather(DAYS)},
        "time '01.01.2001' is not a date",
    ),
    (
        {
            "head": "# ref_height: 1\ntime,temp,prcp,gradient",
            "columns": [*weather(DAYS), np.full(730, 0.0065)],
        },
        "falls with",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_csv_that_cannot_be_used_names_the_file_and_what_is_wrong(tmp_path, change, message):
    path = csv(tmp_path / "own.csv", **{"time": DAYS, **change})
    with pytest.raises(ClimateError, match=f"^own.csv: .*{message}"):
        odinn.open_climate(path)


def test_files_and_columns_that_are_missing_are_named(tmp_path):
    with pytest.raises(ClimateError, match="nowhere.csv: no such climate file"):
        odinn.open_climate(tmp_path / "nowhere.csv")
    csv(tmp_path / "own.csv", DAYS, "time,temp", weather(DAYS)[:1])
    with pytest.raises(ClimateError, match="no column prcp; found time, temp, expected"):
        odinn.open_climate(tmp_path / "own.csv", ref_height=2000.0)
    with pytest.raises(InputError, match="ref_height is nan m, expected -500 to 9000 m"):
        odinn.open_climate(tmp_path / "own.csv", ref_height=float("nan"))


def dataset(**units):
    temp, precip = weather(DAYS)
    ds = xr.Dataset(
        {"temp": ("time", temp), "prcp": ("time", precip)},
        coords={"time": DAYS.astype("datetime64[ns]")},
    )
    for name, (unit, values) in units.items():
        ds[name] = ("time", values, {"units": unit})
    return ds.assign_attrs(ref_hgt=2400.0)


def test_a_netcdf_series_has_its_units_converted(tmp_path):
    temp, precip = weather(DAYS)
    ds = dataset(
        temp=("K", temp + 273.15),
        prcp=("kg m-2 s-1", precip / 86400),
        gradient=("degC km-1", 0 * temp - 6),
    )
    ds.expand_dims(lat=[46.0], lon=[7.0]).to_netcdf(tmp_path / "cell.nc")  # a cell cut from a grid
    got = odinn.open_climate(tmp_path / "cell.nc", ref_height=2500.0)
    assert (got.name, got.ref_height) == ("cell", 2500.0)
    np.testing.assert_allclose(got.temp[got.used], temp, atol=1e-9)
    np.testing.assert_allclose(got.precip[got.used], precip, rtol=1e-12)
    np.testing.assert_allclose(got.gradient[got.used], -0.006)
    ds.isel(time=slice(400)).drop_vars("prcp").to_netcdf(tmp_path / "dry.nc")
    with pytest.raises(
        ClimateError, match=r"dry.nc: found temp, gradient; expected time, temp, prcp"
    ):
        odinn.open_climate(tmp_path / "dry.nc")


def test_a_unit_in_a_glaciers_own_file_is_converted_or_refused(slab):
    temp, precip = weather(DAYS)
    fields = {"surface": (("y", "x"), slab.surface), "thickness": (("y", "x"), slab.thickness)}
    place = {"y": slab.grid.y, "x": slab.grid.x, "time": DAYS.astype("datetime64[ns]")}
    attrs = {"crs": slab.grid.crs, "rgi_id": "RGI60-99.00001"}

    def opened(unit, values):
        series = {
            "temp_daily_own": ("time", temp, {"units": "degC", "ref_hgt": 2400.0}),
            "prcp_daily_own": ("time", values, {"units": unit}),
        }
        return odinn.open_glacier(xr.Dataset(fields | series, place, attrs)).climate

    np.testing.assert_allclose(
        opened("m", precip / 1000).precip, opened("kg m-2", precip).precip, rtol=1e-12
    )
    with pytest.raises(
        ClimateError,
        match="RGI60-99.00001: prcp_daily_own is in 'buckets', which is not understood",
    ):
        opened("buckets", precip)


@pytest.mark.parametrize(
    ("kind", "unit", "factor"),
    [
        ("prcp", "mm/day", 31.0),
        ("prcp", "kg m**-2 s**-1", 31.0 * 86400),
        ("prcp", "mm w.e. d⁻¹", 31.0),
        ("prcp", "m of water equivalent", 1000.0),
        ("prcp", "mm per month", 1.0),
        ("prcp", "kg m-2", 1.0),
        ("prcp", "", 1.0),
        ("prcp", None, 1.0),
        ("temp", "degrees Celsius", 1.0),
        ("temp", "deg_C", 1.0),
        ("gradient", "°C km-1", 1e-3),
    ],
)
def test_units_of_a_monthly_series_in_their_usual_spellings(kind, unit, factor):
    got = converted(np.full(2, 2.0), unit, WEATHER[kind], kind, ClimateError, np.full(2, 31.0))
    np.testing.assert_allclose(got, 2.0 * factor, rtol=1e-14)  # some products: round-off


@pytest.mark.parametrize(
    ("unit", "millimetres"),
    [
        ("l m-2", 1.0),
        ("mm", 1.0),
        ("cm", 10.0),
        ("m", 1000.0),
        ("mm h-1", 24.0),
        ("mm/hour", 24.0),
        ("cm d-1", 10.0),
        ("m/s", 1000.0 * 86400.0),
    ],
)
def test_every_length_and_rate_of_water_becomes_millimetres_a_day(unit, millimetres):
    water = converted(np.full(5, 0.5), unit, WEATHER["prcp"], "prcp", ClimateError, np.ones(5))
    np.testing.assert_allclose(water, 0.5 * millimetres, rtol=1e-14)  # two products: round-off


@pytest.mark.parametrize(
    ("kind", "unit"), [("prcp", "mm month-1"), ("prcp", "K"), ("temp", "mm"), ("gradient", "K")]
)
def test_units_of_another_quantity_or_step_are_refused(kind, unit):
    with pytest.raises(ClimateError, match=f"x is in '{unit}'"):
        converted(np.zeros(5), unit, WEATHER[kind], "x", ClimateError, np.ones(5))
