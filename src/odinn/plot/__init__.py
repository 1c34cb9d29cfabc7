"""Maps and curves of runs, on matplotlib: functions that take and return axes or figures, for
screens and without.

>>> import numpy as np, odinn
>>> from odinn.plot import maps
>>> grid = odinn.Grid(nx=20, ny=20, dx=100.0, dy=100.0)
>>> bed, ice = np.full(grid.shape, 2000.0), np.zeros(grid.shape)
>>> ice[5:15, 5:15] = 80.0
>>> glacier = odinn.Glacier("example", "Example", grid, bed=bed, thickness=ice, mask=ice > 0)
>>> ax = maps.draw(glacier, glacier.thickness, title="an ice cube")
>>> ax.images[1].colorbar.ax.get_ylabel()  # ax.figure.savefig("cube.png") makes the file
'ice thickness (m)'
"""

from __future__ import annotations

from odinn.plot import figures, laws, maps, section, series
from odinn.plot.animation import animate
from odinn.plot.figures import save_all
from odinn.plot.laws import law
from odinn.plot.learned import inversion
from odinn.plot.page import summary

__all__ = [
    "animate",
    "figures",
    "inversion",
    "law",
    "laws",
    "maps",
    "save_all",
    "section",
    "series",
    "summary",
]
