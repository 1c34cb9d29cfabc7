"""Basis functions in the place of a number: few coefficients, easy to read."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp

from odinn.errors import InputError
from odinn.grid import Array
from odinn.physics.laws.base import AbstractInput
from odinn.physics.laws.learned import AbstractLearnedLaw, Scale, checked_bounds, checked_inputs

Kind = Literal["bspline", "polynomial", "rbf"]
_DEGREE = 3


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
    ranges: tuple[tuple[float, float], ...] | None = eqx.field(static=True)

    def __init__(
        self,
        inputs: Any,
        bounds: tuple[float, float],
        scale: Scale = "log",
        kind: Kind = "bspline",
        size: int = 8,
    ) -> None:
        self.inputs, self.bounds = (
            checked_inputs("Basis", inputs, most=2),
            checked_bounds("Basis", bounds, scale),
        )
        self.scale, self.kind, self.size, self.ranges = scale, kind, size, None
        if kind not in ("bspline", "polynomial", "rbf"):
            raise InputError(f"Basis(kind={kind!r}): expected 'bspline', 'polynomial' or 'rbf'")
        if size < (_DEGREE + 1 if kind == "bspline" else 2):
            raise InputError(
                f"Basis(size={size}): expected at least {_DEGREE + 1 if kind == 'bspline' else 2}"
            )
        self.weights = jnp.zeros((size,) * len(self.inputs))

    def raw(self, *shares: Array) -> Array:
        """See :class:`AbstractLearnedLaw`."""
        rows = [functions(self.kind, self.size, jnp.clip(x, 0.0, 1.0)) for x in shares]
        return (
            rows[0] @ self.weights
            if len(rows) == 1
            else jnp.einsum("...i,...j,ij->...", *rows, self.weights)
        )


def functions(kind: Kind, size: int, x: Array) -> Array:
    """Values of the basis functions at x in [0, 1]: (..., size)."""
    x = jnp.asarray(x, float)
    if kind == "polynomial":
        order = jnp.broadcast_to(jnp.arange(size), (*x.shape, size))
        inside = jnp.clip(2.0 * x - 1.0, -1 + 1e-12, 1 - 1e-12)[..., None]
        return jnp.cos(order * jnp.arccos(inside))
    if kind == "rbf":
        centres = jnp.broadcast_to(jnp.linspace(0.0, 1.0, size), (*x.shape, size))
        return jnp.exp(-0.5 * ((x[..., None] - centres) * (size - 1)) ** 2)
    knots = jnp.concatenate(
        [jnp.zeros(_DEGREE), jnp.linspace(0.0, 1.0, size - _DEGREE + 1), jnp.ones(_DEGREE)]
    )
    at = jnp.minimum(x, 1.0 - 1e-12)[..., None]
    left, right = (jnp.broadcast_to(k, (*x.shape, knots.size - 1)) for k in (knots[:-1], knots[1:]))
    value = jnp.where((at >= left) & (at < right), 1.0, 0.0)
    for degree in range(1, _DEGREE + 1):  # Cox & de Boor
        count = knots.size - 1 - degree
        spread = lambda k: jnp.broadcast_to(k, (*x.shape, count))  # noqa: B023
        rise, fall = (
            spread(knots[degree:-1] - knots[:count]),
            spread(knots[degree + 1 :] - knots[1 : count + 1]),
        )
        up = jnp.where(rise > 0, (at - spread(knots[:count])) / jnp.where(rise > 0, rise, 1.0), 0.0)
        down = jnp.where(
            fall > 0, (spread(knots[degree + 1 :]) - at) / jnp.where(fall > 0, fall, 1.0), 0.0
        )
        value = up * value[..., :count] + down * value[..., 1 : count + 1]
    return value
