"""What is measured of a run against an exact solution, by the name of the quantity.

Average errors are Σ|H − H_exact| over all points of the grid divided by their number. Every run
takes the default stepper, whose tolerance of 1e-2 m per step leaves time errors of millimetres, a
thousandth of the errors in space.

>>> round(convergence_order([2.0, 1.0], [4.0, 1.0]), 9)
2.0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.glacier import Glacier
from odinn.grid import Array, Grid
from odinn.model.model import Model
from odinn.model.velocities import velocity_of
from odinn.physics.domain import Domain, domain_of
from odinn.physics.flow.base import AbstractFlow, divergence
from odinn.physics.processes.base import Window
from odinn.results.simulation import Simulation
from odinn.run.driver import simulate
from odinn.stepping.integrate import Stepping, integrate
from odinn.stepping.interface import OK, AbstractSystem, Rates
from odinn.stepping.rkc import RKC2
from odinn.verification.exact_solutions import (
    AbstractDome,
    BedrockStep,
    Circles,
    ExactBalance,
    Halfar,
    radius,
)

KM = 1e3


def convergence_order(spacing: Sequence[float], error: Sequence[float]) -> float:
    """Slope of the straight line through the logarithms."""
    return float(np.polyfit(np.log(spacing), np.log(error), 1)[0])


def square(points: int, spacing: float) -> Grid:
    """points x points cells with the origin on the cell (points // 2, points // 2); spacing in
    m.
    """
    return Grid(
        nx=points,
        ny=points,
        dx=spacing,
        dy=spacing,
        x0=-(points // 2) * spacing,
        y0=points // 2 * spacing,
    )


def glacier_of(dome: AbstractDome, grid: Grid, t: float) -> Glacier:
    """A dome as a glacier on a flat bed."""
    thickness = np.asarray(dome.thickness(radius(grid), t))
    return Glacier(
        "exact",
        type(dome).__name__,
        grid,
        np.zeros(grid.shape),
        thickness,
        np.ones(grid.shape, bool),
    )


def simulate_dome(
    dome: AbstractDome, grid: Grid, t0: float, t1: float
) -> tuple[Simulation, np.ndarray]:
    """(run in one window under the balance that the dome needs, final thickness minus exact one)"""
    needs_none = isinstance(dome, Halfar) and dome.growth == 0
    balance = None if needs_none else ExactBalance(dome=dome, circles=Circles.of(grid))
    model = Model(flow=dome.flow, mass_balance=balance)
    sim = simulate(
        model, glacier_of(dome, grid, t0), t0, t1, save_every=t1 - t0, stepper=RKC2(tol=1e-2)
    )
    return sim, sim.thickness[-1] - np.asarray(dome.thickness(radius(grid), t1))


def refined(
    dome: AbstractDome, width: int, spacings: Sequence[int], t0: float, t1: float
) -> Mapping[str, float]:
    """Errors of runs on a square of this width at several spacings, both in km."""
    errors, measured, residual, clipped = [], {}, 0.0, 0.0
    r = np.linspace(0.0, width * KM, 2_000_001)
    volume = 2.0 * np.pi * np.trapezoid(r * np.asarray(dome.thickness(r, t1)), r)
    for dx in spacings:
        sim, error = simulate_dome(dome, square(width // dx + 1, dx * KM), t0, t1)
        errors.append(np.abs(error).mean())
        measured[f"average error, {dx} km"] = errors[-1]
        measured[f"error of volume, {dx} km"] = 100.0 * abs(sim.final_volume / volume - 1.0)
        residual = max(residual, sim.relative_residual)
        clipped = max(clipped, sim.budget["clipped"] / volume)
    measured["order of the error"] = convergence_order(spacings, errors)
    return measured | {"residual of the budget": residual, "ice made": clipped}


def odinn_run(dome: Halfar, points: int, years: float, margin_cells: int) -> Mapping[str, float]:
    """ODINN's measures; errors count where a cell is at least ``margin_cells`` inside the
    margin.
    """
    grid = square(points, dome.radius / points / 0.33)
    end = dome.start + years
    sim, error = simulate_dome(dome, grid, dome.start, end)
    inside = radius(grid) < dome.margin(end) - margin_cells * grid.dx
    final = sim.thickness[-1]
    return {
        "largest error inside": np.abs(error[inside]).max(),
        "largest relative error inside": np.abs(error[inside] / (final - error)[inside]).max(),
        "error of volume": abs(error.sum()) / final.sum(),
        "error of the dome": abs(final.max() - (final - error).max()),
        "fall of the dome": sim.thickness[0].max() - final.max(),
    }


def velocity() -> Mapping[str, float]:
    dome = Halfar()
    t = dome.start + 25000.0
    errors = {}
    for dx in (80, 40, 20):
        glacier = glacier_of(dome, square(2400 // dx + 1, dx * KM), t)
        r, grid = radius(glacier.grid), glacier.grid
        there = (r > 0.2 * dome.margin(t)) & (r < 0.8 * dome.margin(t))
        vx, vy, _ = (
            v[0][there]
            for v in velocity_of(
                Model(flow=dome.flow), glacier, np.asarray(glacier.thickness)[None]
            )
        )
        x, y = (np.broadcast_to(a, grid.shape)[there] for a in (grid.x, grid.y[:, None]))
        speed, r = np.asarray(dome.surface_speed(r[there], t)), r[there]
        errors[dx] = np.sqrt(
            np.mean(((vx - speed * x / r) ** 2 + (vy - speed * y / r) ** 2) / speed**2)
        )
    order = convergence_order(list(errors), list(errors.values()))
    return {"relative rms error, 20 km": errors[20], "order of the error": order}


def symmetry() -> Mapping[str, float]:
    b, c = Halfar(), Halfar(growth=5.0)
    measured = {}
    for name, dome, grid, t0 in (
        ("B", b, square(61, 40 * KM), b.start),
        ("C", c, square(33, 50 * KM), 0.0),
    ):
        final = simulate_dome(dome, grid, t0, c.start)[0].thickness[-1]
        images = [np.rot90(side, k) for side in (final, final.T) for k in range(4)]
        measured[f"relative difference, test {name}"] = (
            max(np.abs(i - final).max() for i in images) / final.max()
        )
    return measured


class _Strip(AbstractSystem):
    """Ice on a line of nodes without flux through its ends, stepped with the flow's own
    two-dimensional kernel.

    The kernel sees three equal rows and one more node at either end with the same ice and bed, so
    that no surface slope leads out. Thickness is lifted to 0 after each step; the tally is the ice
    (m, summed over nodes) that melt does not explain.
    """

    flow: AbstractFlow
    domain: Domain
    balance: Array

    def begin(self, state: Array, window: Window) -> tuple[None, Array, Array]:
        return None, state, jnp.zeros(())

    def tendency(self, forcing: None, t: Any, y: Array, lasting: None = None) -> Rates:
        fluxes = self.flow.fluxes(self.domain, _strip(jnp.where(y > 0, y, 0.0)))
        return Rates(divergence(fluxes, self.domain)[1, 1:-1] + self.balance, fluxes.stiffness)

    def settle(self, forcing: None, dt: Any, raw: Array, tally: Array) -> tuple[Array, Array]:
        melt = dt * jnp.maximum(-self.balance, 0.0) * (1.0 + 1e-12)
        return jnp.where(raw > 0, raw, 0.0), tally + jnp.sum(jnp.maximum(-raw - melt, 0.0))

    def end(
        self, state: Array, window: Window, forcing: None, y: Array, tally: Array
    ) -> tuple[Array, Array]:
        return y, tally

    def for_transpose(self) -> _Strip:
        return self

    @property
    def end_is_linear(self) -> bool:
        return True

    def norm(self, error: Array, y0: Array, y1: Array) -> Array:
        ice = (y0 > 0) | (y1 > 0)
        return jnp.sqrt(jnp.sum(jnp.where(ice, error**2, 0.0)) / jnp.maximum(jnp.sum(ice), 1))


def _strip(nodes: Array) -> Array:
    """Three equal rows, and one more node at either end."""
    return jnp.broadcast_to(jnp.pad(nodes, 1, mode="edge"), (3, nodes.size + 2))


def bedrock_step(spacings: Sequence[int]) -> Mapping[str, float]:
    problem = BedrockStep()
    measured, clipped = {}, 0.0
    for dx in map(float, spacings):
        x = np.arange(0.0, 30e3 + dx / 2, dx)
        bed = np.asarray(_strip(problem.bed(x)))
        grid = Grid(nx=x.size + 2, ny=3, dx=dx, dy=dx)
        ground = Glacier(
            "bedrock-step", "bedrock step", grid, bed, np.zeros(bed.shape), np.ones(bed.shape, bool)
        )
        strip = _Strip(problem.flow.on(ground), domain_of(ground), problem.balance(x))
        thickness, tally = _advance(strip, jnp.zeros(x.size), 50000.0)
        exact = np.trapezoid(problem.thickness(x), x)
        measured[f"error of volume, {dx:.0f} m"] = 100.0 * (
            np.trapezoid(thickness, x) / exact - 1.0
        )
        clipped += float(tally) * dx / exact
    return measured | {"ice made": clipped}


@eqx.filter_jit
def _advance(strip: _Strip, thickness: Array, years: float) -> tuple[jax.Array, jax.Array]:
    window = Window(jnp.zeros(1), jnp.full(1, years), jnp.zeros(1, bool), jnp.zeros(1, bool))
    run = integrate(strip, thickness, window, Stepping(RKC2(tol=1e-2), width=1))
    return jnp.where(run.record.status == OK, run.state, jnp.nan), run.reports[0]
