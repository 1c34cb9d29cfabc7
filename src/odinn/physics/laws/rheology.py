"""Published laws of the rate factor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from odinn.constants import SECONDS_PER_YEAR
from odinn.grid import Array
from odinn.physics.laws.base import AbstractLaw, Ranges
from odinn.physics.laws.input_base import AbstractInput
from odinn.physics.laws.inputs import LongTermTemperature
from odinn.physics.laws.learned import checked_inputs

# Cuffey & Paterson (2010), table 3.4: temperature °C and rate factor s⁻¹ Pa⁻³
_TEMPERATURE: Final = np.array(
    [-50.0, -45.0, -40.0, -35.0, -30.0, -25.0, -20.0, -15.0, -10.0, -5.0, -2.0, 0.0]
)
_RATE: Final = np.array(
    [
        2.6e-27,
        5.2e-27,
        1.0e-26,
        2.0e-26,
        3.7e-26,
        6.8e-26,
        1.2e-25,
        2.1e-25,
        3.5e-25,
        9.3e-25,
        1.7e-24,
        2.4e-24,
    ]
)


class CuffeyPaterson(AbstractLaw):
    """A(T) of temperate to cold ice, Pa⁻³ yr⁻¹ (Cuffey & Paterson 2010, table 3.4).

    Args:
        inputs: one temperature, °C; default the glacier's long-term air temperature, a stand-in for
            that of the ice.
        polynomial: ODINN's polynomial of degree 11 through the table instead of log-linear
            interpolation; it oscillates and turns negative below −36 °C.

    Log-linear between the table's points, constant above 0 °C and below −50 °C.
    """

    inputs: tuple[AbstractInput, ...] = eqx.field(
        converter=tuple, default_factory=lambda: (LongTermTemperature(),)
    )
    polynomial: bool = eqx.field(static=True, default=False)
    weights: None = None
    ranges: tuple[()] = eqx.field(static=True, default=())

    def with_ranges(self, ranges: Ranges) -> Self:
        """Nothing to scale."""
        return self

    def evaluate(self, *values: Array) -> Array:
        """See :class:`AbstractLaw`."""
        (temperature,) = values
        if self.polynomial:
            return jnp.polyval(jnp.asarray(_polynomial()), temperature) * SECONDS_PER_YEAR
        return jnp.exp(jnp.interp(temperature, _TEMPERATURE, np.log(_RATE))) * SECONDS_PER_YEAR


class Function(AbstractLaw):
    """A formula of inputs, with nothing to learn.

    >>> import odinn
    >>> law = Function(lambda T: 1e-17 * 2.0 ** (T / 10), inputs=[LongTermTemperature()])
    >>> float(law.evaluate(10.0))
    2e-17
    """

    formula: Callable[..., Array] = eqx.field(static=True)
    inputs: tuple[AbstractInput, ...] = eqx.field(converter=partial(checked_inputs, "Function"))
    weights: None = None
    ranges: tuple[()] = eqx.field(static=True, default=())

    def with_ranges(self, ranges: Ranges) -> Self:
        """Nothing to scale."""
        return self

    def evaluate(self, *values: Array) -> Array:
        """See :class:`AbstractLaw`."""
        return self.formula(*values)


def _polynomial() -> np.ndarray:
    """Coefficients, highest power first, of the polynomial through all twelve points."""
    from fractions import Fraction

    points = [Fraction(t) for t in _TEMPERATURE.tolist()]
    rates = [Fraction(r) for r in _RATE.tolist()]
    # Newton's divided differences, exact: the sums below cancel to all digits of a float
    divided = list(rates)
    for order in range(1, len(points)):
        for i in range(len(points) - 1, order - 1, -1):
            divided[i] = (divided[i] - divided[i - 1]) / (points[i] - points[i - order])
    coefficients = [divided[-1]]
    for i in range(len(points) - 2, -1, -1):
        shifted = [*coefficients, Fraction(0)]
        for j, c in enumerate(coefficients):
            shifted[j + 1] -= c * points[i]
        shifted[-1] += divided[i]
        coefficients = shifted
    return np.array([float(c) for c in coefficients])
