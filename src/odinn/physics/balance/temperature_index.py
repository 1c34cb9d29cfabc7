"""Temperature-index mass balance, and the linear one of idealised glaciers."""

from __future__ import annotations

from typing import ClassVar, cast

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from odinn.constants import ACCUMULATION_THRESHOLD
from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.grid import Cell, Scalar
from odinn.numbers.conversion import plain_numbers
from odinn.numbers.slot import Number, slot
from odinn.physics.balance.base import AbstractMassBalance, Coupling, Frequency, Rates
from odinn.physics.balance.degree_days import Month, weather


class TemperatureIndex(AbstractMassBalance):
    """Temperature-index balance: snow minus melt factor times degree-days (Hock 2003; Maussion et
    al. 2019, §2.3).

    b = precip_factor · snow − melt_factor · degree-days, per month, at the surface of the start of
    the month.

    Args:
        melt_factor: m w.e. K⁻¹ d⁻¹. precip_factor: 1. temp_bias: K, added to the series.
        snow_temperature: °C, all solid below the first and all liquid above the second.
        melt_temperature: °C, above which degree-days count.
        temperature_std: K, spread of daily temperatures about a monthly mean; used with monthly
            data only. A number, a cell field or 12 values (January to December).
        lapse_rate: "data" (clipped to −9 … −3 K km⁻¹; −6.5 where the series has none) or a number,
            K m⁻¹.
        accumulation_threshold: m; see :class:`AbstractMassBalance`.

    The first three are numbers, cell fields (ny, nx) or ``{rgi_id: number or field}``.
    """

    melt_factor: Number = slot(
        7e-3,
        unit="m w.e. K⁻¹ d⁻¹",
        place="cell",
        label="melt factor",
        smallest=0.0,
    )
    precip_factor: Number = slot(
        1.0, unit="1", place="cell", label="precipitation factor", smallest=0.0
    )
    temp_bias: Number = slot(0.0, unit="K", place="cell", label="temperature bias")
    snow_temperature: tuple[float, float] = eqx.field(default=(0.0, 2.0), converter=tuple)
    melt_temperature: float = 0.0
    temperature_std: Number = slot(
        3.0,
        unit="K",
        place="cell",
        label="spread of daily temperatures",
        smallest=0.0,
        inclusive=False,
        by_month=True,
    )
    lapse_rate: float | str = "data"
    accumulation_threshold: float | None = ACCUMULATION_THRESHOLD

    frequency: ClassVar[Frequency] = "monthly"
    couplings: ClassVar[tuple[Coupling, ...]] = ("source", "jump")
    distinguishes_water: ClassVar[bool] = True
    is_local: ClassVar[bool] = True

    def __check_init__(self) -> None:
        highest = max((float(m.max()) for m in plain_numbers(self.melt_factor)), default=0.0)
        if highest > 0.1:
            raise InputError(
                f"TemperatureIndex: melt_factor is {highest:g}; expected m w.e. K-1 d-1, such as "
                "0.005 for 5 mm (OGGM's "
                "melt_f is in mm)"
            )
        solid, liquid = self.snow_temperature
        if not solid < liquid:
            raise InputError(
                f"snow_temperature={self.snow_temperature}: the first has to be below the second"
            )
        if isinstance(self.lapse_rate, str) and self.lapse_rate != "data":
            raise InputError(
                f"lapse_rate={self.lapse_rate!r}: expected 'data' or a number in K m-1 such as "
                "-0.0065"
            )
        if not isinstance(self.lapse_rate, str) and not -0.02 <= self.lapse_rate <= 0.0:
            raise InputError(
                f"lapse_rate={self.lapse_rate:g}: expected K m-1 between -0.02 and 0, such as "
                "-0.0065"
            )

    def forcing(self, glacier: Glacier, months: np.ndarray) -> Month:
        """Months of the glacier's climate, with lapse rates limited."""
        return weather(glacier, months, self.lapse_rate)

    def rates(self, forcing: Month, surface: Cell, time: float | Scalar) -> Rates:
        """m w.e. per month."""
        bias = cast("Cell", self.temp_bias)  # on a glacier, numbers are fields
        thresholds = self.melt_temperature, self.snow_temperature
        spread = self.temperature_std
        degree_days, snow = forcing.degree_days_and_snow(surface, bias, *thresholds, spread)
        rain = forcing.total_precip - snow
        water = self.precip_factor * 1e-3  # kg m⁻² to m w.e.
        return Rates(water * snow, self.melt_factor * degree_days, water * rain)


class LinearBalance(AbstractMassBalance):
    """Balance that grows linearly with altitude: b = min(gradient · (S − ela), maximum), m w.e.
    yr⁻¹.

    Args:
        gradient: m w.e. yr⁻¹ per m. ela: equilibrium-line altitude, m. maximum: m w.e. yr⁻¹, None
            for no limit.
    """

    gradient: Number = slot(7e-3, unit="m w.e. yr⁻¹ m⁻¹", place="cell", label="balance gradient")
    ela: Number = slot(3000.0, unit="m", place="cell", label="equilibrium-line altitude")
    maximum: float | None = None
    accumulation_threshold: float | None = ACCUMULATION_THRESHOLD

    frequency: ClassVar[Frequency] = "state"
    is_local: ClassVar[bool] = True

    def forcing(self, glacier: Glacier, months: np.ndarray) -> None:
        """No climate."""

    def rates(self, forcing: None, surface: Cell, time: float | Scalar) -> Rates:
        """m w.e. per year."""
        balance = self.gradient * (surface - self.ela)
        if self.maximum is not None:
            balance = jnp.minimum(balance, self.maximum)
        return net_rates(balance)


class PrescribedBalance(AbstractMassBalance):
    """A balance field that does not change: m w.e. yr⁻¹, a number, a cell field or one per
    glacier.
    """

    balance: Number = slot(unit="m w.e. yr⁻¹", place="cell", label="mass balance")
    accumulation_threshold: float | None = ACCUMULATION_THRESHOLD

    frequency: ClassVar[Frequency] = "fixed"
    is_local: ClassVar[bool] = True

    def forcing(self, glacier: Glacier, months: np.ndarray) -> None:
        """No climate."""

    def rates(self, forcing: None, surface: Cell, time: float | Scalar) -> Rates:
        """m w.e. per year."""
        return net_rates(cast("Cell", self.balance))


def net_rates(balance: Cell) -> Rates:
    """Rates of a balance that does not tell accumulation from melt."""
    gain = jnp.where(balance > 0, balance, 0.0)
    return Rates(gain, gain - balance, jnp.zeros_like(balance))
