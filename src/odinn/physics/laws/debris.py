"""A melt factor that debris lowers, as a stated assumption."""

from __future__ import annotations

from typing import Self

import equinox as eqx
import jax.numpy as jnp

from odinn.errors import InputError, positive
from odinn.grid import Array
from odinn.physics.laws.base import AbstractLaw, Ranges
from odinn.physics.laws.input_base import AbstractInput
from odinn.physics.laws.inputs import Altitude, WithinOutline


class DebrisCover(AbstractLaw):
    """Melt factor, m w.e. K⁻¹ d⁻¹, of a glacier whose lower part lies under debris.

    f = bare · (1 − (1 − share) / (1 + exp((z − top) / width))) inside the outline, ``outside``
    beyond it, with z the initial surface. It is an assumption, not a model of debris: where the
    cover lies and how much it shields is given, it neither moves nor thickens, and it shields snow
    as it does ice.

    Args:
        bare: factor of clean ice. share: of it that is left under debris, 0 to 1; some
            decimetres leave a small one (Østrem 1959).
        top: m, altitude below which debris covers the ice. width: m, over which the cover ends.
        outside: factor beyond the outline, None for ``bare``. A large one stands for what takes
            ice that leaves the outline, such as a lake or a cliff.

    >>> import odinn
    >>> law = DebrisCover(bare=5e-3, share=0.1, top=1500.0)
    >>> [round(1000 * float(law(z, 1.0)), 2) for z in (1000.0, 1500.0, 2000.0)]
    [0.5, 2.75, 5.0]
    >>> balance = odinn.TemperatureIndex(melt_factor=law)
    """

    bare: float = eqx.field(static=True)
    share: float = eqx.field(static=True)
    top: float = eqx.field(static=True)
    width: float = eqx.field(static=True, default=60.0)
    outside: float | None = eqx.field(static=True, default=None)
    inputs: tuple[AbstractInput, ...] = eqx.field(
        converter=tuple, default_factory=lambda: (Altitude(), WithinOutline())
    )
    weights: None = None
    ranges: tuple[()] = eqx.field(static=True, default=())

    def __check_init__(self) -> None:
        positive("bare", self.bare, "melt factor, m w.e. K-1 d-1", of="DebrisCover")
        positive("width", self.width, "width, m", of="DebrisCover")
        if self.outside is not None:
            positive("outside", self.outside, "melt factor, m w.e. K-1 d-1", of="DebrisCover")
        if not 0.0 <= self.share <= 1.0:
            raise InputError(
                f"DebrisCover(share={self.share!r}): expected the share of melt that is left "
                "under debris, 0 to 1"
            )

    def with_ranges(self, ranges: Ranges) -> Self:
        """Nothing to scale."""
        return self

    def evaluate(self, *values: Array) -> Array:
        """See :class:`AbstractLaw`."""
        altitude, within = values
        # tanh, since exp overflows far above
        cover = 0.5 * (1.0 - jnp.tanh(0.5 * (altitude - self.top) / self.width))
        covered = self.bare * (1.0 - (1.0 - self.share) * cover)
        beyond = self.bare if self.outside is None else self.outside
        return jnp.where(within >= 0.5, covered, beyond)
