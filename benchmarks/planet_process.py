"""A process on one core that measures what runs of lists of glaciers cost, from files to files.
Started by benchmarks.planet; prints one line of JSON. Arguments: ``check`` or ``calibrate``, years.

Glaciers are opened from NetCDF files with daily weather of the whole span, run with a monthly
balance, and written to a folder with fields every ten years and sums of each month.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.pinning import pin

pin()  # before JAX starts

import jax  # noqa: E402
import numpy as np  # noqa: E402
import xarray as xr  # noqa: E402

import odinn  # noqa: E402
from benchmarks.fresh import peak_memory  # noqa: E402
from benchmarks.inventory import INVENTORIES, pieces, quantiles  # noqa: E402
from benchmarks.run import DATA  # noqa: E402
from benchmarks.small import small_glacier, weather  # noqa: E402
from odinn.model.frame import LADDER, MARGINS, frame_around  # noqa: E402
from odinn.run import batches  # noqa: E402

START = 2000
SAVE_EVERY = 10.0  # years between fields
CHECKED = 256
LISTS = {size: 16 if size[0] * size[1] < 4000 else 4 for size in LADDER}
STIFF = 2e-15  # Pa⁻³ yr⁻¹, for runs with more evaluations of the same glaciers
RELIEF = 2000.0  # m above and below the middle, at most
Row = dict[str, Any]


def model(A: float = 7e-17) -> odinn.Model:
    """That of benchmarks.device."""
    balance = odinn.TemperatureIndex(melt_factor=5e-3, precip_factor=1.2)
    return odinn.Model(odinn.SIA2D(A=A), balance)


_WEATHER = weather(0)


def made(number: int, area: float) -> odinn.Glacier:
    """A glacier of benchmarks.small; its weather is not used."""
    return small_glacier(number, area, _WEATHER)


def frame_of(glacier: odinn.Glacier) -> tuple[int, int]:
    """(ny, nx) of the arrays that its run computes."""
    return frame_around(np.asarray(glacier.mask), MARGINS[0]).shape


def written(glacier: odinn.Glacier, years: int, folder: Path) -> Path:
    """The glacier as a file with a series of its own of daily weather."""
    random = np.random.default_rng(int(glacier.rgi_id.split("-")[1]))
    first, last = np.datetime64(f"{START}-01-01"), np.datetime64(f"{START + years}-01-01")
    days = (last - first).astype(int)
    season = -4.0 - 8.0 * np.cos(2.0 * np.pi * (np.arange(days) / 365.25 - 0.04))
    daily = ("time",)
    thickness, bed = np.asarray(glacier.thickness), np.asarray(glacier.bed)
    # the slopes of small glaciers would take large ones below the sea and beyond all mountains
    bed = 3000.0 + (bed - 3000.0) * min(1.0, RELIEF / np.abs(bed - 3000.0).max())
    ds = xr.Dataset(
        {
            "topo": (("y", "x"), (bed + thickness).astype("f4")),
            "thickness": (("y", "x"), thickness.astype("f4")),
            "glacier_mask": (("y", "x"), np.asarray(glacier.mask).astype("i1")),
            "temp": (daily, (season + 3.0 * random.standard_normal(days)).astype("f4")),
            "prcp": (daily, random.gamma(0.4, 12.0, days).astype("f4")),
            "gradient": (daily, np.full(days, -0.0065, "f4")),
        },
        coords={
            "y": np.asarray(glacier.grid.y),
            "x": np.asarray(glacier.grid.x),
            "time": ("time", first + np.arange(days)),
        },
        attrs={"rgi_id": glacier.rgi_id, "crs": glacier.grid.crs},
    )
    ds["temp"].attrs = {"units": "degC", "ref_hgt": 3000.0}
    path = folder / f"{glacier.rgi_id}.nc"
    ds.to_netcdf(path)
    return path


class Meter:
    """CPU seconds in the compiled program, of its calls."""

    def __init__(self) -> None:
        self.cpu_s, self.calls = 0.0, 0


@contextmanager
def metered() -> Iterator[Meter]:
    """What is spent in the compiled program."""
    plain, meter = batches.march, Meter()

    def timing(*arguments: Any) -> Any:
        began = time.process_time()
        outcome = jax.block_until_ready(plain(*arguments))
        meter.cpu_s += time.process_time() - began
        meter.calls += 1
        return outcome

    batches.march = timing  # type: ignore[assignment]
    try:
        yield meter
    finally:
        batches.march = plain


def run(paths: list[Path], years: int, A: float = 7e-17) -> Row:
    """A list, from files to files: CPU seconds, the part of the program, evaluations, bytes."""
    with tempfile.TemporaryDirectory() as folder, metered() as meter:
        began = time.process_time()
        table = odinn.simulate(
            model(A),
            paths,
            float(START),
            float(START + years),
            save_every=SAVE_EVERY,
            output=folder,
            progress=False,
        )
        cpu_s = time.process_time() - began
        size = sum(entry.stat().st_size for entry in os.scandir(folder))
    assert (table.status == "done").all(), table.error[table.status != "done"].iloc[0]
    return {
        "cpu_s": cpu_s,
        "program_s": meter.cpu_s,
        "calls": meter.calls,
        "evaluations": [int(n) for n in table.evaluations],
        "bytes": size,
    }


def described(glaciers: list[odinn.Glacier], areas: list[float]) -> Row:
    """What the prediction knows of a list."""
    return {
        "areas": areas,
        "cells": [int(np.prod(frame_of(g))) for g in glaciers],
        "own_cells": [int(g.mask.size) for g in glaciers],
    }


def check(years: int) -> Row:
    """Variants drawn evenly from all glaciers: a first run, and two later ones."""
    areas = quantiles(pieces(INVENTORIES[1]), CHECKED)
    glaciers = [made(number, area) for number, area in enumerate(areas)]
    programs: list[str] = []

    def note(event: str, seconds: float, **about: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            programs.append(str(about.get("fun_name", "unknown")))

    jax.monitoring.register_event_duration_secs_listener(note)
    with tempfile.TemporaryDirectory() as folder:
        paths = [written(glacier, years, Path(folder)) for glacier in glaciers]
        first = run(paths, years)
        compiled = len(programs)
        later = [run(paths, years) for _ in range(2)]
    found = described(glaciers, areas) | {"years": years, "programs": compiled}
    found |= {"loop_programs": sum("march" in name for name in programs)}
    return found | {"first": first, "later": later, "peak_mb": peak_memory()}


def calibrate(years: int) -> Row:
    """Lists of glaciers of each size of arrays, others than those of the check."""
    random = np.random.default_rng(5)
    lists: dict[tuple[int, int], list[tuple[odinn.Glacier, float]]] = {s: [] for s in LADDER}
    number = 10_000
    while any(len(lists[size]) < count for size, count in LISTS.items()):
        area = float(np.exp(random.uniform(np.log(0.01), np.log(40.0))))
        glacier = made(number, area)
        number += 1
        place = lists.get(frame_of(glacier))
        if place is not None and len(place) < LISTS[frame_of(glacier)]:
            place.append((glacier, area))
    rows = []
    for size, several in lists.items():
        glaciers, areas = [g for g, _ in several], [a for _, a in several]
        for length, A in ((10, 7e-17), (years, 7e-17), (10, STIFF)):
            with tempfile.TemporaryDirectory() as folder:
                paths = [written(glacier, length, Path(folder)) for glacier in glaciers]
                run(paths, length, A)
                runs = [run(paths, length, A) for _ in range(3 if length == 10 else 2)]
            middle = sorted(runs, key=lambda one: one["cpu_s"])[len(runs) // 2]
            about = described(glaciers, areas) | {"shape": size, "years": length, "A": A}
            rows.append(about | middle)
            print(size, length, A, middle["cpu_s"], middle["program_s"], file=sys.stderr)
    return {"lists": rows, "real": real(), "large": large()}


def real() -> list[Row]:
    """Real glaciers, where the data is: cells and evaluations, of three years."""
    found = []
    for path in sorted((DATA / "glaciers").glob("*.nc")):
        glacier = odinn.open_glacier(path)
        start = float(np.ceil(glacier.climate.first_month / 12)) + 1.0
        sim = odinn.simulate(model(), glacier, start, start + 3.0, save_every=3.0, progress=False)
        area = float(np.count_nonzero(glacier.mask) * glacier.grid.dx**2 / 1e6)
        cells = int(np.prod(frame_of(glacier)))
        share = cells / np.count_nonzero(glacier.mask)
        about = {"glacier": path.stem.split("_RGI")[0], "area": area, "cells": cells}
        found.append(
            about | {"cells_over_ice": share, "evaluations_a_month": sim.steps.evaluations / 36}
        )
    return found


def large() -> list[Row]:
    """Glaciers of 100 to 3000 km² made in code: CPU seconds in the program and evaluations of a
    year, where no size of arrays is common.
    """
    found = []
    for number, area in enumerate((100.0, 300.0, 1000.0, 3000.0)):
        glacier = made(20_000 + number, area)
        with tempfile.TemporaryDirectory() as folder:
            paths = [written(glacier, 1, Path(folder))]
            run(paths, 1)
            found.append(described([glacier], [area]) | {"years": 1} | run(paths, 1))
    return found


if __name__ == "__main__":
    what = {"check": check, "calibrate": calibrate}[sys.argv[1]]
    print(json.dumps(what(int(sys.argv[2]))))
