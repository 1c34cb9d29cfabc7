"""Maps and curves of runs, on matplotlib: functions that take and return axes or figures, for screens and without.

>>> import numpy as np, odinn
>>> from odinn.plot import maps
>>> grid = odinn.Grid(nx=20, ny=20, dx=100.0, dy=100.0)
>>> ice = np.zeros(grid.shape); ice[5:15, 5:15] = 80.0
>>> glacier = odinn.Glacier("example", "Example", grid, bed=np.full(grid.shape, 2000.0), thickness=ice, mask=ice > 0)
>>> ax = maps.draw(glacier, glacier.thickness, title="an ice cube")
>>> ax.images[1].colorbar.ax.get_ylabel()  # ax.figure.savefig("cube.png") makes the file
'ice thickness (m)'
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from odinn.plot import laws, maps, series
from odinn.plot.laws import law

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from odinn.simulation import Simulation

__all__ = ["law", "laws", "maps", "save_all", "series"]

_DPI = 150


def save_all(sim: Simulation, folder: str | Path) -> list[Path]:
    """Draw a run into thickness_speed.png, before_after.png, overview.png and series.png.

    Args:
        folder: made if it is not there. An existing file is replaced when the new one is complete.

    Returns:
        The paths.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "thickness_speed.png": maps.thickness_and_speed,
        "before_after.png": maps.before_after,
        "overview.png": maps.overview,
        "series.png": series.summary,
    }
    return [_save(draw(sim), folder / name) for name, draw in figures.items()]


def _save(figure: Figure, path: Path) -> Path:
    partial = path.with_name(f".{path.name}.partial")
    try:
        figure.savefig(partial, format="png", dpi=_DPI)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
