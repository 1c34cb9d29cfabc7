"""The laws of a model, and their inputs: those known before a run, and those that renew a law each
month.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.numbers.slot import LocatedSlot
from odinn.physics.laws.base import AbstractLaw

Rows = dict[str, tuple[np.ndarray, ...]]  # inputs of each slot's law


class HasSlots(Protocol):
    """A model: what it is made of, by path."""

    def slots(self) -> dict[str, LocatedSlot]: ...


def laws_of(model: HasSlots) -> dict[str, AbstractLaw]:
    """The laws of a model by slot."""
    return {slot.path: slot.value for slot in _slots_with_laws(model)}


def monthly_laws(model: HasSlots) -> dict[str, AbstractLaw]:
    """The laws of a model that are renewed each month, by slot."""
    return {path: law for path, law in laws_of(model).items() if law.is_refreshed}


def monthly_rows(model: HasSlots, glacier: Glacier, months: np.ndarray) -> Rows:
    """The monthly inputs of all laws of a model in each month, by slot; empty if it has none."""
    return {
        slot.path: slot.value.monthly_inputs(glacier, slot, months)
        for slot in _slots_with_laws(model)
        if slot.value.is_refreshed
    }


def fixed_values(model: HasSlots, glacier: Glacier) -> Rows:
    """The fixed inputs of all laws of a model, by slot."""
    return {slot.path: slot.value.fixed_inputs(glacier, slot) for slot in _slots_with_laws(model)}


def _slots_with_laws(model: HasSlots) -> Iterator[LocatedSlot]:
    for slot in model.slots().values():
        if isinstance(slot.value, AbstractLaw):
            yield slot


def check_laws(model: HasSlots, glacier: Glacier, months: np.ndarray) -> None:
    """Raise :class:`InputError` where a formula of fixed or monthly inputs is not finite, or less
    than the smallest value of its slot.
    """
    for slot in _slots_with_laws(model):
        law = slot.value
        if law.frequency == "state" or hasattr(law, "bounds"):  # a law with bounds keeps them
            continue
        value = _values_in_months(law, glacier, slot, months)
        if not np.isfinite(value).all():
            message = f"{slot.path}: the law is not finite for all values of its inputs"
            raise InputError(of_glacier(glacier.rgi_id, message))
        if not slot.slot.admits(value).all():
            message = f"the law goes down to {value.min():.4g}, expected {slot.slot.expected}"
            raise InputError(of_glacier(glacier.rgi_id, f"{slot.path}: {message}"))


def _values_in_months(
    law: AbstractLaw, glacier: Glacier, slot: LocatedSlot, months: np.ndarray
) -> np.ndarray:
    fixed = iter(law.fixed_inputs(glacier, slot))
    monthly = iter(law.monthly_inputs(glacier, slot, months))
    inputs = []
    for item in law.inputs:
        if item.frequency == "fixed":
            inputs.append(next(fixed))
            continue
        values = next(monthly)
        # one number for each month has to meet fields: months lead
        inputs.append(values[:, None, None] if values.ndim == 1 else values)
    return np.asarray(law.evaluate(*np.broadcast_arrays(*inputs)), float)
