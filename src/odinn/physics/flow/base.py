"""The interface of ice flow."""

import abc
from typing import Any, Literal

import equinox as eqx

from odinn.grid import Cell, Corner, Scalar
from odinn.numbers.slot import check_slots
from odinn.physics.flow.kernel import PLAIN, Operators

VelocityKind = Literal["surface", "mean", "basal"]


class AbstractFlow(eqx.Module):
    """Ice flow: from thickness to its rate of change and to velocity.

    ``coefficients`` is called once per run on the host and returns the numbers of the flow as
    fields; the other two are pure functions of arrays. ``ice_density`` (kg m⁻³) and ``gravity`` (m
    s⁻²) belong to every flow.
    """

    ice_density: eqx.AbstractVar[float]
    gravity: eqx.AbstractVar[float]

    def __check_init__(self) -> None:
        check_slots(self)

    @abc.abstractmethod
    def coefficients(self, site: Any) -> Any:
        """The numbers of this flow as fields on the corners of the grid of a site (a glacier, or a
        ``Site``).
        """

    @abc.abstractmethod
    def tendency(
        self,
        values: Any,
        bed: Cell,
        thickness: Cell,
        dx: float,
        dy: float,
        operators: Operators = PLAIN,
    ) -> tuple[Cell, Scalar]:
        """dH/dt (m yr⁻¹; the outermost ring collects what leaves) and a bound on the stiffness,
        yr⁻¹.

        ``operators`` are the stencils to use: plain, or with hand-written transposes for the
        backward pass. ``thickness`` is non-negative and 0 on the ring. The stiffness bounds the
        spectral radius of the Jacobian.
        """

    @abc.abstractmethod
    def velocity(
        self, values: Any, bed: Cell, thickness: Cell, dx: float, dy: float, at: VelocityKind
    ) -> tuple[Corner, Corner]:
        """Velocity along x and y on corners, m yr⁻¹."""
