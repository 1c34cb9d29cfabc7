"""``odinn run`` and ``odinn calibrate``: from a configuration to files and a few lines."""

from __future__ import annotations

import shlex
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

import odinn
from odinn.atomic import path_of, write_text
from odinn.cli import report
from odinn.cli.config import CALIBRATE, STEPPERS, build_model, read_config, to_yaml
from odinn.cli.report import console
from odinn.cli.schema import Values, made, resolved
from odinn.cli.sources import in_scenario, opened
from odinn.climate import months_between
from odinn.dates import decimal_year
from odinn.errors import InputError, OutputError, of_glacier
from odinn.glacier import Glacier
from odinn.learning.calibration import compare_with_measurements, measured_target, measured_years
from odinn.model.model import Model
from odinn.results.codec import require_registered
from odinn.results.simulation import Simulation
from odinn.run.checks import check_run
from odinn.run.plan import plan_run
from odinn.run.settings import settings_of


def run(path: Path, overrides: list[str], *, check: bool) -> int:
    """Run the glaciers of a configuration, or only say what would be run.

    Returns:
        How many failed, where ``on_error`` is to keep the others.
    """
    config = read_config(path, overrides)
    if config["run"] is None:
        raise InputError(f"{path}: run: is required (t0, t1)")
    model = build_model(config["model"], f"{path}: model")
    failures: dict[str, Exception] = {}  # by source
    seen = set[str]()
    if check:
        console.print(repr(model))
    for source, open_it in opened(config["glacier"]):
        try:
            sim = _one(config, model, open_it(), seen, check=check)
            if sim is not None:
                _write(config, sim)
        except OutputError:  # the next one could not be written either
            raise
        except Exception as error:  # whatever it is: the other glaciers go on
            if config["run"]["on_error"] == "raise":
                raise
            failures[source] = error
            report.complain(error)
    if check:
        console.print("Nothing was run. Without --check this run starts.")
    else:
        settings = writable(_folder(config)) / "config.yaml"
        write_text(settings, to_yaml(config))
        console.print(f"Settings as used: {settings}")
    if failures:
        changed = [f"-s {shlex.quote(item)}" for item in overrides]
        report.failed(failures, " ".join(["odinn run", shlex.quote(str(path)), *changed]))
    return len(failures)


def calibrate(path: Path, overrides: list[str]) -> None:
    """Calibrate the model of a configuration on each of its glaciers."""
    config = read_config(path, overrides)
    # Without a section: the melt factor, on what was measured.
    section = config["calibrate"] or resolved(CALIBRATE, {}, "calibrate")
    model = build_model(config["model"], f"{path}: model")
    for _, open_it in opened(config["glacier"]):
        glacier = open_it()
        report.describe(glacier)
        _calibrated(model, glacier, section)


def writable(folder: Path, option: str = "output.directory") -> Path:
    """The folder, made if it is not there; an error before a run or a drawing whose result could
    not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):  # a folder that is there may still be read-only
            pass
    except OSError as error:
        message = f"{folder} cannot be written to ({error.strerror}); choose another"
        raise InputError(f"{option}: {message}") from error
    return folder


def _folder(config: Values) -> Path:
    return path_of(config["output"]["directory"])


def _one(
    config: Values, model: Model, glacier: Glacier, seen: set[str], *, check: bool
) -> Simulation | None:
    """The run of a glacier; None where it is only said what it would be.

    Args:
        seen: ids of the glaciers before it.
    """
    report.describe(glacier)
    under = in_scenario(glacier, config["glacier"])
    if under is not glacier:
        console.print(f"  run under  {under.climate}")
    if glacier.rgi_id in seen:
        message = "appears twice in glacier.source; results are kept by id"
        raise InputError(of_glacier(glacier.rgi_id, message))
    seen.add(glacier.rgi_id)
    if model.mass_balance is None:
        console.print("  balance    none: only flow (model.mass_balance is not set)")
    how = config["run"] | {"stepper": made(STEPPERS, config["run"]["stepper"], "run.stepper")}
    del how["on_error"]  # which is of several
    # Measurements know nothing of a scenario: what is calibrated is the series as it is.
    section = config["calibrate"]
    if check:
        if section is not None:
            report.line("would find", _target(model, glacier, section))
        _say_plan(config, model, under, how)
        return None
    writable(_folder(config))  # before the calibration, which may take a while
    if section is not None:
        model = _calibrated(model, glacier, section)
    require_registered([model, under], "output.directory")
    sim: Simulation = odinn.simulate(model, under, **how)
    return sim


def _write(config: Values, sim: Simulation) -> None:
    output, name = config["output"], sim.glacier.rgi_id
    report.summarise(sim)
    written = [odinn.save(sim, _folder(config) / f"{name}.{output['format']}")]
    if output["plots"]:
        written += odinn.plot.save_all(sim, _folder(config) / name)
    report.listed(written)


def _calibrated(model: Model, glacier: Glacier, section: Values) -> Model:
    """The calibrated model; says what was found, and how the years compare with those measured."""
    asked = section["target"], section["period"], section["hydro_month"]
    target, period = measured_target(glacier, *asked)
    model = odinn.calibrate(model, glacier, **section | {"target": target, "period": period})
    vary, (start, end) = section["vary"], period
    number = f"{float(getattr(model.mass_balance, vary)):.4g}"
    over = f"{target:+.3f} m w.e. yr-1 over {start} to {end}"
    console.print(f"  calibrated {vary} = {number} for {over}")
    comparison = compare_with_measurements(model, glacier, period, section["hydro_month"])
    if comparison is not None:
        console.print(
            f"  against {len(comparison.years)} measured years: correlation "
            f"{comparison.correlation:.2f}, RMSE {comparison.rmse:.2f} m w.e. "
            f"(a constant forecast: {comparison.constant_rmse:.2f})"
        )
    return model


def _target(model: Model, glacier: Glacier, section: Values) -> str:
    """What would be calibrated to what; all is checked that can be wrong."""
    balance = model.mass_balance
    if balance is None or balance.frequency != "monthly":
        message = "calibrate: needs a monthly mass balance such as TemperatureIndex"
        raise InputError(of_glacier(glacier.rgi_id, message))
    asked = section["target"], section["period"], section["hydro_month"]
    target, (start, end) = measured_target(glacier, *asked)
    # The comparison that follows needs to know when measured years start.
    measured_years(glacier, (start, end), section["hydro_month"])
    # An error where the climate does not cover the period.
    balance.forcing(glacier, months_between(decimal_year(start), decimal_year(end)))
    return f"{section['vary']} for {target:+.3f} m w.e. yr-1 over {start} to {end}"


def _say_plan(config: Values, model: Model, glacier: Glacier, how: Values) -> None:
    """Say what a run would be; an error as it would be before the first step."""
    settings = settings_of(**how, about=glacier.rgi_id)
    check_run(model, glacier, settings)
    plan = plan_run(model, glacier, settings)
    text = f"{settings.t0:.8g} to {settings.t1:.8g} in {plan.count} windows"
    if model.mass_balance is not None:
        text += f", balance evaluated {int(np.sum(plan.windows.evaluate))} times"
    report.line("would run", f"{text}; {1 + int(np.sum(plan.saved))} states are kept")
    output = config["output"]
    file = _folder(config) / f"{glacier.rgi_id}.{output['format']}"
    text = f"{file} (there is one, which would be replaced)" if file.exists() else str(file)
    if output["plots"]:
        text += f", pictures in {file.with_suffix('')}"
    report.line("would write", text)
