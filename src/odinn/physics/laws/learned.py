"""What laws with weights share: bounds, input scaling, and fitting them to a formula before
anything is observed.
"""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Literal, Self, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.grid import Array
from odinn.numbers.slot import Scale
from odinn.physics.laws.base import AbstractLaw, Ranges, scaled
from odinn.physics.laws.input_base import AbstractInput, as_range
from odinn.physics.laws.pretraining import Formula, fitted, misfit

Law = TypeVar("Law", bound="AbstractLearnedLaw")


class AbstractLearnedLaw(AbstractLaw):
    """A law with weights, between bounds.

    value = low + (high − low) σ(raw), or the same of logarithms for scale="log".
    """

    bounds: eqx.AbstractVar[tuple[float, float]]
    scale: eqx.AbstractVar[Scale]

    @abc.abstractmethod
    def raw(self, *shares: Array) -> Array:
        """The unconstrained number, from inputs scaled so that their range is [0, 1]."""

    def evaluate(self, *values: Array) -> Array:
        """See :class:`AbstractLaw`."""
        if self.ranges is None:
            raise InputError("this law is not bound yet: call odinn.bind(model, glaciers) first")
        return between(self.bounds, self.scale, self.raw(*scaled(values, self.ranges)))

    def with_ranges(self, ranges: Ranges) -> Self:
        """See :class:`AbstractLaw`."""
        # a class of one's own may have any constructor, so the copy is made without it
        new = object.__new__(type(self))
        for field in dataclasses.fields(self):
            value = jnp.asarray(ranges) if field.name == "ranges" else getattr(self, field.name)
            object.__setattr__(new, field.name, value)
        return new

    def fit_to(
        self,
        formula: Formula,
        glaciers: Glacier | Sequence[Glacier] | None = None,
        *,
        steps: int = 300,
        tolerance: float = 0.1,
        outside: Literal["raise", "clip"] = "raise",
    ) -> Self:
        """The law with weights that follow a formula: where learning starts from, if more is known
        than bounds.

        Least squares on the law's own scale over a regular grid of its inputs' ranges (a Sobol
        sequence for three inputs or more) by L-BFGS, from the present weights; the same call gives
        the same weights.

        Args:
            formula: a function of the inputs' values in their units (arrays in, an array out), or
                another law.
            glaciers: one or several, to which the law is bound first; without them it is bound
                already, or every input has its own ``range``.
            steps: at most so many.
            tolerance: largest root-mean-square error that is accepted, as :meth:`misfit` measures
                it.
            outside: what to do where the formula leaves the bounds: "raise", or "clip" it to them.

        Raises:
            InputError: if the law is not bound, or the formula is not finite or leaves the bounds.
            CalibrationError: if the remaining error is larger than the tolerance.

        >>> import odinn
        >>> temperature = odinn.inputs.LongTermTemperature(range=(-10.0, 0.0))
        >>> formula = odinn.laws.CuffeyPaterson()
        >>> law = odinn.laws.Basis([temperature], bounds=(1e-18, 1e-15)).fit_to(formula)
        >>> f"{law(-5.0):.1e}, {formula(-5.0):.1e}"
        '2.9e-17, 2.9e-17'
        """
        return fitted(_bound_to(self, glaciers), formula, steps, tolerance, outside)

    def misfit(self, formula: Formula, outside: Literal["raise", "clip"] = "raise") -> float:
        """Root-mean-square difference to a formula (or law) over the inputs' ranges.

        Of natural logarithms for scale="log" (0.01 is one percent), else as a fraction of high −
        low.
        """
        return misfit(_bound_to(self, None), formula, outside)


def between(bounds: tuple[float, float], scale: Scale, raw: Array) -> Array:
    """An unconstrained number as one between bounds, through a sigmoid on the linear or logarithmic
    scale.
    """
    low, high = bounds
    share = jax.nn.sigmoid(raw)
    if scale == "log":
        return jnp.exp(np.log(low) + (np.log(high) - np.log(low)) * share)
    return low + (high - low) * share


def checked_inputs(
    name: str, inputs: AbstractInput | Sequence[AbstractInput], most: int | None = None
) -> tuple[AbstractInput, ...]:
    """The inputs of a law as a tuple: at least one, at most so many, and inputs indeed."""
    listed = (inputs,) if isinstance(inputs, AbstractInput) else tuple(inputs)
    for item in listed:
        if not isinstance(item, AbstractInput):
            raise InputError(
                f"{name}: found {item!r} among the inputs, expected such as odinn.inputs.Altitude()"
            )
        as_range(item.range)
    if most is not None and not 1 <= len(listed) <= most:
        raise InputError(f"{name}: {len(listed)} inputs, expected one or two; use Neural for more")
    if not listed:
        raise InputError(f"{name}: at least one input is needed")
    return listed


def checked_bounds(name: str, bounds: tuple[float, float], scale: Scale) -> tuple[float, float]:
    """Bounds of a law, low < high, both positive on a log scale."""
    low, high = (float(end) for end in bounds)
    if scale not in ("log", "linear"):
        raise InputError(f"{name}(scale={scale!r}): expected 'log' or 'linear'")
    is_log = scale == "log"
    if not -np.inf < low < high < np.inf or (is_log and low <= 0):
        positive = ", both positive on a log scale" if is_log else ""
        raise InputError(f"{name}(bounds={bounds}): expected finite low < high{positive}")
    return low, high


def _bound_to(law: Law, glaciers: Glacier | Sequence[Glacier] | None) -> Law:
    """The law with its input scaling: from the glaciers, or from the inputs' own ranges."""
    name = type(law).__name__
    if glaciers is None:
        unknown = [item.label for item in law.inputs if item.range is None]
        if law.ranges is None and unknown:
            raise InputError(
                f"{name}: the range of '{unknown[0]}' is not known: give glaciers=, or its range="
            )
        return law.bound((), name)
    return law.bound(glaciers if isinstance(glaciers, Sequence) else [glaciers], name)
