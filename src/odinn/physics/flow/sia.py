"""Shallow ice in three exclusive forms, which differ in their diffusivity alone."""

from __future__ import annotations

import abc
import warnings
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from odinn.constants import GRAVITY, ICE_DENSITY, SLOPE_EPSILON
from odinn.errors import InputError
from odinn.grid import Cell, Corner, Scalar
from odinn.numbers.conversion import as_exponent, for_glacier, plain_numbers
from odinn.numbers.parameter import on_corners
from odinn.numbers.slot import Number, slot
from odinn.physics.flow.base import AbstractFlow, VelocityKind
from odinn.physics.flow.kernel import PLAIN, Operators, corner_geometry
from odinn.physics.flow.power import Exponent, is_static, power

_PER_SECOND = (
    1e-20  # Pa⁻³ yr⁻¹: stiffer than the coldest ice of any glacier, but what A in Pa⁻³ s⁻¹ is like
)


class Coefficients(eqx.Module):
    """Numbers of a shallow ice flow on corners; exponents are Python floats where they are
    constants.

    ``creep`` multiplies Hⁿ⁺² |∇S|ⁿ⁻¹ in the diffusivity (for A: 2A(ρg)ⁿ/(n+2)), ``sliding`` Hᵖ⁻ᵠ⁺¹
    |∇S|ᵖ⁻¹ (C(ρg)ᵖ⁻ᵠ; None where there is no sliding): fields, or :class:`odinn.physics.laws.base.Deferred` laws of the month or the state.
    """

    creep: Any
    sliding: Any
    n: Exponent
    p: Exponent
    q: Exponent
    n_H: Exponent
    n_S: Exponent


class AbstractShallowIce(AbstractFlow):
    """Flow whose flux is −D ∇S: dH/dt = ∇·(D ∇S)."""

    @abc.abstractmethod
    def diffusivity(self, thickness: Corner, slope_squared: Corner, values: Any) -> Corner:
        """D on corners, m² yr⁻¹, from thickness (m) and squared slope (1), which is > 0."""

    @abc.abstractmethod
    def mobility(
        self, thickness: Corner, slope_squared: Corner, values: Any, at: VelocityKind
    ) -> Corner:
        """Speed per slope on corners, m yr⁻¹."""

    @abc.abstractmethod
    def slope_exponent(self, values: Any) -> Any:
        """The largest m of fluxes ~ |∇S|ᵐ: along the flow the flux is m times stiffer than D
        says.
        """

    def tendency(
        self,
        values: Any,
        bed: Cell,
        thickness: Cell,
        dx: float,
        dy: float,
        operators: Operators = PLAIN,
    ) -> tuple[Cell, Scalar]:
        """See :class:`AbstractFlow`. Stiffness: 4 (m + 1) max(D) / min(dx, dy)², the largest
        eigenvalue of the linearised operator when one direction is m times stiffer than the other.
        """
        surface = bed + thickness
        corner_thickness, gx, gy = operators.corner_geometry(thickness, surface, dx, dy)
        slope_squared = gx * gx + gy * gy + SLOPE_EPSILON
        diffusivity = self.diffusivity(corner_thickness, slope_squared, values)
        rate = operators.capped_divergence(diffusivity, thickness, surface, dx, dy)
        stiffness = (
            4.0 * (self.slope_exponent(values) + 1.0) / min(dx, dy) ** 2 * jnp.max(diffusivity)
        )
        return rate, stiffness

    def velocity(
        self,
        values: Any,
        bed: Cell,
        thickness: Cell,
        dx: float,
        dy: float,
        at: VelocityKind = "surface",
    ) -> tuple[Corner, Corner]:
        """See :class:`AbstractFlow`: minus mobility times the surface gradient."""
        corner_thickness, gx, gy = corner_geometry(thickness, bed + thickness, dx, dy)
        slope_squared = gx * gx + gy * gy + SLOPE_EPSILON
        mobility = self.mobility(corner_thickness, slope_squared, values, at)
        return -mobility * gx, -mobility * gy


class AbstractGlenFlow(AbstractShallowIce):
    """Creep with exponents n_H and n_S plus sliding; what multiplies them is up to the class."""

    def diffusivity(self, thickness: Corner, slope_squared: Corner, values: Coefficients) -> Corner:
        """Creep and sliding: H times the depth-mean mobility."""
        rate = at_state(values.creep, thickness, slope_squared)
        creep = (
            rate * power(thickness, values.n_H + 2.0) * power(slope_squared, (values.n_S - 1.0) / 2)
        )
        if values.sliding is None:
            return creep
        return creep + thickness * _sliding_mobility(thickness, slope_squared, values)

    def mobility(
        self, thickness: Corner, slope_squared: Corner, values: Coefficients, at: VelocityKind
    ) -> Corner:
        """Depth-mean creep is D/H, at the surface (n+2)/(n+1) times that; sliding adds equally to
        both.
        """
        factors = {"mean": 1.0, "surface": (values.n + 2.0) / (values.n + 1.0), "basal": 0.0}
        if at not in factors:
            raise InputError(f"at={at!r}: expected one of {', '.join(map(repr, factors))}")
        rate = at_state(values.creep, thickness, slope_squared)
        creep = (
            rate * power(thickness, values.n_H + 1.0) * power(slope_squared, (values.n_S - 1.0) / 2)
        )
        mobility = factors[at] * creep
        return (
            mobility
            if values.sliding is None
            else mobility + _sliding_mobility(thickness, slope_squared, values)
        )

    def slope_exponent(self, values: Coefficients) -> Any:
        """The larger of n_S and, with sliding, p."""
        exponents = (values.n_S,) if values.sliding is None else (values.n_S, values.p)
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

    A: Number = slot(
        4e-17,
        unit="Pa⁻ⁿ yr⁻¹",
        place="corner",
        label="rate factor",
        symbol="A",
        smallest=0.0,
        scale="log",
    )
    C: Number = slot(
        0.0,
        unit="m yr⁻¹ Pa^(q−p)",
        place="corner",
        label="sliding coefficient",
        symbol="C",
        smallest=0.0,
        scale="log",
        kind="term",
    )
    n: Number = slot(3.0, unit="1", place="corner", label="exponent", symbol="n", kind="exponent")
    p: Number = slot(
        3.0, unit="1", place="corner", label="exponent of basal stress", symbol="p", kind="exponent"
    )
    q: Number = slot(
        2.0, unit="1", place="corner", label="exponent of overburden", symbol="q", kind="exponent"
    )
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

    def coefficients(self, site: Any) -> Coefficients:
        """Fields on corners for one glacier."""
        n, p, q = (_exponent(getattr(self, k), site, f"flow.{k}") for k in ("n", "p", "q"))
        weight = self.ice_density * self.gravity
        scale = 2.0 * _power_of_number(weight, n) / (n + 2.0)
        if self.reference_stress is not None:
            scale = scale * _power_of_number(self.reference_stress, 3.0 - n)
        creep = scale * on_corners(self.A, site, "flow.A")
        return Coefficients(creep, _sliding(self, site, p, q), n, p, q, n, n)


class HybridSIA2D(AbstractGlenFlow):
    """Shallow ice with a law Y in place of A and free exponents of thickness and slope (ODINN's
    LawY).

    D = C (ρg)^(p−q) H^(p−q+1) |∇S|^(p−1) + 2 (ρg)^n/(n+2) Y H^(n_H+2) |∇S|^(n_S−1)

    Args:
        Y: takes the place of A; its unit follows from the exponents.
        n_H, n_S: exponents, n where None. The rest as in :class:`SIA2D`.
    """

    Y: Number = slot(
        unit="unit of its exponents",
        place="corner",
        label="rate factor",
        symbol="Y",
        smallest=0.0,
        scale="log",
    )
    C: Number = slot(
        0.0,
        unit="m yr⁻¹ Pa^(q−p)",
        place="corner",
        label="sliding coefficient",
        symbol="C",
        smallest=0.0,
        scale="log",
        kind="term",
    )
    n: Number = slot(3.0, unit="1", place="corner", label="exponent", symbol="n", kind="exponent")
    p: Number = slot(
        3.0, unit="1", place="corner", label="exponent of basal stress", symbol="p", kind="exponent"
    )
    q: Number = slot(
        2.0, unit="1", place="corner", label="exponent of overburden", symbol="q", kind="exponent"
    )
    n_H: Number | None = slot(
        None, unit="1", place="corner", label="exponent of thickness", symbol="n_H", kind="exponent"
    )
    n_S: Number | None = slot(
        None, unit="1", place="corner", label="exponent of slope", symbol="n_S", kind="exponent"
    )
    ice_density: float = ICE_DENSITY
    gravity: float = GRAVITY

    def coefficients(self, site: Any) -> Coefficients:
        """Fields on corners for one glacier."""
        n, p, q = (_exponent(getattr(self, k), site, f"flow.{k}") for k in ("n", "p", "q"))
        n_H, n_S = (
            n if value is None else _exponent(as_exponent(value), site, name)
            for value, name in ((self.n_H, "flow.n_H"), (self.n_S, "flow.n_S"))
        )
        weight = self.ice_density * self.gravity
        creep = 2.0 * _power_of_number(weight, n) / (n + 2.0) * on_corners(self.Y, site, "flow.Y")
        return Coefficients(creep, _sliding(self, site, p, q), n, p, q, n_H, n_S)


class DiffusiveSIA2D(AbstractShallowIce):
    """Flow with a prescribed mobility: D = U H (ODINN's LawU).

    Args:
        U: depth-mean speed per slope, m yr⁻¹: a number, a corner field or one per glacier.
        surface_factor: depth-mean over surface speed; the surface moves with U |∇S| /
            surface_factor.
    """

    U: Number = slot(
        unit="m yr⁻¹",
        place="corner",
        label="mobility",
        symbol="U",
        smallest=0.0,
        scale="log",
    )
    surface_factor: float = 1.0
    ice_density: float = ICE_DENSITY
    gravity: float = GRAVITY

    def coefficients(self, site: Any) -> Any:
        """U on corners, or a law of the state."""
        return on_corners(self.U, site, "flow.U")

    def diffusivity(self, thickness: Corner, slope_squared: Corner, values: Any) -> Corner:
        """See :class:`AbstractShallowIce`."""
        return at_state(values, thickness, slope_squared) * thickness

    def mobility(
        self, thickness: Corner, slope_squared: Corner, values: Any, at: VelocityKind
    ) -> Corner:
        """See :class:`AbstractShallowIce`."""
        if at == "basal":
            raise InputError("DiffusiveSIA2D has no basal velocity: use at='surface' or at='mean'")
        mean = at_state(values, thickness, slope_squared)
        return mean / self.surface_factor if at == "surface" else mean

    def slope_exponent(self, values: Any) -> Any:
        """1 for a field, since the flux is linear in the slope; 3 for a law of the slope, as for
        Glen's.
        """
        return 3.0 if callable(values) else 1.0


def at_state(value: Any, thickness: Corner, slope_squared: Corner) -> Corner:
    """The field itself, or a law of the state evaluated at corner thickness (m) and slope (1)."""
    return value(thickness, slope_squared) if callable(value) else value


def _sliding_mobility(thickness: Corner, slope_squared: Corner, values: Coefficients) -> Corner:
    """u_b / |∇S| = C (ρg)^(p−q) H^(p−q) |∇S|^(p−1)"""
    coefficient = at_state(values.sliding, thickness, slope_squared)
    sliding = (
        coefficient
        * power(thickness, values.p - values.q)
        * power(slope_squared, (values.p - 1.0) / 2)
    )
    return jnp.where(thickness > 0, sliding, 0.0)


def _sliding(flow: SIA2D | HybridSIA2D, site: Any, p: Exponent, q: Exponent) -> Any:
    coefficient = for_glacier(flow.C, site.rgi_id, "flow.C")
    if is_static(coefficient) and coefficient == 0.0:
        return None
    weight = flow.ice_density * flow.gravity
    return on_corners(coefficient, site, "flow.C") * _power_of_number(weight, p - q)


def _exponent(value: Any, site: Any, name: str) -> Exponent:
    value = for_glacier(value, site.rgi_id, name)
    if is_static(value):
        return value
    field = on_corners(value, site, name)
    if callable(field):
        raise InputError(
            f"{name}: exponents take laws of fixed inputs only, found one that changes with month "
            "or state"
        )
    return field


def _power_of_number(base: float, exponent: Exponent) -> Any:
    return base**exponent if is_static(exponent) else jnp.power(base, exponent)
