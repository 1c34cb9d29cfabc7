"""Gradients of a list of unlike glaciers: over their forward runs, and over the gradients of each
by itself. Writes benchmarks/results/lists.json. CPU seconds of one core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.pinning import pin

pin()  # before JAX starts

import jax  # noqa: E402
import numpy as np  # noqa: E402

import odinn  # noqa: E402
from benchmarks.measuring import ROUNDS, arguments, keep, machine  # noqa: E402
from benchmarks.small import small_glacier, weather  # noqa: E402
from odinn.learning.evaluation import Runs  # noqa: E402
from odinn.learning.pure_objective import Objective, objective  # noqa: E402

MODEL = odinn.Model(
    odinn.SIA2D(A=7e-17), odinn.TemperatureIndex(melt_factor=5e-3, precip_factor=1.2)
)
LEARNED = odinn.Model(
    odinn.SIA2D(A=odinn.Parameter(5e-17, bounds=(1e-18, 1e-15), scale="log")), MODEL.mass_balance
)


def interleaved_cpu(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each, measured in turn after one run of each."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        jax.block_until_ready(run())
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.process_time()
            jax.block_until_ready(run())
            seconds[name].append(time.process_time() - began)
    return {name: statistics.median(each) for name, each in seconds.items()}


def main(quick: bool) -> None:
    """Measure, and write."""
    count, years = (6, 1.0) if quick else (32, 5.0)
    span = (2000.0, 2000.0 + years)
    areas = np.exp(np.random.default_rng(2).uniform(np.log(0.1), np.log(0.25), count))
    series = [weather(seed) for seed in range(8)]
    glaciers = [small_glacier(k, float(area), series[k % 8]) for k, area in enumerate(areas)]
    twins = [odinn.synthetic_observations(MODEL, g, span, of=("thickness",))[0] for g in glaciers]
    loss = odinn.losses.Thickness()

    def made(chosen: list[odinn.Glacier]) -> Objective:
        return objective(LEARNED, chosen, loss, span)

    whole, alone = made(twins), [made([twin]) for twin in twins]
    together, each = Runs(whole), [Runs(one) for one in alone]
    runs = {
        "forward": lambda: together.values(whole.params),
        "gradient": lambda: together.gradients(whole.params)[1],
        "gradients one by one": lambda: [
            own.gradients(one.params)[1] for own, one in zip(each, alone, strict=True)
        ],
    }
    seconds = interleaved_cpu(runs, 2 if quick else ROUNDS)
    slopes = [np.asarray(slope[0].flow.A.raw) for slope in runs["gradients one by one"]()]
    total = np.asarray(runs["gradient"]()[0].flow.A.raw)
    mean = np.mean(slopes, axis=0)
    result = {
        "machine": machine(),
        "rounds": ROUNDS,
        "glaciers": count,
        "years": years,
        "programs": len(set(together._programs)),
        "cpu_seconds": seconds,
        "gradient_over_forward": seconds["gradient"] / seconds["forward"],
        "one_by_one_over_list": seconds["gradients one by one"] / seconds["gradient"],
        "difference": float(np.abs(total - mean).max() / np.abs(mean).max()),
    }
    keep("lists", result, quick)


if __name__ == "__main__":
    main(arguments(__doc__ or "").quick)
