"""What a file says is read; what cannot be is refused, or is a gap that is counted."""

import warnings

import cftime
import numpy as np
import pyproj
import pytest
import xarray as xr

import odinn
from odinn.data.quantities import table
from odinn.errors import ClimateError, InputError
from tests.data.made import DX, MONTHS, NX, NY, fields, weather


def with_value(name, value, index=(5, 5)):
    ds = fields()
    ds[name] = ds[name].astype(float)
    ds[name][index] = value
    return ds


def measured(name, values, **attrs):
    return fields(**{name: (("y", "x"), np.broadcast_to(values, (NY, NX)).copy(), attrs)})


@pytest.fixture
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_no_two_quantities_share_a_name_and_every_range_is_one():
    names = [name for quantity in table() for name in quantity.names]
    assert len(names) == len(set(names))
    assert all(quantity.smallest < quantity.largest for quantity in table())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("surface", -32768.0),
        ("surface", -9999.0),
        ("surface", 1e5),
        ("surface", np.inf),
        ("thickness", np.inf),
        ("thickness", 1e5),
        ("thickness", 1e30),
        ("thickness", -1.0),
        ("glacier_mask", 255.0),
    ],
)
def test_a_value_that_nature_does_not_have_is_refused_with_its_cell(name, value):
    message = rf"RGI60-99.00001: {name} is .* in 1 cells .first at row 5, column 5.; expected"
    with pytest.raises(InputError, match=message):
        odinn.open_glacier(with_value(name, value))


def test_a_bed_of_fill_values_is_refused():
    ds = fields().rename(surface="bed")
    ds["bed"][3, 3] = -32768.0
    with pytest.raises(InputError, match="bed is -32768 m in 1 cells"):
        odinn.open_glacier(ds)


def test_a_tile_of_zeros_beside_high_ground_is_said():
    with pytest.warns(UserWarning, match="surface is exactly 0 m in 4 cells .* 3 of them beside"):
        odinn.open_glacier(with_value("surface", 0.0, (slice(0, 2), slice(0, 2))))


def test_a_coast_of_zeros_is_no_missing_tile(no_warning):
    ds = fields()
    ds["surface"] = ds["surface"] - 2500.0
    assert odinn.open_glacier(ds).surface.min() == 0.0


@pytest.mark.parametrize(
    ("name", "key", "wrong"),
    [
        ("velocity_obs", "speed", -32767.0),
        ("velocity_obs", "speed", 1e20),
        ("vx_obs", "vx", -99999.0),
        ("thickness_obs", "thickness", -1.0),
        ("elevation_change_obs", "elevation_change", -9999.0),
    ],
)
def test_a_measurement_that_cannot_be_is_not_measured_and_counted(name, key, wrong):
    values = np.full((NY, NX), 10.0)
    values[:2, 0] = wrong
    with pytest.warns(UserWarning, match=f"{name} is .* in 2 cells .* taken as not measured"):
        got = getattr(odinn.open_glacier(measured(name, values)).observations, key)
    assert np.isnan(got[:2, 0]).all()
    assert (got[2:] == 10.0).all()


@pytest.mark.parametrize("error", [0.0, -1.0, np.inf])
def test_an_error_of_nothing_weighs_nothing(error):
    ds = measured("velocity_obs", 10.0)
    errors = np.full((NY, NX), 2.0)
    errors[0, 0] = error
    ds["velocity_obs_error"] = (("y", "x"), errors)
    with pytest.warns(UserWarning, match="velocity_obs_error is .* in 1 cells"):
        seen = odinn.open_glacier(ds).observations
    assert np.isnan(seen.speed[0, 0])
    assert np.isfinite(seen.speed[1:]).all()


@pytest.mark.parametrize(
    ("name", "key", "unit", "factor"),
    [
        ("velocity_obs", "speed", "m/day", 365.25),
        ("velocity_obs", "speed", "cm/day", 3.6525),
        ("velocity_obs", "speed", "m s-1", 365.25 * 86400),
        ("velocity_obs", "speed", "m a-1", 1.0),
        ("velocity_obs", "speed", "meter/year", 1.0),
        ("velocity_obs", "speed", "km yr⁻¹", 1000.0),
        ("thickness_obs", "thickness", "cm", 0.01),
        ("elevation_change_obs", "elevation_change", "mm/yr", 1e-3),
    ],
)
def test_the_unit_of_a_measurement_is_read(name, key, unit, factor):
    got = getattr(odinn.open_glacier(measured(name, 10.0 / factor, units=unit)).observations, key)
    np.testing.assert_allclose(got, 10.0, rtol=1e-12)


@pytest.mark.parametrize("unit", ["furlongs per fortnite", "K", "m"])
def test_a_unit_of_another_thing_is_refused_by_name(unit):
    with pytest.raises(InputError, match=f"velocity_obs is in '{unit}', .* expected m year-1"):
        odinn.open_glacier(measured("velocity_obs", 10.0, units=unit))


@pytest.mark.parametrize("unit", ["km", "Kilometers", "ft", "m a.s.l."])
def test_altitudes_and_thickness_in_other_units_make_the_same_glacier(unit):
    metres = {"km": 1000.0, "Kilometers": 1000.0, "ft": 0.3048, "m a.s.l.": 1.0}[unit]
    ds, plain = fields(), odinn.open_glacier(fields())
    for name in ("surface", "thickness"):
        ds[name] = (ds[name] / metres).assign_attrs(units=unit)
    got = odinn.open_glacier(ds)
    np.testing.assert_allclose(got.bed, plain.bed, atol=1e-9)  # m: the round-off of 2600 m
    np.testing.assert_allclose(got.thickness, plain.thickness, atol=1e-9)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("mm w.e. year-1", 1.0), ("m w.e.", 1000.0), ("kg m-2", 1.0), (None, 1.0), ("cm w.e.", 10.0)],
)
def test_a_measured_balance_is_read_in_its_unit(unit, factor):
    ds = fields(
        mb_annual=("mb_year", np.array([-500.0, 200.0]) / factor, {"units": unit} if unit else {}),
        mb_year=("mb_year", [2001, 2002]),
    )
    record = odinn.open_glacier(ds).observations.mass_balance
    np.testing.assert_allclose(record.annual, [-0.5, 0.2], rtol=1e-14)
    assert record.years.tolist() == [2001, 2002]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.drop_vars("mb_year"), "mb_annual has no years beside it: add .* mb_year"),
        (lambda d: d.assign_coords(mb_year=[2001, 2001]), "expected every year once"),
        (lambda d: d.assign_coords(mb_year=[2001.5, 2002]), "as a whole number"),
        (lambda d: d.assign(mb_annual=d.mb_annual * 1e6), "mb_annual is .* in 2 rows"),
    ],
)
def test_a_measured_balance_that_makes_no_sense_is_refused(change, message):
    ds = fields(mb_annual=("mb_year", [-500.0, 200.0])).assign_coords(mb_year=[2001, 2002])
    with pytest.raises(InputError, match=f"RGI60-99.00001: .*{message}"):
        odinn.open_glacier(change(ds))


@pytest.mark.parametrize(
    "period",
    ["2000-2020", "2000-01-01_2020-01-01", "2000-01-01/2020-01-01", (2000, 2020), "2000 to 2020"],
)
def test_the_period_of_a_geodetic_balance_is_read_in_its_usual_spellings(period):
    attrs = {"geodetic_mb_m_we_per_year": "-0.5", "geodetic_mb_period": period}
    got = odinn.open_glacier(fields().assign_attrs(attrs)).observations.geodetic
    assert got == (-0.5, 2000.0, 2020.0)


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"geodetic_mb_m_we_per_year": np.nan}, "geodetic_mb_m_we_per_year is nan"),
        ({"geodetic_mb_m_we_per_year": "high"}, "is 'high', expected a number"),
        ({"geodetic_mb_m_we_per_year": -500.0}, "is -500 m w.e. year-1, expected -20 to 20"),
        (
            {"geodetic_mb_m_we_per_year": -0.5, "geodetic_mb_period": "2020-2000"},
            "'2020-2000', which ends before",
        ),
        (
            {"geodetic_mb_m_we_per_year": -0.5, "geodetic_mb_period": "lately"},
            "'lately', expected a period",
        ),
        (
            {"geodetic_mb_m_we_per_year": -0.5, "geodetic_mb_period": "2000-13-41_2020-01-01"},
            "geodetic_mb_period: ",
        ),
    ],
)
def test_a_geodetic_balance_that_makes_no_sense_is_refused(attrs, message):
    with pytest.raises(InputError, match=f"RGI60-99.00001: .*{message}"):
        odinn.open_glacier(fields().assign_attrs(attrs))


# Grid and reference system.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.assign_coords(x=np.full(NX, 5e5)), "x neither increases nor decreases"),
        (lambda d: d.assign_coords(x=5e5 + DX * (np.arange(NX) % 2)), "x neither increases"),
        (lambda d: d.assign_coords(x=np.where(np.arange(NX) == 3, np.nan, d.x)), "x holds nan"),
        (lambda d: d.assign_coords(x=d.x * 1e-3, y=d.y * 1e-3), "cells of 0.05 m along x"),
        (lambda d: d.assign_coords(x=d.x.assign_attrs(units="degrees")), "x is in 'degrees'"),
        (lambda d: d.assign_coords(x=[f"{k}" for k in range(NX)]), "x holds text"),
        (lambda d: d.assign_attrs(crs="EPSG:2225"), ".*counts in US survey foot"),
    ],
)
def test_coordinates_that_are_none_in_metres_are_refused(change, message):
    with pytest.raises(InputError, match=f"RGI60-99.00001: {message}"):
        odinn.open_glacier(change(fields()))


def test_coordinates_in_kilometres_are_converted():
    ds = fields()
    kilometres = {c: (c, ds[c].values / 1000.0, {"units": "km"}) for c in ("x", "y")}
    got = odinn.open_glacier(ds.assign_coords(kilometres))
    assert (got.grid.dx, got.grid.x0) == (DX, 500_000.0)


def test_northings_in_single_precision_are_evenly_spaced():
    y = (5_200_000.0 - 62.3 * np.arange(NY)).astype("float32")  # known to half a metre
    ds = fields().assign_coords(y=y)
    assert odinn.open_glacier(ds).grid.dy == pytest.approx(62.3, abs=0.5 / NY)


def in_mapping(name, **attrs):
    ds = fields().drop_attrs(deep=False).assign_attrs(rgi_id="RGI60-99.00001")
    ds[name] = ((), 0, attrs)
    ds["surface"].attrs["grid_mapping"] = name
    return ds


def as_attribute(**attrs):
    return fields().drop_attrs(deep=False).assign_attrs(rgi_id="RGI60-99.00001", **attrs)


UTM = pyproj.CRS.from_epsg(32632)


@pytest.mark.parametrize(
    "ds",
    [
        in_mapping("transverse_mercator", **UTM.to_cf()),
        in_mapping("mapping", spatial_epsg=32632),
        in_mapping("Polar", crs_wkt=UTM.to_wkt()),
        in_mapping("projection", proj4text="+proj=utm +zone=32 +datum=WGS84"),
        as_attribute(spatial_epsg=32632),
        as_attribute(epsg="32632"),
        as_attribute(proj="+proj=utm +zone=32 +datum=WGS84"),
        as_attribute(crs="urn:ogc:def:crs:EPSG::32632"),
    ],
)
def test_a_reference_system_is_read_wherever_it_stands(ds):
    crs = pyproj.CRS(odinn.open_glacier(ds).grid.crs)
    assert crs.to_dict()["zone"] == 32


def test_dimensions_of_one_step_are_left_out_and_a_choice_is_asked_for():
    ds = fields().expand_dims(time=1, band=[1])
    assert (odinn.open_glacier(ds).thickness == odinn.open_glacier(fields()).thickness).all()
    with pytest.raises(InputError, match=r"surface has dimensions .time: 2, .* choose one map"):
        odinn.open_glacier(fields().expand_dims(time=2))


def test_axes_are_found_by_their_standard_names():
    ds = fields().rename(x="easting", y="northing")
    ds.easting.attrs["standard_name"] = "projection_x_coordinate"
    ds.northing.attrs["standard_name"] = "projection_y_coordinate"
    assert odinn.open_glacier(ds).grid == odinn.open_glacier(fields()).grid


# Encodings.


@pytest.mark.parametrize("dtype", ["int16", ">i2", "int32"])
def test_packed_and_byte_swapped_fields_are_the_same_glacier(dtype, tmp_path, no_warning):
    plain, ds = odinn.open_glacier(fields()), fields()
    encoding = {"scale_factor": 0.5, "add_offset": 1000.0, "_FillValue": -32768, "dtype": dtype}
    ds.to_netcdf(tmp_path / "packed.nc", encoding={"surface": encoding})
    got = odinn.open_glacier(tmp_path / "packed.nc")
    np.testing.assert_array_equal(got.surface, plain.surface)  # multiples of the step


def test_fill_values_and_valid_ranges_of_a_dataset_in_memory_are_read():
    speed = np.full((NY, NX), 10.0)
    speed[0, 0], speed[0, 1] = -1.0, 500.0
    ds = measured("velocity_obs", speed, _FillValue=-1.0, valid_range=[0.0, 300.0])
    seen = odinn.open_glacier(ds).observations.speed
    assert np.isnan(seen[0, :2]).all()
    assert (seen[1:] == 10.0).all()


@pytest.mark.parametrize("values", ["text", "dates"])
def test_a_field_without_numbers_is_refused(values):
    content = np.full((NY, NX), "deep" if values == "text" else np.datetime64("2000-01-01", "ns"))
    with pytest.raises(InputError, match=f"thickness holds {values}, expected numbers"):
        odinn.open_glacier(fields().assign(thickness=(("y", "x"), content)))


# Ice outside the outline.


def test_ice_outside_the_outline_is_dropped_with_its_volume_said():
    ds = fields()
    ds["thickness"][5, 10] = 60.0
    with pytest.warns(UserWarning, match=r"0.0025 km2 with 0.00015 km3 of ice .4.8% of the vol"):
        glacier = odinn.open_glacier(ds)
    assert "outside the outline, dropped" in glacier.provenance["outside_outline"]
    ds["thickness"][5, 10] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a thousandth of the volume is in the record alone
        assert "0.1%" in odinn.open_glacier(ds).provenance["outside_outline"]


# Climate.


def dates(start, n, freq, calendar):
    return xr.date_range(start, periods=n, freq=freq, calendar=calendar, use_cftime=True)


@pytest.mark.parametrize(
    ("calendar", "february"), [("noleap", 28), ("360_day", 30), ("standard", 29), ("julian", 29)]
)
def test_a_daily_series_is_read_by_its_calendar(calendar, february, tmp_path, no_warning):
    weather(dates("2000-01-01", 800, "D", calendar)).to_netcdf(tmp_path / "daily.nc")
    climate = odinn.open_climate(tmp_path / "daily.nc")
    assert climate.step == "daily"
    assert climate.used[1].sum() == february
    assert climate.precip[1].sum() == 2.0 * february


@pytest.mark.parametrize(("calendar", "february"), [("noleap", 28), ("360_day", 30)])
def test_a_rate_lasts_the_days_of_its_calendar(calendar, february):
    ds = weather(dates("2000-01-01", 36, "MS", calendar), prcp=3.0)
    ds["prcp"].attrs["units"] = "kg m-2 day-1"
    assert odinn.open_climate(ds).precip[1] == 3.0 * february


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_months_since_a_date_are_months(calendar, tmp_path, no_warning):
    ds = weather(np.arange(36.0) + 0.5)
    ds["time"].attrs = {"units": "months since 1999-01-01", "calendar": calendar}
    ds.to_netcdf(tmp_path / "months.nc")
    climate = odinn.open_climate(tmp_path / "months.nc")
    assert (climate.step, climate.span) == ("monthly", (1999.0, 2002.0))


def test_an_unknown_calendar_is_refused_by_its_name(tmp_path):
    ds = weather(np.arange(800.0))
    ds["time"].attrs = {"units": "days since 2000-01-01", "calendar": "mayan"}
    ds.to_netcdf(tmp_path / "odd.nc")
    with pytest.raises(InputError, match="odd.nc: time cannot be decoded .*'mayan'"):
        odinn.open_climate(tmp_path / "odd.nc")


def test_monthly_means_that_bear_the_end_of_their_month_are_placed_by_their_bounds():
    ends = np.arange("2000-02", "2003-02", dtype="datetime64[M]").astype("datetime64[ns]")
    starts = np.arange("2000-01", "2003-01", dtype="datetime64[M]").astype("datetime64[ns]")
    ds = weather(ends)
    ds["time_bnds"] = (("time", "nv"), np.stack([starts, ends], axis=1))
    ds["time"].attrs["bounds"] = "time_bnds"
    assert odinn.open_climate(ds).span == (2000.0, 2003.0)


def test_a_dataset_of_cmip_is_a_climate():
    ds = weather(dates("2000-01-01", 36, "MS", "noleap")).rename(temp="tas", prcp="pr")
    ds["tas"] = (ds["tas"] + 273.15).assign_attrs(units="K")
    ds["pr"] = (ds["pr"] / 86400.0).assign_attrs(units="kg m-2 s-1")
    ds = ds.drop_attrs(deep=False).assign(orog=((), 1800.0, {"units": "m"}))
    climate = odinn.open_climate(ds.expand_dims(lat=[46.0], lon=[7.0]), name="cesm2")
    assert (climate.name, climate.ref_height) == ("cesm2", 1800.0)
    np.testing.assert_allclose(climate.temp, -3.0, atol=1e-12)
    np.testing.assert_allclose(climate.precip[1], 2.0 * 28)


def test_a_grid_of_cells_asks_for_one():
    ds = weather(np.arange("2000-01", "2003-01", dtype="datetime64[M]").astype("datetime64[ns]"))
    with pytest.raises(ClimateError, match=r"temp has dimensions .lat: 2, .* choose a cell"):
        odinn.open_climate(ds.expand_dims(lat=[46.0, 47.0]))


def test_precipitation_a_packing_below_zero_is_zero_and_said_once():
    ds = weather(MONTHS)
    ds["prcp"][7:9] = -3e-18
    with pytest.warns(UserWarning, match="prcp is -3e-18 in 2 places, round-off of 0") as seen:
        climate = odinn.open_climate(ds)
    assert climate.precip.min() == 0.0
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.assign_attrs(ref_hgt=1e9), "ref_hgt is 1e.09 m, expected -500 to 9000 m"),
        (lambda d: d.assign_attrs(ref_hgt=-1e9), "ref_hgt is -1e.09 m"),
        (lambda d: d.assign_attrs(ref_hgt="high up"), "ref_hgt is 'high up', expected a number"),
        (lambda d: d.assign_attrs(ref_hgt=[1.0, 2.0]), "ref_hgt is .1.0, 2.0., expected a number"),
        (lambda d: d.assign(prcp=d.prcp + 1e30), "prcp is 1e.30 kg m-2 on 2000-01-01 and 35 more"),
        (lambda d: d.assign(prcp=-d.prcp), "prcp is -2 kg m-2 on 2000-01-01"),
        (lambda d: d.assign(temp=d.temp + np.inf), "temperatures average inf|temp is inf"),
        (
            lambda d: d.assign(gradient=(0 * d.temp - 6.5).drop_attrs()),
            "gradient is -6.5 K m-1 on 2000-01-01",
        ),
        (lambda d: d.assign_coords(time=np.arange(36)), "its time is int64, expected dates"),
        (lambda d: d.drop_vars("time"), "temp has no dates along time"),
        (lambda d: d.isel(time=slice(0)), "temp is empty: no times along time"),
        (lambda d: d.isel(time=slice(1)), "temp has no dates|only 1 values|expected dates"),
    ],
)
def test_weather_that_cannot_be_is_refused_with_its_date(change, message):
    with pytest.raises(ClimateError, match=message):
        odinn.open_climate(change(weather(MONTHS)))


def test_a_height_in_words_is_a_number():
    assert odinn.open_climate(weather(MONTHS).assign_attrs(ref_hgt="2.4 km")).ref_height == 2400.0


# Tables of points.


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("thickness", -9999.0, "column thickness is -9999 in 1 rows .first in row 1. of 3"),
        ("speed", -1.0, "column speed is -1 in 1 rows"),
        ("error", 0.0, "column error is 0 .* expected an error above 0"),
        ("error", -3.0, "column error is -3"),
        ("x", 1e30, "column x is 1e.30"),
    ],
)
def test_a_table_of_points_is_refused_by_its_row(column, value, message):
    table = {"x": [5e5] * 3, "y": [5.2e6] * 3, "thickness": [50.0] * 3, "error": [5.0] * 3}
    table[column] = [10.0, value, 10.0]
    with pytest.raises(InputError, match=f"points: {message}"):
        odinn.losses.Thickness(points=table)


def test_a_column_that_stands_twice_is_refused():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        [[5e5, 5.2e6, 50.0, 60.0]], columns=["x", "y", "thickness", "thickness"]
    )
    with pytest.raises(InputError, match="column thickness appears twice"):
        odinn.losses.Thickness(points=table)


def test_points_outside_what_there_is_and_without_a_place_are_refused_or_counted():
    lon, lat = np.array([9.0, 9.001, np.nan]), np.array([46.95, 46.95, 46.95])
    ds = fields(
        point_lon=("point", lon), point_lat=("point", lat), point_thickness=("point", [50.0, -1, 3])
    )
    with pytest.warns(UserWarning, match="point_thickness") as seen:
        points = odinn.open_glacier(ds).observations.points
    said = " ".join(str(warning.message) for warning in seen)
    assert "point_thickness is -1 m in 1 rows" in said
    assert "2 of 3 points lack a value; left out" in said
    assert points.thickness.tolist() == [50.0]
    with pytest.raises(InputError, match="point_lat is 95 degrees_north in 3 rows"):
        odinn.open_glacier(ds.assign(point_lat=ds.point_lat * 0 + 95.0))


def test_cftime_dates_of_a_series_may_lie_before_the_calendar_of_numpy():
    time = [cftime.DatetimeNoLeap(y, m, 1) for y in range(1, 4) for m in range(1, 13)]
    assert odinn.open_climate(weather(time)).span == (1.0, 4.0)
