"""``odinn run`` and ``odinn calibrate``: from a configuration to files and a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import odinn
from odinn.cli import report
from odinn.cli.config import (
    CalibrateSection,
    RunConfig,
    build_model,
    build_stepper,
    read_config,
    to_yaml,
)
from odinn.cli.planning import plan
from odinn.cli.report import console
from odinn.cli.sources import in_scenario, opened
from odinn.dates import Date
from odinn.errors import InputError, OdinnError
from odinn.glacier import Glacier
from odinn.learning.calibration import compare_with_measurements, measured_target
from odinn.model.model import Model
from odinn.results.codec import require_registered
from odinn.results.simulation import Simulation


class Calibrated(NamedTuple):
    """A model with one number that meets a target: m w.e. yr⁻¹ over a period."""

    model: Model
    value: float
    target: float
    period: tuple[Date, Date]


def run(path: Path, overrides: list[str], *, check: bool) -> int:
    """Run the glaciers of a configuration, or only say what would be run.

    Returns:
        How many failed, where ``on_error`` is to keep the others.
    """
    settings = read_config(path, overrides)
    if settings.run is None:
        raise InputError(f"{path}: run: is required (t0, t1)")
    model = build_model(settings)
    failures, seen = 0, set[str]()
    if check:
        # Brackets are the model's, no markup.
        console.print(repr(model), markup=False)
    for open_it in opened(settings.glacier):
        try:
            sim = _one(settings, model, open_it(), seen, check=check)
        except OdinnError as error:
            if settings.run.on_error == "raise":
                raise
            failures += 1
            report.complain(error)
        else:  # a result that cannot be written is an error whatever on_error says
            if sim is not None:
                _write(settings, sim)
    if check:
        console.print("Nothing was run. Without --check this run starts.")
    else:
        folder = writable(Path(settings.output.directory))
        resolved = folder / "config.yaml"
        resolved.write_text(to_yaml(settings))
        console.print(f"Settings as used: {resolved}")
    return failures


def calibrate(path: Path, overrides: list[str]) -> None:
    """Calibrate the model of a configuration on each of its glaciers."""
    settings = read_config(path, overrides)
    for open_it in opened(settings.glacier):
        glacier = open_it()
        report.describe(glacier)
        # Without a section: the melt factor, on what was measured.
        section = settings.calibrate or CalibrateSection()
        _calibrated_and_compared(build_model(settings), glacier, section)


def calibrated(model: Model, glacier: Glacier, section: CalibrateSection) -> Calibrated:
    """The model with the number of a section solved for."""
    target, period = measured_target(glacier, section.target, section.period)
    model = odinn.calibrate(model, glacier, target, period, section.vary)
    value = float(getattr(model.mass_balance, section.vary))
    return Calibrated(model, value, target, period)


def writable(folder: Path, option: str = "output.directory") -> Path:
    """The folder, made if it is not there; an error before a run or a drawing whose result could
    not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".odinn-probe"  # a folder that is there may still be read-only
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = f"{folder} cannot be written to ({error.strerror}); choose another"
        raise InputError(f"{option}: {message}") from error
    return folder


def _one(
    settings: RunConfig, model: Model, glacier: Glacier, seen: set[str], *, check: bool
) -> Simulation | None:
    """The run of a glacier; None where it is only said what it would be.

    Args:
        seen: ids of the glaciers before it.
    """
    report.describe(glacier)
    under = in_scenario(glacier, settings.glacier)
    if under is not glacier:
        console.print(f"  run under  {under.climate}")
    if glacier.rgi_id in seen:
        message = "appears twice in glacier.source; results are kept by id"
        raise InputError(f"{glacier.rgi_id}: {message}")
    seen.add(glacier.rgi_id)
    if model.mass_balance is None:
        console.print("  balance    none: only flow (model.mass_balance is not set)")
    if check:
        report.print_plan(plan(settings, model, glacier, under))
        return None
    writable(Path(settings.output.directory))  # before the calibration, which may take a while
    if settings.calibrate is not None:
        # On the series as it is: measurements know nothing of a scenario.
        model = _calibrated_and_compared(model, glacier, settings.calibrate)
    require_registered([model, under], "output.directory")
    return _simulated(settings, model, under)


def _write(settings: RunConfig, sim: Simulation) -> None:
    report.summarise(sim)
    stem = Path(settings.output.directory) / sim.glacier.rgi_id
    written = [odinn.save(sim, stem.with_name(f"{stem.name}.{settings.output.format}"))]
    if settings.output.plots:
        written += odinn.plot.save_all(sim, stem)
    report.listed(written)


def _simulated(settings: RunConfig, model: Model, glacier: Glacier) -> Simulation:
    section = settings.run
    assert section is not None
    return odinn.simulate(
        model,
        glacier,
        section.t0,
        section.t1,
        save_every=section.save_every,
        stepper=build_stepper(section.stepper),
        coupling=section.coupling,
        hydrology=section.hydrology,
        dtype=section.dtype,
        max_steps=section.max_steps,
    )


def _calibrated_and_compared(model: Model, glacier: Glacier, section: CalibrateSection) -> Model:
    """The calibrated model; says what was found, and how the years compare with those measured."""
    found = calibrated(model, glacier, section)
    start, end = found.period
    console.print(
        f"  calibrated {section.vary} = {found.value:.4g} for {found.target:+.3f} m w.e. yr-1 over "
        f"{start} to {end}"
    )
    comparison = compare_with_measurements(found.model, glacier, found.period)
    if comparison is not None:
        console.print(
            f"  against {len(comparison.years)} measured years: correlation "
            f"{comparison.correlation:.2f}, RMSE {comparison.rmse:.2f} m w.e. "
            f"(a constant forecast: {comparison.constant_rmse:.2f})"
        )
    return found.model
