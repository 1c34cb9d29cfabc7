"""``odinn invert``: from a configuration to a folder with what was learned, its history, misfits
and pictures.
"""

from __future__ import annotations

import csv
from pathlib import Path

import typer
from rich.table import Table

import odinn
from odinn.atomic import path_of, whole_or_nothing, write_text
from odinn.cli import inverting, report
from odinn.cli.checkpoints import begin_checkpoint, checkpoint_of, steps_done, steps_to_continue
from odinn.cli.config import to_yaml
from odinn.cli.drawing import draw_inversion
from odinn.cli.inverting import InversionSetup
from odinn.cli.learning import build_optimizer, read_invert_config
from odinn.cli.report import console, errors
from odinn.cli.running import writable
from odinn.cli.schema import Values
from odinn.errors import SolverError
from odinn.learning.driver import Inversion
from odinn.results.codec import require_registered


def invert(path: Path, overrides: list[str], *, check: bool, fresh: bool) -> None:
    """Learn what a configuration says, or only say what would be learned."""
    config = read_invert_config(path, overrides)
    folder, plots = path_of(config["output"]["directory"]), config["output"]["plots"]
    done = None
    if not check:  # before the hours of work
        writable(folder)
        done = None if fresh else steps_to_continue(config)
    setup = inverting.prepared(config, str(path), trial=check, say=console.print)
    _say_setup(setup, about="about " if check and config["synthetic"] is not None else "")
    if check:
        console.print("Nothing was run. Without --check this inversion starts.")
        return
    require_registered(setup, "output.directory")
    checkpoint = checkpoint_of(config)
    if done is None:
        begin_checkpoint(config)
    else:
        console.print(f"Continuing from {checkpoint}: {done} steps are done (--fresh starts anew)")
    try:
        fit = _learned(config, setup, str(path))
    except KeyboardInterrupt:  # what is learned so far is in the checkpoint
        steps = steps_done(checkpoint)
        kept = f"{checkpoint} holds {steps} steps" if steps is not None else "no step was done yet"
        errors.print(f"Interrupted: {kept}. The same command continues from there.")
        raise typer.Exit(130) from None
    except SolverError as error:  # it may not say which glacier
        raise inverting.failing_glacier(setup, error) from error
    report.print_fit(fit)
    written = [odinn.save(fit, folder), odinn.save(setup, folder / "start.nc")]
    written += _tables(fit, folder)
    settings = folder / "config.yaml"
    write_text(settings, to_yaml(config))
    if plots:
        written += draw_inversion(fit, setup, folder)
    report.listed([*written, settings])
    report.print_where_to_look(fit, folder, plots=plots)


def _say_setup(setup: InversionSetup, about: str) -> None:
    """What would be learned, and from which data; ``about`` stands before numbers of data that are
    not there yet.
    """
    learned = inverting.learned_rows(setup)
    table = Table("slot", "learned as", "numbers", "between", title="What is learned")
    for slot, what, count, between in learned:
        table.add_row(slot, what, str(count), between)
    console.print(table)
    table = Table("glacier", "term", "data", title="From which data")
    for rgi_id, term, number in inverting.data_rows(setup):
        table.add_row(rgi_id, term, f"{about}{number}")
    console.print(table)
    total, (start, end) = sum(count for _, _, count, _ in learned), setup.period
    console.print(f"{total} numbers from {len(setup.glaciers)} glacier(s), {start:g} to {end:g}")


def _learned(config: Values, setup: InversionSetup, path: str) -> Inversion:
    return odinn.invert(
        setup.model,
        setup.glaciers,
        setup.loss,
        setup.period,
        optimizer=build_optimizer(config, path),
        checkpoint=checkpoint_of(config),
        seed=config["seed"],
        **setup.options,
    )


def _tables(fit: Inversion, folder: Path) -> list[Path]:
    """history.csv and misfits.csv."""
    history, misfits = folder / "history.csv", folder / "misfits.csv"
    with whole_or_nothing(history) as partial:
        fit.history.to_dataframe().to_csv(partial)
    names = report.terms_of(fit)
    with (
        whole_or_nothing(misfits) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.writer(file)
        rows.writerow(["rgi_id", *names])
        for rgi_id, own in fit.misfits.items():
            rows.writerow([rgi_id, *(own.get(name, "") for name in names)])
    return [history, misfits]
