"""The table of output variables: names, dimensions, units and meaning, from which files and the
docs page are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Variable(NamedTuple):
    """One output variable. ``dims`` are separated by blanks; ``dtype`` is how it is stored."""

    dims: str
    units: str
    long_name: str
    standard_name: str | None = None
    cell_methods: str | None = None
    dtype: str = "float32"


FIELD, MONTHLY = "time y x", "month y x"
VARIABLES: Final[dict[str, Variable]] = {
    "thickness": Variable(FIELD, "m", "ice thickness", "land_ice_thickness", dtype="float64"),
    "surface": Variable(FIELD, "m", "surface altitude", "surface_altitude"),
    "smb": Variable(
        FIELD,
        "kg m-2 yr-1",
        "surface mass balance since the time before (melt limited to the ice there was)",
        "land_ice_surface_specific_mass_balance_flux",
        "time: mean",
    ),
    "vx": Variable(
        FIELD, "m yr-1", "surface velocity along increasing x", "land_ice_surface_x_velocity"
    ),
    "vy": Variable(
        FIELD, "m yr-1", "surface velocity along increasing y", "land_ice_surface_y_velocity"
    ),
    "speed": Variable(FIELD, "m yr-1", "surface speed"),
    "bed": Variable("y x", "m", "bed altitude", "bedrock_altitude", dtype="float64"),
    "glacier_mask": Variable("y x", "1", "1 inside the glacier outline", dtype="int8"),
    "volume_m3": Variable("time", "m3", "ice volume", dtype="float64"),
    "volume_bsl_m3": Variable(
        "time", "m3", "ice volume below sea level (altitude 0)", dtype="float64"
    ),
    "area_m2": Variable("time", "m2", "area with at least 1 m of ice", dtype="float64"),
    "ela_m": Variable(
        "time",
        "m",
        "equilibrium-line altitude of the year before (NaN before a full year, or where there is "
        "none)",
    ),
    "terminus_altitude_m": Variable(
        "time", "m", "lowest surface altitude with at least 1 m of ice"
    ),
    "accumulation": Variable(
        "window",
        "m3",
        "accumulation on the glacier in each window, water equivalent",
        dtype="float64",
    ),
    "melt": Variable(
        "window",
        "m3",
        "melt asked for on the glacier in each window, water equivalent",
        dtype="float64",
    ),
    "rain": Variable("window", "m3", "rain on the glacier in each window", dtype="float64"),
    "budget_accumulation": Variable(
        "window", "m3", "net gain in each window, ice", dtype="float64"
    ),
    "budget_ablation": Variable(
        "window", "m3", "net loss in each window, ice, limited to what there was", dtype="float64"
    ),
    "budget_unmet_melt": Variable(
        "window", "m3", "net loss for which no ice was left, ice", dtype="float64"
    ),
    "budget_withheld": Variable(
        "window", "m3", "net gain outside the outline on thin or no ice, ice", dtype="float64"
    ),
    "budget_clipped": Variable(
        "window", "m3", "ice made by lifting negative thickness to zero", dtype="float64"
    ),
    "budget_lost_at_border": Variable(
        "window", "m3", "ice that left through the border", dtype="float64"
    ),
    "snowfall_amount": Variable(
        MONTHLY, "kg m-2", "snowfall of the month", "snowfall_amount", "month: sum"
    ),
    "rainfall_amount": Variable(
        MONTHLY, "kg m-2", "rain of the month", "rainfall_amount", "month: sum"
    ),
    "melt_amount": Variable(
        MONTHLY,
        "kg m-2",
        "melt of ice and snow in the month, as realised",
        cell_methods="month: sum",
    ),
    "snow_amount": Variable(
        MONTHLY, "kg m-2", "snowpack beside the ice at the end of the month", "surface_snow_amount"
    ),
    "on_glacier": Variable(
        MONTHLY, "1", "1 with at least 1 m of ice at the start of the month", dtype="int8"
    ),
    "hydrology_domain": Variable("y x", "1", "1 in the domain of the water's series", dtype="int8"),
    "snowfall_on_glacier": Variable(
        "month", "m3", "snow that falls on the glacier", None, "month: sum", "float64"
    ),
    "snowfall_off_glacier": Variable(
        "month", "m3", "snow that falls in the rest of the domain", None, "month: sum", "float64"
    ),
    "liq_prcp_on_glacier": Variable(
        "month", "m3", "rain on the glacier", None, "month: sum", "float64"
    ),
    "liq_prcp_off_glacier": Variable(
        "month", "m3", "rain on the rest of the domain", None, "month: sum", "float64"
    ),
    "melt_on_glacier": Variable(
        "month",
        "m3",
        "melt of ice and snow on the glacier, as realised",
        None,
        "month: sum",
        "float64",
    ),
    "melt_off_glacier": Variable(
        "month",
        "m3",
        "melt in the rest of the domain: seasonal snow, and ice less than 1 m thick",
        None,
        "month: sum",
        "float64",
    ),
    "precipitation": Variable(
        "month", "m3", "snowfall and rain in the domain", None, "month: sum", "float64"
    ),
    "runoff": Variable("month", "m3", "melt and rain of the domain", None, "month: sum", "float64"),
    "snow_bucket": Variable(
        "month", "m3", "snow beside the ice at the end of the month, water", dtype="float64"
    ),
    "ice_balance": Variable(
        "month",
        "m3",
        "what the ice of the domain gained by its balance, water",
        None,
        "month: sum",
        "float64",
    ),
    "on_area": Variable("month", "m2", "area of the glacier in the month", dtype="float64"),
    "off_area": Variable(
        "month", "m2", "area of the rest of the domain in the month", dtype="float64"
    ),
}


BY_YEAR: Final[dict[str, Variable]] = {
    "specific_balance": Variable(
        "year", "kg m-2 yr-1", "balance of the year over the area at its start"
    ),
    "band_area_m2": Variable(
        "year altitude", "m2", "area with at least 1 m of ice at the start of the year"
    ),
    "band_balance": Variable(
        "year altitude", "kg m-2 yr-1", "mean balance of the year on that area"
    ),
}


def attributes(name: str) -> dict[str, str]:
    """The CF attributes of a variable."""
    v = VARIABLES[name] if name in VARIABLES else BY_YEAR[name]
    attrs = {"long_name": v.long_name, "units": v.units}
    attrs |= {"standard_name": v.standard_name} if v.standard_name else {}
    return attrs | ({"cell_methods": v.cell_methods} if v.cell_methods else {})


def table(variables: Mapping[str, Variable] = VARIABLES) -> str:
    """The table in Markdown, for the documentation."""
    rows = ["| name | dimensions | unit | meaning | CF standard name |", "|---|---|---|---|---|"]
    for name, v in variables.items():
        rows.append(
            f"| `{name}` | {v.dims} | {v.units} | {v.long_name} | {v.standard_name or ''} |"
        )
    return "\n".join(rows)
