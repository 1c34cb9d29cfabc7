"""How many glaciers of which area there are: counts of the Randolph Glacier Inventory by size, and
a density between them.

Counts by class and total areas are those of the user guide of RGI 7.0 (RGI Consortium 2023,
"Global statistics" and "Updates per region"), which lists RGI 6.0 beside it. It gives no areas by
class. The density here is a power law of area in each of three ranges, continuous where they meet,
and has as many numbers as there are figures to be met: counts of four classes, and the total area.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

SMALLEST: Final = 0.01  # km², below which the inventory has no glaciers (Pfeffer et al. 2014)
EDGES: Final = (1.0, 10.0, 100.0)  # km², between the classes that are counted
SOURCE: Final = "RGI 7.0 user guide (RGI Consortium 2023, github.com/GLIMS-RGI/rgi_user_guide)"


class Inventory(NamedTuple):
    """What is published: glaciers below 1, 1 to 10, 10 to 100, above 100 km²; km² of all."""

    name: str
    counts: tuple[int, int, int, int]
    area: float


# the guide's counts were made 39 glaciers before the last of RGI 7.0, which has 274,531
INVENTORIES: Final = (
    Inventory("RGI 6.0", (170_591, 38_040, 5_954, 962), 705_738.0),
    Inventory("RGI 7.0", (229_665, 38_081, 5_830, 994), 706_745.0),
)


class Piece(NamedTuple):
    """Areas from ``low`` to ``high``, km²: there are density (A / low)^-slope glaciers in each
    d ln A.
    """

    low: float
    high: float
    density: float
    slope: float

    def moment(self, low: float, high: float, power: float) -> float:
        """The integral of area^power over the glaciers of a range: their number for 0."""
        low, high = max(low, self.low), min(high, self.high)
        if high <= low:
            return 0.0
        p = power - self.slope
        start = self.density * low**power * (low / self.low) ** -self.slope
        reach = math.log(high / low)
        return start * (reach if abs(p) < 1e-9 else math.expm1(p * reach) / p)


def pieces(inventory: Inventory) -> tuple[Piece, Piece, Piece]:
    """The density that has the inventory's counts and area."""
    small, tens, hundreds, large = inventory.counts
    slope = math.log10(tens / hundreds)  # equal in both middle classes
    one = tens / Piece(1.0, 10.0, 1.0, slope).moment(1.0, 10.0, 0.0)
    middle = Piece(1.0, 100.0, one, slope)

    def below(slope: float) -> Piece:
        return Piece(SMALLEST, 1.0, one * SMALLEST**-slope, slope)

    first = below(_root(lambda s: below(s).moment(0.0, 1.0, 0.0) - small, -2.0, 2.0))
    left = inventory.area - first.moment(0.0, 1.0, 1.0) - middle.moment(1.0, 100.0, 1.0)

    hundred = one * 100.0**-slope

    def above(largest: float) -> Piece:
        def piece(slope: float) -> Piece:
            return Piece(100.0, largest, hundred, slope)

        return piece(_root(lambda s: large - piece(s).moment(100.0, largest, 0.0), -4.0, 6.0))

    largest = _root(lambda top: above(top).moment(100.0, top, 1.0) - left, 500.0, 20_000.0)
    return first, middle, above(largest)


def moment(parts: tuple[Piece, ...], low: float, high: float, power: float) -> float:
    """Number (power 0) or area (1, km²) of the glaciers from low to high, km²."""
    return sum(part.moment(low, high, power) for part in parts)


def quantiles(parts: tuple[Piece, ...], count: int) -> list[float]:
    """Areas of glaciers drawn evenly from all, km²: the middle of each of ``count`` shares."""
    largest = parts[-1].high
    whole = moment(parts, 0.0, largest, 0.0)
    return [
        math.exp(
            _root(
                lambda x, share=(k + 0.5) / count: (
                    moment(parts, 0.0, math.exp(x), 0.0) - share * whole
                ),
                math.log(SMALLEST),
                math.log(largest),
            )
        )
        for k in range(count)
    ]


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0, by bisection."""
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return 0.5 * (low + high)
