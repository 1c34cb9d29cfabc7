"""The model against exact solutions and published errors: the table behind ``odinn verify``.

A problem is a function of ``measures``, which measures quantities by name, and the bars that these
have to meet; ``PROBLEMS`` is the table.

>>> PROBLEMS["bedrock-step"].bars[0].limit
-8.32
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

from odinn.verification import measures
from odinn.verification.exact_solutions import Halfar, OscillatingDome

# Average errors in test B by spacing in km: our bar and what PISM publishes, m
HALFAR = {
    80: (6.95, 9.2525),
    60: (5.41, 6.8096),
    40: (3.60, 4.6453),
    30: (2.26, 3.4061),
    20: (1.17, 1.7008),
}
OSCILLATING = {
    80: 29.7,
    40: 5.32,
    20: 3.06,
}  # the same in test D: 1 % above what was measured when it was written


@dataclass(frozen=True)
class Bar:
    """What a measured quantity has to meet: at most, at least, or within ``tolerance`` of a
    limit.
    """

    quantity: str
    sign: Literal["<=", ">=", "+-"]
    limit: float
    unit: str
    source: str
    tolerance: float = 0.0

    def holds(self, measured: float) -> bool:
        """False for NaN."""
        if self.sign == "+-":
            return abs(measured - self.limit) <= self.tolerance
        return measured <= self.limit if self.sign == "<=" else measured >= self.limit

    def __str__(self) -> str:
        return (
            f"{self.limit:g} +- {self.tolerance:g}"
            if self.sign == "+-"
            else f"{self.sign} {self.limit:g}"
        )


class Row(NamedTuple):
    """One measured quantity beside its bar."""

    quantity: str
    measured: float
    bar: str
    unit: str
    passed: bool
    source: str


class Result(NamedTuple):
    """What a problem measured, and how long that took."""

    rows: list[Row]
    seconds: float

    @property
    def passed(self) -> bool:
        """All bars are met."""
        return all(row.passed for row in self.rows)


@dataclass(frozen=True)
class Problem:
    """A problem with a known answer; ``slow`` ones take more than a quarter of a minute."""

    name: str
    what: str
    measure: Callable[[], Mapping[str, float]]
    bars: tuple[Bar, ...]
    slow: bool = False

    def run(self) -> Result:
        """Measure and compare."""
        began = time.perf_counter()
        measured = self.measure()
        values = [(bar, float(measured[bar.quantity])) for bar in self.bars]
        rows = [
            Row(b.quantity, value, str(b), b.unit, b.holds(value), b.source) for b, value in values
        ]
        return Result(rows, time.perf_counter() - began)


def run(name: str) -> Result:
    """Run one problem of the table."""
    return PROBLEMS[name].run()


def run_all(
    progress: Callable[[Problem], Any] = lambda problem: None, *, slow: bool = False
) -> dict[str, Result]:
    """Run the table, calling ``progress`` with each problem before it starts; ``slow``: the long
    ones, too.
    """
    results = {}
    for problem in PROBLEMS.values():
        if slow or not problem.slow:
            progress(problem)
            results[problem.name] = problem.run()
    return results


_CLOSED = Bar("residual of the budget", "<=", 1e-12, "1", "round-off")
_NOTHING_MADE = Bar("ice made", "<=", 0.0, "1", "conservation")


def _odinn_run(
    name: str, what: str, limits: tuple, dome: Halfar, points: int, years: float, inside: int
) -> Problem:
    bars = (
        Bar("largest error inside", "<=", limits[0], "m", "ODINN 5"),
        Bar("largest relative error inside", "<=", limits[1], "1", "ODINN 0.007 to 0.01"),
        Bar("error of volume", "<=", limits[2], "1", "ODINN, the same"),
        Bar("error of the dome", "<=", limits[3], "m", "ODINN 0.2"),
        Bar("fall of the dome", ">=", 5.0, "m", "ODINN, the same"),
    )
    return Problem(
        name,
        f"ODINN's Halfar run: {what}",
        partial(measures.odinn_run, dome, points, years, inside),
        bars,
    )


_TABLE = (
    Problem(
        "halfar",
        "test B: a dome spreads for 25000 yr, 2400 km square",
        lambda: measures.refined(
            Halfar(), 2400, list(HALFAR), Halfar().start, Halfar().start + 25000.0
        ),
        (
            *(
                Bar(f"average error, {dx} km", "<=", bar, "m", f"PISM {pism:g}")
                for dx, (bar, pism) in HALFAR.items()
            ),
            Bar("order of the error", ">=", 1.1, "1", "PISM 1.18"),
            _CLOSED,
            _NOTHING_MADE,
        ),
    ),
    _odinn_run(
        "halfar-odinn", "25000 yr, 240 x 240", (2.1, 3.6e-3, 2e-4, 0.15), Halfar(), 240, 25000.0, 3
    ),
    _odinn_run(
        "halfar-odinn-cold",
        "with A = 1e-17",
        (5.0, 1e-2, 2e-4, 0.2),
        Halfar(A=1e-17),
        240,
        25000.0,
        5,
    ),
    _odinn_run(
        "halfar-odinn-small",
        "3 km, 100 yr",
        (5.0, 9e-3, 1e-3, 0.2),
        Halfar(200.0, 3e3),
        240,
        100.0,
        3,
    ),
    _odinn_run(
        "halfar-odinn-coarse",
        "3 km, 100 x 100",
        (5.0, 9e-3, 1e-3, 0.2),
        Halfar(200.0, 3e3),
        100,
        100.0,
        3,
    ),
    Problem(
        "halfar-velocity",
        "surface velocity of the exact dome between 0.2 and 0.8 of its radius",
        measures.velocity,
        (
            Bar("relative rms error, 20 km", "<=", 1e-3, "1", "regression"),
            Bar("order of the error", ">=", 1.9, "1", "second-order differences"),
        ),
    ),
    Problem(
        "growing-dome",
        "test C: a dome grows from nothing for 15208 yr, 1600 km square",
        lambda: measures.refined(Halfar(growth=5.0), 1600, (50, 25), 0.0, Halfar(growth=5.0).start),
        (
            Bar("average error, 50 km", "<=", 15.2, "m", "2-D schemes 14.8 to 18.3"),
            Bar("average error, 25 km", "<=", 5.4, "m", "2-D schemes 5.2 to 9.6"),
            Bar("error of volume, 50 km", "<=", 0.25, "%", "exact 3997940 km3"),
            Bar("error of volume, 25 km", "<=", 0.05, "%", "exact 3997940 km3"),
            _CLOSED,
            _NOTHING_MADE,
        ),
    ),
    Problem(
        "oscillating-dome",
        "test D: an annulus thickens and thins for 25000 yr, 2400 km square",
        lambda: measures.refined(OscillatingDome(), 2400, list(OSCILLATING), 0.0, 25000.0),
        (
            *(
                Bar(f"average error, {dx} km", "<=", bar, "m", "regression")
                for dx, bar in OSCILLATING.items()
            ),
            Bar("order of the error", ">=", 1.0, "1", "first order at the margin"),
            _CLOSED,
            _NOTHING_MADE,
        ),
    ),
    Problem(
        "symmetry",
        "tests B (40 km) and C (50 km): transposed, mirrored and rotated thickness",
        measures.symmetry,
        tuple(
            Bar(f"relative difference, test {name}", "<=", 1e-12, "1", "round-off") for name in "BC"
        ),
    ),
    Problem(
        "bedrock-step",
        "ice over a 500 m cliff in the bed after 50000 yr, against the exact steady state",
        lambda: measures.bedrock_step((1000, 500)),
        (
            Bar("error of volume, 1000 m", "+-", -8.32, "%", "capped slopes", 0.1),
            Bar("error of volume, 500 m", "+-", -5.12, "%", "capped slopes", 0.1),
            _NOTHING_MADE,
        ),
    ),
    Problem(
        "bedrock-step-fine",
        "the same on finer grids",
        lambda: measures.bedrock_step((250, 125)),
        (
            Bar("error of volume, 250 m", ">=", -3.401, "%", "superbee -3.401"),
            Bar("error of volume, 125 m", ">=", -2.579, "%", "superbee -2.579"),
            _NOTHING_MADE,
        ),
        slow=True,
    ),
)
PROBLEMS: dict[str, Problem] = {problem.name: problem for problem in _TABLE}
