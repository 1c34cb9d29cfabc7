"""Weights of a law from a formula: least squares over the ranges of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.stats import qmc

from odinn.errors import CalibrationError, InputError
from odinn.grid import Array

if TYPE_CHECKING:
    from odinn.physics.laws.learned import AbstractLearnedLaw, Law

_POINTS = {1: 257, 2: 65}  # along each input
_SOBOL = 12  # log2 of the number of points for three inputs and more
_FLAT = 1e-12  # gradient of the mean squared share of the bounds at which a fit has ended


def fitted(
    law: Law, formula: Callable[..., Any], steps: int, tolerance: float, outside: str
) -> Law:
    """A bound law with weights fitted to a formula; see :meth:`AbstractLearnedLaw.fit_to`."""
    points, target = _data(law, formula, outside)
    weights = _least_squares(law, points, target, steps)
    law = eqx.tree_at(lambda own: own.weights, law, weights)
    remaining = _distance(law, points, target)
    if not remaining <= tolerance:
        raise CalibrationError(
            f"{type(law).__name__}: fitted to the formula up to an error of {remaining:.2g} (rms, "
            f"{_measure(law)}), "
            f"tolerance {tolerance:g}; give the law more freedom, more steps= than {steps}, or a "
            "larger tolerance="
        )
    return law


def misfit(law: AbstractLearnedLaw, formula: Callable[..., Any], outside: str) -> float:
    """Rms difference between a bound law and a formula; see :meth:`AbstractLearnedLaw.misfit`."""
    return _distance(law, *_data(law, formula, outside))


def sample(ranges: tuple[tuple[float, float], ...]) -> list[Float[np.ndarray, " points"]]:
    """Values of each input that cover their ranges evenly: a regular grid for one or two, else a
    Sobol sequence.
    """
    count = len(ranges)
    if count in _POINTS:
        along = [np.linspace(low, high, _POINTS[count]) for low, high in ranges]
        return [axis.ravel() for axis in np.meshgrid(*along, indexing="ij")]
    unit = qmc.Sobol(count, scramble=False).random_base2(_SOBOL)
    return [low + (high - low) * unit[:, k] for k, (low, high) in enumerate(ranges)]


def _data(
    law: AbstractLearnedLaw, formula: Any, outside: str
) -> tuple[list[np.ndarray], np.ndarray]:
    """Points of the inputs, and where the formula lies there between the law's bounds (0 to 1)."""
    if outside not in ("raise", "clip"):
        raise InputError(f"fit_to(outside={outside!r}): expected 'raise' or 'clip'")
    points = sample(law.ranges or ())
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
        k = int(np.argmax(bad))
        at = ", ".join(
            f"{i.label} {p[k]:.4g}{'' if i.unit == '1' else ' ' + i.unit}"
            for i, p in zip(law.inputs, points, strict=True)
        )
        what = f"fit_to: the formula is {values[k]:.4g} at {at}"
        if not np.isfinite(values[k]):
            raise InputError(f"{what}; it has to be finite over the ranges of the inputs")
        raise InputError(
            f"{what}, outside the law's bounds ({low:g}, {high:g}); widen them, narrow the "
            "inputs' range=, "
            "or let outside='clip' cut it off there"
        )
    return points, _share(law, values)


def _share(law: AbstractLearnedLaw, values: Any) -> Any:
    """A value as its place between the bounds, on the law's scale."""
    low, high = law.bounds
    if law.scale == "log":
        return (jnp.log(values) - np.log(low)) / (np.log(high) - np.log(low))
    return (values - low) / (high - low)


def _distance(law: AbstractLearnedLaw, points: list[np.ndarray], target: Any) -> float:
    off = np.asarray(_share(law, law.evaluate(*points)) - target)
    width = np.log(law.bounds[1] / law.bounds[0]) if law.scale == "log" else 1.0
    return float(width * np.sqrt(np.mean(off**2)))


def _measure(law: AbstractLearnedLaw) -> str:
    return "of logarithms" if law.scale == "log" else "as a fraction of high − low"


def _least_squares(
    law: AbstractLearnedLaw, points: list[np.ndarray], target: Any, steps: int
) -> Any:
    """Weights at the end of L-BFGS (scipy: its line search on the host compiles in a tenth of the
    time of optax's).
    """
    start, unravel = ravel_pytree(law.weights)

    @jax.jit
    @jax.value_and_grad
    def loss(flat: jax.Array) -> Array:
        own = eqx.tree_at(lambda o: o.weights, law, unravel(flat))
        return jnp.mean((_share(own, own.evaluate(*points)) - target) ** 2)

    options = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 30, "ftol": 0.0, "gtol": _FLAT}
    found = minimize(loss, np.asarray(start), jac=True, method="L-BFGS-B", options=options)
    return unravel(jnp.asarray(found.x))
