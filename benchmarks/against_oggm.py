"""Forward runs against OGGM's two-dimensional model (``oggm.core.sia2d.Upstream2D``): ``make
bench-oggm``.

Equal for both: bed, thickness at the start, square grid, n = 3, A, ice density, gravity (OGGM's
9.80665 m s⁻²), the span in seconds, no sliding; the linear balance, its feedback with altitude at
every step, and that it adds no ice outside the outline.
Not equal: the scheme in space (OGGM's upstream thickness, odinn's capped corner diffusivity), the
scheme in time (OGGM's explicit Euler by its defaults, odinn's RKC2 by its own), and what counts: a
whole call of ``simulate`` with its checks and budget against OGGM's stepping alone. NumPy works
with one core, XLA with those it wants: processor seconds are measured, too.

The time error of each is the rms over ice at the end against its own scheme with finer steps:
RKC2(tol=1e-7), and OGGM with a quarter of its step (the explicit Euler error is then a third larger
than the difference). Where OGGM's is smaller, odinn is measured with the tolerance that brings it
below OGGM's, too.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np

import odinn
from benchmarks.experiments.common import DATA, FOUR, glacier
from benchmarks.measuring import ROOT, ROUNDS, arguments, keep, machine, rms_over_ice
from benchmarks.valley import grown_valley
from odinn.constants import SECONDS_PER_YEAR

ENVIRONMENT = Path(os.environ.get("ODINN_OGGM", ROOT.parent / ".venv-oggm"))
CREEP = 2.4e-24 * SECONDS_PER_YEAR  # Pa⁻³ yr⁻¹, the default of OGGM
GRADIENT = 5e-3  # m w.e. yr⁻¹ per m
SPANS, PATIENCE = (10.0, 5.0, 2.0, 1.0), 120.0  # years; seconds of one run of OGGM
FINER = 4.0  # OGGM's reference: parts of its step
DEFAULT = 1e-2
TOLERANCES = (
    DEFAULT,
    1e-3,
    1e-4,
    1e-5,
)  # odinn's default, and what is tried for an error no larger than OGGM's

Balance = Literal["none", "linear"]
Run = tuple[dict[str, Any], np.ndarray]  # what was measured, and the thickness at the end, m


class Peer:
    """OGGM in its process, with one case."""

    def __init__(self, case: odinn.Glacier, balance: Balance, ela: float, folder: Path) -> None:
        self.path = folder / f"{balance}.npz"
        numbers: dict[str, Any] = {
            "dx": case.grid.dx,
            "A": CREEP,
            "balance": balance,
            "ela": ela,
            "gradient": GRADIENT,
        }
        np.savez(self.path, bed=case.bed, thickness=case.thickness, mask=case.mask, **numbers)
        python = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin") / "python"
        command = [str(python), "-P", str(ROOT / "oggm_process.py"), str(self.path)]
        own_home = os.environ | {
            "HOME": str(folder),
            "USERPROFILE": str(folder),
        }  # OGGM writes to it on import
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own_home
        )
        self.about = self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"OGGM's process ended with code {self.process.wait()}; what it said is above")
        return json.loads(line)

    def run(self, years: float, part: float = 1.0) -> Run:
        """Seconds, processor_seconds and steps."""
        self.process.stdin.write(json.dumps({"years": years, "part": part}) + "\n")
        self.process.stdin.flush()
        return self._answer(), np.load(self.path.with_suffix(".thickness.npy"))

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def timed(model: odinn.Model, case: odinn.Glacier, years: float, tol: float = DEFAULT) -> Run:
    """Seconds, processor_seconds and evaluations of odinn."""
    began, busy = time.perf_counter(), time.process_time()
    sim = odinn.simulate(
        model, case, 0.0, years, save_every=years, stepper=odinn.RKC2(tol=tol), progress=False
    )
    seconds, processor = time.perf_counter() - began, time.process_time() - busy
    found = {
        "seconds": seconds,
        "processor_seconds": processor,
        "evaluations": sim.steps.evaluations,
    }
    return found, sim.thickness[-1]


def medians(runs: list[Run]) -> dict[str, Any]:
    """Of what each run found."""
    return {key: statistics.median(found[key] for found, _ in runs) for key in runs[0][0]}


def measure(
    name: str, case: odinn.Glacier, balance: Balance, rounds: int, folder: Path
) -> tuple[dict[str, Any], dict]:
    """(one row, what OGGM says of itself)."""
    grid = case.grid
    if grid.dx != grid.dy:
        sys.exit(f"{name}: cells of {grid.dx} x {grid.dy} m, but Upstream2D wants square ones")
    ela = float(case.surface[case.thickness > 0].mean())
    peer = Peer(case, balance, ela, folder)
    nowhere_else = odinn.LinearBalance(
        GRADIENT, ela, accumulation_threshold=np.inf
    )  # gains inside the outline only
    flow = odinn.SIA2D(
        A=CREEP, gravity=peer.about["gravity"], ice_density=peer.about["ice_density"]
    )
    model = odinn.Model(flow, nowhere_else if balance == "linear" else None)
    a_year = peer.run(1.0)[0]["seconds"]
    years = next((span for span in SPANS if span * a_year <= PATIENCE), SPANS[-1])
    exact, finer = timed(model, case, years, 1e-7)[1], peer.run(years, FINER)[1]
    their_error = rms_over_ice(peer.run(years)[1], finer)
    errors = {tol: rms_over_ice(timed(model, case, years, tol)[1], exact) for tol in TOLERANCES}
    as_good = next((tol for tol in TOLERANCES if errors[tol] <= their_error), None)
    tolerances = [tol for tol in TOLERANCES if tol in (DEFAULT, as_good)]
    theirs: list[Run] = []
    ours: dict[float, list[Run]] = {tol: [] for tol in tolerances}
    for _ in range(rounds):
        theirs.append(peer.run(years))
        for tol in tolerances:
            ours[tol].append(timed(model, case, years, tol))
    peer.close()
    oggm, by_tol = medians(theirs), {tol: medians(runs) for tol, runs in ours.items()}
    our_ice, their_ice = ours[DEFAULT][-1][1], theirs[-1][1]
    row = {
        "glacier": name,
        "cells": case.thickness.size,
        "dx_m": grid.dx,
        "balance": balance,
        "years": years,
        "oggm": oggm | {"error_m": their_error},
        "odinn": [found | {"tol": tol, "error_m": errors[tol]} for tol, found in by_tol.items()],
        "ratio": oggm["seconds"] / by_tol[DEFAULT]["seconds"],
        "processor_ratio": oggm["processor_seconds"] / by_tol[DEFAULT]["processor_seconds"],
        "as_good_tol": as_good,  # None: no tolerance tried is
        "as_good_ratio": None if as_good is None else oggm["seconds"] / by_tol[as_good]["seconds"],
        "difference_m": rms_over_ice(our_ice, their_ice),
        "change_m": rms_over_ice(our_ice, case.thickness),
    }
    print(row, flush=True)
    return row, peer.about


def main() -> None:
    """Measure and write."""
    quick = arguments(__doc__).quick
    if not (ENVIRONMENT / ".installed").exists():
        sys.exit(f"OGGM's environment {ENVIRONMENT} is not there: make bench-oggm makes it")
    real = {name: glacier(name, 4 if quick else 1) for name in FOUR} if DATA.exists() else {}
    cases = {"synthetic valley": grown_valley(200.0 if quick else 50.0, 100.0), **real}
    result: dict[str, Any] = {
        "machine": machine(),
        "rounds": 2 if quick else ROUNDS,
        "patience_s": PATIENCE,
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for balance in ("none", "linear"):
            for name, case in cases.items():
                row, result["oggm"] = measure(name, case, balance, result["rounds"], Path(folder))
                rows.append(row)
    keep("against_oggm", result | {"rows": rows}, quick)


if __name__ == "__main__":
    main()
