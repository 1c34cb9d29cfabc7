"""What a law is: a function of inputs that stands in the place of a number."""

import abc
from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, where
from odinn.grid import Array, corner_mean

Frequency = Literal["fixed", "state"]


class AbstractInput(eqx.Module):
    """A quantity that a law depends on.

    ``frequency``: "fixed" (known before the run: ``field``) or "state" (changes with the ice: ``at_state``).
    ``range`` are the bounds by which values are scaled to [0, 1] for a network or a basis; None takes the smallest and
    largest value over the glaciers that the law is bound to (fixed inputs only).
    """

    frequency: eqx.AbstractClassVar[Frequency]
    label: eqx.AbstractClassVar[str]
    unit: eqx.AbstractClassVar[str]
    range: eqx.AbstractVar[tuple[float, float] | None]

    @abc.abstractmethod
    def field(self, glacier: Any) -> np.ndarray:
        """Fixed inputs: the value on cells (ny, nx), or one number for the glacier."""

    @abc.abstractmethod
    def at_state(self, thickness: Array, slope: Array) -> Array:
        """Inputs of the state: the value on corners, from corner thickness (m) and surface slope (1)."""


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
    def with_ranges(self, ranges: tuple[tuple[float, float], ...]) -> "AbstractLaw":
        """The law with its input scaling set."""

    @property
    def frequency(self) -> Frequency:
        """ "state" if any input is, else "fixed"."""
        return "state" if any(i.frequency == "state" for i in self.inputs) else "fixed"

    def bound(self, glaciers: Sequence[Any], name: str) -> "AbstractLaw":
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
                out.append(np.asarray(corner_mean(value)) if name.startswith("flow.") and value.ndim == 2 else value)
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


def scaled(values: Sequence[Array], ranges: Sequence[tuple[float, float]]) -> list[Array]:
    """Input values scaled so that their range becomes [0, 1]; not clipped."""
    return [(v - low) / (high - low) for v, (low, high) in zip(values, ranges, strict=True)]
