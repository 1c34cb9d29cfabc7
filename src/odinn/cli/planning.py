"""``odinn run --check``: what a run would be, with all checked that can be wrong before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from odinn.cli.config import CalibrateSection, RunConfig
from odinn.climate import months_between
from odinn.dates import decimal_year
from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.learning.calibration import measured_target
from odinn.model.model import Model
from odinn.run.checks import check_run
from odinn.run.plan import plan_run
from odinn.run.settings import settings_of


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
    how = settings_of(
        run.t0,
        run.t1,
        save_every=run.save_every,
        coupling=run.coupling,
        hydrology=run.hydrology,
        dtype=run.dtype,
        about=glacier.rgi_id,
    )
    check_run(model, under, how)
    cut = plan_run(model, under, how)
    span = f"{how.t0:.8g} to {how.t1:.8g} in {cut.count} windows"
    if model.mass_balance is not None:
        span += f", balance evaluated {int(np.sum(cut.windows.evaluate))} times"
    said["would run"] = f"{span}; {1 + int(np.sum(cut.saved))} states are kept"
    file = Path(output.directory) / f"{glacier.rgi_id}.{output.format}"
    files = f"{file} (there is one, which would be replaced)" if file.exists() else str(file)
    if output.plots:
        files += f", pictures in {file.with_suffix('')}"
    said["would write"] = files
    return said


def _calibration(section: CalibrateSection, model: Model, glacier: Glacier) -> str:
    balance = model.mass_balance
    if balance is None or balance.frequency != "monthly":
        message = "calibrate: needs a monthly mass balance such as TemperatureIndex"
        raise InputError(of_glacier(glacier.rgi_id, message))
    target, (start, end) = measured_target(glacier, section.target, section.period)
    # An error where the climate does not cover the period.
    balance.forcing(glacier, months_between(decimal_year(start), decimal_year(end)))
    return f"{section.vary} for {target:+.3f} m w.e. yr-1 over {start} to {end}"
