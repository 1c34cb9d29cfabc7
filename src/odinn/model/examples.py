"""Models that go with the embedded glaciers."""

from __future__ import annotations

from odinn.model.model import Model
from odinn.physics.balance.temperature_index import TemperatureIndex
from odinn.physics.flow.sia import SIA2D


def demo_model() -> Model:
    """The model that goes with the embedded glaciers; their surface was relaxed under it.

    Creep with A = 1.5e-17 Pa⁻³ yr⁻¹, no sliding; precipitation 2.5 times the village's; 5 mm w.e.
    per degree-day. Temperate ice is softer (A = 7.6e-17; Cuffey & Paterson 2010, table 3.4), but
    the shallow ice approximation knows neither side drag nor longitudinal stress, and with that A
    the icefalls of Ramsay flow at more than 300 m yr⁻¹; with this one no ice starts at more than
    200.
    """

    return Model(SIA2D(A=1.5e-17), TemperatureIndex(melt_factor=5e-3, precip_factor=2.5))
