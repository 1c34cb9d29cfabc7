"""What comes in from files and tables: under which names, in which unit, and within which range.

Every variable and attribute of every reader is one of these and passes :mod:`odinn.data.gate`. The
ranges are what there is on Earth, with room; they find fill values and wrong units, no outliers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple


class Quantity(NamedTuple):
    """A kind of number that comes in.

    Args:
        label: what messages call it. names: of variables, first found first taken.
        unit: that of odinn, and of values that state none; "" for numbers without one.
        smallest, largest: of what there is, in that unit.
        gaps: True where a value out of range is taken as not measured; else it is an error.
    """

    label: str
    names: tuple[str, ...]
    unit: str
    smallest: float
    largest: float
    gaps: bool = False

    @property
    def is_water(self) -> bool:
        """Whether it is an amount of water, or a rate of such amounts."""
        return self.unit == "kg m-2" or "w.e." in self.unit

    @property
    def range(self) -> str:
        """The range in words."""
        unit = f" {self.unit}" if self.unit else ""
        if math.isinf(self.largest):
            return f"at least {self.smallest:g}{unit}"
        return f"{self.smallest:g} to {self.largest:g}{unit}"


# The Dead Sea shore and Everest; the deepest bed is under Denman Glacier, -3500 m.
ALTITUDE: Final = (-500.0, 9000.0)
THICKEST: Final = 5000.0  # m; 4776 m in Antarctica
FASTEST: Final = 20_000.0  # m yr-1; Jakobshavn reached 17,000

SURFACE: Final = Quantity(
    "surface", ("topo", "surface", "usurf", "surface_altitude"), "m", *ALTITUDE
)
BED: Final = Quantity("bed", ("bed", "topg", "bedrock_altitude"), "m", -5000.0, 9000.0)
MASK: Final = Quantity("outline", ("glacier_mask", "mask"), "", 0.0, 1.0)
SPACING: Final = Quantity("size of cells", (), "m", 1.0, 20_000.0)
POSITION: Final = Quantity("coordinate", ("x", "y"), "m", -2e8, 2e8)


def _thickness(*names: str) -> Quantity:
    return Quantity("thickness", names, "m", 0.0, THICKEST)


# Products, in the order in which a file is searched when none is named.
THICKNESS: Final = {
    "consensus": _thickness("thickness_consensus", "consensus_ice_thickness"),
    "millan": _thickness("thickness_millan", "millan_ice_thickness"),
    "oggm": _thickness(
        "thickness_oggm",
        "distributed_thickness_alt",
        "distributed_thickness_interp",
        "distributed_thickness",
    ),
    "radar": _thickness("thickness_obs_interp"),
    "thickness": _thickness("thickness", "land_ice_thickness", "thk"),
}


def _measured(label: str, names: tuple[str, ...], unit: str, low: float, high: float) -> Quantity:
    return Quantity(label, names, unit, low, high, gaps=True)


# Fields of :class:`odinn.Observations`.
OBSERVED: Final = {
    "thickness": _measured("measured thickness", ("thickness_obs",), "m", 0.0, THICKEST),
    "speed": _measured(
        "surface speed", ("velocity_obs", "millan_v", "itslive_v"), "m year-1", 0.0, FASTEST
    ),
    "vx": _measured(
        "velocity along x", ("vx_obs", "millan_vx", "itslive_vx"), "m year-1", -FASTEST, FASTEST
    ),
    "vy": _measured(
        "velocity along y", ("vy_obs", "millan_vy", "itslive_vy"), "m year-1", -FASTEST, FASTEST
    ),
    # Surging glaciers change by some 100 m in a year.
    "elevation_change": _measured(
        "elevation change", ("elevation_change_obs", "hugonnet_dhdt"), "m year-1", -500.0, 500.0
    ),
}
POINT_LON: Final = Quantity("longitude of points", ("point_lon",), "degrees_east", -180.0, 360.0)
POINT_LAT: Final = Quantity("latitude of points", ("point_lat",), "degrees_north", -90.0, 90.0)
POINT_THICKNESS: Final = _measured("thickness at points", ("point_thickness",), "m", 0.0, THICKEST)

# Of a whole glacier in a year; the files of the World Glacier Monitoring Service have mm.
BALANCE: Final = Quantity("annual balance", ("mb_annual",), "mm w.e. year-1", -20e3, 20e3)
BALANCE_YEAR: Final = Quantity("year of the balance", ("mb_year",), "", -1e5, 1e5)
GEODETIC: Final = Quantity(
    "geodetic balance", ("geodetic_mb_m_we_per_year",), "m w.e. year-1", -20.0, 20.0
)

# Weather. Precipitation: 1.8 m in a day and 9.3 m in a month have fallen.
TEMPERATURE: Final = Quantity("air temperature", ("temp", "tas"), "degC", -100.0, 70.0)
PRECIPITATION: Final = Quantity("precipitation", ("prcp", "pr"), "kg m-2", 0.0, 20_000.0)
LAPSE_RATE: Final = Quantity("lapse rate", ("gradient",), "K m-1", -0.2, 0.2)
REFERENCE_HEIGHT: Final = Quantity("reference height", ("ref_hgt",), "m", *ALTITUDE)
WEATHER: Final = {"temp": TEMPERATURE, "prcp": PRECIPITATION, "gradient": LAPSE_RATE}

_SINGLE: Final = (
    *(SURFACE, BED, MASK, SPACING, POSITION),
    *(POINT_LON, POINT_LAT, POINT_THICKNESS),
    *(BALANCE, BALANCE_YEAR, GEODETIC, REFERENCE_HEIGHT),
)


def table() -> Iterable[Quantity]:
    """All of them."""
    yield from _SINGLE
    for group in (THICKNESS, OBSERVED, WEATHER):
        yield from group.values()
