"""A small neural network in the place of a number."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError
from odinn.grid import Array
from odinn.laws.base import AbstractInput, AbstractLaw, scaled

_ACTIVATIONS = {"softplus": jax.nn.softplus, "gelu": jax.nn.gelu, "tanh": jnp.tanh, "relu": jax.nn.relu}


class Neural(AbstractLaw):
    """A fully connected network between bounds.

    value = low + (high − low) σ(network(inputs)), or the same of logarithms for scale="log". Inputs are scaled to
    [−1, 1] over the range they have on the glaciers that the law is bound to (or over their own ``range``).

    Args:
        inputs: one or more of :mod:`odinn.inputs`.
        bounds: (low, high), in the slot's unit. scale: "log" or "linear".
        hidden: sizes of the hidden layers. activation: "softplus", "gelu", "tanh" or "relu".
        seed: of the initial weights (Glorot normal; the last layer starts small, so the law starts near mid-range).
    """

    inputs: tuple[AbstractInput, ...]
    weights: list[tuple[Array, Array]]
    bounds: tuple[float, float] = eqx.field(static=True)
    scale: Literal["log", "linear"] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    ranges: tuple[tuple[float, float], ...] | None = eqx.field(static=True)

    def __init__(
        self,
        inputs: Any,
        bounds: tuple[float, float],
        scale: Literal["log", "linear"] = "log",
        hidden: tuple[int, ...] = (3, 10, 3),
        activation: str = "softplus",
        seed: int = 0,
    ) -> None:
        self.inputs = tuple(inputs)
        self.bounds, self.scale, self.activation, self.ranges = checked_bounds(bounds, scale), scale, activation, None
        if activation not in _ACTIVATIONS:
            raise InputError(f"Neural(activation={activation!r}): expected one of {', '.join(_ACTIVATIONS)}")
        if not self.inputs:
            raise InputError("Neural: at least one input is needed")
        sizes = [len(self.inputs), *hidden, 1]
        random = np.random.default_rng(seed)
        self.weights = [
            (
                jnp.asarray(
                    random.normal(size=(n, m)) * np.sqrt(2.0 / (n + m)) * (0.1 if i == len(sizes) - 2 else 1.0)
                ),
                jnp.asarray(random.normal(size=m) * (0.0 if i == len(sizes) - 2 else 0.3)),
            )
            for i, (n, m) in enumerate(itertools.pairwise(sizes))
        ]

    def with_ranges(self, ranges: tuple[tuple[float, float], ...]) -> Neural:
        """See :class:`AbstractLaw`."""
        return with_ranges(self, ranges)

    def evaluate(self, *values: Array) -> Array:
        """See :class:`AbstractLaw`."""
        if self.ranges is None:
            raise InputError("this law is not bound yet: call odinn.bind(model, glaciers) first")
        x = jnp.stack([2.0 * v - 1.0 for v in scaled(values, self.ranges)], axis=-1)
        for matrix, shift in self.weights[:-1]:
            x = _ACTIVATIONS[self.activation](_affine(x, matrix, shift))
        matrix, shift = self.weights[-1]
        return between(self.bounds, self.scale, _affine(x, matrix, shift)[..., 0])


def _affine(x: Array, matrix: Array, shift: Array) -> Array:
    out = x @ matrix
    return out + jnp.broadcast_to(shift, out.shape)


def between(bounds: tuple[float, float], scale: str, raw: Array) -> Array:
    """An unconstrained number as one between bounds, through a sigmoid on the linear or logarithmic scale."""
    low, high = bounds
    share = jax.nn.sigmoid(raw)
    if scale == "log":
        return jnp.exp(np.log(low) + (np.log(high) - np.log(low)) * share)
    return low + (high - low) * share


def checked_bounds(bounds: tuple[float, float], scale: str) -> tuple[float, float]:
    """Bounds of a law, low < high, both positive on a log scale."""
    low, high = (float(b) for b in bounds)
    if scale not in ("log", "linear"):
        raise InputError(f"scale={scale!r}: expected 'log' or 'linear'")
    if not low < high or (scale == "log" and low <= 0):
        raise InputError(
            f"bounds={bounds}: expected low < high" + (", both positive on a log scale" if scale == "log" else "")
        )
    return low, high


def with_ranges(law: Any, ranges: tuple[tuple[float, float], ...]) -> Any:
    """A copy of a law with its input scaling set."""
    import dataclasses

    new = object.__new__(type(law))
    for field in dataclasses.fields(law):
        object.__setattr__(new, field.name, ranges if field.name == "ranges" else getattr(law, field.name))
    return new
