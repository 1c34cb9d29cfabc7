"""What a law is: a function of inputs that stands in the place of a number."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, where
from odinn.grid import Array, corner_mean

Frequency = Literal["fixed", "state"]
Range = tuple[float, float] | None


class AbstractInput(eqx.Module):
    """A quantity that a law depends on.

    ``frequency``: "fixed" (known before the run: ``field``) or "state" (changes with the ice: ``at_state``).
    ``range`` are the bounds by which values are scaled to [0, 1] for a network or a basis; None takes the smallest and
    largest value over the glaciers that the law is bound to (fixed inputs only). ``angle``: degrees on a circle, whose
    mean over the cells around a corner is that of directions (the mean of 350° and 10° is 0°, not 180°).
    """

    angle: ClassVar[bool] = False

    frequency: eqx.AbstractClassVar[Frequency]
    label: eqx.AbstractClassVar[str]
    unit: eqx.AbstractClassVar[str]
    range: eqx.AbstractVar[Range]

    @abc.abstractmethod
    def field(self, glacier: Any) -> np.ndarray:
        """Fixed inputs: the value on cells (ny, nx), or one number for the glacier."""

    @abc.abstractmethod
    def at_state(self, thickness: Array, slope: Array) -> Array:
        """Inputs of the state: the value on corners, from corner thickness (m) and surface slope (1)."""


class Fixed(AbstractInput):
    """An input that is known before the run; one of your own has ``field``, ``label``, ``unit`` and ``range``."""

    frequency: ClassVar[Frequency] = "fixed"

    def at_state(self, thickness: Array, slope: Array) -> Array:
        """Of the state there is nothing to know."""
        raise TypeError(f"{self.label} does not depend on the state")


class OfState(AbstractInput):
    """An input that changes with the ice; one of your own has ``at_state``, ``label``, ``unit`` and ``range``."""

    frequency: ClassVar[Frequency] = "state"

    def field(self, glacier: Any) -> np.ndarray:
        """Before the run there is nothing to know."""
        raise TypeError(f"{self.label} depends on the state")


class AbstractLaw(eqx.Module):
    """A law in the place of a number: value = law(inputs), evaluated as often as its inputs change.

    ``weights`` are what is learned (None: nothing). ``ranges`` hold the input scaling, fitted by ``bind``.
    """

    inputs: eqx.AbstractVar[tuple[AbstractInput, ...]]
    weights: eqx.AbstractVar[Any]
    ranges: eqx.AbstractVar[tuple[tuple[float, float], ...] | None]

    @abc.abstractmethod
    def evaluate(self, *values: Array) -> Array:
        """The law's value, in the unit of its slot, for arrays of input values of one shape."""

    @abc.abstractmethod
    def with_ranges(self, ranges: tuple[tuple[float, float], ...]) -> Self:
        """The law with its input scaling set."""

    def __call__(self, *values: Any) -> Array:
        """The law's value, in the unit of its slot.

        Args:
            values: one for each input, in the input's unit: numbers or arrays of any shapes that broadcast.

        Raises:
            InputError: for another number of values, or before ``odinn.bind`` for a law that scales its inputs.

        >>> import odinn
        >>> odinn.laws.CuffeyPaterson()([-10.0, 0.0])
        Array([1.1045...e-17, 7.5738...e-17], dtype=float64)
        """
        if len(values) != len(self.inputs):
            wanted = ", ".join(f"{i.label} ({i.unit})" for i in self.inputs)
            raise InputError(f"this law takes {len(self.inputs)} values ({wanted}), found {len(values)}")
        arrays = [jnp.asarray(v, float) for v in values]
        shape = jnp.broadcast_shapes(*(a.shape for a in arrays))
        return jnp.asarray(self.evaluate(*(jnp.broadcast_to(a, shape) for a in arrays)))

    @property
    def frequency(self) -> Frequency:
        """ "state" if any input is, else "fixed"."""
        return "state" if any(i.frequency == "state" for i in self.inputs) else "fixed"

    def bound(self, glaciers: Sequence[Any], name: str) -> Self:
        """The law with input scaling fitted to these glaciers, unless it is set already."""
        if self.ranges is not None:
            return self
        ranges = []
        for item in self.inputs:
            given = item.range
            if given is None and item.frequency == "state":
                raise InputError(f"{name}: the input '{item.label}' changes with the state; give its range=(low, high)")
            if given is None:
                values = [np.asarray(item.field(g)) for g in glaciers]
                masked = [v[g.mask] if v.shape == g.grid.shape else v for v, g in zip(values, glaciers, strict=True)]
                low, high = min(float(v.min()) for v in masked), max(float(v.max()) for v in masked)
                pad = max(0.05 * (high - low), 1e-3 * max(abs(low), abs(high), 1e-12))
                given = (low - pad, high + pad)
            ranges.append((float(given[0]), float(given[1])))
        return self.with_ranges(tuple(ranges))

    def fixed_inputs(self, glacier: Any, name: str) -> tuple[np.ndarray, ...]:
        """Values of the fixed inputs on the slot's grid: corners for flow (averaged from cells), cells for balance."""
        out = []
        for item in self.inputs:
            if item.frequency == "fixed":
                value = np.asarray(item.field(glacier), float)
                if not np.isfinite(value).all():
                    raise InputError(
                        where(glacier.rgi_id, f"{name}: the input '{item.label}' is not finite everywhere")
                    )
                out.append(on_corners(item, value) if name.startswith("flow.") and value.ndim == 2 else value)
        return tuple(out)

    def at_site(self, site: Any, name: str, shape: tuple[int, int]) -> Any:
        """The law as a field of one site, or, if it depends on the state, as a function of it."""
        known = site.inputs[name] if hasattr(site, "inputs") else self.fixed_inputs(site, name)
        known = tuple(jnp.broadcast_to(jnp.asarray(v, float), shape) for v in known)
        if self.frequency == "fixed":
            return self.evaluate(*known)
        if not name.startswith("flow."):
            raise InputError(f"{name}: laws of the state may stand in flow slots only")
        return Deferred(self, known)


class Deferred(eqx.Module):
    """A law of the state with its fixed inputs filled in: called with corner thickness (m) and squared slope."""

    law: AbstractLaw
    known: tuple[Array, ...]
    scale: Any = 1.0

    def __call__(self, thickness: Array, slope_squared: Array) -> Array:
        """scale · law(inputs)"""
        slope = jnp.sqrt(slope_squared)
        fixed = iter(self.known)
        values = [next(fixed) if i.frequency == "fixed" else i.at_state(thickness, slope) for i in self.law.inputs]
        return self.scale * self.law.evaluate(*values)

    def __rmul__(self, factor: Any) -> "Deferred":
        return Deferred(self.law, self.known, factor * self.scale)


def on_corners(item: AbstractInput, cells: np.ndarray) -> np.ndarray:
    """An input's field (ny, nx) on corners (ny−1, nx−1): the mean of four cells, for angles that of directions."""
    if not item.angle:
        return np.asarray(corner_mean(cells))
    turn = np.deg2rad(cells)
    return np.rad2deg(np.arctan2(corner_mean(np.sin(turn)), corner_mean(np.cos(turn)))) % 360.0


def scaled(values: Sequence[Array], ranges: Sequence[tuple[float, float]]) -> list[Array]:
    """Input values scaled so that their range becomes [0, 1]; not clipped."""
    return [(v - low) / (high - low) for v, (low, high) in zip(values, ranges, strict=True)]
