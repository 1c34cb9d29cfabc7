"""One page about a run: maps, curves, the section along the central line, and its numbers."""

from __future__ import annotations

import textwrap
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from odinn.constants import WATER_DENSITY
from odinn.data.products import note
from odinn.plot import maps, section
from odinn.plot.series import balance_by_altitude, name_of, percent, period, volume_and_area
from odinn.printing import on_one_line
from odinn.results.simulation import Simulation

_A4: Final = (8.27, 11.69)  # inches
_HEAD: Final = 1.9  # inches, of the numbers
_WIDTH: Final = 112  # letters of the model's numbers on a line
_LINES: Final = 5  # of the model's numbers
_NOTE: Final = (140, 3, 0.14)  # letters of a note on a line, lines at most, inches of each


def summary(sim: Simulation, line: Any = None) -> Figure:
    """One A4 page: thickness, change and speed, volume and area, balance by altitude, a
    cross-section, and the numbers.

    Args:
        line: of the section, (N, 2), m; default: the central line.
    """
    fig = Figure(figsize=_A4, layout=ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.08, hspace=0.02))
    ever = maps.ever_ice(sim)
    west, east, south, north = maps.view_of(sim.glacier, ever)
    maps_height = 0.3 + 1.9 * float(np.clip((north - south) / (east - west), 0.5, 1.7))
    remarks = textwrap.wrap(
        note(sim.glacier.provenance), _NOTE[0], max_lines=_NOTE[1], placeholder=" …"
    )
    head_height = _HEAD + _NOTE[2] * len(remarks)
    rest = _A4[1] - head_height - maps_height
    head, upper, middle, lower = fig.subfigures(
        4, 1, height_ratios=(head_height, maps_height, 0.46 * rest, 0.54 * rest)
    )
    _numbers(sim, head, remarks, head_height)
    panels = upper.subplots(1, 3)
    for ax, what in zip(panels, ("thickness", "change", "speed"), strict=True):
        maps.draw_run(sim, what, ax=ax, title=None)  # type: ignore[arg-type]
    left, right = middle.subplots(1, 2)
    volume_and_area(sim, left)
    balance_by_altitude(sim, right).set_title("")
    along = lower.subplots()
    if line is None and not ever.any():
        along.text(0.5, 0.5, "no ice", ha="center", va="center", fontsize=14)
        along.set_axis_off()
        return fig
    line = section.line_of(sim, line)
    section.draw_line(line, panels[0])
    section.cross_section(sim, line, along)
    return fig


def numbers(sim: Simulation) -> dict[str, str]:
    """What the page says of a run in words and numbers, by heading."""
    glacier, budget = sim.glacier, sim.budget
    area = sim.area
    years = float(np.ptp(sim.times))
    gained = (budget["accumulation"] - budget["ablation"]) * sim.model.ice_density / WATER_DENSITY
    mean_area = float(np.trapezoid(area, sim.times)) / years if years > 0 else 0.0
    balance = f"{gained / mean_area / years:+.2f} m w.e. yr⁻¹" if mean_area > 0 else "none: no ice"
    return {
        "span": f"{period(sim)}, {len(sim.times)} saved states",
        "grid": str(glacier.grid).replace(" x ", " × "),
        "volume": f"{budget['initial'] / 1e9:#.4g} to {budget['final'] / 1e9:#.4g} km³ ({percent(sim.volume)})",
        "area": f"{area[0] / 1e6:#.4g} to {area[-1] / 1e6:#.4g} km² ({percent(area)})",
        "balance": balance.replace("-", "−"),
        "ice gained, lost": f"{budget['accumulation'] / 1e9:#.4g} km³, {budget['ablation'] / 1e9:#.4g} km³",
        "lost at the border": f"{budget['lost_at_border'] / 1e9:.3g} km³",
        "budget residual": f"{sim.relative_residual:.0e} of the volume".replace("-", "−"),
        "climate": str(glacier.climate) if glacier.climate is not None else "none",
        "thickness": str(glacier.provenance.get("thickness", "given")),
        "model": on_one_line(sim.model),
    }


def _numbers(sim: Simulation, head: Any, remarks: list[str], height: float) -> None:
    rows = numbers(sim)
    model = rows.pop("model")
    below = lambda inches: 1.0 - inches / height
    head.text(0.01, below(0.06), name_of(sim), fontsize=14, weight="bold", va="top")
    head.text(
        0.99,
        below(0.06),
        f"odinn {version('odinn-model')}",
        fontsize=8,
        color="0.4",
        va="top",
        ha="right",
    )
    items = list(rows.items())
    half = -(-len(items) // 2)
    for column, part in ((0.01, items[:half]), (0.5, items[half:])):
        for i, (key, text) in enumerate(part):
            y = below(0.42 + 0.18 * i)
            head.text(column, y, key, fontsize=8, color="0.4", va="top")
            head.text(
                column + 0.13, y, textwrap.shorten(text, 62, placeholder=" …"), fontsize=8, va="top"
            )
    under = 0.46 + 0.18 * half
    head.text(0.01, below(under), "\n".join(remarks), fontsize=8, style="italic", va="top")
    wrapped = textwrap.wrap(
        model, _WIDTH, max_lines=_LINES, break_on_hyphens=False, placeholder=" …"
    )
    under += _NOTE[2] * len(remarks) + 0.04 * bool(remarks)
    head.text(0.01, below(under), "\n".join(wrapped), fontsize=7, family="monospace", va="top")
