"""The demonstration: two embedded glaciers, fifty years under two climates, a measured balance, and
a law that is learned.

The cheap pictures come first; each is announced when it is there.
"""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

import odinn
from odinn.atomic import path_of
from odinn.cli import demo_pictures
from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.learning.calibration import Comparison, compare_with_measurements, measured_target
from odinn.learning.driver import Inversion
from odinn.model.model import Model
from odinn.physics.laws.base import AbstractLaw
from odinn.physics.laws.samples import samples
from odinn.plot.figures import save
from odinn.progress import waiting
from odinn.results.simulation import Simulation

START: Final = 2000.25  # 1 April, when the southern balance year starts
WARMER: Final = 1.5  # K
COLDER: Final = -10.0  # K, of the twin: above 0 °C the textbook's A does not change
NOISE: Final = 0.05  # of the twin's speeds
CLIMATES: Final = {"constant": "every year alike", "warmer": f"{WARMER:g} K warmer"}
ARGENTIERE: Final = Path("glaciers") / "argentiere_RGI60-11.03638.nc"
_LONGEST: Final = 69  # years from START that the embedded climate covers
_COLUMNS: Final = ["volume_m3", "area_m2", "specific_balance", "precipitation", "runoff"]


class _Show:
    """Says what happens, and keeps the pictures and data that were made."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.pictures: list[Path] = []
        self.data: list[Path] = []
        self._say = say
        self._began = time.perf_counter()

    def tell(self, text: str) -> None:
        """A line with the seconds since the start."""
        self._say(f"{time.perf_counter() - self._began:4.0f} s  {text}")

    def note(self, text: str) -> None:
        """Lines below it."""
        for line in text.split("\n"):
            self._say(f"        {line}")

    def draw(self, name: str, figure: Figure, what: str) -> None:
        """Save a picture and announce it."""
        self.pictures.append(save(figure, self.folder / name))
        self.tell(f"wrote {self.pictures[-1]}: {what}")


def run_demo(
    output: Path,
    say: Callable[[str], None],
    *,
    years: int = 50,
    coarsen: int = 1,
    count: int = 2,
    steps: int = 40,
) -> list[Path]:
    """Run the demonstration and return the files made, pictures first.

    Args:
        output: folder for them. say: is called with each line that is for the user.
        years: length of the runs. coarsen: cells averaged along each side of a cell of 50 m, in the
            runs.
        count: of glaciers, the largest first. steps: of the inversion.
    """
    if not 1 <= years <= _LONGEST:
        expected = f"expected 1 to {_LONGEST}, which the embedded climate covers"
        raise InputError(f"demo: years={years}: {expected}")
    output = path_of(output)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: exists and is not a folder")
    output.mkdir(parents=True, exist_ok=True)
    show = _Show(output, say)
    glaciers, model = odinn.demo_glaciers(coarsen=coarsen)[:count], odinn.demo_model()
    names = " and ".join(glacier.name for glacier in glaciers)
    show.tell(f"{names}, New Zealand, in cells of {glaciers[0].grid.dx:g} m")
    show.note(demo_pictures.CAPTION)
    # The picture that needs no run comes first.
    show.draw("1_maps.png", demo_pictures.maps_of(glaciers, model), "thickness and speed")
    _show_futures(show, glaciers, model, years)
    _show_argentiere(show)
    _show_twin(show, steps, count)
    show.tell(f"Done. Open {show.pictures[0]} first, then, in this order:")
    for path in show.pictures[1:]:
        show.note(str(path))
    beside = ", ".join(path.name for path in show.data)
    show.note(f"Beside them, for xarray, odinn.load() and spreadsheets: {beside}")
    return show.pictures + show.data


def _show_futures(show: _Show, glaciers: list[Glacier], model: Model, years: int) -> None:
    runs: dict[str, dict[str, Simulation]] = {}
    yearly: dict[str, dict[str, xr.Dataset]] = {}
    climates = " and with ".join(CLIMATES.values())
    for glacier in glaciers:
        name = glacier.name
        show.tell(f"{name}: {years} years with {climates} (compiles for some seconds)")
        runs[name], yearly[name] = {}, {}
        for key, label in CLIMATES.items():
            sim, series = future(model, glacier, years, WARMER if key == "warmer" else 0.0)
            change = 100 * (sim.volume[-1] / sim.volume[0] - 1)
            balance = f"{float(series.specific_balance[0]) / 1000:+.1f} m w.e."
            text = f"{label}: volume {change:+.0f} %, balance of the first year {balance}"
            show.note(f"{text}; {sim.seconds:.0f} s".replace("-", "−"))
            stem = name.split()[0].lower()  # "Ramsay Glacier" is ramsay in file names
            show.data.append(odinn.save(sim, show.folder / f"{stem}_{key}.nc"))
            runs[name][key], yearly[name][key] = sim, series
    tables = {
        (name, key): series[_COLUMNS].to_dataframe()
        for name, own in yearly.items()
        for key, series in own.items()
    }
    show.data.append(show.folder / "yearly.csv")
    rows = pd.concat(tables, names=("glacier", "climate", "hydrological_year"))
    rows.to_csv(show.data[-1], float_format="%.6g")
    file = f"2_{'fifty' if years == 50 else years}_years.png"
    show.draw(file, demo_pictures.futures(runs, CLIMATES), "maps at the end, volume in time")
    figure = demo_pictures.runoff(yearly, CLIMATES)
    show.draw("3_runoff.png", figure, "runoff of years and months")


def future(
    model: Model, glacier: Glacier, years: int, warmer: float
) -> tuple[Simulation, xr.Dataset]:
    """A run without its water by cell and month, which is hundreds of megabytes, and the series of
    its years with that of the outline's cells.
    """
    assert glacier.climate is not None
    glacier = glacier.replace(climate=glacier.climate.shift(temp=warmer))
    with warnings.catch_warnings():
        # The first year after a sudden warming is meant to be far from balance, and is told.
        warnings.filterwarnings("ignore", message=".*glacier-wide balance of the first year")
        sim = odinn.simulate(model, glacier, START, START + years, save_every=1.0, hydrology=True)
    assert sim.hydrology is not None
    yearly = sim.annual("hydro", domain=glacier.mask)
    # The runs begin with a balance year, so that every row is one.
    months = sim.hydrology.series(glacier.mask)["runoff"].reshape(-1, 12)
    yearly["runoff_of_months"] = ("year", "month"), months
    return dataclasses.replace(sim, hydrology=None), yearly


def _show_argentiere(show: _Show) -> None:
    file = "4_argentiere_balance.png"
    named = os.environ.get("ODINN_DATA")
    folder = Path(named) if named else Path("..") / "shared" / "data"
    if not (folder / ARGENTIERE).is_file():  # a demonstration needs no data of a user's
        place = f"ODINN_DATA={named}" if named else f"{folder} (ODINN_DATA may name another folder)"
        missing = f"the measured balance of a real glacier ({ARGENTIERE}) is not in {place}"
        show.tell(f"{file} is not drawn, since its data are not there: {missing}")
        return
    with waiting("calibrating Argentière on its measured balance"):
        balances, factor = argentiere(folder)
    what = "measured and modelled balance of a real glacier"
    figure = demo_pictures.measured(balances, factor)
    show.draw(file, figure, f"{what}, correlation {balances.correlation:.2f}")


def argentiere(folder: Path) -> tuple[Comparison, float]:
    """Balances of Argentière beside those measured, and the melt factor (m w.e. K⁻¹ d⁻¹) that was
    calibrated on their mean.
    """
    glacier = odinn.open_glacier(folder / ARGENTIERE)
    target, period = measured_target(glacier, None, None)
    model = odinn.Model(None, odinn.TemperatureIndex(precip_factor=2.5))
    model = odinn.calibrate(model, glacier, target, period)
    comparison = compare_with_measurements(model, glacier, period)
    if comparison is None:
        message = "fewer than three measured years lie within its climate"
        raise InputError(f"{folder / ARGENTIERE}: {message}")
    return comparison, float(model.mass_balance.melt_factor)


class Twin(NamedTuple):
    """An inversion whose truth is known."""

    fit: Inversion
    truth: AbstractLaw
    before: AbstractLaw
    glaciers: list[Glacier]

    @property
    def law(self) -> AbstractLaw:
        """What was learned."""
        law: AbstractLaw = self.fit.model.flow.A
        return law


def learn(steps: int = 40, count: int = 2) -> Twin:
    """A(T) as a network of 13 weights, learned from noisy surface speeds that the textbook's law
    made.

    Args:
        count: of the embedded glaciers, the largest first.
    """
    cold = []
    for glacier in odinn.demo_glaciers(coarsen=4)[:count]:
        assert glacier.climate is not None
        cold.append(glacier.replace(climate=glacier.climate.shift(temp=COLDER)))
    temperature = odinn.inputs.LongTermTemperature(per="cell")
    truth = odinn.laws.CuffeyPaterson((temperature,))
    period = (START, START + 1)
    glaciers = odinn.synthetic_observations(
        odinn.Model(odinn.SIA2D(A=truth), None),
        cold,
        period,
        of=("velocity",),
        noise={"velocity": NOISE},
        stepper=odinn.SSPRK3(),  # not that of the inversion, which is not to know the truth's steps
    )
    law = odinn.laws.Neural([temperature], bounds=(2e-18, 4e-16), hidden=(4,), activation="tanh")
    model = odinn.bind(odinn.Model(odinn.SIA2D(A=law), None), glaciers)
    # mypy misses equinox's defaults
    loss = odinn.losses.Velocity("log", error=NOISE)  # type: ignore[call-arg, arg-type]
    method = odinn.optimizers.gauss_newton(steps)
    fit = odinn.invert(model, glaciers, loss, period, optimizer=method, progress=False)
    return Twin(fit, truth, model.flow.A, glaciers)


def _show_twin(show: _Show, steps: int, count: int) -> None:
    what = "Learning the rate factor A as a function of temperature"
    show.tell(f"{what}: {steps} steps (compiles for some ten seconds)")
    show.note(demo_pictures.TWIN)
    with waiting(f"learning A(T), {steps} steps"):
        twin = learn(steps, count)
    # at every corner with ice
    inputs = np.concatenate([samples(twin.law.inputs, glacier)[0] for glacier in twin.glaciers])
    errors = np.abs(np.asarray(twin.law(inputs)) / np.asarray(twin.truth(inputs)) - 1)
    half, most = 100 * np.percentile(errors, (50, 95))
    shares = f"half of the ice is within {half:.1f} % of the truth, 95 % of it within {most:.1f} %"
    show.note(f"{twin.fit}; {shares}")
    show.data.append(odinn.save(twin.fit, show.folder / "learned_law.nc"))
    figure = demo_pictures.learned(twin.law, twin.truth, twin.before, twin.glaciers)
    what = "the learned law, the truth, and where there are data"
    show.draw("5_learned_law.png", figure, what)
