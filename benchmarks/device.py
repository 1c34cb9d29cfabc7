"""Many small glaciers side by side, and one large ice cap, on whatever device is there. Writes
benchmarks/results/device.json.

Forward runs of ten years and gradients of one, in double and single precision. Arrays are on the
device before the clock starts; the host's part is not in these figures. A copy is timed in the same
run, so that what a program moves can be held against what the device can move. What it moves is
counted in the optimised program: operands and results of each launch that are whole fields.
"""

from __future__ import annotations

import dataclasses
import json
import re
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import odinn
from benchmarks.measuring import RESULTS, keep, machine, parser
from benchmarks.small import small_glacier, weather
from odinn.learning.batches import batch_of, values
from odinn.learning.batches import gradients as backward
from odinn.learning.evaluation import Runs
from odinn.model import frame as frames
from odinn.run.batches import stacked
from odinn.run.job import Job
from odinn.run.march import Leg, Members, march
from odinn.run.settings import settings_of
from odinn.stepping.integrate import Stepping

COUNTS = (1, 10, 100, 1000, 5000)
SHAPE = (56, 48)  # of the frame that all small glaciers are put on
UNLIKE = 40  # small glaciers that are repeated
ROUNDS = 3
CAP = 4000  # cells along a side of the ice cap
MODEL = odinn.Model(
    odinn.SIA2D(A=7e-17), odinn.TemperatureIndex(melt_factor=5e-3, precip_factor=1.2)
)
Row = dict[str, Any]


class Case(NamedTuple):
    """A batch and the windows that it goes through, on the device."""

    members: Members
    leg: Leg
    cells: int
    months: int
    steps: int  # of a window that are recorded


def small(count: int, dtype: str, years: float) -> Case:
    """Small glaciers of 0.1 to 0.25 km², of one shape of arrays, under eight climates."""
    series = [weather(seed) for seed in range(8)]
    areas = np.exp(np.random.default_rng(1).uniform(np.log(0.1), np.log(0.25), UNLIKE))
    settings = settings_of(2000.0, 2000.0 + years, save_every=1.0, dtype=dtype)
    members = []
    for number, area in enumerate(areas[: min(count, UNLIKE)]):
        glacier = small_glacier(number, float(area), series[number % 8], border=4)
        jobs = Job(MODEL, glacier, settings, None, None)
        members.append(jobs.member())
        leg = jobs.chunk.leg
    climates = [members[k % len(members)].weather for k in range(min(8, len(members)))]
    which = [k % len(members) for k in range(count)]
    chosen = [members[k] for k in which]
    batch = Members(
        system=stacked([member.system for member in chosen], 0),
        state=stacked([member.state for member in chosen], 0),
        replay=None,
        weather=stacked(climates, 1),
        climate=np.array([k % len(climates) for k in which], np.int32),
        laws=None,
        is_there=np.ones(count, bool),
    )
    cells = count * SHAPE[0] * SHAPE[1]
    return Case(on_device(batch), on_device(leg), cells, round(12 * years), steps=64)


def cap(side: int, dtype: str) -> Case:
    """A year of an ice cap, 3 km thick and as wide as the grid, under daily weather."""
    dx = 500.0
    grid = odinn.Grid(side, side, dx, dx)
    x = (np.arange(side) - (side - 1) / 2.0) / (0.47 * side)
    share = np.maximum(1.0 - np.hypot(x[:, None], x) ** (4 / 3), 0.0)
    ice = 3000.0 * share ** (3 / 8)
    bed = np.full(grid.shape, 200.0)
    glacier = odinn.Glacier("cap", "", grid, bed, ice, ice > 0, weather(0, reference=2500.0))
    settings = settings_of(2000.0, 2001.0, save_every=1.0, dtype=dtype)
    job = Job(MODEL, glacier, settings, None, None)
    member = job.member()
    batch = Members(
        system=stacked([member.system], 0),
        state=stacked([member.state], 0),
        replay=None,
        weather=stacked([member.weather], 1),
        climate=np.zeros(1, np.int32),
        laws=None,
        is_there=np.ones(1, bool),
    )
    cells = int(np.prod(job.frame.shape))
    return Case(on_device(batch), on_device(job.chunk.leg), cells, 12, steps=1024)


def on_device(tree: Any) -> Any:
    """The arrays where they are used."""
    return jax.tree.map(lambda a: jnp.asarray(a) if eqx.is_array(a) else a, tree)


def compiled(function: Any, *arguments: Any) -> tuple[Any, float]:
    """(a jitted function's program, seconds that making it took)"""
    began = time.perf_counter()
    program = function.lower(*arguments).compile()
    return program, time.perf_counter() - began


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """(median seconds of warm runs, the result of the first)"""
    result = jax.block_until_ready(run())
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), result


def copy_bandwidth(gigabytes: float) -> float:
    """Bytes per second of a copy on the device, read and written."""
    x = jnp.ones(int(gigabytes * 2**30 / 8))
    add = jax.jit(lambda x: x + 1.0)
    seconds, _ = timed(lambda: add(x))
    return 2.0 * x.nbytes / seconds


def forward(case: Case, bandwidth: float, precision: int) -> Row:
    """A forward run: times, and what it moves."""
    most = jnp.asarray(1_000_000, jnp.int32)
    how = Stepping(odinn.RKC2(), case.steps, most)
    program, compiling = compiled(march, case.members, case.leg, how)
    seconds, (_, kept) = timed(lambda: program(case.members, case.leg, how))
    count = np.asarray(kept.record.steps.count)
    stages = np.asarray(kept.record.steps.stages)
    evaluations = float(np.asarray(kept.record.tally.evaluations).mean())
    assert (np.asarray(kept.record.status) == 0).all(), "a run failed"
    assert count.max() <= case.steps, "the record is too short"
    # a batch takes as many steps and stages in a month as the one that needs most
    used = np.arange(stages.shape[-1]) < count[..., None]
    inner = np.where(used, stages - 1, 0).max(axis=0).sum()
    loops = {"month": case.months, "step": int(count.max(axis=0).sum()), "stage": int(inner)}
    levels = launches(program.compiled.as_text(), case.cells)
    launched = sum(levels[name].launches * loops[name] for name in loops)
    fields = sum(levels[name].fields * loops[name] for name in loops)
    cell_months = case.cells * case.months
    moved = fields * case.cells * precision
    return {
        "cells": case.cells,
        "months": case.months,
        "seconds": seconds,
        "seconds of compiling": compiling,
        "cells x months / s": cell_months / seconds,
        "cells x evaluations / s": case.cells * evaluations / seconds,
        "evaluations a month": evaluations / case.months,
        "launches a month": launched / case.months,
        "bytes a cell and month": moved / cell_months,
        "share of copy bandwidth": moved / seconds / bandwidth,
    }


class Level(NamedTuple):
    """What one pass of a loop launches, and the whole fields that its launches read and write."""

    launches: int
    fields: int


_OPENS = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
_OPERATION = re.compile(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([\w\-]+)\((.*?)\)")
_QUIET = {"parameter", "tuple", "get-tuple-element", "constant", "bitcast", "while", "iota"}
Program = dict[str, list[str]]  # lines of each computation


def launches(text: str, cells: int) -> dict[str, Level]:
    """Launches and fields by loop of a compiled march: months hold steps, steps hold stages. The
    rare repayment behind a condition is left out.
    """
    program = computations(text)
    inside = {name: bodies(program, name) for name in program}

    def depth(name: str) -> int:
        return 1 + max((depth(inner) for inner in inside[name]), default=0)

    held = {inner for inners in inside.values() for inner in inners}
    top = max((n for n in held if not any(n in inside[o] for o in held)), key=depth)
    step = max(inside[top], key=depth)
    stage = max(inside[step], key=lambda n: len(program[n])) if inside[step] else step
    return {
        "month": level(program, top, cells),
        "step": level(program, step, cells),
        "stage": level(program, stage, cells),
    }


def computations(text: str) -> Program:
    """The computations of a program, by name."""
    program: Program = {}
    name = ""
    for line in text.splitlines():
        opened = _OPENS.match(line)
        if opened and not line.startswith(" "):
            name = opened.group(1)
            program[name] = []
        elif name and line.startswith("  "):
            program[name].append(line)
    return program


def called(line: str) -> str | None:
    """The computation that a line calls as it stands: a graph of launches, on a GPU."""
    found = re.search(r" call\(.*to_apply=%?([\w.\-]+)", line)
    return found.group(1) if found else None


def bodies(program: Program, name: str) -> list[str]:
    """The loops that a computation holds, itself or in what it calls."""
    found = []
    for line in program[name]:
        found += re.findall(r"body=%?([\w.\-]+)", line)
        inner = called(line)
        if inner:
            found += bodies(program, inner)
    return found


def level(program: Program, name: str, cells: int) -> Level:
    """Launches of a computation, and whole fields among their operands and results."""
    shapes: dict[str, int] = {}
    count = fields = 0
    for line in program[name]:
        found = _OPERATION.match(line)
        if not found:
            continue
        result, shape, kind, operands = found.groups()
        shapes[result] = sum(is_field(dims, cells) for dims in re.findall(r"\[([\d,]*)\]", shape))
        inner = called(line)
        if inner:
            count += level(program, inner, cells).launches
            fields += level(program, inner, cells).fields
            continue
        if kind in _QUIET or kind.startswith("all-"):
            continue
        count += 1
        read = sum(shapes.get(o, 0) for o in re.findall(r"%?([\w.\-]+)(?:,|$)", operands))
        fields += read + shapes[result]
    return Level(count, fields)


def is_field(dims: str, cells: int) -> bool:
    """Whether an array has about a number for each cell: a field on cells, corners or faces."""
    size = int(np.prod([int(n) for n in dims.split(",") if n] or [1]))
    return 0.9 * cells <= size <= cells


def gradients(count: int, dtype: str) -> Row:
    """The gradient of a year's thickness with respect to A, of each of many alike glaciers."""
    glacier = small_glacier(3, 0.15, weather(0), border=4)
    learned = odinn.Model(
        odinn.SIA2D(A=odinn.Parameter(7e-17, bounds=(1e-18, 1e-15))), MODEL.mass_balance
    )
    span = (2000.0, 2001.0)
    twin = odinn.synthetic_observations(MODEL, glacier, span, of=("thickness",))[0]
    whole = odinn.objective(learned, twin, odinn.losses.Thickness(), span, dtype=dtype)
    runs = Runs(whole)
    runs.values(whole.params)
    one = batch_of([runs.sized(0).misfit])
    spread = np.linspace(-0.5, 0.5, count)
    (local,) = runs.given(whole.params, [0])
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf) + jnp.asarray(spread, leaf.dtype), local)
    repeated = lambda a: jnp.repeat(a, count, axis=0) if eqx.is_array(a) else a
    many = dataclasses.replace(one, each=jax.tree.map(repeated, one.each))

    seconds, _ = timed(lambda: values(many, params))
    program, compiling = compiled(backward, many, params)
    pulled, found = timed(lambda: program(many, params))
    assert (np.asarray(found.facts.status) == 0).all(), "a run failed"
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(found.more))
    cells = count * runs.laid[0].misfit.site.interior.size
    return {
        "cells": cells,
        "months": 12,
        "forward s": seconds,
        "gradient s": pulled,
        "seconds of compiling": compiling,
        "gradient / forward": pulled / seconds,
        "cells x months / s": 12 * cells / pulled,
    }


def measures(quick: bool, bandwidth: float) -> dict[str, Callable[[], Row]]:
    """Each row of the table, and how to measure it."""
    counts = (1, 10, 40) if quick else COUNTS
    side, years = (200, 1.0) if quick else (CAP, 10.0)
    rows: dict[str, Callable[[], Row]] = {}
    for dtype, precision in (("float64", 8), ("float32", 4)):
        moved = partial(forward, bandwidth=bandwidth, precision=precision)
        for count in counts:
            rows[f"forward {count} {dtype}"] = partial(_first, small, (count, dtype, years), moved)
        rows[f"cap {side} {dtype}"] = partial(_first, cap, (side, dtype), moved)
    for dtype in ("float64", "float32"):
        for count in counts:
            rows[f"gradient {count} {dtype}"] = partial(gradients, count, dtype)
    return rows


def _first(make: Callable[..., Case], how: tuple[Any, ...], then: Callable[[Case], Row]) -> Row:
    """A case that is made when its turn has come, and does not outlive it."""
    return then(make(*how))


def main() -> None:
    """Measure, and write. What goes wrong with a row, such as memory that ends, is its result."""
    command = parser(__doc__ or "")
    command.add_argument("--only", default="", help="rows that match, added to those in the file")
    chosen = command.parse_args()
    # all small glaciers on arrays of one shape
    frames.LADDER = (SHAPE,)
    bandwidth = copy_bandwidth(0.25 if chosen.quick else 2.0)
    result = {
        "machine": machine() | {"device": jax.devices()[0].device_kind},
        "rounds": ROUNDS,
        "copy bandwidth": bandwidth,
        "rows": already(jax.devices()[0].device_kind) if chosen.only else {},
    }
    for name, measure in measures(chosen.quick, bandwidth).items():
        if not re.search(chosen.only, name):
            continue
        try:
            row = measure()
        except Exception as error:
            row = {"failed": f"{type(error).__name__}: {error}"[:300]}
        print(name, row, flush=True)
        result["rows"][name] = row
        if not chosen.quick:
            keep("device", result, chosen.quick)


def already(device: str) -> dict[str, Row]:
    """The rows that were measured on this device."""
    path = RESULTS / "device.json"
    if not path.exists():
        return {}
    held = json.loads(path.read_text())
    return held["rows"] if held["machine"]["device"] == device else {}


if __name__ == "__main__":
    main()
