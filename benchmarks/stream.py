"""Memory and time of lists of glaciers that are run to a folder, a short one and a long one: memory
must not grow with the list. Writes benchmarks/results/stream.json.

``python -m benchmarks.stream`` runs 100 and 1000 small glaciers, each made when its turn comes, for
ten years with monthly balance, each list in a process of its own. ``python -m benchmarks.stream
COUNT`` is such a process, which prints one JSON line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.fresh import peak_memory

if TYPE_CHECKING:
    import odinn

LISTS = (100, 1000)
YEARS = 10.0


def each_glacier(count: int, climates: int = 8) -> Iterator[odinn.Glacier]:
    """Glaciers of 0.1 to 0.25 km² under a few climates, each made when it is asked for."""
    from benchmarks.small import small_glacier, weather

    areas = np.exp(np.random.default_rng(0).uniform(np.log(0.1), np.log(0.25), count))
    series = [weather(seed) for seed in range(climates)]
    for number, area in enumerate(areas):
        yield small_glacier(number, float(area), series[number % climates])


def one_list(count: int) -> dict[str, float]:
    """A list run to a folder that is removed afterwards: peak memory (MB) and seconds."""
    import odinn

    balance = odinn.TemperatureIndex(melt_factor=4e-3, precip_factor=1.0)
    model = odinn.Model(odinn.SIA2D(A=4e-17), balance)
    imported = peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        began, used = time.perf_counter(), time.process_time()
        table = odinn.simulate(
            model,
            each_glacier(count),
            2000.0,
            2000.0 + YEARS,
            save_every=1.0,
            output=folder,
            progress=False,
        )
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - used
        written = sum(entry.stat().st_size for entry in os.scandir(folder)) / 1e6
    assert (table.status == "done").all(), table.error.iloc[0]
    return {
        "glaciers": count,
        "imported_mb": imported,
        "peak_mb": peak_memory(),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "in_the_program_seconds": float(table.seconds.sum()),
        "written_mb": written,
    }


def fresh(count: int) -> dict[str, float]:
    """The same in a process that has just started."""
    command = [sys.executable, "-m", "benchmarks.stream", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(found, flush=True)
    return found


def main() -> None:
    """Both lists, and the ratio of their memory."""
    from benchmarks.measuring import arguments, keep, machine

    if len(sys.argv) == 2 and sys.argv[1].isdigit():
        print(json.dumps(one_list(int(sys.argv[1]))))
        return
    quick = arguments(__doc__).quick
    short, long = (fresh(count) for count in (LISTS if not quick else (8, 32)))
    result: dict[str, Any] = {
        "machine": machine(),
        "lists": [short, long],
        "memory_ratio": long["peak_mb"] / short["peak_mb"],
    }
    keep("stream", result, quick)


if __name__ == "__main__":
    main()
