"""Plain numbers as a model keeps them: arrays where they may change, Python floats where they are
compiled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, of_glacier


def as_number(value: Any) -> Any:
    """Plain numbers become arrays, so that another value compiles nothing; mappings likewise, entry
    by entry. Parameters and laws stay as they are.
    """
    if isinstance(value, Mapping):
        return {str(rgi_id): as_number(entry) for rgi_id, entry in value.items()}
    if isinstance(value, bool | str) or value is None:
        raise InputError(
            f"a model number has to be a number, a field or {{rgi_id: field}}; found {value!r}"
        )
    if isinstance(value, int | float | np.number):
        return jnp.asarray(float(value))
    if isinstance(value, np.ndarray):
        return jnp.asarray(value, float)
    return value


def as_number_or_zero(value: Any) -> Any:
    """Like :func:`as_number`, but a Python 0 stays one: the term that it multiplies is left out of
    the program.
    """
    if is_static(value) and value == 0:
        return 0.0
    return as_number(value)


def as_exponent(value: Any) -> Any:
    """Python numbers stay static floats, which compile to products; the rest as
    :func:`as_number`.
    """
    if is_static(value):
        return float(value)
    return as_number(value)


def is_static(value: object) -> bool:
    """Whether this is a plain Python number, which is compiled in; arrays are traced."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain_numbers(value: object) -> list[np.ndarray]:
    """The plain numbers and fields in a slot, those by glacier one after the other; nothing of laws
    and parameters.
    """
    entries = value.values() if isinstance(value, Mapping) else [value]
    return [np.asarray(entry) for entry in entries if _is_plain(entry)]


def _is_plain(value: object) -> bool:
    # inside a compiled function values are not known: what is traced was checked before
    if isinstance(value, jax.core.Tracer):
        return False
    return isinstance(value, float | np.ndarray | jax.Array)


def for_glacier(value: Any, rgi_id: str, name: str) -> Any:
    """The entry of one glacier if the slot holds a mapping, else the slot itself."""
    if not isinstance(value, Mapping):
        return value
    if rgi_id not in value:
        known = ", ".join(sorted(value)) or "none"
        message = f"{name} is given per glacier but has no entry for this one (has: {known})"
        raise InputError(of_glacier(rgi_id, message))
    return value[rgi_id]
