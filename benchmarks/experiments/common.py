"""What the experiments share: glaciers with a calibrated balance, bars, and results."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import odinn

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("ODINN_DATA", ROOT.parents[1] / "shared" / "data"))
FIGURES = ROOT.parent / "docs" / "images"
NAMES = {
    "argentiere": "argentiere_RGI60-11.03638",
    "aletsch": "aletsch_RGI60-11.01450",
    "vegafonna": "vegafonna_RGI60-07.00065",
    "bodleybreen": "bodleybreen_RGI60-07.00042",
    "hintereisferner": "hef_RGI60-11.00897",
    "kesselwandferner": "kwf_RGI50-11.00787",
    "taschach": "taschach_RGI50-11.00687",
    "vernagt": "vernagt_RGI50-11.00719",
    "south_glacier": "south_glacier_RGI60-01.16195",
}
FOUR = ("argentiere", "aletsch", "vegafonna", "bodleybreen")


class Row:
    """One measured number against its bar: ``kind`` "<=", ">=" or "shown" (no bar)."""

    def __init__(self, what: str, measured: float, kind: str = "shown", bar: float = 0.0) -> None:
        self.what, self.measured, self.kind, self.bar = what, float(measured), kind, bar

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        if self.kind == "shown":
            return None
        return self.measured <= self.bar if self.kind == "<=" else self.measured >= self.bar

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "what": self.what,
            "measured": self.measured,
            "kind": self.kind,
            "bar": self.bar,
            "met": self.met,
        }


@lru_cache(maxsize=32)
def glacier(name: str, coarsen: int = 1, climate: str | None = None) -> odinn.Glacier:
    """One of the real glaciers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return odinn.open_glacier(
            DATA / "glaciers" / f"{NAMES[name]}.nc", coarsen=coarsen, climate=climate
        )


@lru_cache(maxsize=32)
def balance(name: str, coarsen: int = 1, climate: str | None = None) -> odinn.TemperatureIndex:
    """A temperature index that gives −0.5 m w.e. yr⁻¹ in 2010–2015 (Argentière: −1.206, measured),
    by the melt factor.
    """
    target = -1.206 if name == "argentiere" else -0.5
    start = odinn.Model(mass_balance=odinn.TemperatureIndex(precip_factor=2.5))
    own = glacier(name, coarsen, climate)
    try:
        model = odinn.calibrate(start, own, target, (2010.0, 2015.0))
    except odinn.CalibrationError:
        start = odinn.Model(mass_balance=odinn.TemperatureIndex(5e-3, 2.5))
        model = odinn.calibrate(start, own, target, (2010.0, 2015.0), "temp_bias")
    return model.mass_balance


def shared_balance(names: tuple[str, ...], coarsen: int = 1) -> odinn.TemperatureIndex:
    """The balances of several glaciers as one model: numbers by glacier."""
    own = {glacier(n, coarsen).rgi_id: balance(n, coarsen) for n in names}
    field = lambda key: {i: np.asarray(getattr(b, key)) for i, b in own.items()}
    return odinn.TemperatureIndex(field("melt_factor"), field("precip_factor"), field("temp_bias"))


def timed(experiment: Callable[[], list[Row]]) -> tuple[list[Row], float]:
    """(rows, seconds) of an experiment."""
    began = time.perf_counter()
    rows = experiment()
    return rows, time.perf_counter() - began
