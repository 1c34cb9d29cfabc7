"""The interface of ice flow."""

import abc
from collections.abc import Mapping
from typing import ClassVar, Literal

import equinox as eqx

from odinn.grid import Array, Cell, Corner, Scalar
from odinn.numbers.slot import GlacierLike, LawRows, check_slots, in_month, on_site, with_fields
from odinn.physics.domain import Domain
from odinn.physics.flow.capped_fluxes import PLAIN, TRANSPOSED, FaceX, FaceY
from odinn.physics.state import StateField
from odinn.printing import printed_as_call

VelocityKind = Literal["surface", "mean", "basal"]


class Fluxes(eqx.Module):
    """What flows between the cells of a glacier.

    Args:
        x: volume flux per unit width through faces along x, m² yr⁻¹, (ny-2, nx-1), positive
            eastward. y: the same along y, (ny-1, nx-2), positive southward. Faces between two cells
            of the outermost ring carry nothing.
        stiffness: a bound on the spectral radius of the Jacobian of dH/dt, yr⁻¹.
        by_hand: the fluxes of a flow in the form that the backward pass differentiates.
    """

    x: FaceX
    y: FaceY
    stiffness: Scalar
    by_hand: bool = eqx.field(static=True, default=False)


@printed_as_call
class AbstractFlow(eqx.Module):
    """Ice flow: from thickness to the fluxes between cells and to velocity.

    A flow of a model holds numbers as its user gave them; ``on`` makes the same flow on one
    glacier, which holds fields and is what compiled code calls. ``ice_density`` (kg m⁻³) and
    ``gravity`` (m s⁻²) belong to every flow.

    ``is_local``: what it gives on a cell follows from this cell and its neighbours, whichever way
    the grid lies. Runs may then leave out ground far from the ice, fill the grid up, and exchange
    its axes. A class of one's own is run on the grid as it is unless it says so.
    """

    ice_density: eqx.AbstractVar[float]
    gravity: eqx.AbstractVar[float]
    is_local: ClassVar[bool] = False
    # no argument: only `for_transpose` sets it
    by_hand: bool = eqx.field(static=True, default=False, init=False, repr=False)

    def __check_init__(self) -> None:
        check_slots(self)

    @abc.abstractmethod
    def fluxes(self, domain: Domain, thickness: Cell) -> Fluxes:
        """Fluxes at a thickness (m) that is non-negative and 0 on the outermost ring."""

    @abc.abstractmethod
    def velocity(self, domain: Domain, thickness: Cell, at: VelocityKind) -> tuple[Corner, Corner]:
        """Velocity along x and y on corners, m yr⁻¹."""

    def on(self, site: GlacierLike) -> "AbstractFlow":
        """This flow on one glacier: each number a field on corners, or a law left open.

        Python numbers stay what they are, since they are compiled in; where a Python 0 leaves a
        term out, None stands for it.
        """
        return on_site(self, site, "flow")

    def in_month(self, rows: LawRows) -> "AbstractFlow":
        """This flow on a glacier with the monthly inputs of its laws filled in."""
        return in_month(self, rows)

    def for_transpose(self) -> "AbstractFlow":
        """The same flow with hand-written transposes where it has them: what the backward pass
        differentiates, in reverse mode only.
        """
        return with_fields(self, by_hand=True)


class AbstractWarmFlow(AbstractFlow):
    """A flow that keeps fields in the state from window to window, such as where the iteration of
    the next window starts.
    """

    @property
    @abc.abstractmethod
    def fields(self) -> tuple[StateField, ...]:
        """The fields, on cells; a run begins with zeros in them."""

    @abc.abstractmethod
    def warmed(
        self, domain: Domain, thickness: Cell, kept: Mapping[str, Array]
    ) -> "AbstractWarmFlow":
        """The flow for a window that begins with this thickness (m), from what was kept."""

    @abc.abstractmethod
    def kept(self) -> Mapping[str, Array]:
        """What a flow made by ``warmed`` keeps at the window's end."""


def divergence(fluxes: Fluxes, domain: Domain) -> Cell:
    """Minus the divergence of fluxes: dH/dt by flow, m yr⁻¹; the outermost ring collects what
    leaves.
    """
    operators = TRANSPOSED if fluxes.by_hand else PLAIN
    return operators.flux_divergence(fluxes.x, fluxes.y, domain.dx, domain.dy)
