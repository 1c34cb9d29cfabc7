"""What is expected of a parameter beyond the data."""

import abc
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from odinn.errors import InputError
from odinn.grid import Array
from odinn.inversion.losses import Total
from odinn.laws.base import AbstractLaw
from odinn.parameter import Parameter


class AbstractRegularization(eqx.Module):
    """A penalty on what is learned, addressed by its slot: "flow.A", "mass_balance.melt_factor", "thickness", "bed"."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """How the term is reported."""

    @abc.abstractmethod
    def value(self, model: Any, glaciers: list) -> Array:
        """The penalty, >= 0."""

    @property
    def terms(self) -> tuple[tuple[float, Any], ...]:
        """(weight, term) pairs."""
        return ((1.0, self),)

    def __add__(self, other: Any) -> Total:
        return Total(self.terms + other.terms)

    def __mul__(self, factor: float) -> Total:
        return Total(((float(factor), self),))

    __rmul__ = __mul__


class Smoothness(AbstractRegularization):
    """Mean squared difference between neighbours of a field, on its unit scale (0 to 1 between its bounds).

    Args:
        slot: such as "flow.A". kind: "squared", or "variation" (total variation: keeps edges).
    """

    slot: str = eqx.field(static=True)
    kind: Literal["squared", "variation"] = eqx.field(static=True, default="squared")

    @property
    def name(self) -> str:
        """smoothness of the slot"""
        return f"smoothness({self.slot})"

    def value(self, model: Any, glaciers: list) -> Array:
        """See :class:`AbstractRegularization`."""
        fields = [f for p in find(self.slot, model, glaciers) for f in jax.tree.leaves(p.unit()) if jnp.ndim(f) == 2]
        if not fields:
            raise InputError(f"Smoothness({self.slot!r}): that slot is no field; it needs a Parameter(per='cell')")
        total = jnp.zeros(())
        for field in fields:
            differences = [jnp.diff(field, axis=0), jnp.diff(field, axis=1)]
            size = (lambda d: d * d) if self.kind == "squared" else (lambda d: jnp.sqrt(d * d + 1e-8))
            total = total + sum(jnp.mean(size(d)) for d in differences)
        return total / len(fields)


class Prior(AbstractRegularization):
    """Mean squared departure of a parameter from its first guess, on its unconstrained scale; of a law, its weights' mean
    square."""

    slot: str = eqx.field(static=True)

    @property
    def name(self) -> str:
        """prior of the slot"""
        return f"prior({self.slot})"

    def value(self, model: Any, glaciers: list) -> Array:
        """See :class:`AbstractRegularization`."""
        total, count = jnp.zeros(()), 0
        for node in find(self.slot, model, glaciers):
            if isinstance(node, AbstractLaw):
                leaves = jax.tree.leaves(node.weights)
            else:
                guesses = node.initial if isinstance(node.initial, dict) else None
                raw = node.raw if isinstance(node.raw, dict) else {"": node.raw}
                leaves = [
                    r - node.to_raw(jnp.asarray(node.initial if guesses is None else guesses[k]))
                    for k, r in raw.items()
                ]
            total = total + sum(jnp.mean(leaf**2) for leaf in leaves)
            count += len(leaves)
        return total / max(count, 1)


def find(slot: str, model: Any, glaciers: list) -> list[Any]:
    """The parameter or law in a slot; for "thickness" and "bed" those of all glaciers."""
    if slot in ("thickness", "bed"):
        found = [getattr(g, slot) for g in glaciers]
    else:
        part, _, name = slot.partition(".")
        owner = getattr(model, part, None)
        if owner is None or not hasattr(owner, name):
            raise InputError(f"no slot {slot!r} in the model; expected such as 'flow.A' or 'mass_balance.melt_factor'")
        found = [getattr(owner, name)]
    if not any(isinstance(f, Parameter | AbstractLaw) for f in found):
        raise InputError(f"{slot}: nothing is learned there")
    return [f for f in found if isinstance(f, Parameter | AbstractLaw)]
