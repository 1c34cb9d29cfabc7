"""Cross-sections: bed and surfaces in time along a line, drawn or found.

A line is (N, 2): projected x and y in metres, in the order in which it is walked.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from cmcrameri import cm
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra

from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.grid import Grid
from odinn.plot import maps
from odinn.plot.parts import Picture, evenly
from odinn.plot.series import name_of, period
from odinn.results.simulation import Simulation

Line = Float[np.ndarray, "N 2"]

_SMOOTHING: Final = 2.0  # cells: takes the corners of a walk from cell to cell off
_ROCK, _ICE, _INK = "#b9a590", "#e4eef6", "#202020"
# The pale end of the colours would be lost on white.
_YEARS: Final = ListedColormap(cm.batlow(np.linspace(0.0, 0.85, 256)))


class NoLineError(InputError):
    """A glacier too small for a central line."""


def central_line(glacier: Glacier) -> Line:
    """The way from the highest to the lowest ice through the thickest ice between, of the largest
    connected piece.

    It is the shortest path over neighbouring cells with at least 1 m of ice, where a metre through
    thin ice is longer than one through thick ice, in proportion to 1/H (Dijkstra); corners are then
    smoothed over two cells.

    Returns:
        (N, 2), m, from the head to the front, a point every half a cell.

    Raises:
        NoLineError: if the glacier has fewer than two cells of ice side by side.
    """
    grid = glacier.grid
    pieces, _ = ndimage.label(maps.ice_of(glacier), np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())[1:]  # piece 0 is the ground without ice
    if not sizes.size or sizes.max() < 2:
        message = "no central line: there are no two cells of ice side by side"
        raise NoLineError(of_glacier(glacier.rgi_id, message))
    inside = pieces == 1 + sizes.argmax()
    top = int(np.where(inside, glacier.surface, -np.inf).argmax())
    front = int(np.where(inside, glacier.surface, np.inf).argmin())
    path = _shortest(np.asarray(glacier.thickness), inside, grid, front, top)
    rows, columns = np.unravel_index(path, grid.shape)
    walked = np.stack([grid.x[columns], grid.y[rows]], axis=1)
    smooth = ndimage.gaussian_filter1d(walked, _SMOOTHING, axis=0, mode="nearest")
    smooth[[0, -1]] = walked[[0, -1]]  # smoothing draws the ends in
    return densely(smooth, _half_a_cell(grid))


def _shortest(
    thickness: np.ndarray, inside: np.ndarray, grid: Grid, source: int, target: int
) -> list[int]:
    """Numbers of the cells from target to source with the least sum of length over thickness."""
    depth, number = thickness.ravel(), np.arange(grid.nx * grid.ny).reshape(grid.shape)
    edges = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        # Cells that have a neighbour in that direction, and the numbers of these neighbours.
        first = number[: grid.ny - down, max(-right, 0) : grid.nx - max(right, 0)].ravel()
        second = first + down * grid.nx + right
        both = inside.flat[first] & inside.flat[second]
        first, second = first[both], second[both]
        length = np.hypot(down * grid.dy, right * grid.dx)
        edges.append((first, second, 2 * length / (depth[first] + depth[second])))
    first, second, cost = (np.concatenate(part) for part in zip(*edges, strict=True))
    graph = sparse.csr_array((cost, (first, second)), shape=(number.size, number.size))
    _, before = dijkstra(graph, directed=False, indices=source, return_predecessors=True)
    path = [target]
    while path[-1] != source:
        path.append(int(before[path[-1]]))
    return path


def densely(line: Line, spacing: float) -> Line:
    """The line with points at most ``spacing`` (m) apart, evenly along it."""
    along = distance(line)
    even = np.linspace(0.0, along[-1], int(np.ceil(along[-1] / spacing)) + 1)
    return np.stack([np.interp(even, along, axis) for axis in line.T], axis=1)


def distance(line: Line) -> Float[np.ndarray, " N"]:
    """Distance along the line from its start, m."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def sample(field: Float[np.ndarray, "ny nx"], grid: Grid, line: Line) -> Float[np.ndarray, " N"]:
    """A field on the points of a line, bilinear between cell centres."""
    place = [(grid.y0 - line[:, 1]) / grid.dy, (line[:, 0] - grid.x0) / grid.dx]
    return ndimage.map_coordinates(np.asarray(field, float), place, order=1, mode="nearest")


def cross_section(
    sim: Simulation, line: ArrayLike | None = None, ax: Axes | None = None, *, surfaces: int = 6
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
    ax = ax or Picture(figsize=(8.0, 4.8), layout="constrained").subplots()
    grid = sim.glacier.grid
    points = line_of(sim, line)
    along, bed = distance(points) / 1000, sample(np.asarray(sim.glacier.bed), grid, points)
    chosen = evenly(len(sim.times), max(surfaces, 2))
    thickness = np.stack([sample(sim.thickness[i], grid, points) for i in chosen])
    norm = Normalize(sim.times[0], sim.times[-1])

    below, bar = _below(ax), ax.inset_axes((1.015, 0.0, 0.014, 1.0))
    ax.fill_between(along, bed, bed + thickness[-1], color=_ICE, linewidth=0)
    for t, ice in zip(sim.times[chosen], thickness, strict=True):
        pen = {"color": _YEARS(norm(t)), "linewidth": 1.3}
        # With a point on either side of the ice, so that a surface ends on the bed.
        surface = np.where(ndimage.binary_dilation(ice > 0), bed + ice, np.nan)
        ax.plot(along, surface, **pen)
        below.plot(along, ice - thickness[0], **pen)
    top = (bed + thickness.max(axis=0)).max()
    # Rock down to a little below the lowest bed.
    floor = bed.min() - 0.06 * (top - bed.min())
    ax.fill_between(along, floor, bed, color=_ROCK, linewidth=0)
    ax.plot(along, bed, color=_INK, linewidth=1.0)
    below.axhline(0.0, color=_INK, linewidth=0.8, zorder=0)

    ax.set(ylabel="altitude (m)", xlim=(0.0, along[-1]), ylim=(floor, top + 0.06 * (top - floor)))
    ax.tick_params(axis="x", labelbottom=False)
    below.set(xlabel="distance along the line (km)", ylabel="change (m)")
    below.yaxis.set_major_locator(MaxNLocator(4))
    _bar_of_years(ax, bar, norm)
    ax.set_title("A", loc="left", fontsize=10, weight="bold")
    ax.set_title("B", loc="right", fontsize=10, weight="bold")
    return ax


def draw_line(line: Line, ax: Axes) -> None:
    """Draw a line on a map, from A to B."""
    for width, color in ((3.0, "white"), (1.2, _INK)):  # the wider is the rim of the other
        ax.plot(*line.T, color=color, linewidth=width, solid_capstyle="round", zorder=4)
    circle = {
        "boxstyle": "circle,pad=0.15",
        "facecolor": "white",
        "edgecolor": _INK,
        "linewidth": 0.8,
    }
    for (x, y), name in ((line[0], "A"), (line[-1], "B")):
        ax.text(
            x,
            y,
            name,
            fontsize=7,
            weight="bold",
            ha="center",
            va="center",
            bbox=circle,
            zorder=5,
            clip_on=True,
        )


def map_and_section(sim: Simulation, line: ArrayLike | None = None) -> Figure:
    """The thickness at the end with the line on it, and the section along the line."""
    points = line_of(sim, line)
    fig = Picture(figsize=(12.0, 4.6), layout="constrained")
    fig.suptitle(f"{name_of(sim.glacier)}, {period(sim)}", fontsize=12)
    left, right = fig.subplots(1, 2, width_ratios=(2, 3))
    draw_line(points, maps.draw_run(sim, "thickness", ax=left))
    cross_section(sim, points, right)
    return fig


def line_of(sim: Simulation, line: ArrayLike | None = None) -> Line:
    """A line given by its corners, with points every half a cell; by default the central line of
    the run's ice.
    """
    glacier, grid = sim.glacier, sim.glacier.grid
    if line is None:
        most = np.maximum(sim.thickness[0], sim.thickness[-1])
        return central_line(glacier.replace(thickness=most, keep="bed"))
    corners = np.asarray(line, float)
    wrong = _wrong_with(corners, grid)
    if wrong is not None:
        raise InputError(of_glacier(glacier.rgi_id, wrong))
    return densely(corners, _half_a_cell(grid))


def _wrong_with(line: np.ndarray, grid: Grid) -> str | None:
    """Why a line cannot be walked; None if it can."""
    if line.ndim != 2 or line.shape[1] != 2 or len(line) < 2 or not np.isfinite(line).all():
        return f"line has shape {line.shape}, expected (N, 2) with N > 1: x and y, m"
    west, east, south, north = maps.extent(grid)
    inside = (line >= (west, south)) & (line <= (east, north))
    if not inside.all():
        x, y = line[~inside.all(axis=1)][0]
        span = f"x {west:.0f} to {east:.0f}, y {south:.0f} to {north:.0f} m"
        return f"line: ({x:.6g}, {y:.6g}) is off the grid, which spans {span}"
    if distance(line)[-1] == 0:
        return "line has no length: its points are one and the same"
    return None


def _half_a_cell(grid: Grid) -> float:
    return min(grid.dx, grid.dy) / 2


def _bar_of_years(ax: Axes, place: Axes, norm: Normalize) -> None:
    """The colour bar of the surfaces' years."""
    years = ax.figure.colorbar(ScalarMappable(norm, _YEARS), cax=place)
    years.set_label("year", fontsize=9)
    years.locator = MaxNLocator(5, integer=norm.vmax - norm.vmin > 3)
    years.update_ticks()
    place.ticklabel_format(axis="y", useOffset=False)
    place.tick_params(labelsize=8)


def _below(ax: Axes) -> Axes:
    """Axes under those of the section, in the place that these had alone."""
    spec = ax.get_subplotspec()
    if spec is None:
        raise InputError("cross_section: the change below the section needs axes made by subplots")
    rows = spec.subgridspec(2, 1, height_ratios=(5, 2), hspace=0.03)
    ax.set_subplotspec(rows[0])
    return ax.figure.add_subplot(rows[1], sharex=ax)
