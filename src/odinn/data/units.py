"""Units that files and tables state become those of odinn; what is not understood is refused by
name. The parsing is pint's, with the words of cf_xarray for UDUNITS.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from odinn.constants import WATER_DENSITY
from odinn.data.quantities import Quantity
from odinn.errors import Fail

# OGGM writes a dash for what it does not say.
_UNSTATED: Final = ("", "-")
# What is no word of UDUNITS, or another unit there.
_SPELLINGS: Final = (
    (r"[⁻−]", "-"),
    (r"\*\*|\^", ""),
    # of which water a length is made
    (r"w\.\s?e\.?|\bwe\b|(?<=m)we\b|\bwater[ _]equivalent\b|of water equivalent|of water", " "),
    (r"(?:per |/)step", " "),
    # that of an altitude
    (r"\ba\.?s\.?l\.?(?!\w)|(?<=m)asl\b|above (?:mean )?sea level", " "),
    (r"^(?:degrees?|deg)?[ _]?(?:°\s?)?c(?:elsius)?(?![a-z])", "degC"),
    (r"^(?:degrees?|deg)?[ _]?k(?:elvin)?(?![a-z])", "K"),
    # glaciologists' year and month
    (r"\b(?:a|y|yr|yrs|years)(?=-?\d|\b)", "year"),
    (r"\b(?:mon|mo|months)(?=-?\d|\b)", "month"),
)


def converted(
    values: np.ndarray,
    stated: object,
    quantity: Quantity,
    label: str,
    fail: Fail,
    days: np.ndarray | None = None,
) -> np.ndarray:
    """Values in the unit of a quantity.

    Args:
        values: (...) as they stand in the file. stated: the unit beside them; None, "" or "-" takes
            them as being in the quantity's unit already.
        label: the variable, for errors.
        days: (n,) that each value of a series lasts; rates of water become amounts per step.

    Raises:
        InputError: the unit is not understood, or that of another thing.
    """
    values = np.asarray(values, float)
    text = "" if stated is None else str(stated).strip()
    if text in _UNSTATED or text == quantity.unit:
        return values
    plain = _plain(text)
    # As written first: K is no k. Then "KM" and "Meters".
    for spelling in dict.fromkeys((plain, plain.lower())):
        try:
            return _in_unit_of(quantity, values, spelling, days)
        except Exception:  # pint has a dozen ways to say no, some of them not its own errors
            continue
    message = f"{label} is in {text!r}, which is not understood here; expected {quantity.unit} or "
    raise fail(f"{message}what can be converted to it: convert it, or correct the unit")


def _in_unit_of(
    quantity: Quantity, values: np.ndarray, text: str, days: np.ndarray | None
) -> np.ndarray:
    import cf_xarray.units  # a second, for those who need it

    registry: Any = cf_xarray.units.units
    found = registry.Quantity(values, registry.Unit(text))
    wanted = registry.Unit(_plain(quantity.unit))
    if quantity.is_water:
        found = _depth(found, registry)
        if days is None:
            found = _per_year(found, registry)
        else:
            found, wanted = _per_step(found, text, days, registry), registry.Unit("mm")
    return np.asarray(found.to(wanted).magnitude, float)


def _depth(found: Any, registry: Any) -> Any:
    """Water as a length, or a length per time: mass on an area is spread out."""
    if "[mass]" in found.dimensionality:
        return found / registry.Quantity(WATER_DENSITY, "kg m-3")
    return found


def _per_year(depth: Any, registry: Any) -> Any:
    """An annual amount is a rate per year."""
    if "[time]" in depth.dimensionality:
        return depth
    return depth / registry.Quantity(1.0, "year")


def _per_step(depth: Any, text: str, days: np.ndarray, registry: Any) -> Any:
    """What falls in each step."""
    if "[time]" not in depth.dimensionality:
        return depth
    if "month" not in text:
        return depth * registry.Quantity(days, "day")
    # an amount per month is one per step of a monthly series, and nothing that a day has
    if (days <= 1).any():
        raise ValueError("a day has no amount per month")
    return depth * registry.Quantity(1.0, "month")


def _plain(text: str) -> str:
    """One spelling that pint knows."""
    text = text.translate(str.maketrans("⁰¹²³⁴·", "01234 "))
    for pattern, word in _SPELLINGS:
        text = re.sub(pattern, word, text, flags=re.IGNORECASE)
    return " ".join(text.split())
