"""``odinn plot`` and ``odinn export``: pictures and maps of a result."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import odinn
from odinn.atomic import path_of
from odinn.cli import report
from odinn.cli.inverting import InversionSetup
from odinn.cli.report import console
from odinn.cli.running import writable
from odinn.dates import decimal_year
from odinn.errors import InputError
from odinn.learning.driver import Inversion
from odinn.plot import figures
from odinn.plot.animation import Moving
from odinn.results.geotiff import FIELDS
from odinn.results.simulation import Simulation


def list_figures() -> None:
    """The figures of a run by name."""
    shows = {name: kind.shows for name, kind in figures.FIGURES.items()} | figures.MOVING
    for name, text in shows.items():
        default = " (drawn by default)" if name in figures.DEFAULT else ""
        console.print(f"{name:20s} {text}{default}")


def plot(
    path: Path | None,
    names: list[str],
    output: Path | None,
    *,
    format: str,
    line: str | None,
    field: str,
) -> None:
    """Draw figures of a run, or those of an inversion again."""
    if path is None:
        raise InputError("plot: no result given, such as results/argentiere/RGI60-11.03638.nc")
    names = names or list(figures.DEFAULT)
    figures.check(names, format, field)  # before a file is read that may be large
    corners = None if line is None else _corners(line)
    path, output = path_of(path), None if output is None else path_of(output)
    folder = output or path.with_suffix("")
    result = odinn.load(path)
    if isinstance(result, Inversion):
        beside = path if path.is_dir() else path.parent
        report.listed(draw_inversion(result, odinn.load(beside / "start.nc"), output or beside))
        return
    sim = _simulation(result, path)
    writable(folder, "--output")
    moving = cast("Moving", field)  # figures.check has seen that it is one
    drawn = odinn.plot.save_all(sim, folder, names, format=format, line=corners, field=moving)
    report.listed(drawn)


def export(path: Path, fields: list[str], output: Path | None, at: str | None) -> None:
    """Write maps of a run as GeoTIFF."""
    for field in fields:
        if field not in FIELDS:
            raise InputError(f"--field: no field {field!r}: choose from {', '.join(FIELDS)}")
    path, output = path_of(path), None if output is None else path_of(output)
    folder = output or path.parent
    targets = [folder / f"{path.stem}_{field}.tif" for field in fields]
    if output is not None and output.suffix.lower() in (".tif", ".tiff"):
        if len(fields) > 1:
            message = f"{output} is one file for {len(fields)} fields; give a folder"
            raise InputError(f"--output: {message}")
        folder, targets = output.parent, [output]
    time = None if at is None else _time(at)
    sim = _simulation(odinn.load(path), path)
    writable(folder, "--output")
    ds = sim.to_dataset()  # once: it computes velocities
    written = []
    for field, target in zip(fields, targets, strict=True):
        written.append(odinn.to_geotiff(ds, field, target, at=time))
    report.listed(written)


def _corners(line: str) -> list[tuple[float, ...]]:
    """The corners of a line written as 'x,y x,y ...'."""
    try:
        corners = [tuple(map(float, corner.split(","))) for corner in line.split()]
    except ValueError:  # what is no number is reported with what are no two
        corners = []
    if len(corners) < 2 or any(len(corner) != 2 for corner in corners):
        raise InputError(
            f"--line: found {line!r}, expected two or more corners such as '350200,5091800 "
            "351000,5092400'"
        )
    return corners


def _time(text: str) -> float:
    """A decimal year or a date."""
    try:
        return float(text)
    except ValueError:
        return decimal_year(text)


def _simulation(result: object, path: Path) -> Simulation:
    """What was found in a file, if it is a simulation."""
    if not isinstance(result, Simulation):
        raise InputError(f"{path}: holds a {type(result).__name__}, expected the result of a run")
    return result


def draw_inversion(fit: Inversion, setup: InversionSetup, folder: Path) -> list[Path]:
    """The pictures of an inversion in a folder, those of a glacier in one of its own."""
    dates: dict[str, dict[str, float]] = {}
    for glacier in setup.glaciers:
        last = dates[glacier.rgi_id] = {}  # that has data of a kind
        for _, _, term in setup.loss.data:
            stops = term.stops(glacier, setup.period)
            if stops and term.name in ("thickness", "velocity"):
                last[term.name] = float(stops[-1])
    start = setup.model, setup.glaciers
    pictures = odinn.plot.inversion(fit, start=start, truth=setup.truth, dates=dates)
    written = []
    for name, figure in pictures.items():
        path = folder / f"{name}.png"
        written.append(figures.save(figure, path, 130))
    return written
