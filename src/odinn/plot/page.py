"""One page about a run: maps, curves, the section along the central line, and its numbers."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike

from odinn.constants import WATER_DENSITY
from odinn.data.products import note
from odinn.plot import maps, section
from odinn.plot.parts import Picture, remark, wrapped
from odinn.plot.series import balance_by_altitude, name_of, percent, period, volume_and_area
from odinn.printing import on_one_line
from odinn.results.simulation import Simulation

_A4: Final = (8.27, 11.69)  # inches
_MARGIN: Final = 0.08  # inches, on either side
_COLUMNS: Final = (_MARGIN, 4.13)  # where headings stand, inches from the left
_INDENT: Final = 1.08  # inches, of what stands beside a heading
_LINE: Final = 1.26 / 72  # inches that a line takes for each point of its letters


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
    words, head_height = _words(sim)
    rest = _A4[1] - head_height - maps_height
    heights = (head_height, maps_height, 0.46 * rest, 0.54 * rest)
    head, upper, middle, lower = fig.subfigures(4, 1, height_ratios=heights)
    for word in words:
        word.write(head, head_height)
    thickness, change, speed = upper.subplots(1, 3)
    maps.draw_run(sim, "thickness", ax=thickness, title=None)
    maps.draw_run(sim, "change", ax=change, title=None)
    maps.draw_run(sim, "speed", ax=speed, title=None)
    left, right = middle.subplots(1, 2)
    volume_and_area(sim, left)
    balance_by_altitude(sim, right).set_title("")
    along = lower.subplots()
    try:
        points = section.line_of(sim, line)
    except section.NoLineError:
        remark(along, "no two cells of ice side by side, so no section" if ever.any() else "no ice")
        along.set_axis_off()
        return fig
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


class _Words(NamedTuple):
    """Lines on the page, whose upper left corner is so many inches from that of the page."""

    x: float
    y: float
    lines: list[str]
    size: float = 8.0  # points
    look: dict[str, str] = {}  # noqa: RUF012 - read only

    @property
    def bottom(self) -> float:
        """Where they end, inches from the top."""
        return self.y + len(self.lines) * self.size * _LINE

    def write(self, head: SubFigure, height: float) -> None:
        """Write them on a part of the page that is so many inches high."""
        place = self.x / _A4[0], 1.0 - self.y / height
        text = "\n".join(self.lines)
        head.text(*place, text, self.look, fontsize=self.size, va="top", parse_math=False)


def _words(sim: Simulation) -> tuple[list[_Words], float]:
    """The name, the numbers, the remarks and the model, none cut off; and the inches they take."""
    width = _A4[0] - 2 * _MARGIN
    rows = numbers(sim)
    model = rows.pop("model")
    program = _Words(
        _A4[0] - _MARGIN,
        0.06,
        [f"odinn {version('odinn-model')}"],
        8,
        {"color": "0.4", "ha": "right"},
    )
    bold = wrapped(name_of(sim.glacier), width - 1.3, 14, weight="bold")
    title = _Words(_MARGIN, 0.06, bold, 14, {"weight": "bold"})
    words, under = [title, program], title.bottom
    half = -(-len(rows) // 2)  # rounded up: the first column may be the longer
    listed = list(rows.items())
    for x, column in zip(_COLUMNS, (listed[:half], listed[half:]), strict=True):
        y = title.bottom + 0.1
        for key, text in column:
            beside = wrapped(text, _COLUMNS[1] - _COLUMNS[0] - _INDENT - 0.1, 8)
            words += [_Words(x, y, [key], 8, {"color": "0.4"}), _Words(x + _INDENT, y, beside)]
            y = words[-1].bottom + 0.04
        under = max(under, y)
    said = " ".join([*sim.faults, note(sim.glacier.provenance)]).strip()
    remarks = wrapped(said, width, 8, style="italic")
    if remarks != [""]:
        words.append(_Words(_MARGIN, under + 0.02, remarks, 8, {"style": "italic"}))
        under = words[-1].bottom
    typed = {"family": "monospace"}
    words.append(_Words(_MARGIN, under + 0.04, wrapped(model, width, 7, **typed), 7, typed))
    return words, words[-1].bottom + 0.1
