"""What a glacier and a run show at a glance, in figures for the screen and in small ones."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from odinn.glacier import Glacier
from odinn.plot import maps
from odinn.plot.parts import Picture
from odinn.plot.series import name_of, period, volume_and_area
from odinn.results.simulation import Simulation


def glacier(shown: Glacier) -> Figure:
    """The surface, and the thickness of the ice, with the outline."""
    present = shown.without_parameters()
    view = maps.view_of(present, maps.ice_of(present))
    everywhere = np.ones(present.grid.shape, bool)
    fig, ((surface, thickness),) = maps.panels(1, 2, view, name_of(present))
    maps.draw(present, present.surface, surface, what="surface", ice=everywhere, view=view)
    maps.draw(present, np.asarray(present.thickness), thickness, view=view)
    return fig


def run(sim: Simulation) -> Figure:
    """Thickness at the end, its change, and volume and area in time."""
    west, east, south, north = maps.view_of(sim.glacier, maps.ever_ice(sim))
    # The maps are as high as their shape asks for, the curve is as wide as two of them.
    height = 3.6 * float(np.clip((north - south) / (east - west), 0.6, 1.4))
    fig = Picture(figsize=(13.0, height + 0.9), layout="constrained")
    fig.suptitle(f"{name_of(sim.glacier)}, {period(sim)}", fontsize=12)
    thickness, change, curve = fig.subplots(1, 3, width_ratios=(1.0, 1.0, 1.1))
    maps.draw_run(sim, "thickness", ax=thickness)
    maps.draw_run(sim, "change", ax=change, title="over the run")
    volume_and_area(sim, curve)
    return fig


def beside(shown: Glacier | Simulation) -> Figure:
    """The thickness alone, of a run at its end, small: for the side of a table."""
    glacier = shown.glacier if isinstance(shown, Simulation) else shown.without_parameters()
    ice = maps.ever_ice(shown) if isinstance(shown, Simulation) else maps.ice_of(glacier)
    fig, ((ax,),) = maps.panels(1, 1, maps.view_of(glacier, ice), side=2.6, room=(0.9, 0.3))
    if isinstance(shown, Simulation):
        maps.draw_run(shown, "thickness", ax=ax)
    else:
        maps.draw(glacier, np.asarray(glacier.thickness), ax)
    return fig
