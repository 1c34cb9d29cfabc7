"""A valley glacier made in code: for demonstrations and tests without data. Nothing here is a real
place.
"""

from __future__ import annotations

import numpy as np

from odinn.climate import Climate
from odinn.glacier import Glacier
from odinn.grid import Grid
from odinn.model.model import Model

CRS = "EPSG:32632"  # any projection will do; the place is invented


def valley(dx: float = 100.0) -> Glacier:
    """An ice-free U-shaped valley, 12 km long, with a high basin, a side valley and an idealised
    climate. Its outline is
    where ice may start to grow: the basin and the side valley.

    Args:
        dx: cell size, m.

    The axis falls from 3200 m to 1850 m between parabolic walls. The climate is monthly,
    1900 to 2100, without variability: −3.6 °C in the yearly mean at 2800 m, amplitude 8 K, 120 kg
    m⁻² per month.
    """
    nx, ny = round(12_000 / dx), round(6_000 / dx)
    grid = Grid(nx, ny, dx, dx, x0=500_000.0, y0=5_200_000.0, crs=CRS)
    x = (np.arange(nx) + 0.5) * dx / 1000.0  # km down the valley
    y = (np.arange(ny) + 0.5) * dx / 1000.0  # km across, from north
    X, Y = np.meshgrid(x, y)
    axis = 3.0 + 0.35 * np.sin(2 * np.pi * X / 9.0)
    floor = 1700.0 + 1500.0 * np.exp(-X / 5.5) + 20.0 * np.sin(2 * np.pi * X / 3.0)
    half_width = 0.6 + 1.0 * np.exp(
        -(((X - 1.8) / 1.8) ** 2)
    )  # a wide basin at the head, narrowing downwards
    main = floor + 280.0 * ((Y - axis) / half_width) ** 2
    beside = (
        X - 4.9 - 0.3 * (axis - Y)
    )  # km from the axis of a side valley that joins from the north
    side = floor + 160.0 + 420.0 * np.maximum(axis - Y - 0.6, 0.0) + 900.0 * beside**2
    crest = 3450.0 - 60.0 * X + 50.0 * np.cos(3 * X) * np.cos(2.5 * Y)
    bed = np.minimum(np.where(axis > Y, np.minimum(main, side), main), crest)
    basin = (np.abs(Y - axis) < 1.5 * half_width) & (X < 6.0) | (axis > Y) & (np.abs(beside) < 0.7)
    basin &= bed < crest - 30.0
    inside = (x[0] + 0.5 < X) & (X < x[-1] - 0.5) & (Y > y[0] + 0.5) & (y[-1] - 0.5 > Y)
    month = np.arange(200 * 12) % 12
    climate = Climate(
        "idealised",
        "monthly",
        2800.0,
        1900 * 12,
        -3.6 - 8.0 * np.cos(2 * np.pi * (month - 0.5) / 12.0),
        np.full(month.shape, 120.0),
        np.full(month.shape, -0.0065),
        source="made in code: benchmarks.valley",
    )
    empty = np.zeros(grid.shape)
    return Glacier(
        "SYNTHETIC-00.00001",
        "Synthetic valley",
        grid,
        bed,
        empty,
        basin & inside,
        climate,
        provenance={"format": "synthetic", "climate": str(climate), "thickness": "none"},
    )


def grown_valley(dx: float = 100.0, years: float = 200.0, progress: bool | None = False) -> Glacier:
    """The valley after growing from no ice under its climate, 1900 onwards; the outline is where
    ice is then.
    """
    from odinn.run.driver import simulate

    bare = valley(dx)
    sim = simulate(demo_model(), bare, 1900.0, 1900.0 + years, save_every=years, progress=progress)
    thickness = np.where(sim.thickness[-1] >= 1.0, sim.thickness[-1], 0.0)
    return Glacier(
        bare.rgi_id,
        bare.name,
        bare.grid,
        bare.bed,
        thickness,
        thickness > 0,
        bare.climate,
        provenance=bare.provenance | {"thickness": f"grown from no ice in {years:g} years"},
    )


def demo_model() -> Model:
    """The model of the valley: softer than average ice and a typical melt factor."""
    from odinn.physics.balance.temperature_index import TemperatureIndex
    from odinn.physics.flow.sia import SIA2D

    return Model(SIA2D(A=7e-17), TemperatureIndex(melt_factor=4e-3, precip_factor=1.6))
