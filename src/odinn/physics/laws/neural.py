"""A small neural network in the place of a number."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError
from odinn.grid import Array
from odinn.numbers.slot import Scale
from odinn.physics.laws.base import Ranges
from odinn.physics.laws.input_base import AbstractInput
from odinn.physics.laws.learned import AbstractLearnedLaw, checked_bounds, checked_inputs

_ACTIVATIONS: Final[dict[str, Callable[[jax.Array], jax.Array]]] = {
    "softplus": jax.nn.softplus,
    "gelu": jax.nn.gelu,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
}


class Neural(AbstractLearnedLaw):
    """A fully connected network between bounds.

    value = low + (high − low) σ(network(inputs)), or the same of logarithms for scale="log". Inputs
    are scaled to [−1, 1] over the range they have on the glaciers that the law is bound to (or over
    their own ``range``).

    Args:
        inputs: one or more of :mod:`odinn.inputs`.
        bounds: (low, high), in the slot's unit. scale: "log" or "linear".
        hidden: sizes of the hidden layers. activation: "softplus", "gelu", "tanh" or "relu".
        seed: of the initial weights (Glorot normal; the last layer starts small, so the law starts
            near mid-range).
    """

    inputs: tuple[AbstractInput, ...]
    weights: list[tuple[Array, Array]]
    bounds: tuple[float, float] = eqx.field(static=True)
    scale: Scale = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    ranges: Ranges | None

    def __init__(
        self,
        inputs: AbstractInput | Sequence[AbstractInput],
        bounds: tuple[float, float],
        scale: Scale = "log",
        hidden: tuple[int, ...] = (3, 10, 3),
        activation: str = "softplus",
        seed: int = 0,
    ) -> None:
        self.inputs = checked_inputs("Neural", inputs)
        self.bounds = checked_bounds("Neural", bounds, scale)
        self.scale = scale
        self.activation = activation
        self.ranges = None
        if activation not in _ACTIVATIONS:
            raise InputError(
                f"Neural(activation={activation!r}): expected one of {', '.join(_ACTIVATIONS)}"
            )
        self.weights = _first_weights([len(self.inputs), *hidden, 1], seed)

    def raw(self, *shares: Array) -> Array:
        """See :class:`AbstractLearnedLaw`."""
        x = jnp.stack([2.0 * v - 1.0 for v in shares], axis=-1)
        for matrix, shift in self.weights[:-1]:
            x = _ACTIVATIONS[self.activation](_affine(x, matrix, shift))
        return _affine(x, *self.weights[-1])[..., 0]


def _first_weights(sizes: list[int], seed: int) -> list[tuple[Array, Array]]:
    """Matrix and shift of each layer; those of the last are small, so the law starts in the middle
    of its bounds.
    """
    random = np.random.default_rng(seed)
    weights: list[tuple[Array, Array]] = []
    last = len(sizes) - 2
    for layer, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        matrix = random.normal(size=(rows, columns)) * np.sqrt(2.0 / (rows + columns))
        matrix = matrix * (0.1 if layer == last else 1.0)
        shift = random.normal(size=columns) * (0.0 if layer == last else 0.3)
        weights.append((jnp.asarray(matrix), jnp.asarray(shift)))
    return weights


def _affine(x: jax.Array, matrix: Array, shift: Array) -> jax.Array:
    out = x @ matrix
    return out + jnp.broadcast_to(shift, out.shape)
