"""Models that go with the embedded glaciers."""

from __future__ import annotations

from odinn.model.model import Model
from odinn.physics.balance.temperature_index import TemperatureIndex
from odinn.physics.flow.sia import SIA2D
from odinn.physics.laws.debris import DebrisCover


def demo_model() -> Model:
    """The model that goes with the embedded glaciers; their ice was relaxed under it.

    Creep of temperate ice (A = 7.6e-17 Pa⁻³ yr⁻¹; Cuffey & Paterson 2010, table 3.4), no sliding;
    precipitation 2.5 times the village's; 5 mm w.e. per degree-day on clean ice.

    Two assumptions stand in for what is not modelled (:class:`odinn.laws.DebrisCover`). Debris
    covers the ice below 1600 m and leaves 15 % of the melt there, as on the real tongues. What
    crosses the outline melts twenty times as fast, in place of lakes, cliffs and the glaciers
    beyond a divide.
    """
    melt_factor = DebrisCover(bare=5e-3, share=0.15, top=1600.0, width=60.0, outside=0.1)
    return Model(SIA2D(A=7.6e-17), TemperatureIndex(melt_factor=melt_factor, precip_factor=2.5))
