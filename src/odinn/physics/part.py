"""A part of a model (its flow, its balance) on one glacier: numbers become fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax.numpy as jnp

from odinn.errors import InputError
from odinn.grid import Array
from odinn.numbers.parameter import Parameter, Site, as_number, as_number_or_zero, for_glacier

Part = TypeVar("Part", bound=eqx.Module)
MonthlyInputs = Mapping[str, tuple[Array, ...]]
ToField = Callable[[Any, Site, str], Any]


def on_site(part: Part, site: Site, role: str, to_field: ToField) -> Part:
    """The same part with each of its numbers as a field on the site, or as a law left open.

    Args:
        part: a flow or a balance. role: "flow" or "mass_balance", which begins the names of slots.
        to_field: :func:`on_corners` or :func:`on_cells`.
    """
    fields = {
        f.name: _on_site(f, getattr(part, f.name), site, f"{role}.{f.name}", to_field)
        for f in dataclasses.fields(part)
    }
    return with_fields(part, **fields)


def with_fields(part: Part, **values: Any) -> Part:
    """A copy with these values in its fields as they are: what a user gives is converted and
    checked once, not what is made of it.
    """
    copy = object.__new__(type(part))
    for f in dataclasses.fields(part):
        object.__setattr__(copy, f.name, values.get(f.name, getattr(part, f.name)))
    return copy


def _on_site(field: Any, value: Any, site: Site, slot: str, to_field: ToField) -> Any:
    value = for_glacier(value, site.rgi_id, slot)
    converter = field.metadata.get("converter")
    if converter is as_number_or_zero and isinstance(value, int | float) and value == 0:
        return None  # the term that it multiplies is left out
    is_array = hasattr(value, "shape")
    if not (is_array or isinstance(value, Parameter) or hasattr(value, "at_site")):
        return value
    if is_array and value.shape == (12,):
        return jnp.asarray(value, float)  # one a month, the same on all cells
    found = to_field(value, site, slot)
    if callable(found) and converter not in (as_number, as_number_or_zero):
        raise InputError(
            f"{slot}: exponents take laws of fixed inputs only, found one that changes with month "
            "or state"
        )
    return found
