"""Sliding laws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

import equinox as eqx
import jax

from odinn.constants import GRAVITY, ICE_DENSITY, SECONDS_PER_YEAR
from odinn.errors import InputError
from odinn.grid import Array
from odinn.physics.laws.base import AbstractLaw, Ranges
from odinn.physics.laws.input_base import AbstractInput
from odinn.physics.laws.learned import checked_bounds, checked_inputs

_OGGM_FS: Final = 5.7e-20  # s⁻¹ m² Pa⁻³, OGGM's default (Oerlemans 1997)


def oggm_sliding() -> dict[str, float]:
    """OGGM's sliding as arguments of :class:`odinn.SIA2D`: u_b = f_s τ_b³ / H, that is p = 3, q =
    1.

    C = f_s ρ g with f_s = 5.7e-20 s⁻¹ m² Pa⁻³ (Oerlemans 1997; Maussion et al. 2019, §2.4), in m
    yr⁻¹ Pa⁻².

    >>> import odinn
    >>> flow = odinn.SIA2D(**odinn.laws.oggm_sliding())
    >>> f"{float(flow.C):.2e}"
    '1.59e-08'
    """
    return {"C": _OGGM_FS * ICE_DENSITY * GRAVITY * SECONDS_PER_YEAR, "p": 3.0, "q": 1.0}


class SyntheticSliding(AbstractLaw):
    """A made-up C that grows with melt and falls with roughness, for twin experiments (ODINN's
    SyntheticC).

    C = low + (high − low) s, s = 1/(1 + exp(−4 (x − 1))), x = degree-days/norm₁ − 10
    roughness/norm₂

    ODINN divides each field by its Euclidean norm whenever it evaluates the law. That makes C at a
    place depend on how many cells the grid has, undefined in a week without melt, and different for
    the same melt on two glaciers. Here the norms are two numbers, the same for all glaciers and
    times, so that the law is a function of its inputs alone; with ``np.linalg.norm(field)`` of each
    they are ODINN's. On a grid of many cells such a norm is large, x is near 0, and C hardly leaves
    s = 0.018; root mean squares of the fields make a law that uses its range.

    Args:
        inputs: two: degree-days (K d), and roughness (such as
            :class:`odinn.inputs.TopographicRoughness`).
        norms: what each input is divided by, in its unit, positive.
        bounds: (low, high), m yr⁻¹ Pa^(q−p).

    >>> import odinn
    >>> given = [odinn.inputs.Altitude(), odinn.inputs.TopographicRoughness()]  # any inputs
    >>> law = SyntheticSliding(given, norms=(2000.0, 0.01), bounds=(1e-4, 1e-2))
    >>> f"{law(2000.0, 0.0):.3e}"
    '5.050e-03'
    """

    inputs: tuple[AbstractInput, ...]
    norms: tuple[float, float] = eqx.field(static=True)
    bounds: tuple[float, float] = eqx.field(static=True)
    weights: None
    ranges: tuple[()] = eqx.field(static=True)

    def __init__(
        self,
        inputs: AbstractInput | Sequence[AbstractInput],
        norms: tuple[float, float],
        bounds: tuple[float, float] = (1e-4, 1e-2),
    ) -> None:
        self.inputs = checked_inputs("SyntheticSliding", inputs)
        self.norms = (float(norms[0]), float(norms[1]))
        self.bounds = checked_bounds("SyntheticSliding", bounds, "linear")
        self.weights = None
        self.ranges = ()
        if len(self.inputs) != 2:
            raise InputError(
                f"SyntheticSliding: {len(self.inputs)} inputs, expected two: degree-days and "
                "roughness"
            )
        if not min(self.norms) > 0:
            raise InputError(f"SyntheticSliding(norms={norms}): expected two positive numbers")

    def with_ranges(self, ranges: Ranges) -> Self:
        """Nothing to scale."""
        return self

    def evaluate(self, *values: Array) -> Array:
        """See :class:`AbstractLaw`."""
        degree_days = values[0] / self.norms[0]
        roughness = values[1] / self.norms[1]
        low, high = self.bounds
        return low + (high - low) * jax.nn.sigmoid(4.0 * (degree_days - 10.0 * roughness - 1.0))
