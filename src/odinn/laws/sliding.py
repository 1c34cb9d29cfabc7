"""Sliding laws."""

from __future__ import annotations

from odinn.constants import GRAVITY, ICE_DENSITY, SECONDS_PER_YEAR

_OGGM_FS = 5.7e-20  # s⁻¹ m² Pa⁻³, OGGM's default (Oerlemans 1997)


def oggm_sliding() -> dict[str, float]:
    """OGGM's sliding as arguments of :class:`odinn.SIA2D`: u_b = f_s τ_b³ / H, that is p = 3, q = 1.

    C = f_s ρ g with f_s = 5.7e-20 s⁻¹ m² Pa⁻³ (Oerlemans 1997; Maussion et al. 2019, §2.4), in m yr⁻¹ Pa⁻².

    >>> import odinn
    >>> flow = odinn.SIA2D(**odinn.laws.oggm_sliding())
    >>> f"{float(flow.C):.2e}"
    '1.59e-08'
    """
    return {"C": _OGGM_FS * ICE_DENSITY * GRAVITY * SECONDS_PER_YEAR, "p": 3.0, "q": 1.0}
