"""The snowpack beside the ice."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp

from odinn.constants import WATER_DENSITY
from odinn.grid import Cell
from odinn.physics.processes.base import (
    AbstractProcess,
    Ledger,
)
from odinn.physics.state import State, StateField


class Snowpack(AbstractProcess):
    """Snow where the ice takes none: on ground outside the outline, or on thin ice there.

    Snow that falls and is not melted in its window stays; degree-days that are left after the
    window's own snow melt what lay before. The pack changes no ice.
    """

    fields: ClassVar[tuple[StateField, ...]] = (
        StateField("snow", "kg m-2", "snowpack beside the ice"),
    )
    end_is_linear: ClassVar[bool] = True  # it depends on rates that are held, not on the steps
    reads_ledger: ClassVar[bool] = True

    def record(self, state: State, held: None, ledger: Ledger | None) -> dict[str, Cell]:
        """See :class:`AbstractProcess`; the balance beside it has the water in detail."""
        assert ledger is not None
        assert ledger.water is not None
        left = WATER_DENSITY * ledger.water.left_to_snow
        return {"snow": jnp.maximum(state.extras["snow"] + left, 0.0)}
