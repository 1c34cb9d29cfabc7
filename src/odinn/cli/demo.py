"""The demonstration: two embedded glaciers, fifty years under two climates, a measured balance, and
a law that is learned.

The cheap pictures come first; each is announced when it is there.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

import equinox as eqx
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

import odinn
from odinn.cli import demo_pictures
from odinn.cli.twin import START, learn
from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.learning.calibration import Comparison, compare_with_measurements, measured_target
from odinn.model.model import Model
from odinn.plot.figures import save
from odinn.progress import waiting
from odinn.results.simulation import Simulation

WARMER: Final = 1.5  # K
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

    def draw(self, name: str, what: str, make: Callable[..., Figure], *of: object) -> None:
        """Make a picture, save and announce it."""
        with waiting(f"drawing {name}"):
            self.pictures.append(save(make(*of), self.folder / name))
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
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: exists and is not a folder")
    output.mkdir(parents=True, exist_ok=True)
    show = _Show(output, say)
    glaciers, model = odinn.demo_glaciers(coarsen=coarsen)[:count], odinn.demo_model()
    names = " and ".join(glacier.name for glacier in glaciers)
    show.tell(f"{names}, New Zealand, in cells of {glaciers[0].grid.dx:g} m")
    show.note(demo_pictures.CAPTION)
    # The picture that needs no run comes first.
    show.draw("1_maps.png", "thickness and speed", demo_pictures.maps_of, glaciers, model)
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
    table = {}
    climates = " and with ".join(CLIMATES.values())
    for glacier in glaciers:
        name = glacier.name
        show.tell(f"{name}: {years} years with {climates} (compiles for some seconds)")
        assert glacier.climate is not None
        warmer = glacier.replace(climate=glacier.climate.shift(temp=WARMER))
        runs[name], yearly[name] = {}, {}
        for key, start in zip(CLIMATES, (glacier, warmer), strict=True):
            sim, of_years = future(model, start, years)
            show.note(_in_words(CLIMATES[key], sim, of_years))
            stem = name.split()[0].lower()  # "Ramsay Glacier" is ramsay in file names
            show.data.append(odinn.save(sim, show.folder / f"{stem}_{key}.nc"))
            runs[name][key], yearly[name][key] = sim, of_years
            table[name, key] = of_years[_COLUMNS].to_dataframe()
    path = show.folder / "yearly.csv"
    rows = pd.concat(table, names=("glacier", "climate", "hydrological_year"))
    rows.to_csv(path, float_format="%.6g")
    show.data.append(path)
    file = f"2_{'fifty' if years == 50 else years}_years.png"
    show.draw(file, "maps at the end, volume in time", demo_pictures.futures, runs, CLIMATES)
    what = "runoff of years and months"
    show.draw("3_runoff.png", what, demo_pictures.runoff, yearly, CLIMATES)


def future(model: Model, glacier: Glacier, years: int) -> tuple[Simulation, xr.Dataset]:
    """A run without its water by cell and month, which is hundreds of megabytes, and the series of
    its years with that of the outline's cells.
    """
    with warnings.catch_warnings():
        # The first year after a sudden warming is meant to be far from balance, and is told.
        warnings.filterwarnings("ignore", message=".*glacier-wide balance of the first year")
        sim = odinn.simulate(model, glacier, START, START + years, save_every=1.0, hydrology=True)
    assert sim.hydrology is not None
    yearly = sim.annual("hydro", domain=glacier.mask)
    # The runs begin with a balance year, so that every row is one.
    months = sim.hydrology.series(glacier.mask)["runoff"].reshape(-1, 12)
    yearly["runoff_of_months"] = ("year", "month"), months
    return eqx.tree_at(lambda s: s.hydrology, sim, None), yearly


def _in_words(climate: str, sim: Simulation, yearly: xr.Dataset) -> str:
    change = 100 * (sim.volume[-1] / sim.volume[0] - 1)
    first = float(yearly.specific_balance[0]) / 1000
    balance = f"balance of the first year {first:+.1f} m w.e."
    text = f"{climate}: volume {change:+.0f} %, {balance}; {sim.seconds:.0f} s"
    return text.replace("-", "−")


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
    what = (
        f"measured and modelled balance of a real glacier, correlation {balances.correlation:.2f}"
    )
    show.draw(file, what, demo_pictures.measured, balances, factor)


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


def _show_twin(show: _Show, steps: int, count: int) -> None:
    what = "Learning the rate factor A as a function of temperature"
    show.tell(f"{what}: {steps} steps (compiles for some ten seconds)")
    show.note(demo_pictures.TWIN)
    with waiting(f"learning A(T), {steps} steps"):
        twin = learn(steps, count)
    half, most = 100 * np.percentile(twin.errors(), (50, 95))
    shares = f"half of the ice is within {half:.1f} % of the truth, 95 % of it within {most:.1f} %"
    show.note(f"{twin.fit}; {shares}")
    show.data.append(odinn.save(twin.fit, show.folder / "learned_law.nc"))
    what = "the learned law, the truth, and where there are data"
    show.draw("5_learned_law.png", what, demo_pictures.learned, twin)
