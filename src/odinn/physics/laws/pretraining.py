"""Weights of a law from a formula: least squares over the ranges of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from odinn.errors import CalibrationError, InputError
from odinn.grid import Array
from odinn.numbers.slot import Scale
from odinn.physics.laws.base import Ranges
from odinn.physics.laws.input_base import AbstractInput

_POINTS: Final = {1: 257, 2: 65}  # along each input
_SOBOL: Final = 12  # log2 of the number of points for three inputs and more
_FLAT: Final = 1e-12  # gradient of the mean squared share of the bounds at which a fit has ended

Formula = Callable[..., Any]
Points = list[Float[np.ndarray, " points"]]


class BoundedLaw(Protocol):
    """A law with weights, between bounds."""

    @property
    def inputs(self) -> tuple[AbstractInput, ...]: ...
    @property
    def weights(self) -> Any: ...
    @property
    def ranges(self) -> Ranges | tuple[()] | None: ...
    @property
    def bounds(self) -> tuple[float, float]: ...
    @property
    def scale(self) -> Scale: ...
    def evaluate(self, *values: Array) -> Array:
        """The law's value for arrays of input values."""


Law = TypeVar("Law", bound=BoundedLaw)


def fitted(law: Law, formula: Formula, steps: int, tolerance: float, outside: str) -> Law:
    """A bound law with weights fitted to a formula; see :meth:`AbstractLearnedLaw.fit_to`."""
    points, target = _data(law, formula, outside)
    weights = _least_squares(law, points, target, steps)
    law = eqx.tree_at(lambda old: old.weights, law, weights)
    remaining = _distance(law, points, target)
    if not remaining <= tolerance:
        measure = "of logarithms" if law.scale == "log" else "as a fraction of high − low"
        raise CalibrationError(
            f"{type(law).__name__}: fitted to the formula up to an error of {remaining:.2g} "
            f"(rms, {measure}), tolerance {tolerance:g}; give the law more freedom, more steps= "
            f"than {steps}, or a larger tolerance="
        )
    return law


def misfit(law: BoundedLaw, formula: Formula, outside: str) -> float:
    """Rms difference between a bound law and a formula; see :meth:`AbstractLearnedLaw.misfit`."""
    return _distance(law, *_data(law, formula, outside))


def sample(ranges: Ranges | tuple[()]) -> Points:
    """Values of each input that cover their ranges evenly: a regular grid for one or two, else a
    Sobol sequence.
    """
    lows, highs = np.asarray(ranges, float).T
    count = len(lows)
    if count in _POINTS:
        along = np.linspace(lows, highs, _POINTS[count])
        return [axis.ravel() for axis in np.meshgrid(*along.T, indexing="ij")]
    # here, since scipy.stats takes longer to load than all of odinn
    from scipy.stats import qmc

    unit = qmc.Sobol(count, scramble=False).random_base2(_SOBOL)
    return list((lows + (highs - lows) * unit).T)


def _data(law: BoundedLaw, formula: Formula, outside: str) -> tuple[Points, Array]:
    """Points of the inputs, and where the formula lies there between the law's bounds (0 to 1)."""
    if outside not in ("raise", "clip"):
        raise InputError(f"fit_to(outside={outside!r}): expected 'raise' or 'clip'")
    assert law.ranges is not None
    points = sample(law.ranges)
    values = np.asarray(formula(*points), float)
    if values.shape not in ((), points[0].shape):
        raise InputError(
            f"fit_to: the formula made an array of shape {values.shape} of inputs of "
            f"{points[0].shape}"
        )
    values = np.broadcast_to(values, points[0].shape)
    low, high = law.bounds
    if outside == "clip":
        values = np.clip(values, low, high)  # NaN stays NaN
    bad = ~((values >= low) & (values <= high))
    if bad.any():
        raise InputError(_what_is_wrong(law, points, values, int(np.argmax(bad))))
    return points, _share(law, values)


def _what_is_wrong(law: BoundedLaw, points: Points, values: np.ndarray, k: int) -> str:
    """Where a formula leaves the bounds, and what to do."""
    at = []
    for item, point in zip(law.inputs, points, strict=True):
        unit = "" if item.unit == "1" else f" {item.unit}"
        at.append(f"{item.label} {point[k]:.4g}{unit}")
    what = f"fit_to: the formula is {values[k]:.4g} at {', '.join(at)}"
    if not np.isfinite(values[k]):
        return f"{what}; it has to be finite over the ranges of the inputs"
    low, high = law.bounds
    return (
        f"{what}, outside the law's bounds ({low:g}, {high:g}); widen them, narrow the inputs' "
        "range=, or let outside='clip' cut it off there"
    )


def _share(law: BoundedLaw, values: Array) -> Array:
    """A value as its place between the bounds, on the law's scale."""
    low, high = law.bounds
    if law.scale == "log":
        return (jnp.log(values) - np.log(low)) / (np.log(high) - np.log(low))
    return (values - low) / (high - low)


def _distance(law: BoundedLaw, points: Points, target: Array) -> float:
    off = np.asarray(_share(law, law.evaluate(*points)) - target)
    width = np.log(law.bounds[1] / law.bounds[0]) if law.scale == "log" else 1.0
    return float(width * np.sqrt(np.mean(off**2)))


def _least_squares(law: BoundedLaw, points: Points, target: Array, steps: int) -> Any:
    """Weights at the end of L-BFGS (scipy: its line search on the host compiles in a tenth of the
    time of optax's).
    """
    from scipy.optimize import minimize

    start, unravel = ravel_pytree(law.weights)

    @jax.jit
    @jax.value_and_grad
    def loss(flat: jax.Array) -> Array:
        trial: Any = eqx.tree_at(lambda tree: tree.weights, law, unravel(flat))
        return jnp.mean((_share(trial, trial.evaluate(*points)) - target) ** 2)

    options = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 30, "ftol": 0.0, "gtol": _FLAT}
    result = minimize(loss, np.asarray(start), jac=True, method="L-BFGS-B", options=options)
    return unravel(jnp.asarray(result.x))
