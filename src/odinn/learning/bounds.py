"""What an inversion has driven to a bound: then the bound speaks, not the data."""

from __future__ import annotations

from typing import Final, NamedTuple

import jax
import numpy as np

from odinn.constants import AREA_THRESHOLD
from odinn.glacier import Glacier, geometry
from odinn.grid import corner_mean
from odinn.model.binding import learned_slots
from odinn.model.model import Model
from odinn.numbers.parameter import Parameter
from odinn.numbers.slot import LocatedSlot
from odinn.physics.laws.base import scaled
from odinn.physics.laws.learned import AbstractLearnedLaw
from odinn.physics.laws.samples import samples

_NEAR: Final = 0.01  # of the distance between the bounds, on the scale of the law or parameter
_FEW: Final = 0.05  # of the ice: less of it at a bound is not worth saying


class AtBound(NamedTuple):
    """A learned slot at its "lower" or "upper" bound (in the slot's unit), and on what share of the
    ice or glaciers.
    """

    slot: str
    end: str
    bound: float
    share: float
    of: str

    def __str__(self) -> str:
        share = f" on {self.share:.0%} of {self.of}" if self.of else ""
        return f"{self.slot} is at its {self.end} bound, {self.bound:g}{share}"


def at_bounds(model: Model, glaciers: list[Glacier]) -> list[AtBound]:
    """What of a model and its glaciers was learned and lies within 1 % of a bound, on its scale.

    A slot with one value for each glacier (or for all) is there if any is; one that varies on a
    glacier, if 5 % of the ice is. Laws are sampled at corners with at least 1 m of ice, with the
    initial ice for inputs of the state. A slot without two bounds, such as a thickness, is left
    out.
    """
    reached = []
    for title, slot in learned_slots(model, glaciers).items():
        # a glacier without ice has no say
        positions = [p for p in _positions(slot, glaciers) if p.size]
        if not positions:
            continue
        varies = any(np.ptp(values) > 0 for values in positions)
        if varies:
            counted, of = np.concatenate(positions), "the ice"
        else:
            counted = np.array([values.flat[0] for values in positions])
            of = f"{counted.size} glaciers" if counted.size > 1 else ""
        low, high = slot.value.bounds
        # a cell among thousands is no news, one number of a glacier is
        least = _FEW if varies else 0.0
        for end, bound, near in (
            ("lower", low, counted <= _NEAR),
            ("upper", high, counted >= 1.0 - _NEAR),
        ):
            if near.mean() > least:
                reached.append(AtBound(title, end, bound, float(near.mean()), of))
    return reached


def advice(parameter: AtBound) -> str:
    """What to do about it."""
    return (
        f"{parameter}. The data ask for more, or say too little: widen the bounds if values beyond "
        "them are physical; else look for errors that it makes up for (in thickness, sliding or "
        "balance), or add data or odinn.losses.Prior."
    )


def _positions(slot: LocatedSlot, glaciers: list[Glacier]) -> list[np.ndarray]:
    """Where between its bounds (0 and 1) a slot is: on each glacier's ice, or one number for each,
    or for all.
    """
    value = slot.value
    if isinstance(value, AbstractLearnedLaw):
        return [_shares(value, glacier) for glacier in glaciers]
    if not isinstance(value, Parameter) or None in value.bounds:
        return []
    unit = value.unit()
    if not isinstance(unit, dict):
        return [np.asarray(unit)]
    positions = []
    for glacier in glaciers:
        if glacier.rgi_id in unit:
            position = np.asarray(unit[glacier.rgi_id])
            positions.append(position[_ice(glacier, slot)] if position.ndim else position)
    return positions


def _shares(law: AbstractLearnedLaw, glacier: Glacier) -> np.ndarray:
    """A law's values on a glacier's ice, between its bounds."""
    # a law that was learned has been bound
    assert law.ranges is not None
    inputs = scaled(list(samples(law.inputs, glacier)), law.ranges)
    # before the sigmoid maps it to the bounds, on whichever scale
    return np.asarray(jax.nn.sigmoid(law.raw(*inputs)))


def _ice(glacier: Glacier, slot: LocatedSlot) -> np.ndarray:
    """Where there is at least 1 m of ice, on cells or corners as the slot is."""
    thickness = np.asarray(geometry(glacier)[1])
    if slot.slot.place == "corner":
        thickness = np.asarray(corner_mean(thickness))
    return thickness >= AREA_THRESHOLD
