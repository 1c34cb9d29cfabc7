"""A small neural network in the place of a number."""

from __future__ import annotations

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError
from odinn.grid import Array
from odinn.physics.laws.base import AbstractInput
from odinn.physics.laws.learned import AbstractLearnedLaw, Scale, checked_bounds, checked_inputs

_ACTIVATIONS = {
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
    ranges: tuple[tuple[float, float], ...] | None = eqx.field(static=True)

    def __init__(
        self,
        inputs: Any,
        bounds: tuple[float, float],
        scale: Scale = "log",
        hidden: tuple[int, ...] = (3, 10, 3),
        activation: str = "softplus",
        seed: int = 0,
    ) -> None:
        self.inputs, self.bounds = (
            checked_inputs("Neural", inputs),
            checked_bounds("Neural", bounds, scale),
        )
        self.scale, self.activation, self.ranges = scale, activation, None
        if activation not in _ACTIVATIONS:
            raise InputError(
                f"Neural(activation={activation!r}): expected one of {', '.join(_ACTIVATIONS)}"
            )
        sizes = [len(self.inputs), *hidden, 1]
        random = np.random.default_rng(seed)
        self.weights = [
            (
                jnp.asarray(
                    random.normal(size=(n, m))
                    * np.sqrt(2.0 / (n + m))
                    * (0.1 if i == len(sizes) - 2 else 1.0)
                ),
                jnp.asarray(random.normal(size=m) * (0.0 if i == len(sizes) - 2 else 0.3)),
            )
            for i, (n, m) in enumerate(itertools.pairwise(sizes))
        ]

    def raw(self, *shares: Array) -> Array:
        """See :class:`AbstractLearnedLaw`."""
        x = jnp.stack([2.0 * v - 1.0 for v in shares], axis=-1)
        for matrix, shift in self.weights[:-1]:
            x = _ACTIVATIONS[self.activation](_affine(x, matrix, shift))
        return _affine(x, *self.weights[-1])[..., 0]


def _affine(x: Array, matrix: Array, shift: Array) -> Array:
    out = x @ matrix
    return out + jnp.broadcast_to(shift, out.shape)
