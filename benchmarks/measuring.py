"""What the measurements share: the machine in words, interleaved medians, and where results go."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

ROOT = Path(__file__).parent
RESULTS = ROOT / "results"
ROUNDS = 5


def processor() -> str:
    """The name of the machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def machine() -> dict[str, Any]:
    """What a result was measured on, and how busy that was with other things (load average over a
    minute, at the call).
    """
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": str(jax.devices()[0].platform),
        "load": round(os.getloadavg()[0], 2),
    }


def interleaved(runs: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each, measured in turn after one run of each."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(s) for name, s in seconds.items()}


def rms_over_ice(thickness: np.ndarray, truth: np.ndarray) -> float:
    """Root mean square of the difference where either has ice, m."""
    ice = (thickness > 0) | (truth > 0)
    return float(np.sqrt(np.mean((thickness - truth)[ice] ** 2)))


def parser(about: str) -> argparse.ArgumentParser:
    """The command line: ``--quick`` for a try."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="a try: coarse grids, two rounds, printed and not kept"
    )
    return parser


def arguments(about: str) -> argparse.Namespace:
    """What the command line says."""
    return parser(about).parse_args()


def keep(name: str, result: dict[str, Any], quick: bool) -> None:
    """Write a result to benchmarks/results, or print it after a try."""
    text = json.dumps(result, indent=1)
    if quick:
        print(text)
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(f"wrote {RESULTS / name}.json; python -m benchmarks.page puts it into docs/benchmarks.md")
