"""Numbers of a model: a constant, a field, one of either per glacier, a parameter to be learned, or
a law.

A slot of a flow or mass-balance model holds a Python number, an array (a field on the glacier's
grid), a mapping ``{rgi_id: number or field}``, a :class:`Parameter` or a law. ``on_corners`` and
``on_cells`` turn what a slot holds into a field for one glacier; this is the only place that knows
about the alternatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, where
from odinn.grid import Array, Grid

Scale = Literal["log", "linear"]
Per = Literal["all", "glacier", "cell"]
Bounds = tuple[float | None, float | None]
SMALLEST_THICKNESS = 0.01  # m; where a learned thickness starts that is first guessed as 0


@runtime_checkable
class Site(Protocol):
    """What a number needs to know of a glacier: its id, its grid, and the values of law inputs by
    slot.
    """

    @property
    def rgi_id(self) -> str: ...
    @property
    def grid(self) -> Grid: ...


class Parameter(eqx.Module):
    """A number to be learned, in the place of a number.

    Args:
        initial: where to start: a number, a field, or ``{rgi_id: either}``; strictly inside the
            bounds.
        bounds: (low, high) in the slot's unit; either may be None for none.
        scale: "log" (spans orders of magnitude; needs positive bounds) or "linear".
        per: "all" (one number for all glaciers), "glacier" (one each) or "cell" (a field each, on
            the slot's grid).

    ``raw`` is what is learned: unconstrained, allocated by :func:`odinn.bind`: one array for
    per="all", else a dict ``{rgi_id: array}``. With both bounds, physical = low + (high − low)
    σ(raw), or the same of logarithms; with one, a softplus; with none, raw itself.
    """

    initial: Any
    bounds: Bounds = eqx.field(static=True, default=(None, None))
    scale: Scale = eqx.field(static=True, default="linear")
    per: Per = eqx.field(static=True, default="all")
    raw: Any = None

    def __init__(
        self,
        initial: Any,
        bounds: Bounds = (None, None),
        scale: Scale = "linear",
        per: Per = "all",
        raw: Any = None,
    ) -> None:
        self.initial = (
            {k: np.asarray(v, float) for k, v in initial.items()}
            if isinstance(initial, Mapping)
            else np.asarray(initial, float)
        )
        low, high = bounds
        self.bounds = (None if low is None else float(low), None if high is None else float(high))
        self.scale, self.per, self.raw = scale, per, raw
        if scale not in ("log", "linear"):
            raise InputError(f"Parameter(scale={scale!r}): expected 'log' or 'linear'")
        if per not in ("all", "glacier", "cell"):
            raise InputError(f"Parameter(per={per!r}): expected 'all', 'glacier' or 'cell'")
        low, high = self.bounds
        if low is not None and high is not None and not low < high:
            raise InputError(f"Parameter(bounds={bounds}): the first has to be below the second")
        if scale == "log" and (low is None or high is None or low <= 0):
            raise InputError(f"Parameter(bounds={bounds}, scale='log'): needs two positive bounds")
        if per == "all" and (isinstance(self.initial, Mapping) or np.ndim(self.initial)):
            raise InputError(
                "Parameter(per='all'): initial has to be one number; use per='glacier' or "
                "per='cell'"
            )
        values = self.initial.values() if isinstance(self.initial, Mapping) else [self.initial]
        for value in values:
            self._check(value)

    def _check(self, value: np.ndarray) -> None:
        low, high = self.bounds
        value = np.asarray(value)
        touches = (
            low == 0.0 and high is None
        )  # a thickness: a first guess of 0 starts at SMALLEST_THICKNESS
        above = value >= 0.0 if touches else value > (-np.inf if low is None else low)
        inside = np.isfinite(value) & above
        inside &= value < (np.inf if high is None else high)
        if not inside.all():
            bad = float(value[~inside].flat[0])
            raise InputError(
                f"Parameter: initial value {bad:g} is not strictly inside the bounds {self.bounds}"
            )

    @property
    def is_bound(self) -> bool:
        """Whether ``raw`` has been allocated."""
        return self.raw is not None

    def allocated(self, shapes: Mapping[str, tuple[int, int]], name: str) -> Parameter:
        """With ``raw`` for these glaciers ({rgi_id: shape of the slot's field})."""
        if self.is_bound:
            missing = set(shapes) - set(self.raw) if isinstance(self.raw, dict) else set()
            if missing:
                raise InputError(
                    f"{name}: this parameter was bound to other glaciers; {sorted(missing)[0]} is "
                    "new"
                )
            return self
        if self.per == "all":
            raw: Any = self.to_raw(jnp.asarray(self.initial))
        else:
            raw = {}
            for rgi_id, shape in shapes.items():
                value = jnp.asarray(for_glacier(self.initial, rgi_id, name), float)
                target = () if self.per == "glacier" else shape
                if value.shape not in ((), target):
                    raise InputError(
                        where(rgi_id, f"{name}: initial has shape {value.shape}, expected {target}")
                    )
                raw[rgi_id] = self.to_raw(jnp.broadcast_to(value, target))
        return Parameter(self.initial, self.bounds, self.scale, self.per, raw)

    def to_raw(self, value: Array) -> Array:
        """The unconstrained number of a physical one; inverse of :meth:`physical`."""
        low, high = self.bounds
        if low is not None and high is not None:
            if self.scale == "log":
                value, low, high = jnp.log(value), np.log(low), np.log(high)
            share = (value - low) / (high - low)
            return jnp.log(share) - jnp.log1p(-share)
        if low is not None:
            return _inverse_softplus(
                jnp.maximum(value - low, SMALLEST_THICKNESS if low == 0.0 else 0.0)
            )
        if high is not None:
            return -_inverse_softplus(high - value)
        return jnp.asarray(value, float)

    def physical(self, rgi_id: str | None = None) -> Any:
        """The value in the slot's unit: of one glacier, or, without an id, whatever ``raw``
        holds.
        """
        if not self.is_bound:
            raise InputError(
                "this Parameter is not bound yet: call odinn.bind(model, glaciers) first"
            )
        raw = self.raw
        if isinstance(raw, dict):
            if rgi_id is None:
                return {k: self._to_physical(v) for k, v in raw.items()}
            raw = for_glacier(raw, rgi_id, "a parameter")
        return self._to_physical(raw)

    def _to_physical(self, raw: Array) -> Array:
        low, high = self.bounds
        if low is not None and high is not None:
            share = jax.nn.sigmoid(raw)
            if self.scale == "log":
                return jnp.exp(np.log(low) + (np.log(high) - np.log(low)) * share)
            return low + (high - low) * share
        if low is not None:
            return low + jax.nn.softplus(raw)
        if high is not None:
            return high - jax.nn.softplus(-raw)
        return raw

    def unit(self) -> Any:
        """The parameter between 0 and 1 on its scale (needs two bounds): what regularisation acts
        on.
        """
        if None in self.bounds:
            return self.raw
        return jax.tree.map(jax.nn.sigmoid, self.raw)


def _inverse_softplus(x: Array) -> Array:
    return x + jnp.log(-jnp.expm1(-x))


Number = float | int | Array | Mapping[str, Any] | Parameter | Any


def as_number(value: Any) -> Any:
    """Plain numbers become arrays, so that another value does not compile anew; mappings likewise,
    entry by entry.
    """
    if isinstance(value, Mapping):
        return {str(k): as_number(v) for k, v in value.items()}
    if isinstance(value, bool | str) or value is None:
        raise InputError(
            f"a model number has to be a number, a field or {{rgi_id: field}}; found {value!r}"
        )
    if isinstance(value, int | float | np.number):
        return jnp.asarray(float(value))
    if isinstance(value, np.ndarray):
        return jnp.asarray(value, float)
    return value


def as_number_or_zero(value: Any) -> Any:
    """Like :func:`as_number`, but a Python 0 stays one: the term that it multiplies is left out of
    the program.
    """
    is_zero = isinstance(value, int | float) and not isinstance(value, bool) and value == 0
    return 0.0 if is_zero else as_number(value)


def plain_numbers(slot: Any) -> list[np.ndarray]:
    """The plain numbers and fields in a slot, those by glacier one after the other; nothing of laws
    and parameters.
    """
    found = slot.values() if isinstance(slot, Mapping) else [slot]
    plain = lambda v: (
        isinstance(v, float | np.ndarray | jax.Array) and not isinstance(v, jax.core.Tracer)
    )
    return [np.asarray(value) for value in found if plain(value)]


def check_sign(module: Any, *names: str, zero: bool = True) -> None:
    """Raise :class:`InputError` where slots of a module hold plain numbers or fields below 0
    (``zero=False``: or 0), or NaN; laws and parameters pass."""
    for name in names:
        for numbers in plain_numbers(getattr(module, name)):
            bad = ~(numbers >= 0 if zero else numbers > 0)
            if bad.any():
                found = f"{float(numbers[bad].flat[0]):g}" + (
                    f" in {int(bad.sum())} places" if numbers.ndim else ""
                )
                expected = ">= 0" if zero else "> 0"
                raise InputError(
                    f"{type(module).__name__}: {name} is {found}; expected a number {expected}"
                )


def as_exponent(value: Any) -> Any:
    """Python numbers stay static floats, which compile to products; the rest as
    :func:`as_number`.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return as_number(value)


def for_glacier(value: Any, rgi_id: str, name: str) -> Any:
    """The entry of one glacier if the slot holds a mapping, else the slot itself."""
    if not isinstance(value, Mapping):
        return value
    if rgi_id not in value:
        known = ", ".join(sorted(value)) or "none"
        raise InputError(
            where(
                rgi_id, f"{name} is given per glacier but has no entry for this one (has: {known})"
            )
        )
    return value[rgi_id]


def on_corners(value: Any, site: Any, name: str) -> Any:
    """The slot as a field on the corners of the site's grid, or, for a law of the state, as a
    function of the state.
    """
    return _field(value, site, site.grid.corner_shape, name, "corner")


def on_cells(value: Any, site: Any, name: str) -> Any:
    """The slot as a field on the cells of the site's grid."""
    return _field(value, site, site.grid.shape, name, "cell")


def _field(value: Any, site: Any, shape: tuple[int, int], name: str, place: str) -> Any:
    if isinstance(value, Parameter):
        value = value.physical(site.rgi_id)
    elif hasattr(value, "at_site"):
        value = value.at_site(site, name, shape)
        if callable(value):
            return value
    value = jnp.asarray(for_glacier(value, site.rgi_id, name), float)
    if value.shape not in ((), shape):
        raise InputError(
            where(
                site.rgi_id,
                f"{name} has shape {value.shape}, expected one number or a {place} field of shape "
                f"{shape}",
            )
        )
    return jnp.broadcast_to(value, shape)


def cast_floats(tree: Any, dtype: Any) -> Any:
    """The tree with floating-point arrays in another precision."""

    def cast(leaf: Any) -> Any:
        if eqx.is_array(leaf) or isinstance(leaf, np.ndarray):
            return jnp.asarray(leaf, dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
        return leaf

    return jax.tree.map(cast, tree)
