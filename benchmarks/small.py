"""Small glaciers made in code, each with a shape and a spacing of its own, for runs of many.
Nothing here is a real place.
"""

from __future__ import annotations

import numpy as np

from odinn.climate import Climate
from odinn.glacier import Glacier
from odinn.grid import Grid

CRS = "EPSG:32632"
_ROUGH = 0.12  # of the radius: how far outlines depart from an ellipse


def spacing(area: float) -> float:
    """OGGM's rule for the size of a cell, m: 14 times the root of the area (km²), and 10, between
    10 and 200 (Maussion et al. 2019, §3.1).
    """
    return float(np.clip(14.0 * np.sqrt(area) + 10.0, 10.0, 200.0))


def weather(seed: int, reference: float = 3000.0) -> Climate:
    """Days of 1990 to 2030 at an altitude (m): a seasonal cycle, storms and warm spells."""
    random = np.random.default_rng(seed)
    months = 40 * 12
    month = np.arange(months) % 12
    season = -4.0 - 8.0 * np.cos(2.0 * np.pi * (month - 0.5) / 12.0)
    temp = season[:, None] + 3.0 * random.standard_normal((months, 31))
    storms = random.gamma(0.4, 12.0, (months, 31))
    days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[month]
    used = np.arange(31) < days[:, None]
    return Climate(
        "idealised",
        "daily",
        reference,
        1990 * 12,
        np.where(used, temp, -100.0),
        np.where(used, storms, 0.0),
        np.where(used, -0.0065, 0.0),
        source="made in code: benchmarks.small",
    )


def small_glacier(
    number: int, area: float, climate: Climate, *, border: int = 10, dx: float | None = None
) -> Glacier:
    """A glacier of some area (km²) on a slope, its outline an ellipse with bumps.

    Args:
        number: also the seed of its shape. border: cells around the outline. dx: m, by OGGM's rule
            without it.
    """
    random = np.random.default_rng(number)
    dx = spacing(area) if dx is None else dx
    elongation = random.uniform(1.2, 2.6)
    half_width = np.sqrt(1e6 * area / np.pi / elongation)
    half_length = elongation * half_width
    turn = random.uniform(0.0, np.pi)
    across, along = abs(np.sin(turn)), abs(np.cos(turn))
    reach_x = np.hypot(half_length * along, half_width * across) * (1.0 + _ROUGH)
    reach_y = np.hypot(half_length * across, half_width * along) * (1.0 + _ROUGH)
    nx, ny = (int(2.0 * reach / dx) + 2 * border + 1 for reach in (reach_x, reach_y))
    grid = Grid(nx, ny, dx, dx, x0=500_000.0, y0=5_200_000.0, crs=CRS)
    x = (np.arange(nx) - (nx - 1) / 2.0) * dx
    y = -(np.arange(ny) - (ny - 1) / 2.0) * dx
    X, Y = np.meshgrid(x, y)
    down = np.cos(turn) * X + np.sin(turn) * Y  # m towards the tongue
    side = np.cos(turn) * Y - np.sin(turn) * X
    angle = np.arctan2(side / half_width, down / half_length)
    waves = np.cos(3.0 * angle + random.uniform(0.0, 6.0)) + np.cos(5.0 * angle)
    radius = np.hypot(down / half_length, side / half_width)
    share = 1.0 - (radius / (1.0 + 0.5 * _ROUGH * waves)) ** 2
    slope = random.uniform(0.2, 0.45)
    depth = 12.0 * np.sqrt(1e3 * area**0.6 / 60.0) / (slope / 0.3)
    thickness = np.where(share > 0.0, depth * np.sqrt(np.maximum(share, 0.0)), 0.0)
    trough = 0.15 * side**2 / half_width
    bed = 3000.0 - slope * down + trough - 0.3 * thickness
    bed = bed + 5.0 * np.cos(X / (4.0 * dx)) * np.cos(Y / (5.0 * dx))
    return Glacier(
        f"SYNTHETIC-{number:05d}",
        "",
        grid,
        bed,
        thickness,
        thickness > 0,
        climate,
        provenance={"format": "synthetic", "climate": str(climate), "thickness": "made in code"},
    )


def small_glaciers(count: int, *, border: int = 10, climates: int = 8) -> list[Glacier]:
    """Glaciers of 0.1 to 0.25 km², under a few climates."""
    areas = np.exp(np.random.default_rng(0).uniform(np.log(0.1), np.log(0.25), count))
    series = [weather(seed) for seed in range(climates)]
    return [
        small_glacier(k, float(area), series[k % climates], border=border)
        for k, area in enumerate(areas)
    ]
