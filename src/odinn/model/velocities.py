"""Velocities of a run, made from its thickness when they are asked for."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.model.model import Model
from odinn.physics.dynamics import Dynamics, dynamics_of
from odinn.physics.flow.base import VelocityKind
from odinn.physics.laws.base import monthly_laws, monthly_rows


def velocity_of(
    model: Model,
    glacier: Glacier,
    thickness: np.ndarray,
    at: VelocityKind = "surface",
    *,
    months: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vx, vy, speed) on cells, m yr⁻¹, of a stack of thicknesses (T, ny, nx); 0 without ice.

    Args:
        months: (T,) indices of the months whose laws hold (:attr:`Simulation.months`); needed where
            a law of the flow is renewed each month.
    """
    if model.flow is None:
        zero = np.zeros_like(thickness)
        return zero, zero, zero
    system = dynamics_of(model, glacier, "source")
    if at not in ("surface", "mean", "basal"):
        raise InputError(f"at={at!r}: expected 'surface', 'mean' or 'basal'")
    laws = _laws_in(model, glacier, months)
    return tuple(np.asarray(v) for v in _velocities(system, jnp.asarray(thickness), laws, at))  # type: ignore[return-value]


def _laws_in(
    model: Model, glacier: Glacier, months: np.ndarray | None
) -> dict[str, tuple[np.ndarray, ...]] | None:
    """The monthly inputs of the flow's laws in some months, None if there are none."""
    flow = Model(flow=model.flow)
    if not monthly_laws(flow):
        return None
    if months is None:
        raise InputError(
            where(
                glacier.rgi_id,
                "a law of the flow is renewed each month: its velocity needs months=",
            )
        )
    return monthly_rows(flow, glacier, months)


@eqx.filter_jit
def _velocities(
    system: Dynamics, thickness: jax.Array, laws: Any, at: VelocityKind
) -> tuple[Any, Any, Any]:
    def one(given: tuple) -> tuple[Any, Any, Any]:
        thickness, laws = given
        vx, vy = system.velocity(thickness, laws, at)
        return vx, vy, jnp.sqrt(vx * vx + vy * vy)

    return jax.lax.map(one, (thickness, laws))
