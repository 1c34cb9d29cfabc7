"""``odinn run --check``: what a run would be, with all checked that can be wrong before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from odinn.cli.config import RunConfig
from odinn.climate import months_between
from odinn.dates import decimal_year
from odinn.errors import InputError, where
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
        if model.mass_balance is None or model.mass_balance.frequency != "monthly":
            raise InputError(
                where(
                    glacier.rgi_id,
                    "calibrate: needs a monthly mass balance such as TemperatureIndex",
                )
            )
        target, period = measured_target(
            glacier, settings.calibrate.target, settings.calibrate.period
        )
        model.mass_balance.forcing(
            glacier, months_between(*(decimal_year(t) for t in period))
        )  # whether it is covered
        said["would find"] = (
            f"{settings.calibrate.vary} for {target:+.3f} m w.e. yr-1 over {period[0]} to "
            f"{period[1]}"
        )
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
    evaluated = int(np.sum(cut.windows.evaluate))
    balance = f", balance evaluated {evaluated} times" if model.mass_balance is not None else ""
    states = f"{1 + int(np.sum(cut.saved))} states are kept"
    said["would run"] = f"{how.t0:.8g} to {how.t1:.8g} in {cut.count} windows{balance}; {states}"
    target_file = Path(output.directory) / f"{glacier.rgi_id}.{output.format}"
    replaced = " (there is one, which would be replaced)" if target_file.exists() else ""
    pictures = f", pictures in {target_file.with_suffix('')}" if output.plots else ""
    said["would write"] = f"{target_file}{replaced}{pictures}"
    return said
