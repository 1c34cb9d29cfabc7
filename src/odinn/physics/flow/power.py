"""Powers that are fast for small integer exponents and safe at zero."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from odinn.grid import Array

Exponent = float | int | Array


def is_static(exponent: object) -> bool:
    """True for plain Python numbers, which are compiled in; arrays are traced."""
    return isinstance(exponent, int | float)


def power(base: Array, exponent: Exponent) -> Array:
    """base ** exponent for base >= 0; integer and half-integer Python exponents become products and
    a root.

    With any other exponent the value and derivative at base = 0 are 0 (for exponent 0: value 1).
    """
    if is_static(exponent):
        doubled = 2 * float(exponent)
        if doubled == 0:
            return jnp.ones_like(base)
        if doubled.is_integer() and abs(doubled) <= 40:
            whole, half = divmod(int(doubled), 2)
            if whole < 0:
                positive = base > 0
                safe = jnp.where(positive, base, 1.0)
                return jnp.where(positive, _half_integer(safe, whole, half), 0.0)
            return _half_integer(base, whole, half)
    positive = base > 0
    safe = jnp.where(positive, base, 1.0)
    return jnp.where(
        positive, jnp.exp(exponent * jnp.log(safe)), jnp.where(exponent == 0, 1.0, 0.0)
    )


def _half_integer(base: Array, whole: int, half: int) -> Array:
    product = lax.integer_pow(jnp.asarray(base), whole) if whole else None
    if not half:
        return product if product is not None else jnp.ones_like(base)
    positive = base > 0
    root = jnp.where(positive, jnp.sqrt(jnp.where(positive, base, 1.0)), 0.0)
    return root if product is None else product * root
