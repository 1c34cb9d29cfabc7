"""The table of output variables: names, dimensions, units and meaning, from which files and the docs page are made."""

from __future__ import annotations

from typing import Final, NamedTuple


class Variable(NamedTuple):
    """One output variable. ``dims`` are separated by blanks; ``dtype`` is how it is stored."""

    dims: str
    units: str
    long_name: str
    standard_name: str | None = None
    cell_methods: str | None = None
    dtype: str = "float32"


FIELD = "time y x"
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
    "vx": Variable(FIELD, "m yr-1", "surface velocity along increasing x", "land_ice_surface_x_velocity"),
    "vy": Variable(FIELD, "m yr-1", "surface velocity along increasing y", "land_ice_surface_y_velocity"),
    "speed": Variable(FIELD, "m yr-1", "surface speed"),
    "bed": Variable("y x", "m", "bed altitude", "bedrock_altitude", dtype="float64"),
    "glacier_mask": Variable("y x", "1", "1 inside the glacier outline", dtype="int8"),
    "volume_m3": Variable("time", "m3", "ice volume", dtype="float64"),
    "area_m2": Variable("time", "m2", "area with at least 1 m of ice", dtype="float64"),
    "ela_m": Variable(
        "time", "m", "equilibrium-line altitude of the year before (NaN before a full year, or where there is none)"
    ),
    "terminus_altitude_m": Variable("time", "m", "lowest surface altitude with at least 1 m of ice"),
    "accumulation": Variable(
        "window",
        "m3",
        "accumulation on the glacier in each window, water equivalent",
        dtype="float64",
    ),
    "melt": Variable("window", "m3", "melt asked for on the glacier in each window, water equivalent", dtype="float64"),
    "rain": Variable("window", "m3", "rain on the glacier in each window", dtype="float64"),
    "budget_accumulation": Variable("window", "m3", "net gain in each window, ice", dtype="float64"),
    "budget_ablation": Variable(
        "window", "m3", "net loss in each window, ice, limited to what there was", dtype="float64"
    ),
    "budget_unmet_melt": Variable("window", "m3", "net loss for which no ice was left, ice", dtype="float64"),
    "budget_withheld": Variable("window", "m3", "net gain outside the outline on thin or no ice, ice", dtype="float64"),
    "budget_clipped": Variable("window", "m3", "ice made by lifting negative thickness to zero", dtype="float64"),
    "budget_lost_at_border": Variable("window", "m3", "ice that left through the border", dtype="float64"),
}


def table() -> str:
    """The table in Markdown, for the documentation."""
    rows = ["| name | dimensions | unit | meaning | CF standard name |", "|---|---|---|---|---|"]
    for name, v in VARIABLES.items():
        rows.append(f"| `{name}` | {v.dims} | {v.units} | {v.long_name} | {v.standard_name or ''} |")
    return "\n".join(rows)
