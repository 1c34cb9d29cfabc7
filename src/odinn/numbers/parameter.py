"""A number to be learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, of_glacier
from odinn.grid import Array
from odinn.numbers.conversion import for_glacier
from odinn.numbers.slot import AbstractVariable, GlacierLike, LocatedSlot, Scale
from odinn.printing import printed_as_call

Per = Literal["all", "glacier", "cell"]
Bounds = tuple[float | None, float | None]
Values = Array | dict[str, Array]  # one array, or one for each glacier

SMALLEST_THICKNESS: Final = 0.01  # m; where a learned thickness starts that is first guessed as 0


@printed_as_call
class Parameter(AbstractVariable):
    """A number to be learned, in the place of a number.

    Args:
        initial: where to start: a number, a field, or ``{rgi_id: either}``; strictly inside the
            bounds.
        bounds: (low, high) in the slot's unit; either may be None for none.
        scale: "log" (spans orders of magnitude; needs two positive bounds) or "linear". None takes
            the slot's when it is bound: "log" for rate factors and sliding coefficients, if there
            are two positive bounds, else "linear".
        per: "all" (one number for all glaciers), "glacier" (one each) or "cell" (a field each, on
            the slot's grid).

    ``raw`` is what is learned: unconstrained, allocated by :func:`odinn.bind`: one array for
    per="all", else a dict ``{rgi_id: array}``. With both bounds, physical = low + (high − low)
    σ(raw), or the same of logarithms; with one, a softplus; with none, raw itself.
    """

    initial: np.ndarray | dict[str, np.ndarray]
    bounds: Bounds = eqx.field(static=True, default=(None, None))
    scale: Scale | None = eqx.field(static=True, default=None)
    per: Per = eqx.field(static=True, default="all")
    raw: Values | None = None

    def __init__(
        self,
        initial: Any,
        bounds: Bounds = (None, None),
        scale: Scale | None = None,
        per: Per = "all",
        raw: Values | None = None,
    ) -> None:
        if isinstance(initial, Mapping):
            self.initial = {rgi_id: np.asarray(v, float) for rgi_id, v in initial.items()}
        else:
            self.initial = np.asarray(initial, float)
        low, high = bounds
        self.bounds = (None if low is None else float(low), None if high is None else float(high))
        self.scale = scale
        self.per = per
        self.raw = raw
        self._check_choices()
        for value in self.initial.values() if isinstance(self.initial, dict) else [self.initial]:
            self._check_inside(value)

    def _check_choices(self) -> None:
        if self.scale not in (None, "log", "linear"):
            raise InputError(f"Parameter(scale={self.scale!r}): expected 'log' or 'linear'")
        if self.scale is None and self.raw is not None:
            raise InputError("Parameter(raw=...): say on which scale=, 'log' or 'linear', it is")
        if self.per not in ("all", "glacier", "cell"):
            raise InputError(f"Parameter(per={self.per!r}): expected 'all', 'glacier' or 'cell'")
        low, high = self.bounds
        if low is not None and high is not None and not low < high:
            raise InputError(
                f"Parameter(bounds={self.bounds}): the first has to be below the second"
            )
        if self.scale == "log" and not self._can_be_log:
            raise InputError(
                f"Parameter(bounds={self.bounds}, scale='log'): needs two positive bounds"
            )
        if self.per == "all" and (isinstance(self.initial, dict) or self.initial.ndim):
            raise InputError(
                "Parameter(per='all'): initial has to be one number; use per='glacier' or "
                "per='cell'"
            )

    def _check_inside(self, value: np.ndarray) -> None:
        low, high = self.bounds
        inside = np.isfinite(value)
        if low == 0.0 and high is None:
            # a thickness: a first guess of 0 starts at SMALLEST_THICKNESS
            inside &= value >= 0.0
        elif low is not None:
            inside &= value > low
        if high is not None:
            inside &= value < high
        if not inside.all():
            bad = float(value[~inside].flat[0])
            raise InputError(
                f"Parameter: initial value {bad:g} is not strictly inside the bounds {self.bounds}"
            )

    @property
    def _can_be_log(self) -> bool:
        low, high = self.bounds
        return low is not None and high is not None and low > 0

    @property
    def is_bound(self) -> bool:
        """Whether ``raw`` has been allocated."""
        return self.raw is not None

    @property
    def learned(self) -> Values | None:
        """See :class:`AbstractVariable`: ``raw``."""
        return self.raw

    @property
    def is_learned(self) -> bool:
        """See :class:`AbstractVariable`: always."""
        return True

    def printed_values(self) -> dict[str, Values]:
        """What is printed in the place of ``raw``: the present numbers."""
        if self.raw is None or self.initial is None:  # without initial it holds a gradient
            return {}
        return {"now": self.physical()}

    def allocated(
        self, shapes: Mapping[str, tuple[int, ...]], name: str, default_scale: Scale = "linear"
    ) -> Parameter:
        """With ``raw`` for these glaciers ({rgi_id: shape of the slot's field}), on the slot's
        scale where none was given.
        """
        if self.is_bound:
            missing = sorted(set(shapes) - set(self.raw)) if isinstance(self.raw, dict) else []
            if missing:
                raise InputError(
                    f"{name}: this parameter was bound to other glaciers; {missing[0]} is new"
                )
            return self
        scale = self.scale
        if scale is None:
            scale = default_scale if self._can_be_log else "linear"
        settled = Parameter(self.initial, self.bounds, scale, self.per)
        raw: Values
        if self.per == "all":
            raw = settled.to_raw(jnp.asarray(self.initial))
        else:
            raw = {}
            for rgi_id, shape in shapes.items():
                own_shape = () if self.per == "glacier" else shape
                raw[rgi_id] = settled.to_raw(self._first_guess(rgi_id, own_shape, name))
        return Parameter(self.initial, self.bounds, scale, self.per, raw)

    def _first_guess(self, rgi_id: str, shape: tuple[int, ...], name: str) -> jax.Array:
        value = jnp.asarray(for_glacier(self.initial, rgi_id, name), float)
        if value.shape not in ((), shape):
            message = f"{name}: initial has shape {value.shape}, expected {shape}"
            raise InputError(of_glacier(rgi_id, message))
        return jnp.broadcast_to(value, shape)

    def at_site(self, site: GlacierLike, slot: LocatedSlot) -> Array:
        """See :class:`AbstractVariable`."""
        return self.physical_of(site.rgi_id)

    def to_raw(self, value: Array) -> Array:
        """The unconstrained number of a physical one; inverse of :meth:`physical`."""
        low, high = self.bounds
        if low is not None and high is not None:
            if self.scale == "log":
                value, low, high = jnp.log(value), np.log(low), np.log(high)
            share = (value - low) / (high - low)
            return jnp.log(share) - jnp.log1p(-share)
        if low is not None:
            # a softplus never reaches 0, where a thickness may be first guessed
            above = jnp.where(value > low, value - low, SMALLEST_THICKNESS)
            return _inverse_softplus(above)
        if high is not None:
            return -_inverse_softplus(high - value)
        return jnp.asarray(value, float)

    def physical(self, rgi_id: str | None = None) -> Values:
        """The value in the slot's unit: of one glacier, or, without an id, whatever ``raw``
        holds.
        """
        if isinstance(self.raw, dict) and rgi_id is None:
            return {own_id: self._to_physical(raw) for own_id, raw in self.raw.items()}
        return self.physical_of(rgi_id or "")

    def physical_of(self, rgi_id: str) -> Array:
        """The value on one glacier, in the slot's unit."""
        if self.raw is None:
            raise InputError(
                "this Parameter is not bound yet: call odinn.bind(model, glaciers) first"
            )
        return self._to_physical(for_glacier(self.raw, rgi_id, "a parameter"))

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

    def unit(self) -> Values | None:
        """The parameter between 0 and 1 on its scale (needs two bounds): what regularisation acts
        on.
        """
        if None in self.bounds:
            return self.raw
        return jax.tree.map(jax.nn.sigmoid, self.raw)


def _inverse_softplus(x: Array) -> Array:
    return x + jnp.log(-jnp.expm1(-x))


def cast_floats(tree: Any, dtype: Any) -> Any:
    """The tree with floating-point arrays in another precision; NumPy's stay NumPy's."""

    def cast(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array | np.ndarray):
            return leaf
        if leaf.dtype == dtype or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        return leaf.astype(dtype)

    return jax.tree.map(cast, tree)
