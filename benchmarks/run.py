"""Forward runs: seconds and time error of each stepper, interleaved, medians. Results go to benchmarks/results/.

Every row of a glacier is measured in the same rounds, so ratios hold when the machine's speed drifts. The error is the root mean
square over ice, at the end, against the same scheme with RKC2(tol=1e-7).
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

import diffrax
import numpy as np

import odinn
from benchmarks.measuring import ROOT, ROUNDS, keep, machine, rms_over_ice

DATA = Path(os.environ.get("ODINN_DATA", ROOT.parents[1] / "shared" / "data"))
FILES = {
    "argentiere": "argentiere_RGI60-11.03638",
    "aletsch": "aletsch_RGI60-11.01450",
    "vegafonna": "vegafonna_RGI60-07.00065",
    "bodleybreen": "bodleybreen_RGI60-07.00042",
}
STEPPERS: dict[str, Any] = {
    "RKC2 tol 1e-2": odinn.RKC2(),
    "SSPRK3": odinn.SSPRK3(),
    "Euler": odinn.Euler(),
    "Bosh3 1e-3/1e-6": odinn.Diffrax(diffrax.Bosh3(), atol=1e-3, rtol=1e-6),
}


def glaciers() -> dict[str, tuple[odinn.Glacier, odinn.Model, tuple[float, float]]]:
    """The synthetic valley and, where the data is, four real glaciers with a balance of −0.5 m w.e. yr⁻¹ (Argentière: −1.2)."""
    from odinn.data.synthetic import demo_model, grown_valley

    out = {"synthetic valley 50 m": (grown_valley(50.0, 100.0), demo_model(), (2000.0, 2010.0))}
    for name, file in FILES.items():
        path = DATA / "glaciers" / f"{file}.nc"
        if not path.exists():
            continue
        glacier = odinn.open_glacier(path)
        start = odinn.Model(mass_balance=odinn.TemperatureIndex(precip_factor=2.5))
        target = -1.206 if name == "argentiere" else -0.5
        try:
            model = odinn.calibrate(start, glacier, target, (2010.0, 2015.0))
        except odinn.CalibrationError:
            start = odinn.Model(mass_balance=odinn.TemperatureIndex(5e-3, 2.5))
            model = odinn.calibrate(start, glacier, target, (2010.0, 2015.0), "temp_bias")
        out[name] = glacier, model, (2009.5, 2019.5)
    return out


def measure() -> list[dict[str, Any]]:
    """One row per glacier and stepper."""
    rows = []
    for name, (glacier, model, span) in glaciers().items():
        run = lambda s, g=glacier, m=model, t=span: odinn.simulate(m, g, *t, save_every=10.0, stepper=s)
        truth = run(odinn.RKC2(tol=1e-7)).thickness[-1]
        first, seconds = {}, {label: [] for label in STEPPERS}
        for label, stepper in STEPPERS.items():
            began = time.perf_counter()
            first[label] = run(stepper)
            first[label] = first[label], time.perf_counter() - began
        for _ in range(ROUNDS):
            for label, stepper in STEPPERS.items():
                began = time.perf_counter()
                run(stepper)
                seconds[label].append(time.perf_counter() - began)
        base = statistics.median(seconds["RKC2 tol 1e-2"])
        for label in STEPPERS:
            sim, cold = first[label]
            median = statistics.median(seconds[label])
            rows.append(
                {
                    "glacier": name,
                    "cells": int(np.prod(glacier.grid.shape)),
                    "dx_m": glacier.grid.dx,
                    "stepper": label,
                    "seconds": median,
                    "over_rkc2": median / base,
                    "first_call_seconds": cold,
                    "evaluations": sim.steps.evaluations,
                    "rms_error_m": rms_over_ice(sim.thickness[-1], truth),
                }
            )
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure and write."""
    keep("forward", {"machine": machine(), "rounds": ROUNDS, "rows": measure()}, quick=False)


if __name__ == "__main__":
    main()
