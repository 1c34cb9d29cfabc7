"""The model (flow and mass balance) and the state it advances."""

from __future__ import annotations

from collections.abc import Iterator

import equinox as eqx

from odinn.constants import ICE_DENSITY
from odinn.errors import InputError
from odinn.notebook import table
from odinn.numbers.slot import LocatedSlot, Slot, declared, slots_of
from odinn.physics.balance.base import AbstractMassBalance
from odinn.physics.flow.base import AbstractFlow
from odinn.physics.flow.sia import SIA2D
from odinn.printing import in_short, printed_as_call


@printed_as_call
class Model(eqx.Module):
    """Ice flow and surface mass balance; either may be None.

    >>> Model(mass_balance=None).flow.n
    3.0
    """

    flow: AbstractFlow | None = eqx.field(default_factory=SIA2D)
    mass_balance: AbstractMassBalance | None = None

    def __check_init__(self) -> None:
        for name, value, kind in (
            ("flow", self.flow, AbstractFlow),
            ("mass_balance", self.mass_balance, AbstractMassBalance),
        ):
            if value is not None and not isinstance(value, kind):
                raise InputError(
                    f"Model({name}=...): found {type(value).__name__}, expected a {kind.__name__} "
                    "or None"
                )

    def slots(self) -> dict[str, LocatedSlot]:
        """The numbers of the model by path ("flow.A"), with what is known of them and what stands
        there.

        >>> [slot.path for slot in Model(mass_balance=None).slots().values()]
        ['flow.A', 'flow.C', 'flow.n', 'flow.p', 'flow.q']
        """
        slots: dict[str, LocatedSlot] = {}
        for part, owner in (("flow", self.flow), ("mass_balance", self.mass_balance)):
            if owner is not None:
                slots |= {slot.path: slot for slot in slots_of(owner, part)}
        return slots

    def _repr_html_(self) -> str:
        parts = [type(part).__name__ for part in (self.flow, self.mass_balance) if part is not None]
        rows = {
            f"{path}: {slot.slot.label} ({slot.slot.unit})": in_short(slot.value)
            for path, slot in self.slots().items()
        }
        return table(f"Model: {', '.join(parts)}", rows)

    @property
    def ice_density(self) -> float:
        """Density of ice, kg m⁻³: the flow's, or 900 without flow."""
        return ICE_DENSITY if self.flow is None else self.flow.ice_density


def known_slots() -> dict[str, Slot]:
    """What is known of every number that a flow or a balance may have, by path, also of classes of
    one's own; of a path that several declare, what the first says.
    """
    slots: dict[str, Slot] = {}
    for part, kind in (("flow", AbstractFlow), ("mass_balance", AbstractMassBalance)):
        for owner in _descendants(kind):
            for name, described in declared(owner).items():
                slots.setdefault(f"{part}.{name}", described)
    return slots


def _descendants(kind: type) -> Iterator[type]:
    below: list[type] = kind.__subclasses__()
    for module in below:
        yield module
        yield from _descendants(module)
