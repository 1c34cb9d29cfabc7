"""What a law is: a function of inputs that stands in the place of a number."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.dates import decimal_year, month_index
from odinn.errors import ClimateError, InputError, where
from odinn.grid import Array, corner_mean

Frequency = Literal["fixed", "monthly", "state"]
Range = tuple[float, float] | None
_NEVER_NEGATIVE = ("A", "C", "Y", "U", "melt_factor", "precip_factor")


class AbstractInput(eqx.Module):
    """A quantity that a law depends on.

    ``frequency``: "fixed" (known before the run: ``field``), "monthly" (known before the run for
    each month: ``in_months``) or "state" (changes with the ice: ``at_state``). ``range`` are the
    bounds by which values are scaled to [0, 1] for a network or a basis; None takes the smallest
    and largest value, and a twentieth beyond, over the glaciers that the law is bound to (for a
    monthly input over all whole years of their climate but the first, since it may look back;
    inputs of the state have to have a range). ``angle``: degrees on a circle, whose mean over the
    cells around a corner is that of directions (the mean of 350° and 10° is 0°, not 180°).
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
    def in_months(self, glacier: Any, months: np.ndarray) -> np.ndarray:
        """Monthly inputs: the value in each month (index 12 · year + month − 1), (months,) or on
        cells (months, ny, nx).
        """

    @abc.abstractmethod
    def at_state(self, thickness: Array, slope: Array) -> Array:
        """Inputs of the state: the value on corners, from corner thickness (m) and surface slope
        (1).
        """


class Fixed(AbstractInput):
    """An input that is known before the run; one of your own has ``field``, ``label``, ``unit`` and
    ``range``.
    """

    frequency: ClassVar[Frequency] = "fixed"

    def in_months(self, glacier: Any, months: np.ndarray) -> np.ndarray:
        """All months are alike."""
        raise TypeError(f"{self.label} does not depend on the month")

    def at_state(self, thickness: Array, slope: Array) -> Array:
        """Of the state there is nothing to know."""
        raise TypeError(f"{self.label} does not depend on the state")


class Monthly(AbstractInput):
    """An input that is new each month; one of your own has ``in_months``, ``label``, ``unit`` and
    ``range``.
    """

    frequency: ClassVar[Frequency] = "monthly"

    def field(self, glacier: Any) -> np.ndarray:
        """Without a month there is nothing to know."""
        raise TypeError(f"{self.label} depends on the month")

    def at_state(self, thickness: Array, slope: Array) -> Array:
        """Of the state there is nothing to know."""
        raise TypeError(f"{self.label} does not depend on the state")


class OfState(AbstractInput):
    """An input that changes with the ice; one of your own has ``at_state``, ``label``, ``unit`` and
    ``range``.
    """

    frequency: ClassVar[Frequency] = "state"

    def field(self, glacier: Any) -> np.ndarray:
        """Before the run there is nothing to know."""
        raise TypeError(f"{self.label} depends on the state")

    def in_months(self, glacier: Any, months: np.ndarray) -> np.ndarray:
        """Before the run there is nothing to know."""
        raise TypeError(f"{self.label} depends on the state")


class AbstractLaw(eqx.Module):
    """A law in the place of a number: value = law(inputs), evaluated as often as its inputs change.

    ``weights`` are what is learned (None: nothing). ``ranges`` hold the input scaling, fitted by
    ``bind``.
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
            wanted = ", ".join(f"{i.label} ({i.unit})" for i in self.inputs)
            raise InputError(
                f"this law takes {len(self.inputs)} values ({wanted}), found {len(values)}"
            )
        arrays = [jnp.asarray(v, float) for v in values]
        shape = jnp.broadcast_shapes(*(a.shape for a in arrays))
        return jnp.asarray(self.evaluate(*(jnp.broadcast_to(a, shape) for a in arrays)))

    @property
    def frequency(self) -> Frequency:
        """The highest of its inputs': "state", "monthly" or "fixed"."""
        found = {i.frequency for i in self.inputs}
        return "state" if "state" in found else "monthly" if "monthly" in found else "fixed"

    @property
    def is_refreshed(self) -> bool:
        """Whether some input is new each month."""
        return any(i.frequency == "monthly" for i in self.inputs)

    def bound(self, glaciers: Sequence[Any], name: str) -> Self:
        """The law with input scaling fitted to these glaciers, unless it is set already."""
        if self.ranges is not None:
            return self
        ranges = []
        for item in self.inputs:
            given = item.range
            if given is None and item.frequency == "state":
                raise InputError(
                    f"{name}: the input '{item.label}' changes with the state; give its "
                    "range=(low, high)"
                )
            if given is None:
                extremes = [_extremes(item, g) for g in glaciers]
                low, high = min(e[0] for e in extremes), max(e[1] for e in extremes)
                pad = max(0.05 * (high - low), 1e-3 * max(abs(low), abs(high), 1e-12))
                given = (low - pad, high + pad)
            ranges.append((float(given[0]), float(given[1])))
        return self.with_ranges(tuple(ranges))

    def fixed_inputs(self, glacier: Any, name: str) -> tuple[np.ndarray, ...]:
        """Values of the fixed inputs on the slot's grid: corners for flow (averaged from cells),
        cells for balance.
        """
        out = []
        for item in self.inputs:
            if item.frequency == "fixed":
                out.append(_on_slot(item, item.field(glacier), glacier, name))
        return tuple(out)

    def monthly_inputs(self, glacier: Any, name: str, months: np.ndarray) -> tuple[np.ndarray, ...]:
        """Values of the monthly inputs in each month on the slot's grid: (months,) or (months,
        rows, columns).
        """
        out = []
        for item in self.inputs:
            if item.frequency == "monthly":
                values = np.asarray(item.in_months(glacier, np.asarray(months)))
                if values.shape not in ((len(months),), (len(months), *glacier.grid.shape)):
                    raise InputError(
                        where(
                            glacier.rgi_id,
                            f"{name}: the input '{item.label}' has shape {values.shape} for "
                            f"{len(months)} months, expected "
                            f"({len(months)},) or {(len(months), *glacier.grid.shape)}",
                        )
                    )
                out.append(_on_slot(item, values, glacier, name))
        return tuple(out)

    def at_site(self, site: Any, name: str, shape: tuple[int, int]) -> Any:
        """The law as a field of one site, or, if it depends on month or state, with these left
        open.
        """
        fixed = iter(
            site.inputs[name] if hasattr(site, "inputs") else self.fixed_inputs(site, name)
        )
        full = lambda value: jnp.broadcast_to(jnp.asarray(value, float), shape)
        known = tuple(full(next(fixed)) if i.frequency == "fixed" else None for i in self.inputs)
        if self.frequency == "state" and not name.startswith("flow."):
            raise InputError(f"{name}: laws of the state may stand in flow slots only")
        return Deferred(self, known, name, shape).value()


class Deferred(eqx.Module):
    """A law with some of its inputs filled in (``known``, None for the others), times a number.

    What is open is filled in by ``in_month`` and then, if the law depends on the state, by a call
    with corner thickness (m) and squared slope. ``slot`` is the law's place in the model, ``shape``
    the shape of its field.
    """

    law: AbstractLaw
    known: tuple[Array | None, ...]
    slot: str = eqx.field(static=True)
    shape: tuple[int, int] = eqx.field(static=True)
    scale: Any = 1.0

    def value(self) -> Any:
        """scale · law(inputs) if all inputs are known, else this."""
        known = [v for v in self.known if v is not None]
        return self.scale * self.law.evaluate(*known) if len(known) == len(self.known) else self

    def in_month(self, values: tuple[Array, ...]) -> Any:
        """With the monthly inputs filled in: a field, or a law of the state."""
        rows = iter(values)
        full = lambda value: jnp.broadcast_to(jnp.asarray(value), self.shape)
        known = tuple(
            full(next(rows)) if i.frequency == "monthly" else v
            for i, v in zip(self.law.inputs, self.known, strict=True)
        )
        return Deferred(self.law, known, self.slot, self.shape, self.scale).value()

    def __call__(self, thickness: Array, slope_squared: Array) -> Array:
        """scale · law(inputs)"""
        slope = jnp.sqrt(slope_squared)
        pairs = zip(self.law.inputs, self.known, strict=True)
        values = [
            i.at_state(thickness, slope) if i.frequency == "state" else known for i, known in pairs
        ]
        return self.scale * self.law.evaluate(*values)  # type: ignore[arg-type]

    def __mul__(self, factor: Any) -> "Deferred":
        return Deferred(self.law, self.known, self.slot, self.shape, factor * self.scale)

    __rmul__ = __mul__


def in_month(values: Any, rows: dict[str, tuple[Array, ...]]) -> Any:
    """The numbers of a flow or balance with the monthly inputs of their laws, by slot, filled
    in.
    """
    is_open = lambda node: isinstance(node, Deferred) and node.slot in rows
    fill = lambda node: node.in_month(rows[node.slot]) if is_open(node) else node
    return jax.tree.map(fill, values, is_leaf=is_open)


def check_laws(model: Any, glacier: Any, months: np.ndarray) -> None:
    """Raise :class:`InputError` where a formula of fixed or monthly inputs is not finite, or
    negative where nothing can be.
    """
    for slot, law in laws_of(model).items():
        if law.frequency == "state" or hasattr(law, "bounds"):  # a law with bounds keeps them
            continue
        fixed, monthly = (
            iter(law.fixed_inputs(glacier, slot)),
            iter(law.monthly_inputs(glacier, slot, months)),
        )
        lifted = lambda values: values if values.ndim != 1 else values[:, None, None]
        inputs = [
            next(fixed) if i.frequency == "fixed" else lifted(next(monthly)) for i in law.inputs
        ]
        value = np.asarray(law.evaluate(*np.broadcast_arrays(*inputs)), float)
        if not np.isfinite(value).all():
            raise InputError(
                where(glacier.rgi_id, f"{slot}: the law is not finite for all values of its inputs")
            )
        if slot.split(".")[1] in _NEVER_NEGATIVE and value.min() < 0:
            raise InputError(
                where(
                    glacier.rgi_id, f"{slot}: the law goes down to {value.min():.4g}, expected >= 0"
                )
            )


def monthly_rows(model: Any, glacier: Any, months: np.ndarray) -> dict[str, tuple[np.ndarray, ...]]:
    """The monthly inputs of all laws of a model in each month, by slot; empty if it has none."""
    laws = monthly_laws(model)
    return {slot: law.monthly_inputs(glacier, slot, months) for slot, law in laws.items()}


def monthly_laws(model: Any) -> dict[str, AbstractLaw]:
    """The laws of a model that are renewed each month, by slot."""
    return {slot: law for slot, law in laws_of(model).items() if law.is_refreshed}


def laws_of(model: Any) -> dict[str, AbstractLaw]:
    """The laws of a model by slot."""
    return {
        f"{prefix}.{field.name}": law
        for prefix, part in (("flow", model.flow), ("mass_balance", model.mass_balance))
        if part is not None
        for field in dataclasses.fields(part)
        if isinstance(law := getattr(part, field.name), AbstractLaw)
    }


def on_corners(item: AbstractInput, cells: np.ndarray) -> np.ndarray:
    """An input's field (..., ny, nx) on corners (..., ny−1, nx−1): the mean of four cells, for
    angles that of directions.
    """
    if not item.angle:
        return _mean_of_four(cells)
    turn = np.deg2rad(cells)
    return np.rad2deg(np.arctan2(_mean_of_four(np.sin(turn)), _mean_of_four(np.cos(turn)))) % 360.0


def _mean_of_four(cells: np.ndarray) -> np.ndarray:
    return np.asarray(jnp.vectorize(corner_mean, signature="(y,x)->(v,u)")(cells))


def _on_slot(item: AbstractInput, values: Any, glacier: Any, name: str) -> np.ndarray:
    """Finite values of an input on the grid of a slot: corners for flow, cells for balance."""
    values = np.asarray(values, float)
    if not np.isfinite(values).all():
        raise InputError(
            where(glacier.rgi_id, f"{name}: the input '{item.label}' is not finite everywhere")
        )
    return on_corners(item, values) if name.startswith("flow.") and values.ndim >= 2 else values


def _extremes(item: AbstractInput, glacier: Any) -> tuple[float, float]:
    """Smallest and largest value of a fixed or monthly input inside the outline of a glacier."""
    if item.frequency == "fixed":
        values = [np.asarray(item.field(glacier))]
    else:
        years = usual_months(glacier, item.label).reshape(-1, 12)
        values = [
            np.asarray(item.in_months(glacier, year)) for year in years
        ]  # a year at a time: memory
    inside = [v[..., glacier.mask] if v.shape[-2:] == glacier.grid.shape else v for v in values]
    return min(float(v.min()) for v in inside), max(float(v.max()) for v in inside)


def climate_of(glacier: Any, label: str) -> Any:
    """The climate of a glacier; without one, an error says what needs it."""
    if glacier.climate is None:
        raise ClimateError(
            where(
                glacier.rgi_id,
                f"the {label} of a law needs a climate: open the glacier with climate=...",
            )
        )
    return glacier.climate


def whole_years(
    glacier: Any, period: tuple[float, float] | None, label: str
) -> tuple[Any, np.ndarray]:
    """(climate of a glacier, months of a period, or of all its whole calendar years)."""
    climate = climate_of(glacier, label)
    if period is None:
        first = -(-climate.first_month // 12) * 12
        last = (climate.first_month + len(climate.temp)) // 12 * 12
    else:
        first, last = (month_index(decimal_year(t)) for t in period)
    if last <= first:
        raise ClimateError(
            where(glacier.rgi_id, f"climate '{climate.name}' holds no whole year for the {label}")
        )
    return climate, np.arange(first, last)


def usual_months(glacier: Any, label: str) -> np.ndarray:
    """The months over which a monthly input is looked at without a run: all whole years of the
    climate but the first, since the input may look back."""
    months = whole_years(glacier, None, label)[1]
    return months[12:] if len(months) > 12 else months


def scaled(values: Sequence[Array], ranges: Sequence[tuple[float, float]]) -> list[Array]:
    """Input values scaled so that their range becomes [0, 1]; not clipped."""
    return [(v - low) / (high - low) for v, (low, high) in zip(values, ranges, strict=True)]
