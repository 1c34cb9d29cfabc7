"""The table of ``odinn verify``: every problem meets its bars."""

import numpy as np
import pytest

from odinn.verification import problems as verification
from odinn.verification.measures import convergence_order
from odinn.verification.problems import PROBLEMS, Bar, Problem

TABLE = [
    pytest.param(name, marks=pytest.mark.slow if p.slow else ()) for name, p in PROBLEMS.items()
]


@pytest.mark.parametrize("name", TABLE)
def test_problem_meets_its_bars(name):
    result = verification.run(name)
    missed = [
        f"{row.quantity}: {row.measured:.6g}, bar {row.bar} {row.unit}"
        for row in result.rows
        if not row.passed
    ]
    assert not missed
    assert len(result.rows) == len(PROBLEMS[name].bars)


def test_every_halfar_bar_lies_below_what_pism_publishes():
    assert all(bar < published for bar, published in verification.HALFAR.values())


@pytest.mark.parametrize(
    ("bar", "kept", "missed"),
    [
        (Bar("q", "<=", 2.0, "m", "s"), 2.0, 2.1),
        (Bar("q", ">=", 2.0, "m", "s"), 2.0, 1.9),
        (Bar("q", "+-", 2.0, "m", "s", 0.5), 1.5, 2.6),
    ],
)
def test_a_missed_bar_is_reported_and_nan_misses_every_bar(bar, kept, missed):
    problem = lambda value: Problem("p", "a problem", lambda: {"q": value}, (bar,))
    assert problem(kept).run().passed
    assert not problem(missed).run().passed
    assert not problem(np.nan).run().passed
    row = problem(missed).run().rows[0]
    assert row == ("q", missed, str(bar), "m", False, "s")


def test_run_all_announces_problems_and_leaves_out_slow_ones(monkeypatch):
    fast = Problem("fast", "", dict, ())
    slow = Problem("slow", "", dict, (), slow=True)
    monkeypatch.setattr(verification, "PROBLEMS", {"slow": slow, "fast": fast})
    announced = []
    assert list(verification.run_all(announced.append)) == ["fast"]
    assert announced == [fast]
    assert list(verification.run_all(slow=True)) == ["slow", "fast"]


def test_convergence_order_is_the_slope_of_the_logarithms():
    assert convergence_order([4.0, 2.0, 1.0], [48.0, 12.0, 3.0]) == pytest.approx(2.0)
