"""What a process that has just started pays: imports, compilation, the first run, memory. Started
by benchmarks.scaling.

``python -m benchmarks.fresh TASK GLACIER`` prints one JSON line; TASK is "import", "forward" (ten
years with monthly balance) or "gradient" (five years, A on every corner, thickness at the end).
GLACIER is a name of benchmarks.experiments.common, or "demo".
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": "trace_seconds",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower_seconds",
    "/jax/core/compile/backend_compile_duration": "compile_seconds",  # or to read it from disk
}


def peak_memory() -> float:
    """The largest resident memory of this process so far, MB."""
    status = Path("/proc/self/status")
    if (
        status.exists()
    ):  # Linux's ru_maxrss is never below what the parent had when it started this process
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return float(line.split()[1]) / 1e3
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1e6 if sys.platform == "darwin" else 1e3
    )


def imports() -> dict[str, float]:
    """Seconds of importing JAX, and odinn after it."""
    began = time.perf_counter()
    import jax  # noqa: F401

    jax_there = time.perf_counter()
    import odinn  # noqa: F401

    return {"jax_seconds": jax_there - began, "odinn_seconds": time.perf_counter() - jax_there}


def task(name: str, place: str) -> Callable[[], Any]:
    """What is run twice."""
    import odinn
    from benchmarks.experiments.common import glacier

    own = odinn.demo_glaciers()[0] if place == "demo" else glacier(place)
    start = own.climate.first_month / 12 + 0.5
    balance = odinn.TemperatureIndex(melt_factor=4e-3, precip_factor=2.5)
    if name == "forward":
        model = odinn.Model(odinn.SIA2D(A=4e-17), balance)
        return lambda: odinn.simulate(
            model, own, start, start + 10.0, save_every=10.0, progress=False
        )
    seen = own.replace(observations=odinn.Observations(thickness=0.95 * own.thickness))
    rate = odinn.Parameter(4e-17, (1e-18, 1e-15), "log", per="cell")
    model = odinn.Model(odinn.SIA2D(A=rate), balance)
    return lambda: odinn.value_and_gradient(
        model, seen, odinn.losses.Thickness(), (start, start + 5.0)
    )


def compiled(run: Callable[[], Any]) -> dict[str, float]:
    """Seconds and programs of the first call of a run, and seconds of the second."""
    import jax

    counts = dict.fromkeys(("programs", "from_disk", *EVENTS.values()), 0.0)
    listening = True

    def timed(event: str, seconds: float, **_: Any) -> None:
        if listening and event in EVENTS:
            counts[EVENTS[event]] += seconds
            counts["programs"] += EVENTS[event] == "compile_seconds"

    def seen(event: str, **_: Any) -> None:
        counts["from_disk"] += listening and event == "/jax/compilation_cache/cache_hits"

    jax.monitoring.register_event_duration_secs_listener(timed)
    jax.monitoring.register_event_listener(seen)
    began = time.perf_counter()
    jax.block_until_ready(jax.tree.leaves(run()))
    first, listening = time.perf_counter() - began, False
    began = time.perf_counter()
    jax.block_until_ready(jax.tree.leaves(run()))
    return {"first_seconds": first, "second_seconds": time.perf_counter() - began, **counts}


def main() -> None:
    """Run the task and say what it cost."""
    name, place = sys.argv[1:]
    found = imports() | {"imported_mb": peak_memory()}
    if name != "import":
        run = task(name, place)
        found |= {"opened_mb": peak_memory()} | compiled(run) | {"peak_mb": peak_memory()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
