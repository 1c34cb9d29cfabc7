"""What is expected of what is learned beyond the data."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, one_of, positive
from odinn.glacier import Glacier
from odinn.grid import Array
from odinn.learning.choices import Entries, as_fields
from odinn.learning.terms import AbstractRegularization
from odinn.model.binding import all_slots
from odinn.model.model import Model
from odinn.numbers.conversion import for_glacier
from odinn.numbers.parameter import SMALLEST_THICKNESS, Parameter
from odinn.numbers.slot import LocatedSlot
from odinn.physics.laws.base import AbstractLaw

__all__ = ["AbstractRegularization", "Prior", "Smoothness"]

# of the unit scale: smaller differences than this cost as squares in total variation
_ROUNDING: Final = 1e-4
# of each input of a law, on which laws are compared; 6 of three and more
_SAMPLES: Final = {1: 32, 2: 12}

PriorScale = Literal["unconstrained", "unit", "log", "physical"]


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
        one_of("kind", self.kind, ("squared", "variation"), of="Smoothness")

    @property
    def name(self) -> str:
        """smoothness, or variation, of the slot"""
        return f"{'smoothness' if self.kind == 'squared' else 'variation'}({self.slot})"

    def residuals(self, model: Model, glaciers: list[Glacier]) -> tuple[Array, int]:
        """See :class:`AbstractRegularization`."""
        difference = self._differences(model, glaciers)
        # the penalty sums up squares, so that of a size they are roots
        if self.kind == "variation":
            return _root_of_size(difference), difference.size
        return difference, difference.size

    def _differences(self, model: Model, glaciers: list[Glacier]) -> Array:
        """Differences between neighbours along y and x, of all fields one after the other."""
        differences = []
        for node, active in _learned(self.slot, model, glaciers):
            # a law is as smooth as its inputs are
            if not isinstance(node, Parameter):
                continue
            for field in jax.tree.leaves(node.unit()):
                if jnp.ndim(field) == 2:
                    differences += _between_neighbours(field, active)
        if not differences:
            raise InputError(
                f"Smoothness({self.slot!r}): that slot is no field; it needs a "
                "Parameter(per='cell')"
            )
        return jnp.concatenate(differences)


def _between_neighbours(field: Array, active: np.ndarray | None) -> list[Array]:
    along_y = jnp.diff(field, axis=0)
    along_x = jnp.diff(field, axis=1)
    if active is None:
        return [jnp.ravel(along_y), jnp.ravel(along_x)]
    # a difference counts where it acts on both sides
    return [along_y[active[1:] & active[:-1]], along_x[active[:, 1:] & active[:, :-1]]]


def _as_guess(guess: object) -> AbstractLaw | Entries:
    return guess if isinstance(guess, AbstractLaw) else as_fields(guess)


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
    guess: AbstractLaw | Entries = eqx.field(default=None, converter=_as_guess)
    scale: PriorScale | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        positive("sigma", self.sigma, "departure", of=self.name)
        if self.scale is not None:
            scales = "unconstrained", "unit", "log", "physical"
            one_of("scale", self.scale, scales, of=self.name)

    @property
    def name(self) -> str:
        """prior of the slot"""
        return f"prior({self.slot})"

    def residuals(self, model: Model, glaciers: list[Glacier]) -> tuple[Array, int]:
        """See :class:`AbstractRegularization`."""
        values = []
        for node, active in _learned(self.slot, model, glaciers):
            if isinstance(node, AbstractLaw):
                departures = self._of_law(node)
            else:
                departures = self._of_parameter(node)
            for departure in departures:
                acting = departure if active is None else departure[active]
                values.append(jnp.ravel(acting))
        residuals = jnp.concatenate(values) / self.sigma
        return residuals, residuals.size

    def _of_parameter(self, node: Parameter) -> list[Array]:
        """Departures of a parameter, of one array after the other."""
        scale = self.scale or "unconstrained"
        self._check_guess_of(node, scale)
        guess = node.initial if self.guess is None else self.guess
        raws: dict[str, Any] = node.raw if isinstance(node.raw, dict) else {"": node.raw}
        ours: Array
        theirs: Array
        departures = []
        for rgi_id, raw in raws.items():
            center = jnp.asarray(for_glacier(guess, rgi_id, self.name), float)
            if center.shape not in ((), raw.shape):
                raise self._refused(f"the guess has shape {center.shape}, expected {raw.shape}")
            if scale in ("unconstrained", "unit"):
                ours, theirs = raw, node.to_raw(center)
            else:
                ours, theirs = node.physical_of(rgi_id), center
            if scale == "unit":
                ours, theirs = jax.nn.sigmoid(ours), jax.nn.sigmoid(theirs)
            if scale == "log":
                if not (np.asarray(theirs) > 0).all():
                    raise self._refused("scale='log': the guess has to be positive")
                ours, theirs = jnp.log(ours), jnp.log(theirs)
            departures.append(ours - theirs)
        return departures

    def _refused(self, message: str) -> InputError:
        return InputError(f"Prior({self.slot!r}): {message}")

    def _check_guess_of(self, node: Parameter, scale: PriorScale) -> None:
        if isinstance(self.guess, AbstractLaw):
            raise self._refused("a law is no guess for a parameter; give a number or a field")
        if scale == "unit" and None in node.bounds:
            raise self._refused(
                f"scale='unit': the parameter needs two bounds, it has {node.bounds}"
            )
        if self.guess is not None and scale in ("unconstrained", "unit"):
            Parameter(self.guess, node.bounds, node.scale, "cell")  # raises if it is not inside

    def _of_law(self, law: AbstractLaw) -> list[Array]:
        """Departures of a law: of its weights from 0, or of its values from those of the guess."""
        if self.guess is None:
            if self.scale is not None:
                raise self._refused(f"scale={self.scale!r}: a law has a scale only with a guess")
            return jax.tree.leaves(law.weights)
        if not isinstance(self.guess, AbstractLaw) or len(self.guess.inputs) != len(law.inputs):
            labels = ", ".join(item.label for item in law.inputs)
            raise self._refused(f"the guess of a law has to be a law of the same inputs ({labels})")
        if self.scale in ("unconstrained", "unit"):
            raise self._refused(f"scale={self.scale!r}: of a law 'log' or 'physical'")
        return [self._between_laws(law, self.guess)]

    def _between_laws(self, law: AbstractLaw, guess: AbstractLaw) -> Array:
        """Differences of values on a regular grid over the ranges of the inputs."""
        ranges = jnp.zeros((0, 2)) if law.ranges is None else jnp.asarray(law.ranges)
        if guess.ranges is None:
            guess = guess.with_ranges(ranges)
        # a grid in all inputs grows with their number, so that its axes have to be coarser
        number = _SAMPLES.get(len(ranges), 6)
        along = [jnp.linspace(low, high, number) for low, high in ranges]
        points = [axis.ravel() for axis in jnp.meshgrid(*along, indexing="ij")]
        ours = law.evaluate(*points)
        # a law that is constant gives one number
        theirs = jnp.broadcast_to(guess.evaluate(*points), points[0].shape)
        if self.scale == "physical":
            return ours - theirs
        return jnp.log(ours) - jnp.log(theirs)


def _root_of_size(difference: Array) -> Array:
    """r with r² = √(d² + ε²) − ε and the sign of d, written so that it is as smooth at 0 as
    elsewhere.
    """
    return difference / jnp.sqrt(jnp.sqrt(difference**2 + _ROUNDING**2) + _ROUNDING)


def _learned(
    path: str, model: Model, glaciers: Sequence[Glacier]
) -> list[tuple[Parameter | AbstractLaw, np.ndarray | None]]:
    """(parameter or law, cells where it acts) in a slot, for "thickness" and "bed" those of all
    glaciers.
    """
    slots = all_slots(model, glaciers).values()
    there = [slot for slot in slots if slot.path == path]
    if not there:
        known = ", ".join(dict.fromkeys(slot.path for slot in slots))
        raise InputError(f"no slot {path!r} in the model; expected one of {known}")
    # what belongs to a glacier acts on part of its grid, numbers of the model act everywhere
    by_id = {glacier.rgi_id: glacier for glacier in glaciers}
    pairs = []
    for slot in there:
        if slot.is_learned:
            pairs.append((slot.value, _acts(by_id[slot.rgi_id], slot) if slot.rgi_id else None))
    if not pairs:
        raise InputError(f"{path}: nothing is learned there")
    return pairs


def _acts(glacier: Glacier, slot: LocatedSlot) -> np.ndarray:
    """Cells where a learned thickness or bed acts: inside the outline, and where a thickness is
    first guessed > 0.
    """
    mask = np.asarray(glacier.mask)
    if slot.name == "bed" or not isinstance(slot.value, Parameter):
        return mask
    # ice may also lie outside the outline
    guess = for_glacier(slot.value.initial, glacier.rgi_id, slot.path)
    return mask | (np.broadcast_to(np.asarray(guess), mask.shape) > SMALLEST_THICKNESS)
