"""Cross-sections: bed and surfaces in time along a line, drawn or found.

A line is (N, 2): projected x and y in metres, in the order in which it is walked.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from cmcrameri import cm
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra

from odinn.constants import AREA_THRESHOLD
from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.grid import Grid
from odinn.plot import maps
from odinn.plot.series import name_of, period
from odinn.results.simulation import Simulation

Line = Float[np.ndarray, "N 2"]

_SMOOTHING: Final = 2.0  # cells: takes the corners of a walk from cell to cell off
_ROCK, _ICE, _INK = "#b9a590", "#e4eef6", "#202020"
_YEARS: Final = ListedColormap(
    cm.batlow(np.linspace(0.0, 0.85, 256))
)  # its pale end would be lost on white


def central_line(glacier: Glacier) -> Line:
    """The way from the highest to the lowest ice through the thickest ice between, of the largest
    connected piece.

    It is the shortest path over neighbouring cells with at least 1 m of ice, where a metre through
    thin ice is longer than one through thick ice, in proportion to 1/H (Dijkstra); corners are then
    smoothed over two cells.

    Returns:
        (N, 2), m, from the head to the front, a point every half a cell.

    Raises:
        InputError: if the glacier has fewer than two cells of ice side by side.
    """
    thickness, surface, grid = np.asarray(glacier.thickness), glacier.surface, glacier.grid
    pieces, _ = ndimage.label(thickness >= AREA_THRESHOLD, np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())[1:]
    if not sizes.size or sizes.max() < 2:
        raise InputError(
            where(glacier.rgi_id, "no central line: there are no two cells of ice side by side")
        )
    rows, columns = np.nonzero(pieces == 1 + sizes.argmax())
    altitude = surface[rows, columns]
    top, front = int(altitude.argmax()), int(altitude.argmin())
    path = _shortest(thickness, rows, columns, grid, front, top)
    walked = np.stack([grid.x[columns[path]], grid.y[rows[path]]], axis=1)
    smooth = ndimage.gaussian_filter1d(walked, _SMOOTHING, axis=0, mode="nearest")
    smooth[[0, -1]] = walked[[0, -1]]
    return densely(smooth, min(grid.dx, grid.dy) / 2)


def _shortest(
    thickness: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    grid: Grid,
    source: int,
    target: int,
) -> list[int]:
    """Numbers of the cells from target to source with the least sum of length over thickness."""
    number = np.full(grid.shape, -1)
    number[rows, columns] = np.arange(rows.size)
    edges = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = number[: grid.ny - down, max(-right, 0) : grid.nx - max(right, 0)]
        there = number[down:, max(right, 0) : grid.nx + min(right, 0)]
        both = (here >= 0) & (there >= 0)
        a, b = here[both], there[both]
        mean = (thickness[rows[a], columns[a]] + thickness[rows[b], columns[b]]) / 2
        edges.append((a, b, np.hypot(down * grid.dy, right * grid.dx) / mean))
    a, b, cost = (np.concatenate(part) for part in zip(*edges, strict=True))
    graph = sparse.csr_array((cost, (a, b)), shape=(rows.size, rows.size))
    _, before = dijkstra(graph, directed=False, indices=source, return_predecessors=True)
    path = [target]
    while path[-1] != source:
        path.append(int(before[path[-1]]))
    return path


def densely(line: Any, spacing: float) -> Line:
    """The line with points at most ``spacing`` (m) apart, evenly along it."""
    line = np.asarray(line, float)
    along = distance(line)
    even = np.linspace(0.0, along[-1], int(np.ceil(along[-1] / spacing)) + 1)
    return np.stack([np.interp(even, along, line[:, i]) for i in range(2)], axis=1)


def distance(line: Line) -> Float[np.ndarray, " N"]:
    """Distance along the line from its start, m."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def sample(field: Float[np.ndarray, "ny nx"], grid: Grid, line: Line) -> Float[np.ndarray, " N"]:
    """A field on the points of a line, bilinear between cell centres."""
    place = [(grid.y0 - line[:, 1]) / grid.dy, (line[:, 0] - grid.x0) / grid.dx]
    return ndimage.map_coordinates(np.asarray(field, float), place, order=1, mode="nearest")


def cross_section(
    sim: Simulation, line: Any = None, ax: Axes | None = None, *, surfaces: int = 6
) -> Axes:
    """Bed and surfaces along a line, coloured by year, and below how the thickness changed since
    the start.

    Args:
        line: (N, 2), m; at least two points on the grid. Default: :func:`central_line` of the ice
            of start and end.
        ax: axes to draw on, made by ``subplots``; by default those of a new figure, ``ax.figure``.
        surfaces: how many saved times are drawn, evenly chosen with the first and the last.

    Returns:
        The axes of the section, in km along the line and m of altitude.

    Raises:
        InputError: for a line that has no two points or leaves the grid.
    """
    ax = Figure(figsize=(8.0, 4.8), layout="constrained").subplots() if ax is None else ax
    grid = sim.glacier.grid
    line = line_of(sim, line)
    along, bed = distance(line) / 1000, sample(np.asarray(sim.glacier.bed), grid, line)
    chosen = np.unique(np.linspace(0, len(sim.times) - 1, max(surfaces, 2)).round().astype(int))
    thickness = np.stack([sample(sim.thickness[i], grid, line) for i in chosen])
    norm = Normalize(sim.times[0], sim.times[-1])

    below, bar = _below(ax), ax.inset_axes((1.015, 0.0, 0.014, 1.0))
    ax.fill_between(along, bed, bed + thickness[-1], color=_ICE, linewidth=0)
    for i, ice in zip(chosen, thickness, strict=True):
        color = _YEARS(norm(sim.times[i]))
        ax.plot(along, np.where(_with_margin(ice), bed + ice, np.nan), color=color, linewidth=1.3)
        below.plot(along, ice - thickness[0], color=color, linewidth=1.3)
    top = (bed + thickness.max(axis=0)).max()
    floor = bed.min() - 0.06 * (top - bed.min())
    ax.fill_between(along, floor, bed, color=_ROCK, linewidth=0)
    ax.plot(along, bed, color=_INK, linewidth=1.0)
    below.axhline(0.0, color=_INK, linewidth=0.8, zorder=0)

    ax.set(ylabel="altitude (m)", xlim=(0.0, along[-1]), ylim=(floor, top + 0.06 * (top - floor)))
    ax.tick_params(axis="x", labelbottom=False)
    below.set(xlabel="distance along the line (km)", ylabel="change (m)")
    below.yaxis.set_major_locator(MaxNLocator(4))
    years = ax.figure.colorbar(ScalarMappable(norm, _YEARS), cax=bar)
    years.set_label("year", fontsize=9)
    years.locator = MaxNLocator(5, integer=bool(np.ptp(sim.times) > 3))
    years.update_ticks()
    bar.ticklabel_format(axis="y", useOffset=False)
    bar.tick_params(labelsize=8)
    for end, side in (("A", "left"), ("B", "right")):
        ax.set_title(end, loc=side, fontsize=10, weight="bold")  # type: ignore[arg-type]
    return ax


def draw_line(line: Line, ax: Axes) -> None:
    """Draw a line on a map, from A to B."""
    for width, color in ((3.0, "white"), (1.2, _INK)):
        ax.plot(*line.T, color=color, linewidth=width, solid_capstyle="round", zorder=4)
    for point, name in ((line[0], "A"), (line[-1], "B")):
        box = {
            "boxstyle": "circle,pad=0.15",
            "facecolor": "white",
            "edgecolor": _INK,
            "linewidth": 0.8,
        }
        ax.text(
            point[0],
            point[1],
            name,
            fontsize=7,
            weight="bold",
            ha="center",
            va="center",
            bbox=box,
            zorder=5,
            clip_on=True,
        )


def map_and_section(sim: Simulation, line: Any = None) -> Figure:
    """The thickness at the end with the line on it, and the section along the line."""
    line = line_of(sim, line)
    fig = Figure(figsize=(12.0, 4.6), layout="constrained")
    fig.suptitle(f"{name_of(sim)}, {period(sim)}", fontsize=12)
    left, right = fig.subplots(1, 2, width_ratios=(2, 3))
    draw_line(line, maps.draw_run(sim, "thickness", ax=left))
    cross_section(sim, line, right)
    return fig


def line_of(sim: Simulation, line: Any = None) -> Line:
    """A line given by its corners, with points every half a cell; by default the central line of
    the run's ice.
    """
    glacier = sim.glacier
    if line is None:
        most = np.maximum(sim.thickness[0], sim.thickness[-1])
        return central_line(glacier.replace(thickness=most, keep="bed"))
    line = np.asarray(line, float)
    if line.ndim != 2 or line.shape[1] != 2 or len(line) < 2 or not np.isfinite(line).all():
        raise InputError(
            where(
                glacier.rgi_id,
                f"line has shape {line.shape}, expected (N, 2) with N > 1: x and y, m",
            )
        )
    west, east, south, north = maps.extent(glacier.grid)
    outside = (
        (line[:, 0] < west) | (line[:, 0] > east) | (line[:, 1] < south) | (line[:, 1] > north)
    )
    if outside.any():
        x, y = line[outside][0]
        span = f"x {west:.0f} to {east:.0f}, y {south:.0f} to {north:.0f} m"
        raise InputError(
            where(glacier.rgi_id, f"line: ({x:.6g}, {y:.6g}) is off the grid, which spans {span}")
        )
    if distance(line)[-1] == 0:
        raise InputError(
            where(glacier.rgi_id, "line has no length: its points are one and the same")
        )
    return densely(line, min(glacier.grid.dx, glacier.grid.dy) / 2)


def _below(ax: Axes) -> Axes:
    """Axes under those of the section, in the place that these had alone."""
    spec = ax.get_subplotspec()
    if spec is None:
        raise InputError("cross_section: the change below the section needs axes made by subplots")
    rows = spec.subgridspec(2, 1, height_ratios=(5, 2), hspace=0.03)
    ax.set_subplotspec(rows[0])
    return ax.figure.add_subplot(rows[1], sharex=ax)


def _with_margin(ice: np.ndarray) -> np.ndarray:
    """Points with ice and their neighbours, so that a surface ends on the bed."""
    return ndimage.binary_dilation(ice > 0)
