"""Basis functions in the place of a number: few coefficients, easy to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import equinox as eqx
import jax.numpy as jnp

from odinn.errors import InputError
from odinn.grid import Array
from odinn.numbers.slot import Scale
from odinn.physics.laws.base import Ranges
from odinn.physics.laws.input_base import AbstractInput
from odinn.physics.laws.learned import AbstractLearnedLaw, checked_bounds, checked_inputs

Kind = Literal["bspline", "polynomial", "rbf"]
_DEGREE: Final = 3  # of B-splines: cubic
_INSIDE: Final = 1e-12  # how far from an end of [0, 1] the functions are evaluated


class Basis(AbstractLearnedLaw):
    """A sum of basis functions of one or two inputs, between bounds.

    value = low + (high − low) σ(Σ w_k φ_k(inputs)), or the same of logarithms for scale="log"; of
    two inputs the functions are products. Inputs are clipped to the range they were fitted to, so
    the law is constant beyond it.

    Args:
        inputs: one or two of :mod:`odinn.inputs`. bounds, scale: as for :class:`odinn.laws.Neural`.
        kind: "bspline" (cubic, clamped, uniform knots), "polynomial" (Chebyshev) or "rbf" (Gaussian
            bumps).
        size: number of functions along each input.
    """

    inputs: tuple[AbstractInput, ...]
    weights: Array
    bounds: tuple[float, float] = eqx.field(static=True)
    scale: Scale = eqx.field(static=True)
    kind: Kind = eqx.field(static=True)
    size: int = eqx.field(static=True)
    ranges: Ranges | None

    def __init__(
        self,
        inputs: AbstractInput | Sequence[AbstractInput],
        bounds: tuple[float, float],
        scale: Scale = "log",
        kind: Kind = "bspline",
        size: int = 8,
    ) -> None:
        self.inputs = checked_inputs("Basis", inputs, most=2)
        self.bounds = checked_bounds("Basis", bounds, scale)
        self.scale = scale
        self.kind = kind
        self.size = size
        self.ranges = None
        if kind not in ("bspline", "polynomial", "rbf"):
            raise InputError(f"Basis(kind={kind!r}): expected 'bspline', 'polynomial' or 'rbf'")
        fewest = _DEGREE + 1 if kind == "bspline" else 2
        if size < fewest:
            raise InputError(f"Basis(size={size}): expected at least {fewest}")
        self.weights = jnp.zeros((size,) * len(self.inputs))

    def raw(self, *shares: Array) -> Array:
        """See :class:`AbstractLearnedLaw`."""
        rows = [functions(self.kind, self.size, jnp.clip(x, 0.0, 1.0)) for x in shares]
        if len(rows) == 1:
            return rows[0] @ self.weights
        return jnp.einsum("...i,...j,ij->...", *rows, self.weights)


def functions(kind: Kind, size: int, x: Array) -> Array:
    """Values of the basis functions at x in [0, 1]: (..., size)."""
    x = jnp.asarray(x, float)
    if kind == "polynomial":
        return _chebyshev(size, x)
    if kind == "rbf":
        centres = jnp.broadcast_to(jnp.linspace(0.0, 1.0, size), (*x.shape, size))
        return jnp.exp(-0.5 * ((x[..., None] - centres) * (size - 1)) ** 2)
    return _splines(size, x)


def _chebyshev(size: int, x: Array) -> Array:
    """T_k(2x − 1) = cos(k arccos(2x − 1))"""
    order = jnp.broadcast_to(jnp.arange(size), (*x.shape, size))
    # the derivative of arccos is infinite at ±1
    inside = jnp.clip(2.0 * x - 1.0, -1 + _INSIDE, 1 - _INSIDE)[..., None]
    return jnp.cos(order * jnp.arccos(inside))


def _splines(size: int, x: Array) -> Array:
    """B-splines by the recursion of Cox and de Boor; each degree has one function less."""
    middle = jnp.linspace(0.0, 1.0, size - _DEGREE + 1)
    # clamped: the first and last knot are there four times
    knots = jnp.concatenate([jnp.zeros(_DEGREE), middle, jnp.ones(_DEGREE)])
    # intervals are open on the right, so the last would miss x = 1
    at = jnp.minimum(x, 1.0 - _INSIDE)[..., None]
    left = jnp.broadcast_to(knots[:-1], (*x.shape, knots.size - 1))
    right = jnp.broadcast_to(knots[1:], (*x.shape, knots.size - 1))
    value = jnp.where((at >= left) & (at < right), 1.0, 0.0)
    for degree in range(1, _DEGREE + 1):
        count = knots.size - 1 - degree
        shape = (*x.shape, count)
        begin, end = knots[:count], knots[degree + 1 :]
        rise = jnp.broadcast_to(knots[degree:-1] - begin, shape)
        fall = jnp.broadcast_to(end - knots[1 : count + 1], shape)
        since, until = at - jnp.broadcast_to(begin, shape), jnp.broadcast_to(end, shape) - at
        # where knots coincide the function is 0, and so is its share
        up = jnp.where(rise > 0, since / jnp.where(rise > 0, rise, 1.0), 0.0)
        down = jnp.where(fall > 0, until / jnp.where(fall > 0, fall, 1.0), 0.0)
        value = up * value[..., :count] + down * value[..., 1 : count + 1]
    return value
