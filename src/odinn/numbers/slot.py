"""Slots: the numbers of a model and of its glaciers that a field, a parameter or a law may replace.

A class declares each of its numbers once, by :func:`slot`. From the declaration come the conversion
of what is given, the check of its sign, the field on a glacier's grid, the scale on which it is
learned, and its name in figures and tables.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, Literal, Protocol, TypeVar, cast, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, of_glacier
from odinn.grid import Array
from odinn.numbers.conversion import (
    as_exponent,
    as_number,
    as_number_or_zero,
    for_glacier,
    is_static,
    plain_numbers,
)

Place = Literal["cell", "corner", "one"]
Scale = Literal["log", "linear"]
Kind = Literal["number", "term", "exponent", "field"]
Frequency = Literal["fixed", "monthly", "state"]
OpenField = Callable[..., Array]  # a law that waits for the month or the state
LawRows = Mapping[str, tuple[Array, ...]]  # monthly inputs of laws, by slot
Part = TypeVar("Part", bound=eqx.Module)
MONTHS: Final = (12,)  # the shape of twelve values, January to December

_METADATA: Final = "odinn.slot"
_CONVERTERS: Final[dict[Kind, Callable[[Any], Any] | None]] = {
    "number": as_number,
    "term": as_number_or_zero,
    "exponent": as_exponent,
    "field": None,
}


@runtime_checkable
class Shapes(Protocol):
    """The shapes of a grid."""

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def corner_shape(self) -> tuple[int, int]: ...


@runtime_checkable
class GlacierLike(Protocol):
    """What a number needs to know of a glacier: its id and the shapes of its grid."""

    @property
    def rgi_id(self) -> str: ...
    @property
    def grid(self) -> Shapes: ...


class AbstractVariable(eqx.Module):
    """What may stand in a slot and is no plain number: a parameter, or a law."""

    @property
    @abc.abstractmethod
    def learned(self) -> Any:
        """The arrays in it that are learned; None where there are none, or none yet."""

    @property
    @abc.abstractmethod
    def is_learned(self) -> bool:
        """Whether anything in it is learned."""

    @abc.abstractmethod
    def at_site(self, site: GlacierLike, slot: LocatedSlot) -> Array | OpenField:
        """Its value on one glacier, or, of a law that changes with month or state, a function."""


class AbstractOpenNumber(eqx.Module):
    """A number on a glacier that waits for the month or the state: a law with inputs left open.

    ``slot`` is its path in the model.
    """

    slot: eqx.AbstractVar[str]

    @abc.abstractmethod
    def in_month(self, values: tuple[Array, ...]) -> Any:
        """With the monthly inputs filled in: a field, or what still waits for the state."""

    @abc.abstractmethod
    def __call__(self, thickness: Array, slope_squared: Array) -> Array:
        """Its values on corners, from corner thickness (m) and squared slope."""


Number = float | Array | Mapping[str, Any] | AbstractVariable


@dataclasses.dataclass(frozen=True)
class Slot:
    """What is known of a number of the model before it has a value.

    Args:
        unit: as in the field's books, "1" for none.
        place: where its values live: on a "cell", on a "corner" between cells, or "one" for the
            whole glacier.
        label, symbol: in figures and tables.
        smallest: the smallest value that makes sense, None for any. inclusive: whether it does
            itself.
        scale: on which it is learned by default; "log" where it spans orders of magnitude.
        kind: "number"; "term" (a Python 0 leaves out what it multiplies); "exponent" (Python
            numbers are compiled in); "field" (kept as it is given).
        by_month: twelve values, January to December, may stand for a field.
    """

    unit: str
    place: Place
    label: str
    symbol: str = ""
    smallest: float | None = None
    inclusive: bool = True
    scale: Scale = "linear"
    kind: Kind = "number"
    by_month: bool = False

    @property
    def axis_label(self) -> str:
        """Label, symbol and unit, such as "rate factor A (Pa⁻ⁿ yr⁻¹)"."""
        named = f"{self.label} {self.symbol}".strip()
        return f"{named} ({self.unit})"

    @property
    def laws(self) -> Frequency:
        """How often the inputs of a law that stands here may change, at most."""
        if self.kind in ("exponent", "field"):
            return "fixed"
        # the ice changes within a step, where the flow is evaluated and the balance is given
        return "state" if self.place == "corner" else "monthly"

    @property
    def expected(self) -> str:
        """The values that make sense, for messages."""
        return f"{'>=' if self.inclusive else '>'} {self.smallest:g}"

    def admits(self, values: np.ndarray) -> np.ndarray:
        """Where values are not too small; NaN always is."""
        if self.smallest is None:
            return np.ones(np.shape(values), bool)
        return values >= self.smallest if self.inclusive else values > self.smallest

    def shape_on(self, grid: Shapes) -> tuple[int, ...]:
        """The shape of its field on a grid."""
        shapes = {"cell": grid.shape, "corner": grid.corner_shape, "one": ()}
        return shapes[self.place]


def slot(
    default: Any = ...,
    *,
    unit: str,
    place: Place,
    label: str,
    symbol: str = "",
    smallest: float | None = None,
    inclusive: bool = True,
    scale: Scale = "linear",
    kind: Kind = "number",
    by_month: bool = False,
) -> Any:
    """Declare a number of a flow or balance of one's own: what may stand there is a number, a
    field, one of either by glacier, a parameter or a law.

    Args:
        default: the value without another; left out, one has to be given; None may stay None.
        unit: of its values, "1" for none. label, symbol: its name in figures and tables.
        place: "cell", "corner" (between four cells, where the flow is evaluated) or "one" (the same
            all over a glacier).
        smallest: plain numbers and formulas below are refused (``inclusive=False``: and itself).
        scale: "log" or "linear", on which a :class:`Parameter` there is learned unless it says.
        kind: "number" (another value compiles nothing), "term" (likewise, but a Python 0 leaves
            what it multiplies out of the program), "exponent" (a Python number is compiled in as
            products and roots; another one compiles anew) or "field" (kept as it is given).
        by_month: twelve values, January to December, may stand there, too.

    Returns:
        What stands behind the ``=`` of a field of a class.

    >>> import equinox as eqx, odinn
    >>> class Drag(eqx.Module):
    ...     coefficient: object = odinn.slot(
    ...         1e-3, unit="Pa yr m⁻¹", place="corner", label="drag", symbol="β", smallest=0.0
    ...     )
    >>> Drag(2).coefficient
    Array(2., dtype=float64, weak_type=True)
    """
    described = Slot(unit, place, label, symbol, smallest, inclusive, scale, kind, by_month)
    options: dict[str, Any] = {"metadata": {_METADATA: described}}
    convert = _CONVERTERS[kind]
    if convert is not None:
        options["converter"] = _or_none(convert) if default is None else convert
    if default is not ...:
        options["default"] = default
    return eqx.field(**options)


def _or_none(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def converted(value: Any) -> Any:
        return None if value is None else convert(value)

    return converted


@dataclasses.dataclass(frozen=True, eq=False)
class LocatedSlot:
    """A slot of one model or glacier: where it is, what it is, and what stands in it.

    Args:
        part: "flow", "mass_balance" or "glacier". name: of its field there.
        value: a number, a field, ``{rgi_id: either}``, a parameter, a law, or None.
        rgi_id: of a glacier's slot.
    """

    part: str
    name: str
    slot: Slot
    value: Any
    rgi_id: str = ""

    @property
    def path(self) -> str:
        """What losses and figures call it: "flow.A"; of a glacier "thickness" or "bed"."""
        return self.name if self.part == "glacier" else f"{self.part}.{self.name}"

    @property
    def title(self) -> str:
        """Its path, with the glacier that it is of: "thickness of RGI60-11.03638"."""
        return f"{self.path} of {self.rgi_id}" if self.rgi_id else self.path

    @property
    def is_learned(self) -> bool:
        """Whether anything is learned in what stands here."""
        return isinstance(self.value, AbstractVariable) and self.value.is_learned

    def on(self, site: GlacierLike) -> Any:
        """The slot on one glacier.

        Returns:
            A field on cells or corners (of a slot with place "one": a number); of an exponent that
            is a Python number, this number; None where there is nothing or a term is left out; of a
            law of month or state, a function of these.

        Raises:
            InputError: for a field of another shape, or a law whose inputs change too often.
        """
        value = for_glacier(self.value, site.rgi_id, self.path)
        if value is None or (self.slot.kind == "exponent" and is_static(value)):
            return value
        if self.slot.kind == "term" and is_static(value) and value == 0.0:
            return None
        if isinstance(value, AbstractVariable):
            value = value.at_site(site, self)
            if callable(value):
                return value
        return self._broadcast(as_floats(value), site)

    def _broadcast(self, value: Array, site: GlacierLike) -> Array:
        shape = self.slot.shape_on(site.grid)
        if self.slot.by_month and value.shape == MONTHS:
            return value
        if value.shape not in ((), shape):
            field = f" or a {self.slot.place} field of shape {shape}" if shape else ""
            message = f"{self.path} has shape {value.shape}, expected one number{field}"
            raise InputError(of_glacier(site.rgi_id, message))
        broadcast = np.broadcast_to if isinstance(value, np.ndarray) else jnp.broadcast_to
        return broadcast(value, shape)


def as_floats(value: Any) -> Array:
    """Numbers as an array in double precision: NumPy's, which costs no call of the device, unless
    they are traced.
    """
    is_traced = isinstance(value, jax.core.Tracer)
    return jnp.asarray(value, float) if is_traced else np.asarray(value, float)


@cache
def declared(kind: type) -> dict[str, Slot]:
    """The slots that a class declares, by name."""
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    return {f.name: f.metadata[_METADATA] for f in fields if _METADATA in f.metadata}


def slots_of(owner: eqx.Module, part: str, rgi_id: str = "") -> Iterator[LocatedSlot]:
    """The slots of a flow, a balance or a glacier, with what stands in them."""
    for name, described in declared(type(owner)).items():
        yield LocatedSlot(part, name, described, getattr(owner, name), rgi_id)


def on_site(part: Part, site: GlacierLike, role: str) -> Part:
    """A flow or a balance on one glacier: the same with each of its numbers as
    :meth:`LocatedSlot.on` makes it.

    Args:
        role: "flow" or "mass_balance", with which the paths of its slots begin.
    """
    return with_fields(part, **{slot.name: slot.on(site) for slot in slots_of(part, role)})


def with_fields(part: Part, **values: Any) -> Part:
    """A copy with these values in its fields as they are: what a user gives is converted and
    checked once, not what is made of it.
    """
    copy = object.__new__(type(part))
    for field in dataclasses.fields(cast(Any, part)):
        value = values.get(field.name, getattr(part, field.name))
        object.__setattr__(copy, field.name, value)
    return copy


def in_month(part: Part, rows: LawRows) -> Part:
    """A flow or balance on a glacier with the monthly inputs of its laws, by slot, filled in."""

    def is_open(node: object) -> bool:
        return isinstance(node, AbstractOpenNumber) and node.slot in rows

    def filled(node: Any) -> Any:
        return node.in_month(rows[node.slot]) if is_open(node) else node

    return jax.tree.map(filled, part, is_leaf=is_open)


def check_slots(owner: eqx.Module) -> None:
    """Raise :class:`InputError` where a slot holds plain numbers that are too small, or NaN where
    there is a smallest one; or where a parameter or law stands in a field that is no slot.
    """
    slots = declared(type(owner))
    for field in dataclasses.fields(owner):
        value, where_ = getattr(owner, field.name), f"{type(owner).__name__}: {field.name}"
        if field.name in slots:
            _check_values(value, slots[field.name], where_)
        elif isinstance(value, AbstractVariable):
            raise InputError(
                f"{where_} holds a {type(value).__name__} and is no slot: declare it as "
                f"'{field.name}: object = odinn.slot(...)', or give a number"
            )


def _check_values(value: object, described: Slot, where_: str) -> None:
    for numbers in plain_numbers(value):
        bad = ~described.admits(numbers)
        if bad.any():
            found = f"{float(numbers[bad].flat[0]):g}"
            if numbers.ndim:
                found += f" in {int(bad.sum())} places"
            raise InputError(f"{where_} is {found}; expected a number {described.expected}")
