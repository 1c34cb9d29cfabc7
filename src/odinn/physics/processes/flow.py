"""Ice flow as a process."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import PyTree

from odinn.grid import Cell, cell_mean
from odinn.numbers.slot import LawRows
from odinn.physics.domain import Domain
from odinn.physics.flow.base import (
    AbstractFlow,
    AbstractWarmFlow,
    VelocityKind,
    divergence,
)
from odinn.physics.processes.base import (
    AbstractProcess,
    Ledger,
    Rate,
    Window,
)
from odinn.physics.state import State, StateField
from odinn.stepping.interface import Scalar


class IceFlow(AbstractProcess):
    """dH/dt = −∇·q with the fluxes of a flow (one made by ``flow.on(site)``)."""

    flow: AbstractFlow

    end_is_linear: ClassVar[bool] = True

    @property
    def fields(self) -> tuple[StateField, ...]:
        """What the flow keeps from window to window, if it is one that does."""
        return self.flow.fields if isinstance(self.flow, AbstractWarmFlow) else ()

    def begin(self, domain: Domain, state: State, window: Window) -> AbstractFlow | None:
        """The flow with this month's laws. None where it is the same in all windows: what is held
        has a cotangent of its own in the backward pass, and a copy of every field would double
        that."""
        flow = self.flow if window.laws is None else self.flow.in_month(window.laws)
        if isinstance(flow, AbstractWarmFlow):
            kept = {field.name: state.extras[field.name] for field in flow.fields}
            return flow.warmed(domain, state.thickness, kept)
        return None if window.laws is None else flow

    def tendency(
        self, domain: Domain, held: AbstractFlow | None, t: Scalar, thickness: Cell
    ) -> Rate:
        """See :class:`AbstractProcess`. The outermost ring collects what leaves."""
        flow = self.flow if held is None else held
        fluxes = flow.fluxes(domain, thickness)
        return Rate(divergence(fluxes, domain), stiffness=fluxes.stiffness)

    def lasts(self, held: AbstractFlow | None) -> bool:
        """See :class:`AbstractProcess`: where the flow is the same in all windows."""
        return held is None

    def record(
        self, state: State, held: AbstractFlow | None, ledger: Ledger | None
    ) -> dict[str, PyTree]:
        """See :class:`AbstractProcess`."""
        return dict(held.kept()) if isinstance(held, AbstractWarmFlow) else {}

    def for_transpose(self) -> IceFlow:
        """The same with hand-written transposes of its stencils."""
        return IceFlow(self.flow.for_transpose())


def velocity_on_cells(
    flow: AbstractFlow,
    domain: Domain,
    thickness: Cell,
    laws: LawRows | None,
    at: VelocityKind = "surface",
) -> tuple[Cell, Cell]:
    """(vx, vy) on cells, m yr⁻¹, 0 without ice.

    Args:
        laws: the monthly inputs of the flow's laws in one month, None if it has none.
    """
    flow = flow if laws is None else flow.in_month(laws)
    u, v = flow.velocity(domain, thickness, at)
    ice = thickness > 0
    return jnp.where(ice, cell_mean(u), 0.0), jnp.where(ice, cell_mean(v), 0.0)
