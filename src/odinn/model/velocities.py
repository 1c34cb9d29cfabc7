"""Velocities of a run, made from its thickness when they are asked for."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.grid import Cell
from odinn.model.binding import for_one_glacier, glacier_arrays
from odinn.model.frame import (
    MARGINS,
    can_be_cropped,
    frame_around,
    placed_model,
)
from odinn.model.model import Model
from odinn.numbers.slot import LawRows
from odinn.physics.domain import Domain, domain_of
from odinn.physics.flow.base import AbstractFlow, VelocityKind
from odinn.physics.laws.refresh import monthly_laws, monthly_rows
from odinn.physics.processes.flow import velocity_on_cells


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
    if at not in ("surface", "mean", "basal"):
        raise InputError(f"at={at!r}: expected 'surface', 'mean' or 'basal'")
    laws = _laws_in(model, glacier, months)
    if laws is not None or not can_be_cropped(model):
        flow, domain = model.flow.on(glacier), domain_of(glacier)
        whole = _velocities(flow, domain, jnp.asarray(thickness), laws, at)
        return np.asarray(whole[0]), np.asarray(whole[1]), np.asarray(whole[2])
    # on the few sizes of runs, so that not every shape of grid is compiled for
    ice = np.asarray(glacier.mask) | (np.max(thickness, axis=0, initial=0.0) > 0)
    frame = frame_around(ice, MARGINS[0])
    own = for_one_glacier(model, glacier.rgi_id)
    site = glacier_arrays(own, glacier, frame)
    flow = placed_model(own, frame).flow.on(site)
    # where a run has come too close to a cut says nothing here, and would compile a program more
    domain = dataclasses.replace(domain_of(site), near_cut=None)
    placed = jnp.asarray(frame.placed(np.asarray(thickness)))
    vx, vy, speed = jax.device_get(_velocities(flow, domain, placed, None, at))
    if frame.turned:
        # what flows east on the turned grid flows down the rows, which is south
        vx, vy = -vy, -vx
    return frame.back(vx), frame.back(vy), frame.back(speed)


def _laws_in(model: Model, glacier: Glacier, months: np.ndarray | None) -> LawRows | None:
    """The monthly inputs of the flow's laws in some months, None if there are none."""
    flow = Model(flow=model.flow)
    if not monthly_laws(flow):
        return None
    if months is None:
        raise InputError(
            of_glacier(
                glacier.rgi_id,
                "a law of the flow is renewed each month: its velocity needs months=",
            )
        )
    return monthly_rows(flow, glacier, months)


@eqx.filter_jit
def _velocities(
    flow: AbstractFlow,
    domain: Domain,
    thickness: Float[jax.Array, "T ny nx"],
    laws: LawRows | None,
    at: VelocityKind,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    def one(given: tuple[Cell, LawRows | None]) -> tuple[Cell, Cell, Cell]:
        vx, vy = velocity_on_cells(flow, domain, *given, at)
        return vx, vy, jnp.sqrt(vx * vx + vy * vy)

    return jax.lax.map(one, (thickness, laws))
