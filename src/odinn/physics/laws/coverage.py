"""Where a law is asked beyond the range of its inputs: there nothing says that it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from odinn.constants import AREA_THRESHOLD
from odinn.glacier import Glacier, geometry
from odinn.grid import corner_mean
from odinn.physics.laws.base import AbstractLaw
from odinn.physics.laws.input_base import AbstractInput
from odinn.physics.laws.samples import slope_of

_STATES: Final = 12  # of a run that are looked at, its first and last among them
_MONTHS: Final = 120  # the last ten years
_ROUND_OFF: Final = 1e-6  # of the width of a range


class Beyond(NamedTuple):
    """An input of a law that leaves its range on a share of a glacier's cells with ice; lowest and
    highest are its values there, range or not.
    """

    item: AbstractInput
    range: tuple[float, float]
    share: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        (low, high), unit = self.range, self.item.unit
        share = f"{self.share:.0%}" if self.share >= 0.01 else "less than 1%"
        return (
            f"outside the range of its input '{self.item.label}', {low:.4g} to {high:.4g} {unit}, "
            f"on {share} of the cells with ice: it is {self.lowest:.4g} to {self.highest:.4g} there"
        )


def beyond_ranges(
    law: AbstractLaw, glacier: Glacier, thickness: Sequence[np.ndarray], months: np.ndarray
) -> list[Beyond]:
    """The inputs of a law that leave their range on a glacier.

    Args:
        law: inputs without a known range are not looked at.
        thickness: of some states, m, each (ny, nx). months: indices of the months of the run.
    """
    chosen = np.unique(np.linspace(0, len(thickness) - 1, _STATES).astype(int))
    states = [np.asarray(thickness[i], float) for i in chosen]
    found = []
    for k, item in enumerate(law.inputs):
        ends = law.range_of(k)
        if ends is None:
            continue
        margin = _ROUND_OFF * (ends[1] - ends[0])
        outside, number, lowest, highest = 0, 0, np.inf, -np.inf
        for values in _values(item, glacier, states, np.asarray(months)[-_MONTHS:]):
            outside += int(((values < ends[0] - margin) | (values > ends[1] + margin)).sum())
            number += values.size
            lowest = min(lowest, values.min(initial=np.inf))
            highest = max(highest, values.max(initial=-np.inf))
        if outside:
            found.append(Beyond(item, ends, outside / number, float(lowest), float(highest)))
    return found


def _values(
    item: AbstractInput, glacier: Glacier, states: list[np.ndarray], months: np.ndarray
) -> Iterator[np.ndarray]:
    """Values of an input where there is ice, some at a time: on corners if it is of the state, else
    on cells, as ranges are made.
    """
    if item.frequency == "state":
        bed = np.asarray(geometry(glacier)[0])
        for thickness in states:
            ice = np.asarray(corner_mean(thickness))
            slope = slope_of(bed + thickness, glacier)
            yield np.asarray(item.at_state(ice, slope))[ice >= AREA_THRESHOLD]
        return
    ever = np.any([thickness >= AREA_THRESHOLD for thickness in states], axis=0)
    if item.frequency == "fixed":
        yield _on_ice(np.asarray(item.field(glacier)), ever)
        return
    # a year at a time: all months of cells would not fit into memory
    for first in range(0, len(months), 12):
        yield _on_ice(np.asarray(item.in_months(glacier, months[first : first + 12])), ever)


def _on_ice(values: np.ndarray, ice: np.ndarray) -> np.ndarray:
    """Of a field, or one for each month, what is on ice; numbers of the whole glacier as they
    are.
    """
    return values[..., ice] if values.shape[-2:] == ice.shape else values
