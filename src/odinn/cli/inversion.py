"""``odinn invert``: from a configuration to a folder with what was learned, its history, misfits
and pictures.
"""

from __future__ import annotations

import csv
from pathlib import Path

import typer

import odinn
from odinn.cli import inverting, report
from odinn.cli.checkpoints import begin_checkpoint, steps_done, steps_to_continue
from odinn.cli.config import to_yaml
from odinn.cli.drawing import draw_inversion
from odinn.cli.inverting import InversionSetup
from odinn.cli.learning import InvertConfig, build_optimizer, read_invert_config
from odinn.cli.report import console, errors
from odinn.cli.running import writable
from odinn.errors import SolverError
from odinn.learning.driver import Inversion
from odinn.results.codec import require_registered


def invert(path: Path, overrides: list[str], *, check: bool, fresh: bool) -> None:
    """Learn what a configuration says, or only say what would be learned."""
    settings = read_invert_config(path, overrides)
    done = None
    if not check:  # before the hours of work
        writable(settings.folder)
        done = None if fresh else steps_to_continue(settings)
    study = inverting.prepared(settings, str(path), trial=check, say=console.print)
    learned, data = inverting.described(study)
    stand_in = check and settings.synthetic is not None
    report.print_study(learned, data, len(study.glaciers), study.period, stand_in=stand_in)
    if check:
        console.print("Nothing was run. Without --check this inversion starts.")
        return
    require_registered(study, "output.directory")
    checkpoint = settings.checkpoint_path
    if done is None:
        begin_checkpoint(settings)
    else:
        console.print(f"Continuing from {checkpoint}: {done} steps are done (--fresh starts anew)")
    try:
        fit, written = _learned(settings, study, str(path))
    except KeyboardInterrupt:  # what is learned so far is in the checkpoint
        steps = steps_done(checkpoint)
        kept = f"{checkpoint} holds {steps} steps" if steps is not None else "no step was done yet"
        errors.print(f"Interrupted: {kept}. The same command continues from there.")
        raise typer.Exit(130) from None
    except SolverError as error:  # it may not say which glacier
        raise inverting.failing_glacier(study, error) from error
    report.listed(written)
    report.print_where_to_look(fit, settings.folder, plots=settings.output.plots)


def _learned(
    settings: InvertConfig, study: InversionSetup, path: str
) -> tuple[Inversion, list[Path]]:
    """The inversion, and the files that were written."""
    folder, plots = settings.folder, settings.output.plots
    # With plots, a run that fails from the start does so here, before the first step.
    before = inverting.modelled(study, study.model, study.glaciers) if plots else {}
    fit = odinn.invert(
        study.model,
        study.glaciers,
        study.loss,
        study.period,
        optimizer=build_optimizer(settings, path),
        checkpoint=settings.checkpoint_path,
        seed=settings.seed,
        **study.options,
    )
    report.print_fit(fit)
    written = [odinn.save(fit, folder), odinn.save(study, folder / "start.nc")]
    written += _tables(fit, folder)
    resolved = folder / "config.yaml"
    resolved.write_text(to_yaml(settings))
    if plots:
        written += draw_inversion(fit, study, before, folder)
    return fit, [*written, resolved]


def _tables(fit: Inversion, folder: Path) -> list[Path]:
    """history.csv and misfits.csv."""
    history, misfits = folder / "history.csv", folder / "misfits.csv"
    fit.history.to_dataframe().to_csv(history)
    names = report.terms_of(fit)
    with misfits.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["rgi_id", *names])
        for rgi_id, own in fit.misfits.items():
            rows.writerow([rgi_id, *(own.get(name, "") for name in names)])
    return [history, misfits]
