"""One page about a run: maps, curves, the section along the central line, and its numbers."""

from __future__ import annotations

import textwrap
from importlib.metadata import version
from typing import Final

import numpy as np
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike

from odinn.constants import WATER_DENSITY
from odinn.data.products import note
from odinn.plot import maps, section
from odinn.plot.parts import Picture, remark
from odinn.plot.series import balance_by_altitude, name_of, percent, period, volume_and_area
from odinn.printing import on_one_line
from odinn.results.simulation import Simulation

_A4: Final = (8.27, 11.69)  # inches
_HEAD: Final = 1.9  # inches, of the numbers
_WIDTH: Final = 112  # letters of the model's numbers on a line
_LINES: Final = 5  # of the model's numbers
_NOTE: Final = (140, 3, 0.14)  # letters of a note on a line, lines at most, inches of each


def summary(sim: Simulation, line: ArrayLike | None = None) -> Figure:
    """One A4 page: thickness, change and speed, volume and area, balance by altitude, a
    cross-section, and the numbers.

    Args:
        line: of the section, (N, 2), m; default: the central line.
    """
    fig = Picture(figsize=_A4, layout=ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.08, hspace=0.02))
    ever = maps.ever_ice(sim)
    west, east, south, north = maps.view_of(sim.glacier, ever)
    # The maps take the height that their shape needs, the curves and the section share the rest.
    maps_height = 0.3 + 1.9 * float(np.clip((north - south) / (east - west), 0.5, 1.7))
    remarks = _wrapped(note(sim.glacier.provenance), *_NOTE[:2])
    head_height = _HEAD + _NOTE[2] * len(remarks)
    rest = _A4[1] - head_height - maps_height
    heights = (head_height, maps_height, 0.46 * rest, 0.54 * rest)
    head, upper, middle, lower = fig.subfigures(4, 1, height_ratios=heights)
    _numbers(sim, head, remarks, head_height)
    thickness, change, speed = upper.subplots(1, 3)
    maps.draw_run(sim, "thickness", ax=thickness, title=None)
    maps.draw_run(sim, "change", ax=change, title=None)
    maps.draw_run(sim, "speed", ax=speed, title=None)
    left, right = middle.subplots(1, 2)
    volume_and_area(sim, left)
    balance_by_altitude(sim, right).set_title("")
    along = lower.subplots()
    if line is None and not ever.any():
        remark(along, "no ice")
        along.set_axis_off()
        return fig
    points = section.line_of(sim, line)
    section.draw_line(points, thickness)
    section.cross_section(sim, points, along)
    return fig


def numbers(sim: Simulation) -> dict[str, str]:
    """What the page says of a run in words and numbers, by heading."""
    glacier, budget = sim.glacier, sim.budget
    km3 = {key: f"{volume / 1e9:#.4g}" for key, volume in budget.items()}
    area = sim.area
    km2 = [f"{value / 1e6:#.4g}" for value in area[[0, -1]]]
    return {
        "span": f"{period(sim)}, {len(sim.times)} saved states",
        "grid": str(glacier.grid).replace(" x ", " × "),
        "volume": f"{km3['initial']} to {km3['final']} km³ ({percent(sim.volume)})",
        "area": f"{km2[0]} to {km2[1]} km² ({percent(area)})",
        "balance": _mean_balance(sim, area),
        "ice gained, lost": f"{km3['accumulation']} km³, {km3['ablation']} km³",
        "lost at the border": f"{budget['lost_at_border'] / 1e9:.3g} km³",
        "budget residual": f"{sim.relative_residual:.0e} of the volume".replace("-", "−"),
        "climate": str(glacier.climate) if glacier.climate is not None else "none",
        "thickness": str(glacier.provenance.get("thickness", "given")),
        "model": on_one_line(sim.model),
    }


def _mean_balance(sim: Simulation, area: np.ndarray) -> str:
    """What the run gained over the area (m²) that it had in the mean."""
    square_years = float(np.trapezoid(area, sim.times))  # m² yr
    if not square_years > 0:
        return "none: no ice"
    gained = (sim.budget["accumulation"] - sim.budget["ablation"]) * sim.model.ice_density
    return f"{gained / WATER_DENSITY / square_years:+.2f} m w.e. yr⁻¹".replace("-", "−")


def _numbers(sim: Simulation, head: SubFigure, remarks: list[str], height: float) -> None:
    """Write them, and the remarks below, on a part of the page that is so many inches high."""

    def write(x: float, inches: float, text: str, fontsize: float = 8, **options: str) -> None:
        head.text(x, 1.0 - inches / height, text, options, fontsize=fontsize, va="top")

    rows = numbers(sim)
    model = rows.pop("model")
    write(0.01, 0.06, name_of(sim.glacier), 14, weight="bold")
    write(0.99, 0.06, f"odinn {version('odinn-model')}", color="0.4", ha="right")
    half = -(-len(rows) // 2)  # rounded up: the first column may be the longer
    for i, (key, text) in enumerate(rows.items()):
        column, row = divmod(i, half)
        x, y = (0.01, 0.5)[column], 0.42 + 0.18 * row
        write(x, y, key, color="0.4")
        write(x + 0.13, y, textwrap.shorten(text, 62, placeholder=" …"))
    under = 0.46 + 0.18 * half
    write(0.01, under, "\n".join(remarks), style="italic")
    if remarks:
        under += _NOTE[2] * len(remarks) + 0.04
    write(0.01, under, "\n".join(_wrapped(model, _WIDTH, _LINES)), 7, family="monospace")


def _wrapped(text: str, width: int, lines: int) -> list[str]:
    return textwrap.wrap(text, width, max_lines=lines, placeholder=" …")
