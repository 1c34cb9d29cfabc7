"""The model (flow and mass balance) and the state it advances."""

from __future__ import annotations

import equinox as eqx

from odinn.constants import ICE_DENSITY
from odinn.errors import InputError
from odinn.physics.balance.base import AbstractMassBalance
from odinn.physics.flow.base import AbstractFlow
from odinn.physics.flow.sia import SIA2D


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

    @property
    def ice_density(self) -> float:
        """Density of ice, kg m⁻³: the flow's, or 900 without flow."""
        return ICE_DENSITY if self.flow is None else self.flow.ice_density
