"""Shallow ice in three exclusive forms, which differ in their diffusivity alone."""

import abc
import warnings
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from odinn.constants import GRAVITY, ICE_DENSITY, SLOPE_EPSILON
from odinn.errors import InputError
from odinn.grid import Cell, Corner, Scalar
from odinn.numbers.conversion import plain_numbers
from odinn.numbers.slot import Kind, Number, slot
from odinn.physics.domain import Domain
from odinn.physics.flow.base import AbstractFlow, Fluxes, VelocityKind
from odinn.physics.flow.capped_fluxes import PLAIN, TRANSPOSED, corner_geometry
from odinn.physics.flow.power import Exponent, is_static, power

# Pa⁻³ yr⁻¹: stiffer than the coldest ice of any glacier, but what A in Pa⁻³ s⁻¹ is like
_PER_SECOND = 1e-20

Power = Any  # a Number as the user gives it, an Exponent on a glacier


def _rate_factor(default: Any, unit: str, label: str, symbol: str, *, kind: Kind = "number") -> Any:
    """A slot on corners for what is never negative and spans orders of magnitude."""
    return slot(
        default,
        unit=unit,
        place="corner",
        label=label,
        symbol=symbol,
        smallest=0.0,
        scale="log",
        kind=kind,
    )


def _exponent(default: float | None, label: str, symbol: str) -> Any:
    """A slot for an exponent; a Python number there is compiled in."""
    return slot(default, unit="1", place="corner", label=label, symbol=symbol, kind="exponent")


class AbstractShallowIce(AbstractFlow):
    """Flow whose flux is −D ∇S, with D = H times the mobility (depth-mean speed per slope)."""

    is_local: ClassVar[bool] = True

    @abc.abstractmethod
    def mobility(self, thickness: Corner, slope_squared: Corner, at: VelocityKind) -> Corner:
        """Speed per slope on corners, m yr⁻¹, from thickness (m) and squared slope (1), which is
        > 0.
        """

    @abc.abstractmethod
    def slope_exponent(self) -> float | Scalar:
        """The largest m of fluxes ~ |∇S|ᵐ: along the flow the flux is m times stiffer than D
        says.
        """

    def fluxes(self, domain: Domain, thickness: Cell) -> Fluxes:
        """See :class:`AbstractFlow`. Stiffness: 4 (m + 1) max(D) / min(dx, dy)², the largest
        eigenvalue of the linearised operator when one direction is m times stiffer than the other.
        """
        operators = TRANSPOSED if self.by_hand else PLAIN
        bed, dx, dy = domain.bed, domain.dx, domain.dy
        on_corners, gx, gy = operators.corner_geometry(thickness, bed, dx, dy)
        slope_squared = gx * gx + gy * gy + SLOPE_EPSILON
        diffusivity = on_corners * self.mobility(on_corners, slope_squared, "mean")
        x, y = operators.capped_fluxes(diffusivity, thickness, bed, dx, dy)
        along = self.slope_exponent() + 1.0
        stiffness = 4.0 * along / jnp.minimum(dx, dy) ** 2 * jnp.max(diffusivity)
        return Fluxes(x, y, stiffness, self.by_hand)

    def velocity(
        self, domain: Domain, thickness: Cell, at: VelocityKind = "surface"
    ) -> tuple[Corner, Corner]:
        """See :class:`AbstractFlow`: minus mobility times the surface gradient."""
        on_corners, gx, gy = corner_geometry(thickness, domain.bed, domain.dx, domain.dy)
        slope_squared = gx * gx + gy * gy + SLOPE_EPSILON
        mobility = self.mobility(on_corners, slope_squared, at)
        return -mobility * gx, -mobility * gy


class AbstractGlenFlow(AbstractShallowIce):
    """Creep by Glen's law, whose form is up to the class, and sliding by Weertman and Budd's."""

    C: eqx.AbstractVar[Number]
    n: eqx.AbstractVar[Power]
    p: eqx.AbstractVar[Power]
    q: eqx.AbstractVar[Power]

    @abc.abstractmethod
    def creep(self, thickness: Corner, slope_squared: Corner) -> Corner:
        """Depth-mean speed of creep per slope on corners, m yr⁻¹."""

    @abc.abstractmethod
    def creep_exponent(self) -> Exponent:
        """The power of the slope in the flux by creep."""

    def mobility(self, thickness: Corner, slope_squared: Corner, at: VelocityKind) -> Corner:
        """See :class:`AbstractShallowIce`. Creep is (n+2)/(n+1) times as fast at the surface as in
        the depth mean; sliding adds equally to both.
        """
        factors = {"mean": 1.0, "surface": (self.n + 2.0) / (self.n + 1.0), "basal": 0.0}
        if at not in factors:
            raise InputError(f"at={at!r}: expected one of {', '.join(map(repr, factors))}")
        creep = factors[at] * self.creep(thickness, slope_squared)
        return creep if self.C is None else creep + self.sliding(thickness, slope_squared)

    def sliding(self, thickness: Corner, slope_squared: Corner) -> Corner:
        """u_b / |∇S| = C τ_b^p / (ρgH)^q / |∇S| = C (ρgH)^(p−q) |∇S|^(p−1), m yr⁻¹."""
        C = at_state(self.C, thickness, slope_squared)
        overburden = self.ice_density * self.gravity * thickness
        slope = power(slope_squared, (self.p - 1.0) / 2)
        # a power of 0 would leave sliding on bare ground where p = q
        return jnp.where(thickness > 0, C * power(overburden, self.p - self.q) * slope, 0.0)

    def slope_exponent(self) -> float | Scalar:
        """The larger of the power of creep and, with sliding, p."""
        creep = self.creep_exponent()
        exponents = (creep,) if self.C is None else (creep, self.p)
        if all(is_static(e) for e in exponents):
            return max(exponents)
        return jnp.max(jnp.stack([jnp.max(jnp.asarray(e)) for e in exponents]))


class SIA2D(AbstractGlenFlow):
    """Shallow ice with Weertman–Budd sliding (Hutter 1983; Cuffey & Paterson 2010, ch. 7–8).

    D = C (ρg)^(p−q) H^(p−q+1) |∇S|^(p−1) + 2A/(n+2) (ρg)^n H^(n+2) |∇S|^(n−1)

    Args:
        A: rate factor, Pa⁻ⁿ yr⁻¹ (2.4e-24 Pa⁻³ s⁻¹ is 7.57e-17 Pa⁻³ yr⁻¹).
        C: sliding coefficient, m yr⁻¹ Pa^(q−p), in u_b = C τ_b^p / (ρgH)^q. A Python 0 leaves
            sliding out.
        n: Glen's exponent. p, q: exponents of basal stress and of overburden in the sliding law.
        ice_density: kg m⁻³. gravity: m s⁻².
        reference_stress: Pa; if given, A is stated at n = 3 (Pa⁻³ yr⁻¹) and A τ^(3−n) is used, so
            that creep at this
            stress does not depend on n: that is what makes n learnable.

    ``A`` and ``C`` are numbers, corner fields (ny−1, nx−1) or ``{rgi_id: number or field}``.

    >>> SIA2D(A=4e-17).n
    3.0
    """

    A: Number = _rate_factor(4e-17, "Pa⁻ⁿ yr⁻¹", "rate factor", "A")
    C: Number = _rate_factor(0.0, "m yr⁻¹ Pa^(q−p)", "sliding coefficient", "C", kind="term")
    n: Power = _exponent(3.0, "exponent", "n")
    p: Power = _exponent(3.0, "exponent of basal stress", "p")
    q: Power = _exponent(2.0, "exponent of overburden", "q")
    ice_density: float = ICE_DENSITY
    gravity: float = GRAVITY
    reference_stress: float | None = None

    def __check_init__(self) -> None:
        highest = [
            getattr(self.A, "bounds", (0.0, 0.0))[1] or 0.0,
            *(float(a.max()) for a in plain_numbers(self.A)),
        ]
        if self.n == 3.0 and 0 < max(highest) < _PER_SECOND:
            warnings.warn(
                f"SIA2D: A of at most {max(highest):.3g} looks like Pa-3 s-1, but Pa-3 yr-1 is "
                "expected: 2.4e-24 Pa-3 s-1 "
                "is 7.57e-17 Pa-3 yr-1",
                stacklevel=2,
            )

    def creep(self, thickness: Corner, slope_squared: Corner) -> Corner:
        """2A/(n+2) (ρgH)^n H |∇S|^(n−1), m yr⁻¹: the driving stress per slope to the power n."""
        A = at_state(self.A, thickness, slope_squared)
        stress = self.ice_density * self.gravity * thickness
        if self.reference_stress is not None:
            A, stress = A * self.reference_stress**3, stress / self.reference_stress
        factor = 2.0 / (self.n + 2.0) * A
        return factor * power(stress, self.n) * thickness * power(slope_squared, (self.n - 1.0) / 2)

    def creep_exponent(self) -> Exponent:
        """See :class:`AbstractGlenFlow`."""
        return self.n


class HybridSIA2D(AbstractGlenFlow):
    """Shallow ice with a law Y in place of A and free exponents of thickness and slope (ODINN's
    LawY).

    D = C (ρg)^(p−q) H^(p−q+1) |∇S|^(p−1) + 2 (ρg)^n/(n+2) Y H^(n_H+2) |∇S|^(n_S−1)

    Args:
        Y: takes the place of A; its unit follows from the exponents.
        n_H, n_S: exponents, n where None. The rest as in :class:`SIA2D`.
    """

    Y: Number = _rate_factor(..., "unit of its exponents", "rate factor", "Y")
    C: Number = _rate_factor(0.0, "m yr⁻¹ Pa^(q−p)", "sliding coefficient", "C", kind="term")
    n: Power = _exponent(3.0, "exponent", "n")
    p: Power = _exponent(3.0, "exponent of basal stress", "p")
    q: Power = _exponent(2.0, "exponent of overburden", "q")
    n_H: Power = _exponent(None, "exponent of thickness", "n_H")
    n_S: Power = _exponent(None, "exponent of slope", "n_S")
    ice_density: float = ICE_DENSITY
    gravity: float = GRAVITY

    def creep(self, thickness: Corner, slope_squared: Corner) -> Corner:
        """2Y/(n+2) (ρgH)^n H^(n_H−n+1) |∇S|^(n_S−1), m yr⁻¹."""
        Y = at_state(self.Y, thickness, slope_squared)
        stress = self.ice_density * self.gravity * thickness
        rest = 1.0 if self.n_H is None else self.n_H - self.n + 1.0
        slope = power(slope_squared, (self.creep_exponent() - 1.0) / 2)
        factor = 2.0 / (self.n + 2.0) * Y
        return factor * power(stress, self.n) * power(thickness, rest) * slope

    def creep_exponent(self) -> Exponent:
        """See :class:`AbstractGlenFlow`: n_S."""
        return self.n if self.n_S is None else self.n_S


class DiffusiveSIA2D(AbstractShallowIce):
    """Flow with a prescribed mobility: D = U H (ODINN's LawU).

    Args:
        U: depth-mean speed per slope, m yr⁻¹: a number, a corner field or one per glacier.
        surface_factor: depth-mean over surface speed; the surface moves with U |∇S| /
            surface_factor.
    """

    U: Number = _rate_factor(..., "m yr⁻¹", "mobility", "U")
    surface_factor: float = 1.0
    ice_density: float = ICE_DENSITY
    gravity: float = GRAVITY

    def mobility(self, thickness: Corner, slope_squared: Corner, at: VelocityKind) -> Corner:
        """See :class:`AbstractShallowIce`."""
        if at == "basal":
            raise InputError("DiffusiveSIA2D has no basal velocity: use at='surface' or at='mean'")
        mean = at_state(self.U, thickness, slope_squared)
        return mean / self.surface_factor if at == "surface" else mean

    def slope_exponent(self) -> float:
        """1 for a field, since the flux is linear in the slope; 3 for a law of the slope, as for
        Glen's.
        """
        return 3.0 if callable(self.U) else 1.0


def at_state(value: Any, thickness: Corner, slope_squared: Corner) -> Corner:
    """The field itself, or a law of the state evaluated at corner thickness (m) and slope (1)."""
    return value(thickness, slope_squared) if callable(value) else value
