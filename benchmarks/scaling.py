"""What a run costs against its size, its precision and a fresh start. Writes
benchmarks/results/scaling.json.

- cells: seconds per simulated year of two glaciers coarsened 4 times, 2 times and not at all, and
  of the synthetic valley from 200 to 25 m; ten years with monthly balance, medians of warm runs,
  grids of one place interleaved.
- precision: float32 and float64 interleaved, and how far apart the thicknesses are at the end.
- fresh: processes that have just started, with an empty and with a warm disk cache of compiled
programs (benchmarks.fresh).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import odinn
from benchmarks.experiments.common import DATA, balance, glacier
from benchmarks.measuring import ROOT, ROUNDS, arguments, interleaved, keep, machine
from benchmarks.run import glaciers
from benchmarks.valley import demo_model, grown_valley

YEARS = 10.0
GROWN = 100.0  # years


def forward(
    model: odinn.Model, case: odinn.Glacier, start: float, dtype: str = "float64"
) -> odinn.Simulation:
    """Ten years, saved at the end."""
    return odinn.simulate(
        model, case, start, start + YEARS, save_every=YEARS, dtype=dtype, progress=False
    )


def places(quick: bool) -> dict[str, tuple[odinn.Model, list[odinn.Glacier], float]]:
    """{name: (model, the same place on several grids, start of the run)}"""
    sizes = (200.0, 100.0) if quick else (200.0, 100.0, 50.0, 25.0)
    out = {"synthetic valley": (demo_model(), [grown_valley(dx, GROWN) for dx in sizes], 2000.0)}
    for name in ("argentiere", "aletsch") if DATA.exists() else ():
        parts = (8, 4) if quick else (4, 2, 1)
        model = odinn.Model(mass_balance=balance(name, parts[-1]))
        out[name] = model, [glacier(name, coarsen) for coarsen in parts], 2009.5
    return out


def cells(quick: bool, rounds: int) -> list[dict[str, Any]]:
    """One row per place and grid."""
    rows = []
    for name, (model, cases, start) in places(quick).items():
        runs = {f"{case.grid.dx:g}": partial(forward, model, case, start) for case in cases}
        seconds = interleaved(runs, rounds)
        for (label, run), case in zip(runs.items(), cases, strict=True):
            count, evaluations = case.thickness.size, run().steps.evaluations
            row = {
                "glacier": name,
                "dx_m": case.grid.dx,
                "cells": count,
                "ice_cells": int((case.thickness > 0).sum()),
            }
            row |= {
                "seconds_per_year": seconds[label] / YEARS,
                "evaluations_per_year": evaluations / YEARS,
            }
            rows.append(
                row | {"ns_per_cell_and_evaluation": 1e9 * seconds[label] / (count * evaluations)}
            )
            print(rows[-1], flush=True)
    return rows


def precision(quick: bool, rounds: int) -> list[dict[str, Any]]:
    """One row per glacier: float32 against float64."""
    small = (
        {"synthetic valley 200 m": (grown_valley(200.0, GROWN), demo_model(), (2000.0, 2010.0))}
        if quick
        else {}
    )
    cases = small or glaciers()
    rows = []
    for name, (case, model, (start, _)) in cases.items():
        runs = {
            dtype: partial(forward, model, case, start, dtype) for dtype in ("float64", "float32")
        }
        seconds = interleaved(runs, rounds)
        double, single = (run().thickness[-1] for run in runs.values())
        apart = np.abs(single - double)[(single > 0) | (double > 0)]
        row = {"glacier": name, "cells": case.thickness.size, "seconds": seconds}
        row |= {"rms_m": float(np.sqrt(np.mean(apart**2))), "max_m": float(apart.max())}
        rows.append(
            row | {"volume_relative": float(abs(single.sum() - double.sum()) / double.sum())}
        )
        print(rows[-1], flush=True)
    return rows


def process(task: str, place: str, cache: Path) -> dict[str, float]:
    """What a fresh process with this disk cache says."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"} | {
        "ODINN_CACHE": str(cache)
    }
    command = [sys.executable, "-m", "benchmarks.fresh", task, place]
    out = subprocess.run(
        command, env=environment, cwd=ROOT.parent, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(out.stdout.strip().splitlines()[-1])


def fresh(rounds: int) -> dict[str, Any]:
    """Medians over processes: imports, and each task with an empty and with a warm cache."""
    place = "argentiere" if DATA.exists() else "demo"
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            found.setdefault("import", []).append(process("import", place, Path(folder)))
            for task in ("forward", "gradient"):
                for disk in ("empty", "warm"):
                    own = process(task, place, Path(folder) / task)
                    found.setdefault(f"{task}, {disk} disk cache", []).append(own)
    medians = {
        name: {k: statistics.median(r[k] for r in runs) for k in runs[0]}
        for name, runs in found.items()
    }
    print(json.dumps(medians, indent=1), flush=True)
    return {"glacier": place, "processes": medians}


def main() -> None:
    """Measure and write."""
    quick = arguments(__doc__).quick
    rounds = 2 if quick else ROUNDS
    result = {"machine": machine(), "rounds": rounds, "years": YEARS}
    result |= {
        "cells": cells(quick, rounds),
        "precision": precision(quick, rounds),
        "fresh": fresh(rounds),
    }
    keep("scaling", result, quick)


if __name__ == "__main__":
    main()
