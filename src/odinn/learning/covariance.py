"""The covariance of numbers that were fitted, and which of them the residuals do not determine."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Bool, Float

_UNKNOWN: Final = 1e6  # a standard error beyond so many times a number (or 1) says nothing
_PART: Final = 1e-4  # of a direction, squared, that a number needs to have a part in it

Matrix = Float[np.ndarray, "n n"]


def covariance(
    jacobian: Float[np.ndarray, "N n"],
    weights: Float[np.ndarray, " N"],
    x: Float[np.ndarray, " n"],
    eps: float,
) -> Matrix:
    """The covariance of numbers x by residuals of unit variance, whose weighted squares were
    fitted; infinite variances and NaN beside them where a number is not determined.

    Args:
        eps: round-off of the jacobian, relative.
    """
    weighted = weights[:, None] * jacobian
    unseen = _unseen(jacobian[weights > 0], x)
    seen = ~unseen
    of_seen = np.ix_(seen, seen)
    normal = (jacobian.T @ weighted)[of_seen]
    inverse = np.linalg.pinv(normal)
    # weights shape the fit, but data err by their errors alone: N⁻¹ (Jᵀ W² J) N⁻¹
    found = np.full((x.size, x.size), np.nan)
    found[of_seen] = inverse @ (weighted.T @ weighted)[of_seen] @ inverse
    unknown = unseen.copy()
    unknown[seen] = _mixed(normal, eps)
    found[unknown] = np.nan
    found[:, unknown] = np.nan
    found[unknown, unknown] = np.inf
    return found


def _unseen(
    jacobian: Float[np.ndarray, "N n"], x: Float[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Numbers that no residual depends on: even with all others known they would be unknown."""
    sensitivity = np.linalg.norm(jacobian, axis=0)
    return sensitivity * np.maximum(np.abs(x), 1.0) * _UNKNOWN < 1.0


def _mixed(normal: Matrix, eps: float) -> Bool[np.ndarray, " n"]:
    """Numbers that can be traded for others without any change of the residuals."""
    scale = np.sqrt(np.diag(normal))
    with np.errstate(invalid="ignore", divide="ignore"):
        values, directions = np.linalg.eigh(normal / np.outer(scale, scale))
    empty = values < 10.0 * eps * max(len(values), 1)
    return np.asarray((directions[:, empty] ** 2 > _PART).any(axis=1))
