"""Exact solutions of shallow ice flow, and the mass balances that they need.

Three domes and a strip, as frozen modules of plain numbers whose methods are pure functions of
radius or distance (m) and time (yr), of any shape. Domes stand on a flat bed at altitude 0 and are
centred on the origin of the grid. Times count in the year of A's unit; balances are in m of ice per
year.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.constants import WATER_DENSITY
from odinn.glacier import Glacier
from odinn.grid import Array, Cell, Grid
from odinn.physics.balance.base import AbstractMassBalance, Frequency, Rates
from odinn.physics.balance.temperature_index import net_rates
from odinn.physics.flow.power import power
from odinn.physics.flow.sia import SIA2D
from odinn.stepping.interface import Scalar


class AbstractDome(eqx.Module):
    """A radially symmetric exact solution on a flat bed, without sliding.

    Args:
        height, radius: thickness of the dome and radius of the margin at the time of reference, m.
        A: rate factor, Pa⁻ⁿ yr⁻¹. n: Glen's exponent. ice_density: kg m⁻³. gravity: m s⁻².
    """

    height: eqx.AbstractVar[float]
    radius: eqx.AbstractVar[float]
    A: eqx.AbstractVar[float]
    n: eqx.AbstractVar[float]
    ice_density: eqx.AbstractVar[float]
    gravity: eqx.AbstractVar[float]

    @abc.abstractmethod
    def thickness(self, r: Array, t: Scalar) -> Array:
        """H, m."""

    @abc.abstractmethod
    def balance(self, r: Array, t: Scalar) -> Array:
        """The surface mass balance under which H is exact, m of ice per year."""

    @property
    def mobility(self) -> float:
        """Γ = 2A (ρg)ⁿ/(n+2), m⁻ⁿ yr⁻¹: the flux is −Γ Hⁿ⁺² |∇H|ⁿ⁻¹ ∇H."""
        return 2.0 * self.A * (self.ice_density * self.gravity) ** self.n / (self.n + 2.0)

    @property
    def flow(self) -> SIA2D:
        """The flow that this solves."""
        return SIA2D(A=self.A, n=self.n, ice_density=self.ice_density, gravity=self.gravity)

    def divergence(self, r: Array, t: Scalar) -> Array:
        """Divergence of the flux, (1/r) d(r q)/dr, m yr⁻¹, by automatic differentiation; for 0 < r
        < margin.
        """
        flux, change = with_derivative(lambda s: self.flux(s, t), jnp.asarray(r, float))
        return flux / r + change

    def flux(self, r: Array, t: Scalar) -> Array:
        """Outward volume flux per unit width, q = −Γ Hⁿ⁺² |∂H/∂r|ⁿ⁻¹ ∂H/∂r, m² yr⁻¹."""
        height, slope = with_derivative(lambda s: self.thickness(s, t), jnp.asarray(r, float))
        return (
            -self.mobility
            * power(height, self.n + 2.0)
            * power(jnp.abs(slope), self.n - 1.0)
            * slope
        )


class Halfar(AbstractDome):
    """The similarity solutions of a dome that spreads under a balance λH/t (Bueler et al. 2005).

    H = H₀ (t/t₀)^−α [1 − ((t/t₀)^−β r/R₀)^((n+1)/n)]^(n/(2n+1)),
    α = (2 − (n+1)λ)/(5n+3), β = (1 + (2n+1)λ)/(5n+3).

    λ = 0 is the solution of Halfar (1983), their test B: no balance, constant volume. λ = 5 is
    their test C: a dome that grows from nothing at t = 0.

    >>> round(Halfar().start, 2), round(Halfar(growth=5.0).start)
    (422.45, 15208)
    """

    height: float = 3600.0
    radius: float = 750e3
    A: float = 1e-16
    n: float = 3.0
    ice_density: float = 910.0
    gravity: float = 9.81
    growth: float = 0.0  # λ

    @property
    def alpha(self) -> float:
        """Exponent of decay of the thickness."""
        return (2.0 - (self.n + 1.0) * self.growth) / (5.0 * self.n + 3.0)

    @property
    def beta(self) -> float:
        """Exponent of growth of the radius."""
        return (1.0 + (2.0 * self.n + 1.0) * self.growth) / (5.0 * self.n + 3.0)

    @property
    def start(self) -> float:
        """t₀, yr: when the dome has its height and radius."""
        n = self.n
        steepness = ((2.0 * n + 1.0) / (n + 1.0)) ** n
        return (
            self.beta
            / self.mobility
            * steepness
            * self.radius ** (n + 1)
            / self.height ** (2 * n + 1)
        )

    def thickness(self, r: Array, t: Scalar) -> Array:
        """H, m; 0 at t = 0, and beyond the margin."""
        age = jnp.where(t > 0, t, self.start) / self.start
        inside = 1.0 - (age**-self.beta * jnp.asarray(r) / self.radius) ** ((self.n + 1.0) / self.n)
        shape = jnp.where(inside > 0, inside, 1.0) ** (self.n / (2.0 * self.n + 1.0))
        return jnp.where((inside > 0) & (t > 0), self.height * age**-self.alpha * shape, 0.0)

    def balance(self, r: Array, t: Scalar) -> Array:
        """λH/t, m of ice per year; 0 at t = 0."""
        return self.growth * self.thickness(r, t) / jnp.where(t > 0, t, 1.0)

    def margin(self, t: Scalar) -> Array:
        """Radius of the margin, m."""
        return self.radius * (t / self.start) ** self.beta

    def surface_speed(self, r: Array, t: Scalar) -> Array:
        """Outward speed at the surface, m yr⁻¹, 0 beyond the margin.

        Similarity makes the depth-mean speed β r/t; creep is (n+2)/(n+1) times as fast at the
        surface.
        """
        r = jnp.asarray(r)
        speed = (self.n + 2.0) / (self.n + 1.0) * self.beta * r / t
        return jnp.where(r < self.margin(t), speed, 0.0)


class OscillatingDome(AbstractDome):
    """A steady dome with an annulus that thickens and thins (Bueler et al. 2005, test D).

    H = Hₛ + C sin(2πt/T) cos²(π(r − 0.6L)/(0.6L)), the second term for 0.3L < r < 0.9L, and with s
    = r/L Hₛ = H₀ (1 − 1/n)^(−n/(2n+2)) [(1 + 1/n)s − 1/n + (1 − s)^(1+1/n) − s^(1+1/n)]^(n/(2n+2)).

    Args:
        amplitude: C, m. period: T, yr.
    """

    height: float = 3600.0
    radius: float = 750e3
    A: float = 1e-16
    n: float = 3.0
    ice_density: float = 910.0
    gravity: float = 9.81
    amplitude: float = 200.0
    period: float = 5000.0

    def thickness(self, r: Array, t: Scalar) -> Array:
        """H, m; 0 beyond the margin."""
        k = 1.0 / self.n
        exponent = self.n / (2.0 * self.n + 2.0)
        s = jnp.asarray(r) / self.radius
        within = s < 1.0
        x = jnp.where(within, s, 0.5)
        steady = (1.0 + k) * x - k + (1.0 - x) ** (1.0 + k) - x ** (1.0 + k)
        positive = within & (steady > 0)  # round-off at the very margin
        steady = self.height * (jnp.where(positive, steady, 1.0) / (1.0 - k)) ** exponent
        wave = (
            self.amplitude
            * jnp.sin(2.0 * jnp.pi * t / self.period)
            * jnp.cos(jnp.pi * (s - 0.6) / 0.6) ** 2
        )
        return jnp.where(positive, steady, 0.0) + jnp.where((s > 0.3) & (s < 0.9), wave, 0.0)

    def balance(self, r: Array, t: Scalar) -> Array:
        """∂H/∂t + (1/r) d(r q)/dr of the exact H, m of ice per year.

        The formula is singular at the dome and at the margin, its limits are finite: it is taken 1
        m (of 1000 km) away from either. Ground beyond the margin has the ablation of the margin, so
        that it stays free of ice.
        """
        r = jnp.clip(jnp.asarray(r, float), 1e-6 * self.radius, (1.0 - 1e-6) * self.radius)
        _, rate = with_derivative(lambda time: self.thickness(r, time), jnp.asarray(t, float))
        return rate + self.divergence(r, t)


class BedrockStep(eqx.Module):
    """A steady strip of ice over a cliff in the bed (Jarosch, Schoof & Anslow 2013).

    The bed is ``step`` high for x < ``edge``, then 0. The balance makes the flux m₀ xⁿ (xₘ − x)ⁿ /
    xₘ²ⁿ⁻¹, so the ice ends at xₘ.

    Args:
        length: xₘ, m. step: m. edge: m. scale: m₀, m yr⁻¹. The rest as in :class:`AbstractDome`.
    """

    length: float = 20e3
    step: float = 500.0
    edge: float = 7e3
    scale: float = 2.0
    A: float = 1e-16
    n: float = 3.0
    ice_density: float = 910.0
    gravity: float = 9.81

    @property
    def flow(self) -> SIA2D:
        """The flow that this solves."""
        return SIA2D(A=self.A, n=self.n, ice_density=self.ice_density, gravity=self.gravity)

    def bed(self, x: Array) -> Array:
        """Bed altitude, m."""
        return jnp.where(jnp.asarray(x) < self.edge, self.step, 0.0)

    def balance(self, x: Array) -> Array:
        """m of ice per year, 0 beyond xₘ."""
        n, end = self.n, self.length
        x = jnp.asarray(x)
        within = jnp.where(x < end, x, end)
        return (
            n
            * self.scale
            / end ** (2 * n - 1)
            * (within * (end - within)) ** (n - 1)
            * (end - 2.0 * within)
        )

    def thickness(self, x: Array) -> Array:
        """H of the steady state, m: the surface is continuous over the cliff unless the ice below
        it is too thin.
        """
        n, end = self.n, self.length
        p = n / (2.0 * n + 2.0)
        weight = self.ice_density * self.gravity
        slope = ((n + 2.0) * self.scale / (2.0 * self.A)) ** (1.0 / n) / (
            weight * end ** ((2.0 * n - 1.0) / n)
        )
        profile = lambda x: slope / (6.0 * p) * (end + 2.0 * x) * (end - x) ** 2
        below = profile(self.edge) ** p
        above = max(below - self.step, 0.0)
        x = jnp.asarray(x)
        lifted = profile(x) + above ** (1.0 / p) - below ** (1.0 / p)
        return jnp.where(
            x < end, jnp.maximum(jnp.where(x < self.edge, lifted, profile(x)), 0.0) ** p, 0.0
        )


class Circles(eqx.Module):
    """The distinct distances of cells from the origin, m, and for each cell which is its own: a
    balance is computed once per distance, an eighth of the cells.
    """

    radii: Array
    index: Cell

    @classmethod
    def of(cls, grid: Grid) -> Circles:
        """Those of a grid."""
        radii, index = np.unique(radius(grid), return_inverse=True)
        return cls(jnp.asarray(radii), jnp.asarray(index.reshape(grid.shape)))


class ExactBalance(AbstractMassBalance):
    """The balance under which a dome is exact, evaluated at every stage and acting everywhere."""

    dome: AbstractDome = eqx.field(kw_only=True)
    circles: Circles = eqx.field(kw_only=True)
    accumulation_threshold: float | None = None

    frequency: ClassVar[Frequency] = "state"

    def forcing(self, glacier: Glacier, months: np.ndarray) -> None:
        """No climate."""

    def rates(self, forcing: None, surface: Cell, time: float | Scalar) -> Rates:
        """m w.e. per year."""
        balance = self.dome.balance(self.circles.radii, time)
        to_water = self.dome.ice_density / WATER_DENSITY
        return net_rates(jnp.asarray(to_water * balance)[self.circles.index])


def radius(grid: Grid) -> Cell:
    """Distance of the cells from the origin, m."""
    return np.hypot(grid.x, grid.y[:, None])


def with_derivative(f: Callable[[Array], Array], x: Array) -> tuple[Array, Array]:
    """f(x) and f′(x) of a function that acts element by element."""
    return jax.jvp(f, (x,), (jnp.ones_like(x),))
