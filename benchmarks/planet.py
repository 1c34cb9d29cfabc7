"""What all glaciers of the planet cost for a century: core-hours, GPU-hours, memory, storage,
predicted from measured costs of small lists and held against a real run of 256 variants. Writes
benchmarks/results/planet.json.

Lists of glaciers of each size of arrays are run from files to files in a process on one core
(benchmarks.planet_process); costs per glacier, year, cell, month and evaluation are fitted to them.
The 256 of the check are others, drawn evenly from the inventory; nothing is fitted to them.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import nnls

from benchmarks.inventory import INVENTORIES, SMALLEST, Inventory, moment, pieces

YEARS, CORES = 100, 16
SAVE_EVERY = 10.0  # years between fields
CLASSES = (SMALLEST, 0.1, 1.0, 10.0, 100.0, math.inf)  # km²
DRAWS = 24  # glaciers made in each class
Row = dict[str, Any]


class One(NamedTuple):
    """What the cost of a glacier depends on: cells of its run's arrays and of its file's grid, and
    evaluations of the right-hand side in a month.
    """

    cells: float
    own_cells: float
    evaluations: float


class Costs(NamedTuple):
    """Costs on one core: CPU seconds in the program (of a cell and month, of a cell and
    evaluation), CPU seconds outside it and bytes written (of a glacier, a year, a cell of the
    file's grid and saved field).
    """

    program: tuple[float, float]
    host: tuple[float, float, float]
    storage: tuple[float, float, float]

    def program_s(self, one: One, years: float) -> float:
        """CPU seconds in the compiled program."""
        month, evaluation = self.program
        return one.cells * 12.0 * years * (month + evaluation * one.evaluations)

    def host_s(self, one: One, years: float) -> float:
        """CPU seconds for opening, preparing, collecting and writing."""
        return float(np.dot(self.host, host_terms(one.own_cells, years)))

    def bytes(self, one: One, years: float) -> float:
        """Of the result's file."""
        return float(np.dot(self.storage, host_terms(one.own_cells, years)))


def host_terms(own_cells: float, years: float) -> tuple[float, float, float]:
    """What the host's cost of a glacier grows with."""
    fields = 1.0 + math.ceil(years / SAVE_EVERY)
    return 1.0, years, own_cells * fields


def fitted(lists: list[Row]) -> Costs:
    """Costs that are closest to the measured lists, relative to each."""
    program, host = [], []
    for row in lists:
        cells, counts = np.array(row["cells"]), np.array(row["evaluations"])
        months = 12.0 * row["years"]
        program.append((cells.sum() * months, (cells * counts).sum()))
        terms = [host_terms(own, row["years"]) for own in row["own_cells"]]
        host.append(np.sum(terms, axis=0))
    inside = [row["program_s"] for row in lists]
    outside = [row["cpu_s"] - row["program_s"] for row in lists]
    size = [row["bytes"] for row in lists]
    return Costs(_closest(program, inside), _closest(host, outside), _closest(host, size))


def _closest(terms: list[Any], found: list[float]) -> tuple[Any, ...]:
    """Numbers >= 0 whose products with the terms are relatively closest to what was found."""
    matrix = np.asarray(terms, float) / np.asarray(found)[:, None]
    scale = matrix.max(axis=0)
    solution, _ = nnls(matrix / scale, np.ones(len(found)))
    return tuple(float(x) for x in solution / scale)


def evaluations_of(lists: list[Row]) -> Callable[[float], float]:
    """Evaluations a month of glaciers made in code, by their area (km²): medians, between them
    by the logarithm of the area.
    """
    points = []
    for row in lists:
        if row["A"] < 1e-16 and row["years"] == 10:
            areas = statistics.median(row["areas"])
            points.append((areas, statistics.mean(row["evaluations"]) / (12 * row["years"])))
    areas, counts = zip(*sorted(points), strict=True)
    return lambda area: float(np.interp(np.log(area), np.log(areas), counts))


def with_real(of_made: Callable[[float], float], real: list[Row]) -> Callable[[float], float]:
    """Those of glaciers made in code up to 1 km², and the geometric mean of the real ones from
    their mean area on.
    """
    if not real:
        return of_made
    mean = lambda key: float(np.exp(np.mean(np.log([row[key] for row in real]))))
    area, count = mean("area"), mean("evaluations_a_month")
    knots = np.log([1.0, area])
    return lambda a: (
        of_made(a) if a <= 1.0 else float(np.interp(np.log(a), knots, [of_made(1.0), count]))
    )


def planet(inventory: Inventory, costs: Costs, evaluations: Callable, gpu: Row) -> Row:
    """All glaciers for a century, by class."""
    from benchmarks.planet_process import frame_of, made

    parts = pieces(inventory)
    classes = []
    for low, high in pairwise(CLASSES):
        high = min(high, parts[-1].high)
        edges = np.geomspace(low, high, DRAWS + 1)
        sums: dict[str, float] = dict.fromkeys(
            ("glaciers", "area", "cells", "program_s", "host_s", "bytes", "cell_months", *gpu), 0.0
        )
        for k, (start, end) in enumerate(pairwise(edges)):
            count, area = moment(parts, start, end, 0.0), moment(parts, start, end, 1.0)
            glacier = made(30_000 + k, area / count)
            cells = float(np.prod(frame_of(glacier)))
            one = One(cells, float(glacier.mask.size), evaluations(area / count))
            amounts = {
                "glaciers": 1.0,
                "area": area / count,
                "cells": cells,
                "program_s": costs.program_s(one, YEARS),
                "host_s": costs.host_s(one, YEARS),
                "bytes": costs.bytes(one, YEARS),
                "cell_months": cells * 12 * YEARS,
            }
            for name, (month, evaluation) in gpu.items():
                amounts[name] = cells * 12 * YEARS * (month + evaluation * one.evaluations)
            for name, amount in amounts.items():
                sums[name] += count * amount
        classes.append({"from": low, "to": high} | sums)
    total = {name: sum(row[name] for row in classes) for name in sums}
    return {"name": inventory.name, "classes": classes, "total": total}


def on_gpu(device: Row) -> Row:
    """Seconds of a cell and month, and of a cell and evaluation, on the device of device.json: from
    its fullest batch of glaciers and its ice cap.
    """
    found = {}
    for precision in ("float64", "float32"):
        rows = [device["rows"][f"{name} {precision}"] for name in ("forward 5000", "cap 4000")]
        each = [1.0 / row["cells x months / s"] for row in rows]
        counts = [row["evaluations a month"] for row in rows]
        evaluation = (each[1] - each[0]) / (counts[1] - counts[0])
        found[precision] = (each[0] - evaluation * counts[0], evaluation)
    return found


def checked(check: Row, costs: Costs, evaluations: Callable[[float], float]) -> Row:
    """The prediction for the run of 256 variants, and what it took."""
    years = check["years"]
    program = host = written = 0.0
    for area, cells, own in zip(check["areas"], check["cells"], check["own_cells"], strict=True):
        one = One(cells, own, evaluations(area))
        program += costs.program_s(one, years)
        host += costs.host_s(one, years)
        written += costs.bytes(one, years)
    later = min(check["later"], key=lambda run: run["cpu_s"])
    return {
        "glaciers": len(check["areas"]),
        "years": years,
        "largest_km2": max(check["areas"]),
        "predicted": {"program_s": program, "host_s": host, "bytes": written},
        "measured": {
            "program_s": later["program_s"],
            "host_s": later["cpu_s"] - later["program_s"],
            "bytes": later["bytes"],
        },
        "both_runs_s": [run["cpu_s"] for run in check["later"]],
        "ratio": later["cpu_s"] / (program + host),
        "first_s": check["first"]["cpu_s"],
        "programs": check["programs"],
        "loop_programs": check["loop_programs"],
        "peak_mb": check["peak_mb"],
    }


def process(what: str, years: int, cache: str) -> Row:
    """What a process on one core answers."""
    command = [sys.executable, "-m", "benchmarks.planet_process", what, str(years)]
    environment = os.environ | {"ODINN_CACHE": cache}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: Row = json.loads(done.stdout.splitlines()[-1])
    return found


def result(check: Row, calibration: Row, device: Row) -> Row:
    """All that the page says."""
    lists, real = calibration["lists"], calibration["real"]
    costs, gpu = fitted(lists), on_gpu(device)
    of_made = evaluations_of(lists)
    of_all = with_real(of_made, real)
    most = max((row["evaluations_a_month"] for row in real), default=of_made(100.0))
    stiff = lambda area: of_made(area) if area <= 1.0 else most
    return {
        "costs": costs._asdict(),
        "gpu": {"device": device["machine"]["device"], "seconds": gpu},
        "lists": [_brief(row, costs) for row in lists],
        "real": real,
        "large": [_brief(row | {"A": 7e-17}, costs) for row in calibration["large"]],
        "check": checked(check, costs, of_made),
        "inventories": [planet(one, costs, of_all, gpu) for one in INVENTORIES],
        "otherwise": {
            "made in code": planet(INVENTORIES[1], costs, of_made, gpu)["total"],
            "stiffest": planet(INVENTORIES[1], costs, stiff, gpu)["total"],
        },
    }


def _brief(row: Row, costs: Costs) -> Row:
    """A list's measured and fitted cost."""
    count, months = len(row["areas"]), 12 * row["years"]
    counts = [n / months for n in row["evaluations"]]
    ones = [One(*three) for three in zip(row["cells"], row["own_cells"], counts, strict=True)]
    cell_months = sum(row["cells"]) * months
    return {
        "cells": row["cells"][0],
        "glaciers": count,
        "years": row["years"],
        "A": row["A"],
        "area": statistics.median(row["areas"]),
        "evaluations_a_month": statistics.mean(counts),
        "ns_a_cell_and_month": 1e9 * row["program_s"] / cell_months,
        "program_s": row["program_s"] / count,
        "host_s": (row["cpu_s"] - row["program_s"]) / count,
        "fitted_program_s": sum(costs.program_s(one, row["years"]) for one in ones) / count,
        "fitted_host_s": sum(costs.host_s(one, row["years"]) for one in ones) / count,
    }


def main() -> None:
    """Measure, predict, write."""
    from benchmarks.measuring import RESULTS, arguments, keep, machine

    quick = arguments(__doc__ or "").quick
    about = {"machine": machine()}
    with tempfile.TemporaryDirectory() as cache:
        check = process("check", 1 if quick else 10, str(Path(cache)))
        calibration = process("calibrate", 10 if quick else 50, str(Path(cache)))
    device = json.loads((RESULTS / "device.json").read_text())
    keep("planet", about | result(check, calibration, device), quick)


if __name__ == "__main__":
    main()
