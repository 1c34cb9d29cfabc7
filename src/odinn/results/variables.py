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


FIELD: Final = "time y x"


def _series(units: str, long_name: str) -> Variable:
    return Variable("time", units, long_name, dtype="float64")


def _of_window(long_name: str) -> Variable:
    return Variable("window", "m3", long_name, dtype="float64")


def _month_field(long_name: str, standard_name: str | None = None) -> Variable:
    return Variable("month y x", "kg m-2", long_name, standard_name, "month: sum")


def _of_month(long_name: str) -> Variable:
    return Variable("month", "m3", long_name, None, "month: sum", "float64")


_IN_TIME: Final[dict[str, Variable]] = {
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
    "volume_m3": _series("m3", "ice volume"),
    "volume_bsl_m3": _series("m3", "ice volume below sea level (altitude 0)"),
    "area_m2": _series(
        "m2", "area with at least 1 m of ice, now and at the last end of a balance year"
    ),
    "ela_m": Variable(
        "time",
        "m",
        "equilibrium-line altitude of the year before "
        "(NaN before a full year, or where there is none)",
    ),
    "terminus_altitude_m": Variable("time", "m", "lowest surface altitude of the area"),
}
_BY_WINDOW: Final[dict[str, Variable]] = {
    "accumulation": _of_window("accumulation on the glacier in each window, water equivalent"),
    "melt": _of_window("melt asked for on the glacier in each window, water equivalent"),
    "rain": _of_window("rain on the glacier in each window"),
    "budget_accumulation": _of_window("net gain in each window, ice"),
    "budget_ablation": _of_window("net loss in each window, ice, limited to what there was"),
    "budget_unmet_melt": _of_window("net loss inside the outline for which no ice was left, ice"),
    "budget_withheld": _of_window("net gain outside the outline on thin or no ice, ice"),
    "budget_clipped": _of_window("ice made by lifting negative thickness to zero"),
    "budget_lost_at_border": _of_window("ice that left through the border"),
}
_BY_MONTH: Final[dict[str, Variable]] = {
    "snowfall_amount": _month_field("snowfall of the month", "snowfall_amount"),
    "rainfall_amount": _month_field("rain of the month", "rainfall_amount"),
    "melt_amount": _month_field("melt of ice and snow in the month, as realised"),
    "snow_amount": Variable(
        "month y x",
        "kg m-2",
        "snowpack beside the ice at the end of the month",
        "surface_snow_amount",
    ),
    "on_glacier": Variable(
        "month y x", "1", "1 with at least 1 m of ice at the start of the month", dtype="int8"
    ),
    "hydrology_domain": Variable("y x", "1", "1 in the domain of the water's series", dtype="int8"),
    "snowfall_on_glacier": _of_month("snow that falls on the glacier"),
    "snowfall_off_glacier": _of_month("snow that falls in the rest of the domain"),
    "liq_prcp_on_glacier": _of_month("rain on the glacier"),
    "liq_prcp_off_glacier": _of_month("rain on the rest of the domain"),
    "melt_on_glacier": _of_month("melt of ice and snow on the glacier, as realised"),
    "melt_off_glacier": _of_month(
        "melt in the rest of the domain: seasonal snow, and ice less than 1 m thick"
    ),
    "precipitation": _of_month("snowfall and rain in the domain"),
    "runoff": _of_month("melt and rain of the domain"),
    "snow_bucket": Variable(
        "month", "m3", "snow beside the ice at the end of the month, water", dtype="float64"
    ),
    "ice_balance": _of_month("what the ice of the domain gained by its balance, water"),
    "on_area": Variable("month", "m2", "area of the glacier in the month", dtype="float64"),
    "off_area": Variable(
        "month", "m2", "area of the rest of the domain in the month", dtype="float64"
    ),
}
VARIABLES: Final[dict[str, Variable]] = _IN_TIME | _BY_WINDOW | _BY_MONTH

BY_YEAR: Final[dict[str, Variable]] = {
    "specific_balance": Variable(
        "year", "kg m-2 yr-1", "balance of the year over the area at its start"
    ),
    "band_area_m2": Variable("year altitude", "m2", "area at the start of the year"),
    "band_balance": Variable(
        "year altitude", "kg m-2 yr-1", "mean balance of the year on that area"
    ),
}


def attributes(name: str) -> dict[str, str]:
    """The CF attributes of a variable.

    >>> attributes("volume_m3")
    {'long_name': 'ice volume', 'units': 'm3'}
    """
    described = (VARIABLES | BY_YEAR)[name]
    attrs = {"long_name": described.long_name, "units": described.units}
    if described.standard_name:
        attrs["standard_name"] = described.standard_name
    if described.cell_methods:
        attrs["cell_methods"] = described.cell_methods
    return attrs


def table(variables: Mapping[str, Variable] = VARIABLES) -> str:
    """The table in Markdown, for the documentation."""
    rows = ["| name | dimensions | unit | meaning | CF standard name |", "|---|---|---|---|---|"]
    for name, v in variables.items():
        standard = v.standard_name or ""
        rows.append(f"| `{name}` | {v.dims} | {v.units} | {v.long_name} | {standard} |")
    return "\n".join(rows)
