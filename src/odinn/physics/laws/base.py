"""What a law is: a function of inputs that stands in the place of a number."""

import abc
from collections.abc import Sequence
from typing import Any, Final, Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.grid import Array
from odinn.numbers.slot import AbstractOpenNumber, AbstractVariable, Frequency, LocatedSlot
from odinn.physics.laws.input_base import AbstractInput, in_slot, range_over
from odinn.printing import printed_as_call

Ranges = Float[Array, "inputs 2"]

_OFTEN: Final[tuple[Frequency, ...]] = ("fixed", "monthly", "state")
_TOO_OFTEN: Final = {
    "fixed": "exponents take laws of fixed inputs only, found one that changes with month or state",
    "monthly": "laws of the state may stand in flow slots only",
}


@printed_as_call
class AbstractLaw(AbstractVariable):
    """A law in the place of a number: value = law(inputs), evaluated as often as its inputs change.

    ``weights`` are what is learned (None: nothing). ``ranges`` (inputs, 2) hold the input scaling,
    fitted by ``bind``: None before, and () where there is nothing to scale.
    """

    inputs: eqx.AbstractVar[tuple[AbstractInput, ...]]
    weights: eqx.AbstractVar[Any]
    ranges: eqx.AbstractVar[Ranges | tuple[()] | None]

    @abc.abstractmethod
    def evaluate(self, *values: Array) -> Array:
        """The law's value, in the unit of its slot, for arrays of input values of one shape."""

    @abc.abstractmethod
    def with_ranges(self, ranges: Ranges) -> Self:
        """The law with its input scaling set."""

    def __call__(self, *values: Any) -> Array:
        """The law's value, in the unit of its slot.

        Args:
            values: one for each input, in the input's unit: numbers or arrays of any shapes that
                broadcast.

        Raises:
            InputError: for another number of values, or before ``odinn.bind`` for a law that scales
                its inputs.

        >>> import odinn
        >>> odinn.laws.CuffeyPaterson()([-10.0, 0.0])
        Array([1.1045...e-17, 7.5738...e-17], dtype=float64)
        """
        if len(values) != len(self.inputs):
            wanted = ", ".join(f"{item.label} ({item.unit})" for item in self.inputs)
            raise InputError(
                f"this law takes {len(self.inputs)} values ({wanted}), found {len(values)}"
            )
        arrays = [jnp.asarray(value, float) for value in values]
        shape = jnp.broadcast_shapes(*(array.shape for array in arrays))
        return jnp.asarray(self.evaluate(*(jnp.broadcast_to(a, shape) for a in arrays)))

    @property
    def frequency(self) -> Frequency:
        """The highest of its inputs': "state", "monthly" or "fixed"."""
        return max((item.frequency for item in self.inputs), key=_OFTEN.index, default="fixed")

    @property
    def is_refreshed(self) -> bool:
        """Whether some input is new each month."""
        return any(item.frequency == "monthly" for item in self.inputs)

    @property
    def learned(self) -> Any:
        """See :class:`AbstractVariable`: the weights."""
        return self.weights

    @property
    def is_learned(self) -> bool:
        """See :class:`AbstractVariable`."""
        return self.weights is not None

    def range_of(self, k: int) -> tuple[float, float] | None:
        """(low, high) by which an input is scaled, else its own range; None if neither is known."""
        if self.ranges is not None and len(self.ranges):
            ends = self.ranges[k]
        else:
            ends = self.inputs[k].range
        return None if ends is None else (float(ends[0]), float(ends[1]))

    def bound(self, glaciers: Sequence[Glacier], name: str) -> Self:
        """The law with input scaling fitted to these glaciers, unless it is set already."""
        if self.ranges is not None:
            return self
        ranges = [range_over(item, glaciers, name) for item in self.inputs]
        return self.with_ranges(jnp.asarray(ranges))

    def fixed_inputs(self, glacier: Glacier, slot: LocatedSlot) -> tuple[np.ndarray, ...]:
        """Values of the fixed inputs where the slot lives: corners (averaged from cells), or
        cells.
        """
        return tuple(
            in_slot(item, item.field(glacier), glacier, slot)
            for item in self.inputs
            if item.frequency == "fixed"
        )

    def monthly_inputs(
        self, glacier: Glacier, slot: LocatedSlot, months: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Values of the monthly inputs in each month where the slot lives: (months,) or (months,
        rows, columns).
        """
        found = []
        months = np.asarray(months)
        allowed = ((len(months),), (len(months), *glacier.grid.shape))
        for item in self.inputs:
            if item.frequency != "monthly":
                continue
            values = np.asarray(item.in_months(glacier, months))
            if values.shape not in allowed:
                message = (
                    f"{slot.path}: the input '{item.label}' has shape {values.shape} for "
                    f"{len(months)} months, expected {allowed[0]} or {allowed[1]}"
                )
                raise InputError(of_glacier(glacier.rgi_id, message))
            found.append(in_slot(item, values, glacier, slot))
        return tuple(found)

    def at_site(self, site: Any, slot: LocatedSlot) -> "Array | PartialLaw":
        """The law as a field of one site, or, if it depends on month or state, with these left
        open.
        """
        allowed = slot.slot.laws
        if _OFTEN.index(self.frequency) > _OFTEN.index(allowed):
            raise InputError(f"{slot.path}: {_TOO_OFTEN[allowed]}")
        # a site of compiled code carries the inputs; a glacier makes them
        is_prepared = hasattr(site, "inputs")
        fixed = iter(site.inputs[slot.path] if is_prepared else self.fixed_inputs(site, slot))
        shape = slot.slot.shape_on(site.grid)
        known: list[Array | None] = []
        for item in self.inputs:
            is_known = item.frequency == "fixed"
            known.append(_full(jnp.asarray(next(fixed), float), shape) if is_known else None)
        return PartialLaw(law=self, known=tuple(known), slot=slot.path, shape=shape).value()


class PartialLaw(AbstractOpenNumber):
    """A law with some of its inputs filled in (``known``, None for the others).

    What is open is filled in by ``in_month`` and then, if the law depends on the state, by a call
    with corner thickness (m) and squared slope. ``slot`` is the law's place in the model, ``shape``
    the shape of its field.
    """

    law: AbstractLaw
    known: tuple[Array | None, ...]
    slot: str = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)

    def value(self) -> "Array | PartialLaw":
        """law(inputs) if all inputs are known, else this."""
        known = [value for value in self.known if value is not None]
        if len(known) < len(self.known):
            return self
        return self.law.evaluate(*known)

    def in_month(self, values: tuple[Array, ...]) -> "Array | PartialLaw":
        """With the monthly inputs filled in: a field, or a law of the state."""
        rows = iter(values)
        known: list[Array | None] = []
        for item, value in zip(self.law.inputs, self.known, strict=True):
            is_new = item.frequency == "monthly"
            known.append(_full(next(rows), self.shape) if is_new else value)
        return PartialLaw(
            law=self.law, known=tuple(known), slot=self.slot, shape=self.shape
        ).value()

    def __call__(self, thickness: Array, slope_squared: Array) -> Array:
        """law(inputs)"""
        slope = jnp.sqrt(slope_squared)
        values: list[Any] = []
        for item, value in zip(self.law.inputs, self.known, strict=True):
            is_open = item.frequency == "state"
            values.append(item.at_state(thickness, slope) if is_open else value)
        return self.law.evaluate(*values)


def _full(value: Array, shape: tuple[int, ...]) -> Array:
    return jnp.broadcast_to(jnp.asarray(value), shape)


def scaled(values: Sequence[Array], ranges: Ranges | tuple[()]) -> list[Array]:
    """Input values scaled so that their range becomes [0, 1]; not clipped."""
    ends = jnp.asarray(ranges)
    shares = []
    for k, value in enumerate(values):
        low, high = ends[k, 0], ends[k, 1]
        shares.append((value - low) / (high - low))
    return shares
