"""The arithmetic behind docs/scaling.md: the inventory's density, and costs fitted to lists."""

import math
from itertools import pairwise

import numpy as np
import pytest
from benchmarks.inventory import INVENTORIES, SMALLEST, moment, pieces, quantiles
from benchmarks.planet import Costs, One, fitted, host_terms
from benchmarks.small import spacing

from odinn.model.frame import frame_around

CLASSES = (0.0, 1.0, 10.0, 100.0, math.inf)


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda one: one.name)
def test_the_density_has_the_counts_and_the_area_of_the_inventory(inventory):
    parts = pieces(inventory)
    found = [moment(parts, a, b, 0.0) for a, b in pairwise(CLASSES)]
    assert found == pytest.approx(inventory.counts, rel=1e-9)
    assert moment(parts, 0.0, math.inf, 1.0) == pytest.approx(inventory.area, rel=1e-9)
    below, above = parts[:2], parts[1:]
    for left, right in (below, above):
        end = left.density * (left.high / left.low) ** -left.slope
        assert end == pytest.approx(right.density, rel=1e-9)


def test_areas_drawn_from_the_inventory_are_spread_as_its_counts_are():
    inventory = INVENTORIES[1]
    areas = np.array(quantiles(pieces(inventory), 256))
    assert areas[0] > SMALLEST
    assert (np.diff(areas) > 0).all()
    share = inventory.counts[0] / sum(inventory.counts)
    assert abs((areas < 1.0).sum() - 256 * share) <= 1.0


def test_larger_glaciers_have_larger_frames():
    sizes = []
    for area in np.geomspace(0.01, 3000.0, 25):
        side = round(1e3 * math.sqrt(area) / spacing(area))
        sizes.append(math.prod(frame_around(np.ones((side, side), bool), None).shape))
    assert sizes == sorted(sizes)


def test_costs_are_found_again_in_lists_that_have_them():
    costs = Costs((3e-8, 1e-8), (0.05, 1e-3, 2e-7), (1e5, 1e4, 8.0))
    lists = []
    for cells, own, years, count in ((700, 1e3, 10, 2), (4e3, 9e3, 50, 3), (1e4, 2e4, 10, 40)):
        one = One(cells, own, count)
        inside, outside = costs.program_s(one, years), costs.host_s(one, years)
        lists.append(
            {
                "cells": [cells],
                "own_cells": [own],
                "years": years,
                "evaluations": [count * 12 * years],
                "program_s": inside,
                "cpu_s": inside + outside,
                "bytes": costs.bytes(one, years),
            }
        )
    for found, known in zip(fitted(lists), costs, strict=True):
        assert found == pytest.approx(known, rel=1e-6)


def test_a_century_has_eleven_fields():
    assert host_terms(1.0, 100.0)[2] == 11.0
