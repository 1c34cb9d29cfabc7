"""``odinn run --check``: what a run would be, with all checked that can be wrong before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from odinn.cli.config import CalibrateSection, RunConfig
from odinn.climate import months_between
from odinn.dates import decimal_year
from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.learning.calibration import measured_target
from odinn.model.model import Model
from odinn.results.hydrology import check_hydrology
from odinn.run.plan import check_run, plan_windows


def plan(settings: RunConfig, model: Model, glacier: Glacier, under: Glacier) -> dict[str, str]:
    """A run in words, by heading: calibration, span and windows, files.

    Args:
        glacier: with its series, on which is calibrated. under: the same under the scenario of the
            run.

    Raises:
        InputError: as the run would before its first step.
    """
    run, output = settings.run, settings.output
    if run is None:
        raise InputError("run: is required (t0, t1)")
    said = {}
    if settings.calibrate is not None:
        said["would find"] = _calibration(settings.calibrate, model, glacier)
    t0, t1 = decimal_year(run.t0), decimal_year(run.t1)
    check_run(model, under, t0, t1, run.save_every, run.coupling, None, run.dtype)
    if run.hydrology:
        check_hydrology(model, under)
    # Cut as the run itself would be.
    windows, saved = plan_windows(model, under, t0, t1, run.save_every, run.coupling)
    span = f"{t0:.8g} to {t1:.8g} in {len(saved)} windows"
    if model.mass_balance is not None:
        span += f", balance evaluated {int(np.sum(windows.evaluate))} times"
    said["would run"] = f"{span}; {1 + int(np.sum(saved))} states are kept"
    file = Path(output.directory) / f"{glacier.rgi_id}.{output.format}"
    files = f"{file} (there is one, which would be replaced)" if file.exists() else str(file)
    if output.plots:  # in a folder named like the file
        files += f", pictures in {file.with_suffix('')}"
    said["would write"] = files
    return said


def _calibration(section: CalibrateSection, model: Model, glacier: Glacier) -> str:
    balance = model.mass_balance
    if balance is None or balance.frequency != "monthly":
        message = "calibrate: needs a monthly mass balance such as TemperatureIndex"
        raise InputError(where(glacier.rgi_id, message))
    target, (start, end) = measured_target(glacier, section.target, section.period)
    # An error where the climate does not cover the period.
    balance.forcing(glacier, months_between(decimal_year(start), decimal_year(end)))
    return f"{section.vary} for {target:+.3f} m w.e. yr-1 over {start} to {end}"
