"""The demonstration: two embedded glaciers, fifty years under two climates, a measured balance, and
a law that is learned.

The cheap pictures come first; each is announced when it is there.
"""

from __future__ import annotations

import csv
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import equinox as eqx
import numpy as np

import odinn
from odinn.cli import demo_pictures
from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.learning import losses, optimizers
from odinn.learning.calibration import Comparison, compare_with_measurements, measured_target
from odinn.learning.driver import Inversion
from odinn.physics.laws import inputs
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

    def errors(self) -> np.ndarray:
        """|law / truth − 1| at every corner with ice."""
        found = np.concatenate([samples(self.law.inputs, g)[0] for g in self.glaciers])
        return np.abs(np.asarray(self.law(found)) / np.asarray(self.truth(found)) - 1)


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
    if not 1 <= years <= 69:
        raise InputError(
            f"demo: years={years}: expected 1 to 69, which the embedded climate covers"
        )
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: exists and is not a folder")
    output.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    tell = lambda text: say(f"{time.perf_counter() - began:4.0f} s  {text}")
    note = lambda text: say(f"        {text}")
    pictures: list[Path] = []

    def draw(name: str, what: str, figure: Callable[[], Any]) -> None:
        with waiting(f"drawing {name}"):
            pictures.append(save(figure(), output / name))
        tell(f"wrote {pictures[-1]}: {what}")

    glaciers, model = odinn.demo_glaciers(coarsen=coarsen)[:count], odinn.demo_model()
    tell(
        f"{' and '.join(g.name for g in glaciers)}, New Zealand, in cells of "
        f"{glaciers[0].grid.dx:g} m"
    )
    for line in demo_pictures.CAPTION.split("\n"):
        note(line)
    draw("1_maps.png", "thickness and speed", lambda: demo_pictures.maps_of(glaciers, model))

    runs, yearly, data = {}, {}, []
    for glacier in glaciers:
        tell(
            f"{glacier.name}: {years} years with {' and with '.join(CLIMATES.values())} (compiles "
            "for some seconds)"
        )
        own, table = futures(glacier, model, years)
        runs[glacier.name], yearly[glacier.name] = own, table
        for key, sim in own.items():
            change = f"{100 * (sim.volume[-1] / sim.volume[0] - 1):+.0f} %"
            first = float(table[key].specific_balance[0]) / 1000
            note(
                f"{CLIMATES[key]}: volume {change}, balance of the first year {first:+.1f} m w.e.; {sim.seconds:.0f} s".replace(
                    "-", "−"
                )
            )
            stem = glacier.name.split()[0].lower()
            data.append(odinn.save(sim, output / f"{stem}_{key}.nc"))
    data.append(_table(yearly, output / "yearly.csv"))
    name = f"2_{'fifty' if years == 50 else years}_years.png"
    draw(name, "maps at the end, volume in time", lambda: demo_pictures.futures(runs, CLIMATES))
    draw(
        "3_runoff.png", "runoff of years and months", lambda: demo_pictures.runoff(yearly, CLIMATES)
    )

    folder, why_not = real_data()
    if folder is None:
        tell(f"no 4_argentiere_balance.png: {why_not}")
    else:
        with waiting("calibrating Argentière on its measured balance"):
            measured, factor = argentiere(folder)
        draw(
            "4_argentiere_balance.png",
            "measured and modelled balance of a real glacier, correlation "
            f"{measured.correlation:.2f}",
            lambda: demo_pictures.measured(measured, factor),
        )

    tell(
        f"Learning the rate factor A as a function of temperature: {steps} steps (compiles for "
        "some ten seconds)"
    )
    for line in demo_pictures.TWIN.split("\n"):
        note(line)
    with waiting(f"learning A(T), {steps} steps"):
        twin = learn(steps, count)
    error = twin.errors()
    shares = f"half of the ice is within {np.median(error):.1%} of the truth, 95 % of it within {np.percentile(error, 95):.1%}"
    note(f"{twin.fit}; {shares}")
    data.append(odinn.save(twin.fit, output / "learned_law.nc"))
    draw(
        "5_learned_law.png",
        "the learned law, the truth, and where there are data",
        lambda: demo_pictures.learned(twin),
    )
    tell(f"Done. Open {pictures[0]} first, then, in this order:")
    for path in pictures[1:]:
        note(str(path))
    note(
        f"Beside them, for xarray, odinn.load() and spreadsheets: {', '.join(p.name for p in data)}"
    )
    return pictures + data


def futures(
    glacier: Glacier, model: odinn.Model, years: int
) -> tuple[dict[str, Simulation], dict[str, Any]]:
    """Runs of a glacier under the two climates, and the series of their years, by climate."""
    assert glacier.climate is not None
    under = {
        "constant": glacier,
        "warmer": glacier.replace(climate=glacier.climate.shift(temp=WARMER)),
    }
    made = {key: _future(own, model, years) for key, own in under.items()}
    return {key: sim for key, (sim, _) in made.items()}, {
        key: yearly for key, (_, yearly) in made.items()
    }


def _future(glacier: Glacier, model: odinn.Model, years: int) -> tuple[Simulation, Any]:
    """A run without its water by cell and month, which is hundreds of megabytes, and the series of
    its years with that of the outline's cells."""
    with (
        warnings.catch_warnings()
    ):  # the first year after a sudden warming is meant to be far from balance, and is told
        warnings.filterwarnings("ignore", message=".*glacier-wide balance of the first year")
        sim = odinn.simulate(model, glacier, START, START + years, save_every=1.0, hydrology=True)
    assert sim.hydrology is not None
    months = sim.hydrology.series(glacier.mask)["runoff"].reshape(-1, 12)
    yearly = sim.annual("hydro", domain=glacier.mask).assign(
        runoff_of_months=(("year", "month"), months)
    )
    return eqx.tree_at(lambda s: s.hydrology, sim, None), yearly


def learn(steps: int = 40, count: int = 2) -> Twin:
    """A(T) as a network of 13 weights, learned from noisy surface speeds that the textbook's law
    made.
    """
    warm = odinn.demo_glaciers(coarsen=4)[:count]
    cold = [g.replace(climate=g.climate.shift(temp=COLDER)) for g in warm if g.climate is not None]
    temperature = inputs.LongTermTemperature(per="cell")
    truth = odinn.laws.CuffeyPaterson((temperature,))
    span, noise = (START, START + 1), {"velocity": NOISE}
    true_model = odinn.Model(odinn.SIA2D(A=truth), None)
    glaciers = odinn.synthetic_observations(
        true_model, cold, span, of=("velocity",), noise=noise, stepper=odinn.SSPRK3()
    )
    law = odinn.laws.Neural([temperature], bounds=(2e-18, 4e-16), hidden=(4,), activation="tanh")
    model = odinn.bind(odinn.Model(odinn.SIA2D(A=law), None), glaciers)
    loss = losses.Velocity("log", error=NOISE)  # type: ignore[call-arg]  # mypy misses equinox's defaults
    method = optimizers.gauss_newton(steps)
    fit = odinn.invert(model, glaciers, loss, span, optimizer=method, progress=False)
    return Twin(fit, truth, model.flow.A, glaciers)


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
        raise InputError(
            f"{folder / ARGENTIERE}: fewer than three measured years lie within its climate"
        )
    return comparison, float(model.mass_balance.melt_factor)


def real_data() -> tuple[Path | None, str]:
    """The folder of real glaciers, and if there is none, why."""
    named = os.environ.get("ODINN_DATA")
    folder = Path(named) if named else Path("..") / "shared" / "data"
    if (folder / ARGENTIERE).is_file():
        return folder, ""
    where = (
        f"in ODINN_DATA={named}" if named else f"in {folder} (ODINN_DATA may name another folder)"
    )
    return None, f"the real glacier {ARGENTIERE.name} is not {where}"


def _table(yearly: dict[str, dict[str, Any]], path: Path) -> Path:
    """Volume, area, balance and water of every year as CSV."""
    names = ("volume_m3", "area_m2", "specific_balance", "precipitation", "runoff")
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("glacier", "climate", "hydrological_year", *names))
        for glacier, own in yearly.items():
            for climate, ds in own.items():
                rows = zip(ds.year.values, *(ds[n].values for n in names), strict=True)
                table.writerows(
                    (glacier, climate, year, *(f"{v:.6g}" for v in values))
                    for year, *values in rows
                )
    return path
