"""Numbers of a model: a constant, a field, or one of either per glacier.

A slot of a flow or mass-balance model holds a Python number, an array (a field on the glacier's grid) or a mapping
``{rgi_id: number or field}``. ``on_corners`` and ``on_cells`` turn what a slot holds into a field for one glacier;
this is the only place that knows about the alternatives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, where
from odinn.grid import Array, Grid

Number = float | int | Array | Mapping[str, Any]


def as_number(value: Any) -> Any:
    """Plain numbers become arrays, so that another value does not compile anew; mappings likewise, entry by entry."""
    if isinstance(value, Mapping):
        return {str(k): as_number(v) for k, v in value.items()}
    if isinstance(value, bool) or value is None:
        raise InputError(f"a model number has to be a number, a field or {{rgi_id: field}}; found {value!r}")
    if isinstance(value, int | float | np.number):
        return jnp.asarray(float(value))
    if isinstance(value, np.ndarray):
        return jnp.asarray(value, float)
    return value


def as_number_or_zero(value: Any) -> Any:
    """Like :func:`as_number`, but a Python 0 stays one: the term that it multiplies is left out of the program."""
    return 0.0 if isinstance(value, int | float) and not isinstance(value, bool) and value == 0 else as_number(value)


def as_exponent(value: Any) -> Any:
    """Python numbers stay static floats, which compile to products; arrays and mappings become arrays."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return as_number(value)


def for_glacier(value: Any, rgi_id: str, name: str) -> Any:
    """The entry of one glacier if the slot holds a mapping, else the slot itself."""
    if not isinstance(value, Mapping):
        return value
    if rgi_id not in value:
        known = ", ".join(sorted(value)) or "none"
        raise InputError(where(rgi_id, f"{name} is given per glacier but has no entry for this one (has: {known})"))
    return value[rgi_id]


def on_corners(value: Any, rgi_id: str, grid: Grid, name: str) -> Any:
    """The slot as a field on the corners of the glacier's grid."""
    return _field(value, rgi_id, grid.corner_shape, name, "corner")


def on_cells(value: Any, rgi_id: str, grid: Grid, name: str) -> Any:
    """The slot as a field on the cells of the glacier's grid."""
    return _field(value, rgi_id, grid.shape, name, "cell")


def _field(value: Any, rgi_id: str, shape: tuple[int, int], name: str, place: str) -> Any:
    value = jnp.asarray(for_glacier(value, rgi_id, name), float)
    if value.shape not in ((), shape):
        raise InputError(
            where(
                rgi_id,
                f"{name} has shape {value.shape}, expected one number or a {place} field of shape {shape}",
            )
        )
    return jnp.broadcast_to(value, shape)


def without_numbers(module: Any) -> Any:
    """A copy of a module whose arrays and mappings are None: what is left is compiled in, not traced."""
    bare = object.__new__(type(module))
    for field in dataclasses.fields(module):
        value = getattr(module, field.name)
        empty = isinstance(value, Mapping) or hasattr(value, "shape")
        object.__setattr__(bare, field.name, None if empty else value)
    return bare
