"""The experiments of benchmarks/experiments reach their bars; the slow ones run with ``make
slow``.
"""

import pytest
from benchmarks.experiments import EXPERIMENTS

FAST = {"plumbing_spline", "exponent_with_creep"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in EXPERIMENTS],
)
def test_every_bar_of_the_experiment_is_met(name, data):
    assert [row.what for row in EXPERIMENTS[name]() if row.met is False] == []
