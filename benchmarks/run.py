"""Forward runs: seconds and time error of each stepper, and of diffrax's own loop, with and without
balance, interleaved.

Every row of a glacier is measured in the same rounds, so ratios hold when the machine's speed
drifts. The error is the root mean square over ice, at the end, against the same scheme with
RKC2(tol=1e-7).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import odinn
from benchmarks.measuring import ROOT, ROUNDS, interleaved, keep, machine, rms_over_ice
from odinn.physics.processes.system import Prognostic
from odinn.physics.state import State
from odinn.run.assembly import system_of
from odinn.run.plan import plan_run
from odinn.run.settings import settings_of

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
}
BOSH3 = "Bosh3 1e-3/1e-6"
Case = tuple[str, odinn.Glacier, odinn.Model, tuple[float, float]]


def glaciers() -> dict[str, tuple[odinn.Glacier, odinn.Model, tuple[float, float]]]:
    """The synthetic valley and, where the data is, four real glaciers with a balance of −0.5 m w.e.
    yr⁻¹ (Argentière: −1.2).
    """
    from benchmarks.valley import demo_model, grown_valley

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


def cases() -> list[Case]:
    """The five of :func:`glaciers`, and the valley for a year with ice of 1.5 times the thickness,
    which is far stiffer.
    """
    known = [(name, *rest) for name, rest in glaciers().items()]
    name, valley, model, (start, _) = known[0]
    thick = valley.replace(thickness=1.5 * np.asarray(valley.thickness), keep="bed")
    return [*known, (f"{name}, thick", thick, model, (start, start + 1.0))]


def by_diffrax(
    glacier: odinn.Glacier, model: odinn.Model, span: tuple[float, float]
) -> Callable[[], tuple[Any, int]]:
    """The same right-hand side in diffrax's own loop, Bosh3 with atol 1e-3 m and rtol 1e-6, month
    by month where there is a
    balance: a function that returns (final thickness, right-hand sides that were evaluated)."""
    plan = plan_run(model, glacier, settings_of(*span, save_every=None))
    windows = jax.tree.map(jnp.asarray, plan.windows)
    system = system_of(model, glacier, reports=False, carried=False)

    @eqx.filter_jit
    def run(system: Any, thickness: Any, windows: Any) -> Any:
        def one(H: Any, window: Any) -> tuple[Any, Any]:
            held, start, _ = system.begin(State(window.start, H, {}), window)
            nothing = start.of_processes
            field = lambda t, y, args: (
                system.continuous_tendency(held, t, Prognostic(y, nothing)).thickness
            )
            out = diffrax.diffeqsolve(
                diffrax.ODETerm(field),
                diffrax.Bosh3(),
                window.start,
                window.start + window.length,
                None,
                H,
                stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-3),
                max_steps=None,
            )
            H = out.ys[-1]
            return jnp.where(H > 0, H, 0.0), out.stats["num_steps"]

        H, steps = jax.lax.scan(one, thickness, windows)
        return H, 3 * jnp.sum(steps) + 2 * len(steps)  # the first step's size and first stage

    start = jnp.asarray(glacier.thickness)
    return lambda: jax.block_until_ready(run(system, start, windows))


def measure(case: Case, balance: bool) -> list[dict[str, Any]]:
    """A row for each stepper."""
    name, glacier, model, span = case
    model = model if balance else odinn.Model(model.flow)
    simulated = lambda s: odinn.simulate(
        model, glacier, *span, save_every=span[1] - span[0], stepper=s, progress=False
    )
    truth = simulated(odinn.RKC2(tol=1e-7)).thickness[-1]
    runs: dict[str, Callable[[], Any]] = {
        label: partial(simulated, stepper) for label, stepper in STEPPERS.items()
    }
    runs[BOSH3] = by_diffrax(glacier, model, span)
    found: dict[str, tuple[np.ndarray, int, float]] = {}
    for label, run in runs.items():
        began = time.perf_counter()
        out = run()
        cold = time.perf_counter() - began
        end, count = out if label == BOSH3 else (out.thickness[-1], out.steps.evaluations)
        found[label] = np.asarray(end), int(count), cold
    medians = interleaved(runs)
    return [
        {
            "glacier": name,
            "balance": balance,
            "years": span[1] - span[0],
            "cells": int(np.prod(glacier.grid.shape)),
            "dx_m": glacier.grid.dx,
            "stepper": label,
            "seconds": medians[label],
            "over_rkc2": medians[label] / medians["RKC2 tol 1e-2"],
            "first_call_seconds": cold,
            "evaluations": count,
            "rms_error_m": rms_over_ice(end, truth),
        }
        for label, (end, count, cold) in found.items()
    ]


def main() -> None:
    """Measure and write."""
    rows = []
    for case in cases():
        for balance in (True, False):
            rows += measure(case, balance)
            for row in rows[-len(STEPPERS) - 1 :]:
                print(row, flush=True)
    keep("forward", {"machine": machine(), "rounds": ROUNDS, "rows": rows}, quick=False)


if __name__ == "__main__":
    main()
