"""What a loss is made of: terms that can be added and multiplied, those of data and those of what
is learned.
"""

import abc
import collections
import math
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PyTree

from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.grid import Array
from odinn.model.frame import Frame
from odinn.model.model import Model

Period = tuple[float, float]
RowOf = Callable[[float], int]  # of a stop, its row of an Outcome


class Outcome(eqx.Module):
    """A run as a loss sees it: its start and the dates at which losses asked it to stop.

    Args:
        thickness: (1 + stops, ny, nx), m, on the part of the grid that the run computes.
        balance: (1 + stops, ny, nx), m of ice since the start; there if a loss has
            ``uses_balance``, else None.
        velocity: function of the number of a stop (0 is the start), and of whether the laws are
            those of the month that begins there rather than of the one that ends: (vx, vy) at the
            surface on cells, m yr⁻¹, to the east and the north however the fields lie.
        water: m w.e. per m of ice.
    """

    thickness: Array
    balance: Array | None
    velocity: Callable[..., tuple[Array, Array]]
    water: float

    def thickness_at(self, index: Array) -> Array:
        """Thickness at a stop, m; 0 is the start."""
        return jnp.asarray(self.thickness)[index]


class AbstractTerm(eqx.Module):
    """A loss or a regularisation; sums and multiples of them are a :class:`Total`."""

    @property
    def terms(self) -> tuple[tuple[float, Any], ...]:
        """(weight, term) pairs."""
        return ((1.0, self),)

    def __add__(self, other: object) -> "Total":
        return Total(self.terms) + other

    def __radd__(self, other: object) -> "Total":
        return other + Total(self.terms)

    def __mul__(self, factor: float) -> "Total":
        return Total(self.terms) * factor

    __rmul__ = __mul__


class AbstractLoss(AbstractTerm):
    """A misfit between a run and data. Its value on a glacier is the mean of its squared residuals
    over all data.
    """

    name: eqx.AbstractClassVar[str]
    uses_balance: ClassVar[bool] = False

    @abc.abstractmethod
    def stops(self, glacier: Glacier, period: Period) -> tuple[float, ...]:
        """Decimal years at which the loss wants to see the run, which stops there."""

    @abc.abstractmethod
    def targets(self, glacier: Glacier, period: Period, index: RowOf) -> PyTree:
        """The data of a glacier as a pytree of arrays; ``index`` turns a stop into its row of
        :class:`Outcome`. None: it is left out."""

    def placed(self, targets: PyTree, frame: Frame) -> PyTree | None:
        """The data as they lie on the part of the grid that a run computes. None, as of a loss that
        does not say: it looks at the whole grid.
        """
        return targets if frame.is_plain else None

    @abc.abstractmethod
    def residuals(self, outcome: Outcome, targets: PyTree) -> Array:
        """(modelled − observed) / error, any shape, exactly 0 where there are no data. Runs inside
        compiled code.
        """

    @abc.abstractmethod
    def count(self, targets: PyTree) -> Array | int:
        """How many data there are."""


class AbstractRegularization(AbstractTerm):
    """A penalty on what is learned, addressed by its slot: "flow.A", "mass_balance.melt_factor",
    "thickness", "bed".
    """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """How the term is reported."""

    def value(self, model: Model, glaciers: list[Glacier]) -> Array:
        """The penalty, >= 0."""
        residuals, number = self.residuals(model, glaciers)
        return jnp.sum(residuals**2) / number

    @abc.abstractmethod
    def residuals(self, model: Model, glaciers: list[Glacier]) -> tuple[Array, int]:
        """(residuals in units of what is expected, (N,); their number n): the penalty is their sum
        of squares over n.
        """


class Total(eqx.Module):
    """A weighted sum of losses and regularisations."""

    terms: tuple[tuple[float, Any], ...]

    def __add__(self, other: object) -> "Total":
        return Total(self.terms + as_total(other).terms)

    def __radd__(self, other: object) -> "Total":
        # sum() starts from 0
        if isinstance(other, int) and other == 0:
            return self
        return as_total(other) + self

    def __mul__(self, factor: float) -> "Total":
        # a negative weight would reward what is wrong
        if isinstance(factor, bool | str) or not math.isfinite(float(factor)) or float(factor) < 0:
            raise InputError(f"loss: the weight of a term is {factor!r}, expected a number >= 0")
        return Total(tuple((float(factor) * w, term) for w, term in self.terms))

    __rmul__ = __mul__

    @property
    def named(self) -> tuple[tuple[str, float, Any], ...]:
        """(name, weight, term), a name that comes again being numbered: "velocity", "velocity
        2".
        """
        seen: collections.Counter[str] = collections.Counter()
        out = []
        for weight, term in self.terms:
            seen[term.name] += 1
            number = seen[term.name]
            name = term.name if number == 1 else f"{term.name} {number}"
            out.append((name, weight, term))
        return tuple(out)

    @property
    def data(self) -> tuple[tuple[str, float, AbstractLoss], ...]:
        """(name, weight, loss) of the terms that need a run."""
        return tuple(entry for entry in self.named if isinstance(entry[2], AbstractLoss))

    @property
    def regularization(self) -> tuple[tuple[str, float, AbstractRegularization], ...]:
        """(name, weight, term) of the terms that need what is learned alone."""
        return tuple(entry for entry in self.named if isinstance(entry[2], AbstractRegularization))


def as_total(loss: object) -> Total:
    """A loss as a weighted sum of terms; anything else is an error that says what to write."""
    if isinstance(loss, Total):
        return loss
    if isinstance(loss, AbstractLoss | AbstractRegularization):
        return Total(loss.terms)
    if isinstance(loss, list | tuple):
        raise InputError(
            f"loss: found a {type(loss).__name__} of {len(loss)}; add losses up: a + 0.1 * b"
        )
    if isinstance(loss, type):
        raise InputError(f"loss: found the class {loss.__name__}; call it: {loss.__name__}()")
    raise InputError(
        f"loss: found {type(loss).__name__}, expected one such as odinn.losses.Thickness(), or a "
        "sum"
    )
