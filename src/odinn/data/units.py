"""Units of climate series: what is understood becomes °C, kg m⁻² per step and K m⁻¹; the rest is
refused by name.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from odinn.dates import days_in_month
from odinn.errors import ClimateError, of_glacier

_CELSIUS: Final = ("c", "°c")
_KELVIN: Final = ("k",)
# kg m-2 in one of these
_WATER: Final = {"kg m-2": 1.0, "mm": 1.0, "l m-2": 1.0, "cm": 10.0, "m": 1000.0}
_LENGTH: Final = {"m-1": 1.0, "km-1": 1e-3}
# days in one of these
_DAYS: Final = {"s-1": 1 / 86400, "h-1": 1 / 24, "hour-1": 1 / 24, "d-1": 1.0, "day-1": 1.0}
_MONTH: Final = ("month-1", "mon-1", "mo-1")

EXPECTED: Final = {
    "temp": "degC or K",
    "prcp": "kg m-2, mm, m or a rate such as kg m-2 s-1",
    "gradient": "K m-1 or K km-1",
}


def converted(
    values: np.ndarray, kind: str, unit: str | None, time: np.ndarray, origin: str, label: str
) -> np.ndarray:
    """Values in °C (kind "temp"), kg m⁻² per step ("prcp") or K m⁻¹ ("gradient").

    Args:
        values: (n,). unit: as the file says; None or empty takes them as being in these units
            already.
        time: (n,) datetime64, for rates: a daily value lasts a day, a monthly one the days of its
            month.
        origin, label: file or glacier and variable, for errors.

    Raises:
        ClimateError: the unit is not understood.
    """
    values = np.asarray(values, float)
    if unit is None or not str(unit).strip():
        return values
    plain = _plain(str(unit))
    out: np.ndarray | None
    match kind:
        case "temp":
            out = _celsius(values, plain)
        case "gradient":
            out = _per_metre(values, plain)
        case _:
            out = _water_per_step(values, plain, time)
    if out is None:
        message = f"{label} is in {str(unit)!r}, which is not understood here; expected "
        raise ClimateError(of_glacier(origin, f"{message}{EXPECTED[kind]}: convert it"))
    return out


def _celsius(values: np.ndarray, unit: str) -> np.ndarray | None:
    if unit in _CELSIUS:
        return values
    return values - 273.15 if unit in _KELVIN else None


def _per_metre(values: np.ndarray, unit: str) -> np.ndarray | None:
    degree, _, length = unit.partition(" ")
    if degree in _CELSIUS + _KELVIN and length in _LENGTH:
        return values * _LENGTH[length]
    return None


def _water_per_step(values: np.ndarray, unit: str, time: np.ndarray) -> np.ndarray | None:
    if unit in _WATER:
        return values * _WATER[unit]
    amount, _, per = unit.rpartition(" ")
    if amount not in _WATER:
        return None
    days = _days(time)
    if per in _DAYS:
        return values * (_WATER[amount] / _DAYS[per] * days)
    # an amount per month is one per step of a monthly series, and nothing that a day has
    if per in _MONTH and (days > 1).all():
        return values * _WATER[amount]
    return None


def _plain(unit: str) -> str:
    """One spelling: 'mm/day', 'mm d**-1' and 'mm day^-1' are 'mm day-1'; what a length of water is
    of is left out.
    """
    text = unit.strip().lower().translate(str.maketrans("⁻¹²", "-12"))
    text = text.replace("**", "").replace("^", "")
    # degrees Celsius, deg_C, kelvin: their letter
    text = re.sub(
        r"^(?:degrees?|deg)?[ _]?(?:(c)(?:elsius)?|(k)(?:elvin)?)(?![a-z])", r"\1\2", text
    )
    text = re.sub(r"w\.\s?e\.?|\bwe\b|of water equivalent|of water|(?:per |/)step", " ", text)
    # a division becomes a negative power
    text = re.sub(r"\s*(?:/|\bper\b)\s*([a-z]+)(\d*)", _as_power, text)
    return " ".join(re.sub(r"[·*]", " ", text).split())


def _as_power(match: re.Match[str]) -> str:
    return f" {match[1]}-{match[2] or 1}"


def _days(time: np.ndarray) -> np.ndarray:
    """Days that each value of a daily or monthly series lasts."""
    time = np.asarray(time, "datetime64[ns]")
    if len(time) > 1 and np.median(np.diff(time)) < np.timedelta64(36, "h"):
        return np.ones(len(time))
    months = time.astype("datetime64[M]").astype(int) + 12 * 1970  # NumPy counts from 1970
    return np.array([float(days_in_month(k)) for k in months])
