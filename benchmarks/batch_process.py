"""A process on one core that runs lists of glaciers, and says what each run cost. Started by
benchmarks.batch, with this checkout of odinn or another on PYTHONPATH.

It reads a name per line and answers with a line of JSON: a run (``list``, ``alone``, ...) with its
CPU seconds, or one of ``programs``, ``agreement``, ``stages``, ``host``, of which the last two
look into this checkout's driver. Arguments: number of glaciers, years.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from benchmarks.pinning import pin

pin()  # before JAX starts

import equinox as eqx  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402

import odinn  # noqa: E402
from benchmarks.small import small_glacier, small_glaciers, weather  # noqa: E402

COUNT, YEARS = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (64, 10)
START = 2000.0
UNLIKE = 16
_compiled: list[tuple[str, float]] = []  # (name, s) of each program, as JAX reports it


def model() -> odinn.Model:
    """Shallow ice with n = 3, and degree-days."""
    return odinn.Model(odinn.SIA2D(), odinn.TemperatureIndex(melt_factor=5e-3, precip_factor=1.0))


def run(glaciers: Any, **options: Any) -> Any:
    """Some years, saved each year."""
    return odinn.simulate(
        model(), glaciers, START, START + YEARS, save_every=1.0, progress=False, **options
    )


@cache
def glaciers() -> list[odinn.Glacier]:
    """The list."""
    return small_glaciers(COUNT)


@cache
def unlike() -> list[odinn.Glacier]:
    """Glaciers of 0.1 to 10 km², in no order."""
    areas = np.exp(np.random.default_rng(1).uniform(np.log(0.1), np.log(10.0), UNLIKE))
    return [small_glacier(1000 + k, float(area), weather(k % 8)) for k, area in enumerate(areas)]


@cache
def with_border(border: int) -> odinn.Glacier:
    """The same glacier on grids that reach further."""
    return small_glacier(7, 0.2, weather(0), border=border)


@cache
def square() -> odinn.Glacier:
    """A glacier whose domain, ice and four cells around it, has at most 40 cells a side, one has
    40.
    """
    for dx in np.arange(40.0, 5.0, -0.1):
        found = small_glacier(7, 0.2, weather(0), border=4, dx=float(dx))
        rows, columns = (np.flatnonzero(found.mask.any(axis=k)) for k in (1, 0))
        if max(np.ptp(rows), np.ptp(columns)) + 9 >= 40:
            return found
    raise AssertionError("no such spacing")


@cache
def real() -> dict[str, Any]:
    """The glaciers of benchmarks.run."""
    from benchmarks.run import glaciers

    return glaciers()


def run_real(name: str) -> Any:
    """Ten years with a monthly balance."""
    glacier, own, span = real()[name]
    return odinn.simulate(own, glacier, *span, save_every=1.0, progress=False)


RUNS: dict[str, Callable[[], Any]] = {
    "list": lambda: run(glaciers()),
    "loop": lambda: [run(one) for one in glaciers()],
    "alone": lambda: run(glaciers()[0]),
    "border 10": lambda: run(with_border(10)),
    "border 80": lambda: run(with_border(80)),
    "square": lambda: run(square()),
}


def cost(name: str) -> dict[str, float]:
    """CPU seconds of a run."""
    task = RUNS[name] if name in RUNS else lambda: run_real(name)
    began = time.process_time()
    task()
    return {"cpu_s": time.process_time() - began}


def programs() -> dict[str, Any]:
    """What the list costs at first in this process, and which programs it asks for."""
    glaciers()
    _compiled.clear()
    first = cost("list")["cpu_s"]
    asked = list(_compiled)
    warm = sorted(cost("list")["cpu_s"] for _ in range(3))[1]
    large = [name for name, _ in asked if "march" in name]
    return {
        "first_cpu_s": first,
        "warm_cpu_s": warm,
        "asked_for": len(asked),
        "of_the_loop": len(large),
        "compile_wall_s": sum(seconds for _, seconds in asked),
        "names": sorted({name for name, _ in asked}),
    }


def agreement() -> dict[str, float]:
    """Largest differences of thickness, m: runs of a list against single ones, and against a
    repetition of its steps.
    """
    together = run(glaciers())
    alone = [run(one) for one in glaciers()]
    again = run(glaciers(), replay=[sim.steps for sim in together])
    far = lambda a, b: max(
        float(np.abs(x.thickness - y.thickness).max()) for x, y in zip(a, b, strict=True)
    )
    return {"single_m": far(together, alone), "replay_m": far(together, again)}


def stages() -> dict[str, Any]:
    """Stages that batches run over those that their glaciers need, accepted steps alone: as the
    driver makes batches, and for batches of some sizes in the order of the list and sorted.
    """
    return {"unlike": _stages_of(unlike()), "list": _stages_of(glaciers())}


def _stages_of(list_: list[odinn.Glacier]) -> dict[str, Any]:
    from odinn.run import batches

    made: list[tuple[list[str], int, int, int]] = []
    plain = batches._through_chunk

    def noting(batch: Any, *others: Any) -> None:
        chunk = batch[0][0].chunk
        places = next(n for n in batches.SIZES if n >= len(batch))
        made.append(([job.glacier.rgi_id for job, _ in batch], places, chunk.first, chunk.size))
        plain(batch, *others)

    batches._through_chunk = noting
    try:
        sims = run(list_)
    finally:
        batches._through_chunk = plain
    rows = {sim.glacier.rgi_id: _rows(sim.steps) for sim in sims}
    ran = needed = filled = 0
    for ids, places, first, size in made:
        own = [rows[name][first : first + size] for name in ids]
        alone, lock_step = _lock_step(own)
        needed, filled = needed + alone, filled + len(ids) * lock_step
        ran += places * lock_step
    order = sorted(rows, key=lambda name: -sum(sum(month) for month in rows[name]))
    found: dict[str, Any] = {
        "glaciers": len(rows),
        "batches": [[len(ids), places] for ids, places, *_ in made],
        "driver": filled / needed,
        "driver_with_empty_places": ran / needed,
    }
    for size in (4, 16):
        for label, names in (("unsorted", list(rows)), ("sorted", order)):
            parts = [[rows[n] for n in names[i : i + size]] for i in range(0, len(names), size)]
            pairs = [(len(part), *_lock_step(part)) for part in parts]
            share = sum(n * both for n, _, both in pairs) / sum(alone for _, alone, _ in pairs)
            found[f"{label} in {size}"] = share
    return found


def _rows(steps: Any) -> list[list[int]]:
    """The stages of each step of each window."""
    ends = np.cumsum(steps.count)
    return [list(map(int, part)) for part in np.split(steps.stages, ends[:-1])]


def _lock_step(own: list[list[list[int]]]) -> tuple[int, int]:
    """(stages that glaciers need, stages that each runs in their company)"""
    alone = sum(sum(month) for rows in own for month in rows)
    both = 0
    for months in zip(*own, strict=True):
        for step in range(max(map(len, months))):
            both += max(month[step] for month in months if step < len(month))
    return alone, both


def host() -> dict[str, float]:
    """CPU seconds of a warm run of :func:`square`, and of its compiled calls alone."""
    from odinn.run import batches

    calls: list[tuple] = []
    plain = batches.march
    run(square())

    def noting(*arguments: Any) -> Any:
        calls.append(arguments)
        return plain(*arguments)

    batches.march = noting
    try:
        run(square())
    finally:
        batches.march = plain
    whole, inside = [], []
    ready = []
    for members, leg, how in calls:
        compiled = plain.lower(members, leg, how).compile()
        arrays, others = eqx.partition((members, leg, how), eqx.is_array)
        ready.append((compiled, eqx.combine(jax.device_put(arrays), others)))
    for _ in range(15):
        whole.append(cost("square")["cpu_s"])
        began = time.process_time()
        for compiled, arguments in ready:
            jax.block_until_ready(compiled(*arguments))
        inside.append(time.process_time() - began)
    whole_s, inside_s = float(np.median(whole)), float(np.median(inside))
    shape = calls[0][0].state.thickness.shape
    return {
        "run_cpu_s": whole_s,
        "compiled_cpu_s": inside_s,
        "share": 1.0 - inside_s / whole_s,
        "rows": shape[1],
        "columns": shape[2],
    }


def main() -> None:
    """Answer until there are no more names."""

    def note(event: str, seconds: float, **about: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            _compiled.append((str(about.get("fun_name", "unknown")), seconds))

    jax.monitoring.register_event_duration_secs_listener(note)
    tasks: dict[str, Callable[[], Any]] = {
        "programs": programs,
        "agreement": agreement,
        "stages": stages,
        "host": host,
        "names": lambda: list(real()),
    }
    for line in sys.stdin:
        name = line.strip()
        answer = tasks[name]() if name in tasks else cost(name)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
