"""Ice on a slope, in a grid of any shape, under weather of days or months."""

import numpy as np

import odinn
from odinn.climate import Climate


def climate(daily=True, seed=0, years=12):
    """2000 on: a season, and noise."""
    random = np.random.default_rng(seed)
    months = 12 * years
    month = np.arange(months) % 12
    temp = -4.0 - 8.0 * np.cos(2.0 * np.pi * (month - 0.5) / 12.0)
    precip = np.full(months, 120.0)
    gradient = np.full(months, -0.0065)
    if daily:
        days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[month]
        used = np.arange(31) < days[:, None]
        noise = 3.0 * random.standard_normal((months, 31))
        temp = np.where(used, temp[:, None] + noise, -100.0)
        precip = np.where(used, precip[:, None] / days[:, None], 0.0)
        gradient = np.where(used, gradient[:, None], 0.0)
    step = "daily" if daily else "monthly"
    return Climate("idealised", step, 3000.0, 2000 * 12, temp, precip, gradient)


def slope(shape, *, thickness=120.0, dx=40.0, border=0, daily=True, length=0.6, rgi_id="slope"):
    """A tongue from west to east, with a bump beside it; ``border`` more cells on all sides.

    ``length``: of the grid, that the ice takes.
    """
    ny, nx = shape
    x, y = np.arange(-border, nx + border), np.arange(-border, ny + border)
    X, Y = np.meshgrid((x + 0.5) / nx, (y + 0.5) / ny)
    bed = 3100.0 - 0.12 * dx * nx * X + 300.0 * (Y - 0.47) ** 2
    bed = bed + 3.0 * np.sin(7.0 * X) * np.cos(9.0 * Y)
    along = np.clip(1.0 - ((X - 0.15) / length) ** 2, 0.0, None) * (X > 0.12)
    across = np.clip(1.0 - ((Y - 0.45) / 0.28) ** 2, 0.0, None)
    ice = thickness * np.sqrt(along * across)
    ny, nx = bed.shape
    grid = odinn.Grid(nx=nx, ny=ny, dx=dx, dy=1.25 * dx)
    return odinn.Glacier(rgi_id, "", grid, bed, ice, ice > 0, climate(daily))
