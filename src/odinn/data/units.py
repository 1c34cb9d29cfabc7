"""Units of climate series: what is understood becomes °C, kg m⁻² per step and K m⁻¹; the rest is
refused by name.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from odinn.dates import days_in_month
from odinn.errors import ClimateError, where

_CELSIUS: Final = ("c", "°c")
_KELVIN: Final = ("k",)
_WATER: Final = {
    "kg m-2": 1.0,
    "mm": 1.0,
    "l m-2": 1.0,
    "cm": 10.0,
    "m": 1000.0,
}  # kg m-2 in one of these
_LENGTH: Final = {"m-1": 1.0, "km-1": 1e-3}
_DAYS: Final = {
    "s-1": 1 / 86400,
    "h-1": 1 / 24,
    "hour-1": 1 / 24,
    "d-1": 1.0,
    "day-1": 1.0,
}  # days in one of these
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
    if kind == "temp":
        if plain in _CELSIUS:
            return values
        if plain in _KELVIN:
            return values - 273.15
    elif kind == "gradient":
        degree, _, length = plain.partition(" ")
        if length in _LENGTH and degree in _CELSIUS + _KELVIN:
            return values * _LENGTH[length]
    elif plain in _WATER:
        return values * _WATER[plain]
    else:
        amount, _, per = plain.rpartition(" ")
        if amount in _WATER and per in _DAYS:
            return values * (_WATER[amount] / _DAYS[per] * _days(time))
        if amount in _WATER and per in _MONTH and (_days(time) > 1).all():
            return values * _WATER[amount]
    raise ClimateError(
        where(
            origin,
            f"{label} is in {str(unit)!r}, which is not understood here; expected "
            f"{EXPECTED[kind]}: convert it",
        )
    )


def _plain(unit: str) -> str:
    """One spelling: 'mm/day', 'mm d**-1' and 'mm day^-1' are 'mm day-1'; what a length of water is
    of is left out.
    """
    text = (
        unit.strip()
        .lower()
        .translate(str.maketrans("⁻¹²", "-12"))
        .replace("**", "")
        .replace("^", "")
    )
    text = re.sub(
        r"^(?:degrees?|deg)?[ _]?(?:(c)(?:elsius)?|(k)(?:elvin)?)(?![a-z])", r"\1\2", text
    )
    text = re.sub(r"w\.\s?e\.?|\bwe\b|of water equivalent|of water|(?:per |/)step", " ", text)
    text = re.sub(r"\s*(?:/|\bper\b)\s*([a-z]+)(\d*)", lambda m: f" {m[1]}-{m[2] or 1}", text)
    return " ".join(re.sub(r"[·*]", " ", text).split())


def _days(time: np.ndarray) -> np.ndarray:
    """Days that each value of a daily or monthly series lasts."""
    time = np.asarray(time, "datetime64[ns]")
    if len(time) > 1 and np.median(np.diff(time)) < np.timedelta64(36, "h"):
        return np.ones(len(time))
    return np.array(
        [float(days_in_month(k)) for k in time.astype("datetime64[M]").astype(int) + 1970 * 12]
    )
