"""What is expected of what is learned beyond the data."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError
from odinn.grid import Array
from odinn.learning.choices import as_fields
from odinn.learning.terms import AbstractRegularization
from odinn.numbers.parameter import SMALLEST_THICKNESS, Parameter, for_glacier
from odinn.physics.laws.base import AbstractLaw

__all__ = ["AbstractRegularization", "Prior", "Smoothness"]

_ROUNDING = (
    1e-4  # of the unit scale: smaller differences than this cost as squares in total variation
)
_SAMPLES = {1: 32, 2: 12}  # of each input of a law, on which laws are compared; 6 of three and more


class Smoothness(AbstractRegularization):
    """Mean squared difference between neighbours of a field, on its unit scale (0 to 1 between its
    bounds, else as it is learned); of a thickness or bed, neighbours inside the outline.

    Args:
        slot: such as "flow.A". kind: "squared", or "variation" (mean size of the differences: total
            variation, keeps edges).

    Total variation is rounded off where neighbours differ by less than 1e-4 (Acar & Vogel 1994).
    Gauss–Newton takes it as squares of the sizes' roots, with their sign: the gradient is exact,
    its Hessian then is an approximation, exact where neighbours are equal and too stiff across
    edges.
    """

    slot: str = eqx.field(static=True)
    kind: Literal["squared", "variation"] = eqx.field(static=True, default="squared")

    def __check_init__(self) -> None:
        if self.kind not in ("squared", "variation"):
            raise InputError(f"Smoothness(kind={self.kind!r}): expected 'squared' or 'variation'")

    @property
    def name(self) -> str:
        """smoothness, or variation, of the slot"""
        return f"{'smoothness' if self.kind == 'squared' else 'variation'}({self.slot})"

    def value(self, model: Any, glaciers: list) -> Array:
        """See :class:`AbstractRegularization`."""
        residuals, number = self.residuals(model, glaciers)
        return jnp.sum(residuals**2) / number

    def residuals(self, model: Any, glaciers: list) -> tuple[Array, int]:
        """See :class:`AbstractRegularization`."""
        difference = self._differences(model, glaciers)
        return difference if self.kind == "squared" else _root_of_size(difference), difference.size

    def _differences(self, model: Any, glaciers: list) -> Array:
        found = []
        for parameter, active in _learned(self.slot, model, glaciers):
            for field in (
                jax.tree.leaves(parameter.unit()) if isinstance(parameter, Parameter) else []
            ):
                if jnp.ndim(field) == 2:
                    along_y, along_x = jnp.diff(field, axis=0), jnp.diff(field, axis=1)
                    if active is None:
                        found += [jnp.ravel(along_y), jnp.ravel(along_x)]
                    else:
                        found += [
                            along_y[active[1:] & active[:-1]],
                            along_x[active[:, 1:] & active[:, :-1]],
                        ]
        if not found:
            raise InputError(
                f"Smoothness({self.slot!r}): that slot is no field; it needs a "
                "Parameter(per='cell')"
            )
        return jnp.concatenate(found)


class Prior(AbstractRegularization):
    """Mean squared departure from a first guess, in units of how far one expects to be off.

    Args:
        slot: such as "flow.A". sigma: the expected departure, on the scale below.
        guess: of a parameter: a number, a field, or {rgi_id: either}, in the slot's unit; default
            its initial value. Of a
            law: a law of the same inputs, such as ``CuffeyPaterson()`` or the law itself as it was
            first, to which its values are compared over the ranges of its inputs; default 0 for
            each of its weights.
        scale: of a parameter: "unconstrained" (default: on which it is learned), "unit" (0 to 1
            between its bounds), "log" (of values: sigma=0.5 is a factor of 1.6) or "physical"
            (sigma in the slot's unit). Of a law with a guess: "log" (default) or "physical".
    """

    slot: str = eqx.field(static=True)
    sigma: float = 1.0
    guess: Any = eqx.field(
        default=None, converter=lambda g: g if isinstance(g, AbstractLaw) else as_fields(g)
    )
    scale: Literal["unconstrained", "unit", "log", "physical"] | None = eqx.field(
        static=True, default=None
    )

    def __check_init__(self) -> None:
        if not self.sigma > 0:
            raise InputError(
                f"Prior({self.slot!r}, sigma={self.sigma!r}): expected a positive departure"
            )
        if self.scale not in (None, "unconstrained", "unit", "log", "physical"):
            raise InputError(
                f"Prior({self.slot!r}, scale={self.scale!r}): expected 'unconstrained', 'unit', "
                "'log' or 'physical'"
            )

    @property
    def name(self) -> str:
        """prior of the slot"""
        return f"prior({self.slot})"

    def value(self, model: Any, glaciers: list) -> Array:
        """See :class:`AbstractRegularization`."""
        residuals, number = self.residuals(model, glaciers)
        return jnp.sum(residuals**2) / number

    def residuals(self, model: Any, glaciers: list) -> tuple[Array, int]:
        """See :class:`AbstractRegularization`."""
        found = []
        for node, active in _learned(self.slot, model, glaciers):
            departures = (
                self._of_law(node) if isinstance(node, AbstractLaw) else self._of_parameter(node)
            )
            found += [jnp.ravel(d if active is None else d[active]) for d in departures]
        residuals = jnp.concatenate(found) / self.sigma
        return residuals, residuals.size

    def _of_parameter(self, node: Parameter) -> list[Array]:
        scale = self.scale or "unconstrained"
        if isinstance(self.guess, AbstractLaw):
            raise InputError(
                f"Prior({self.slot!r}): a law is no guess for a parameter; give a number or a field"
            )
        if scale == "unit" and None in node.bounds:
            raise InputError(
                f"Prior({self.slot!r}, scale='unit'): the parameter needs two bounds, it has "
                f"{node.bounds}"
            )
        guess = node.initial if self.guess is None else self.guess
        raws = node.raw if isinstance(node.raw, dict) else {"": node.raw}
        if self.guess is not None and scale in ("unconstrained", "unit"):
            Parameter(
                guess, node.bounds, node.scale, "cell"
            )  # raises unless it is inside the bounds
        departures = []
        for rgi_id, raw in raws.items():
            own = jnp.asarray(for_glacier(guess, rgi_id, self.name), float)
            if own.shape not in ((), raw.shape):
                raise InputError(
                    f"Prior({self.slot!r}): the guess has shape {own.shape}, expected {raw.shape}"
                )
            if scale in ("unconstrained", "unit"):
                ours, theirs = raw, node.to_raw(own)
                if scale == "unit":
                    ours, theirs = jax.nn.sigmoid(ours), jax.nn.sigmoid(theirs)
            else:
                ours, theirs = node.physical(rgi_id), own
                if scale == "log":
                    if not (np.asarray(theirs) > 0).all():
                        raise InputError(
                            f"Prior({self.slot!r}, scale='log'): the guess has to be positive"
                        )
                    ours, theirs = jnp.log(ours), jnp.log(theirs)
            departures.append(ours - theirs)
        return departures

    def _of_law(self, law: AbstractLaw) -> list[Array]:
        if self.guess is None:
            if self.scale is not None:
                raise InputError(
                    f"Prior({self.slot!r}, scale={self.scale!r}): a law has a scale only with "
                    "guess=a law"
                )
            return jax.tree.leaves(law.weights)
        if not isinstance(self.guess, AbstractLaw) or len(self.guess.inputs) != len(law.inputs):
            labels = ", ".join(i.label for i in law.inputs)
            raise InputError(
                f"Prior({self.slot!r}): the guess of a law has to be a law of the same inputs "
                f"({labels})"
            )
        if self.scale in ("unconstrained", "unit"):
            raise InputError(
                f"Prior({self.slot!r}, scale={self.scale!r}): of a law 'log' or 'physical'"
            )
        ranges = law.ranges or ()
        guess = self.guess if self.guess.ranges is not None else self.guess.with_ranges(ranges)
        number = _SAMPLES.get(len(ranges), 6)
        axes = np.meshgrid(*(np.linspace(low, high, number) for low, high in ranges), indexing="ij")
        points = [jnp.asarray(axis.ravel()) for axis in axes]
        ours, theirs = (
            law.evaluate(*points),
            jnp.broadcast_to(guess.evaluate(*points), points[0].shape),
        )
        return [ours - theirs] if self.scale == "physical" else [jnp.log(ours) - jnp.log(theirs)]


def _root_of_size(difference: Array) -> Array:
    """r with r² = √(d² + ε²) − ε and the sign of d, written so that it is as smooth at 0 as
    elsewhere.
    """
    return difference / jnp.sqrt(jnp.sqrt(difference**2 + _ROUNDING**2) + _ROUNDING)


def _learned(slot: str, model: Any, glaciers: list) -> list[tuple[Any, np.ndarray | None]]:
    """(parameter or law, cells where it acts) in a slot, for "thickness" and "bed" those of all
    glaciers.
    """
    active: list[np.ndarray | None]
    if slot in ("thickness", "bed"):
        found = [getattr(g, slot) for g in glaciers]
        active = [_acts(g, slot) for g in glaciers]
    else:
        part, _, name = slot.partition(".")
        owner = getattr(model, part, None)
        if owner is None or not hasattr(owner, name):
            raise InputError(
                f"no slot {slot!r} in the model; expected such as 'flow.A' or "
                "'mass_balance.melt_factor'"
            )
        found, active = [getattr(owner, name)], [None]
    learns = lambda node: (
        isinstance(node, Parameter) or (isinstance(node, AbstractLaw) and node.weights is not None)
    )
    pairs = [(node, where) for node, where in zip(found, active, strict=True) if learns(node)]
    if not pairs:
        raise InputError(f"{slot}: nothing is learned there")
    return pairs


def _acts(glacier: Any, slot: str) -> np.ndarray:
    """Cells where a learned thickness or bed acts: inside the outline, and where a thickness is
    first guessed > 0.
    """
    mask, learned = np.asarray(glacier.mask), getattr(glacier, slot)
    if slot == "bed" or not isinstance(learned, Parameter):
        return mask
    guess = for_glacier(learned.initial, glacier.rgi_id, slot)
    return mask | (np.broadcast_to(np.asarray(guess), mask.shape) > SMALLEST_THICKNESS)
