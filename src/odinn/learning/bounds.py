"""What an inversion has driven to a bound: then the bound speaks, not the data."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import jax
import numpy as np

from odinn.constants import AREA_THRESHOLD
from odinn.glacier import Glacier, geometry
from odinn.grid import corner_mean
from odinn.model.binding import slots
from odinn.model.model import Model
from odinn.numbers.parameter import Parameter
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
    found = []
    for slot, value in slots(model, glaciers).items():
        positions = [p for p in _positions(value, glaciers) if p.size]
        if not positions:
            continue
        varies = any(np.ptp(p) > 0 for p in positions)
        counted = np.concatenate(positions) if varies else np.array([p.flat[0] for p in positions])
        of = "the ice" if varies else f"{counted.size} glaciers" if counted.size > 1 else ""
        for end, bound, near in zip(
            ("lower", "upper"),
            value.bounds,
            (counted <= _NEAR, counted >= 1.0 - _NEAR),
            strict=True,
        ):
            if near.mean() > (_FEW if varies else 0.0):
                found.append(AtBound(slot, end, bound, float(near.mean()), of))
    return found


def advice(found: AtBound) -> str:
    """What to do about it."""
    return (
        f"{found}. The data ask for more, or say too little: widen the bounds if values beyond "
        "them are physical; else look "
        "for errors that it makes up for (in thickness, sliding or balance), or add data or "
        "odinn.regularization.Prior."
    )


def _positions(value: Any, glaciers: list[Glacier]) -> list[np.ndarray]:
    """Where between its bounds (0 and 1) a slot is: on each glacier's ice, or one number for each,
    or for all.
    """
    if isinstance(value, AbstractLearnedLaw):
        inputs = [samples(value.inputs, glacier) for glacier in glaciers]
        return [
            np.asarray(jax.nn.sigmoid(value.raw(*scaled(list(own), value.ranges or ()))))
            for own in inputs
        ]
    if not isinstance(value, Parameter) or None in value.bounds:
        return []
    unit = value.unit()
    if not isinstance(unit, dict):
        return [np.asarray(unit)]
    own = [(np.asarray(unit[g.rgi_id]), g) for g in glaciers if g.rgi_id in unit]
    return [p[_ice(g, p.shape)] if p.ndim else p for p, g in own]


def _ice(glacier: Glacier, shape: tuple[int, int]) -> np.ndarray:
    """Where there is at least 1 m of ice, on cells or corners."""
    thickness = np.asarray(geometry(glacier)[1])
    return (
        thickness if shape == glacier.grid.shape else np.asarray(corner_mean(thickness))
    ) >= AREA_THRESHOLD
