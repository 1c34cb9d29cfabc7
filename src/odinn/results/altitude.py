"""Bands of surface altitude, and the equilibrium line that follows from them."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

_WIDTH: Final = 20.0  # m: bands from which the equilibrium line is found

Cells = Float[np.ndarray, "rows cells"]
Mask = Bool[np.ndarray, "rows cells"]
Profile = Float[np.ndarray, " bands"]
Profiles = Float[np.ndarray, "rows bands"]


class Bands(NamedTuple):
    """Profiles along altitude: the middle of each band (m), the weighted mean of what lies in it
    (NaN where nothing does), and the sum of weights.
    """

    altitude: Profile
    mean: Profiles
    weight: Profiles


def in_bands(
    altitude: Cells,
    values: Cells,
    weights: Cells | Mask,
    width: float,
) -> Bands:
    """Sort cells into bands of altitude that start at multiples of their width (m).

    Each row is a profile of its own. The bands, which all rows share, reach from the lowest to the
    highest cell with a weight above 0; cells without weight are left out, whatever they hold.

    >>> altitude = np.array([[2010.0, 2040.0, 2110.0]])
    >>> bands = in_bands(altitude, np.array([[1.0, 4.0, 5.0]]), np.array([[2.0, 1.0, 1.0]]), 50.0)
    >>> bands.altitude
    array([2025., 2075., 2125.])
    >>> bands.mean
    array([[ 2., nan,  5.]])
    """
    there = weights > 0
    row = np.nonzero(there)[0]
    number = np.floor(altitude[there] / width).astype(int)
    lowest = number.min(initial=np.iinfo(int).max)
    count = int(number.max() - lowest) + 1 if number.size else 0
    shape = (len(altitude), count)
    # One index for row and band, so that all rows are summed in one pass.
    index = row * count + (number - lowest)
    weight = weights[there].astype(float)
    total = np.bincount(index, weight, shape[0] * count).reshape(shape)
    summed = np.bincount(index, weight * values[there], shape[0] * count).reshape(shape)
    mean = np.divide(summed, total, out=np.full(shape, np.nan), where=total > 0)
    return Bands((np.arange(count) + lowest + 0.5) * width, mean, total)


def zero_crossing(
    altitude: Profile,
    balance: Profile,
    area: Profile,
) -> float:
    """Altitude (m) where a profile turns from loss to gain with altitude, NaN if it never does.

    Bands without area are passed over. Of several crossings the one with the least area on the
    wrong side counts, so that a few odd cells do not move it.
    """
    there = area > 0
    altitude, balance, area = altitude[there], balance[there], area[there]
    losing = balance < 0
    rising = np.flatnonzero(losing[:-1] & ~losing[1:])
    if not rising.size:
        return np.nan
    gaining_below = np.cumsum(area * ~losing)[rising]
    losing_up_to = np.cumsum(area * losing)
    losing_above = losing_up_to[-1] - losing_up_to[rising]
    k = rising[np.argmin(gaining_below + losing_above)]
    return float(np.interp(0.0, balance[k : k + 2], altitude[k : k + 2]))


def equilibrium_lines(
    surface: Cells,
    balance: Cells,
    glacier: Mask,
) -> Float[np.ndarray, " rows"]:
    """The equilibrium line (m) of each row: where the mean balance of bands of 20 m crosses 0.

    Args:
        surface: altitude, m.
        balance: of a year, in any unit.
        glacier: the cells that count.
    """
    bands = in_bands(surface, balance, glacier, _WIDTH)
    lines = np.full(len(surface), np.nan)
    for i, (mean, area) in enumerate(zip(bands.mean, bands.weight, strict=True)):
        lines[i] = zero_crossing(bands.altitude, mean, area)
    return lines
