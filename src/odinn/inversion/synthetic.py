"""Observations made by a model: for twin experiments, which are called that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from odinn.binding import as_list
from odinn.dates import decimal_year
from odinn.errors import InputError
from odinn.glacier import Glacier, Observations
from odinn.model import Model
from odinn.simulation import simulate

KINDS = ("thickness", "velocity", "elevation_change")


def synthetic_observations(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    span: tuple[Any, Any],
    *,
    of: Sequence[str] = ("thickness", "velocity"),
    at: Any = None,
    noise: Mapping[str, float] | None = None,
    seed: int = 0,
    **options: Any,
) -> list[Glacier]:
    """The glaciers with ``observations`` replaced by what a model makes of them.

    Args:
        of: "thickness" (m), "velocity" (vx, vy and speed, m yr⁻¹), "elevation_change" (m yr⁻¹ over the span).
        at: decimal year or date of thickness and velocity; default the end of the span.
        noise: standard deviation by kind, relative to the value, such as {"thickness": 0.1, "velocity": 0.05}.
        options: keywords of :func:`odinn.simulate`.

    Data are where the run has ice inside the outline, NaN elsewhere.
    """
    unknown = [k for k in (*of, *(noise or {})) if k not in KINDS]
    if unknown:
        raise InputError(f"synthetic_observations: {unknown[0]!r} is unknown; known: {', '.join(KINDS)}")
    t0, t1 = (decimal_year(t) for t in span)
    date = t1 if at is None else decimal_year(at)
    out = []
    for position, glacier in enumerate(as_list(glaciers)):
        random = np.random.default_rng((seed, position))
        first = simulate(model, glacier, t0, date, **{"save_every": date - t0, "progress": False, **options})
        final = (
            first
            if date == t1
            else simulate(model, glacier, t0, t1, **{"save_every": t1 - t0, "progress": False, **options})
        )
        ice = glacier.mask & (first.thickness[-1] > 0)

        def noisy(field: np.ndarray, kind: str, where: np.ndarray = ice, rng: Any = random) -> np.ndarray:
            spread = (noise or {}).get(kind, 0.0)
            return np.where(where, field * (1.0 + spread * rng.normal(size=field.shape)), np.nan)

        fields: dict[str, Any] = {}
        if "thickness" in of:
            fields["thickness"] = noisy(first.thickness[-1], "thickness")
        if "velocity" in of:
            vx, vy, speed = (v[-1] for v in first.velocity())
            factor = noisy(np.ones_like(speed), "velocity")
            fields |= {"vx": vx * factor, "vy": vy * factor, "speed": speed * factor}
        if "elevation_change" in of:
            rate = (final.thickness[-1] - glacier.thickness) / (t1 - t0)
            fields["elevation_change"] = noisy(rate, "elevation_change")
        dates = {k: date for k in fields if k != "elevation_change"}
        out.append(glacier.replace(observations=Observations(**fields, dates=dates)))
    return out
