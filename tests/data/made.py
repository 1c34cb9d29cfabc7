"""Sound datasets, to be changed."""

import numpy as np
import xarray as xr

NY, NX, DX = 12, 14, 50.0
INSIDE = (slice(4, 8), slice(4, 9))
RGI_ID = "RGI60-99.00001"
MONTHS = np.arange("2000-01", "2003-01", dtype="datetime64[M]").astype("datetime64[ns]")


def fields(**more):
    """A glacier of 12 x 14 cells with 60 m of ice."""
    ice = np.zeros((NY, NX))
    ice[INSIDE] = 60.0
    variables = {
        "surface": (("y", "x"), 2500.0 + ice + np.arange(NX) * 10.0),
        "thickness": (("y", "x"), ice),
        "glacier_mask": (("y", "x"), (ice > 0).astype("int8")),
    }
    place = {"y": 5_200_000.0 - DX * np.arange(NY), "x": 500_000.0 + DX * np.arange(NX)}
    return xr.Dataset(variables | more, place, {"rgi_id": RGI_ID, "crs": "EPSG:32632"})


def weather(time, *, temp=-3.0, prcp=2.0):
    """A series that does not change."""
    n = len(time)
    variables = {
        "temp": ("time", np.full(n, temp), {"units": "degC"}),
        "prcp": ("time", np.full(n, prcp), {"units": "kg m-2"}),
    }
    return xr.Dataset(variables, {"time": time}, {"ref_hgt": 2400.0})


def everything():
    """A glacier with a monthly climate, measured fields, points and balances."""
    ds = fields(
        velocity_obs=(("y", "x"), np.full((NY, NX), 8.0), {"units": "m year-1"}),
        velocity_obs_error=(("y", "x"), np.full((NY, NX), 2.0), {"units": "m year-1"}),
        thickness_obs=(("y", "x"), np.full((NY, NX), 55.0), {"units": "m"}),
        mb_annual=("mb_year", [-500.0, 200.0, -250.0], {"units": "mm w.e. year-1"}),
        temp_monthly_era5=(
            "time",
            np.linspace(-8.0, 7.0, 36),
            {"units": "degC", "ref_hgt": 2400.0},
        ),
        prcp_monthly_era5=("time", np.linspace(50.0, 120.0, 36), {"units": "kg m-2"}),
        point_lon=("point", [9.0, 9.002]),
        point_lat=("point", [46.951, 46.952]),
        point_thickness=("point", [40.0, 60.0], {"units": "m"}),
    )
    attrs = {
        "name": "Made",
        "geodetic_mb_m_we_per_year": -0.5,
        "geodetic_mb_period": "2000-2020",
    }
    ds = ds.assign_coords(mb_year=[2001, 2002, 2003], time=MONTHS).assign_attrs(attrs)
    for name in ("surface", "thickness"):
        ds[name].attrs["units"] = "m"
    return ds
