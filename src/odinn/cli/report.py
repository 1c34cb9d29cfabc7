"""What the command line says: glaciers, runs and inversions in a few lines."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from odinn.data.products import note
from odinn.errors import OdinnError
from odinn.glacier import Glacier
from odinn.model.binding import learned_slots
from odinn.numbers.parameter import Parameter
from odinn.physics.laws.base import AbstractLaw
from odinn.results.simulation import Simulation

if TYPE_CHECKING:  # optax takes its time, and most commands learn nothing
    from odinn.learning.driver import Inversion

# Wide where nobody sees it, so that a log has a line for a line.
# Brackets are no markup: names of glaciers and files print as they are.
_console = partial(Console, highlight=False, soft_wrap=True, markup=False)
console = _console(width=None if sys.stdout.isatty() else 180)
errors = _console(stderr=True)


def describe(glacier: Glacier, notes: frozenset[str] = frozenset()) -> str:
    """What a glacier is and holds, and the note on its data unless it is among ``notes``: that
    note.
    """
    provenance, measured = glacier.provenance, glacier.observations
    console.print(Text.assemble((glacier.rgi_id, "bold"), f" {glacier.name}"))
    line("grid", glacier.grid)
    volume, thickest = f"{glacier.volume / 1e9:.4f} km3", f"up to {glacier.thickness.max():.0f} m"
    line("ice", f"{glacier.area / 1e6:.2f} km2, {volume}, {thickest}")
    if "coarsened" in provenance:
        k, areas = provenance["coarsen"], provenance["coarsened"]
        cells = f"{k} x {k} cells in one"
        line("coarsened", f"{cells}: {areas} (edges are spread over blocks), volume kept")
    line("thickness", provenance.get("thickness", "given"))
    line("climate", glacier.climate if glacier.climate is not None else "none")
    observed = [name for name in measured.FIELDS if getattr(measured, name) is not None]
    if measured.mass_balance is not None:
        observed.append("annual balance")
    line("observed", ", ".join(observed) or "nothing")
    remarks = note(provenance)
    if remarks and remarks not in notes:
        line("note", remarks)
    if "oggm_calibration" in provenance:
        calibration = provenance["oggm_calibration"]
        line("OGGM", f"{calibration} (melt_f in kg m-2 K-1 d-1; not used)")
    return remarks


def show(result: object) -> None:
    """What a file of ``odinn.save`` holds: a run, an inversion, a glacier, or a module that is
    printed.
    """
    from odinn.learning.driver import Inversion

    if isinstance(result, Simulation):
        describe(result.glacier)
        summarise(result)
        for sentence in result.faults:  # of which the run itself has warned
            caution(sentence)
    elif isinstance(result, Inversion):
        for glacier in result.glaciers:
            console.print(str(glacier))
        print_fit(result)
    elif isinstance(result, Glacier):
        describe(result.without_parameters())
    else:
        console.print(repr(result))


def summarise(sim: Simulation) -> None:
    """Volume, area, budget and steps of a run."""
    budget, (start, end) = sim.budget, sim.times[[0, -1]]
    km3 = {key: f"{volume / 1e9:.4f}" for key, volume in budget.items()}
    volumes = f"{km3['initial']} to {km3['final']} km3"
    line("run", f"{start:.2f} to {end:.2f}: {volumes}, {sim.steps}, {sim.seconds:.1f} s")
    line(
        "budget",
        f"+{km3['accumulation']} -{km3['ablation']} km3, "
        f"lost at the border {km3['lost_at_border']}, clipped {km3['clipped']}, "
        f"residual {sim.relative_residual:.0e}",
    )
    if sim.hydrology is not None:
        water = sim.hydrology.series()
        area = sim.hydrology.domain.sum() * sim.hydrology.cell_area
        names = ("precipitation", "runoff")
        rates = [f"{name} {water[name].sum() / area / (end - start):.2f}" for name in names]
        over = f"{area / 1e6:.2f} km2 ({len(water['runoff'])} months)"
        residual = f"residual {sim.relative_water_residual:.0e}"
        line("water", f"{', '.join(rates)} m yr-1 over {over}, {residual}")


def print_fit(fit: Inversion) -> None:
    """What an inversion has learned."""
    console.print(str(fit), style="bold")
    for path, slot in learned_slots(fit.model).items():
        if isinstance(slot.value, Parameter):
            learned = slot.value.physical()
            # One array for all glaciers, or one for each.
            numbers = learned if isinstance(learned, dict) else {"all glaciers": learned}
            for whose, number in numbers.items():
                console.print(f"  {path} = {_range(np.asarray(number))} ({whose})")
    for reached in fit.at_bounds:
        console.print(f"  {reached}", style="yellow")
    names = terms_of(fit)
    title = "Misfit: mean squared (modelled − observed) / error; 1 is as good as the data"
    table = Table("glacier", *names, title=title)
    for rgi_id, terms in fit.misfits.items():
        table.add_row(rgi_id, *(f"{terms[n]:.3g}" if n in terms else "-" for n in names))
    console.print(table)


def terms_of(fit: Inversion) -> list[str]:
    """Names of the terms of data of an inversion, each once."""
    return list(dict.fromkeys(name for terms in fit.misfits.values() for name in terms))


def print_where_to_look(fit: Inversion, folder: Path, *, plots: bool) -> None:
    """Which files to open first."""
    if plots:
        learned = learned_slots(fit.model).items()
        names = [path for path, slot in learned if isinstance(slot.value, AbstractLaw)]
        # Laws of three inputs and more have no picture.
        paths = [folder / f"{name}.png" for name in [*names, "history"]]
        first = " and ".join(str(path) for path in paths if path.exists())
        maps = folder / fit.glaciers[0].rgi_id
        console.print(f"Look at {first} first, then at the maps in {maps}.")
    console.print(
        f'In Python: fit = odinn.load("{folder}"); fit.model, fit.history, fit.simulate()'
    )


def listed(paths: Sequence[Path]) -> None:
    """Files that were written."""
    for path in paths:
        line("wrote", path)


def complain(error: Exception) -> None:
    """An error as one message."""
    errors.print(Text.assemble(("error:", "red"), f" {error}"))


def failed(failures: Mapping[str, Exception], command: str) -> None:
    """A table of the glaciers that failed, and for each the command that shows how.

    Args:
        failures: errors by source. command: that runs the list and stops at an error.
    """
    table = Table(title=f"{len(failures)} failed", title_justify="left", box=None)
    table.add_column("source", overflow="fold")
    table.add_column("error", overflow="fold")
    for source, error in failures.items():
        kind = "" if isinstance(error, OdinnError) else f"{type(error).__name__}: "
        table.add_row(source, f"{kind}{str(error).splitlines()[0] if str(error) else ''}")
    errors.print(table)
    for source in failures:
        errors.print(f"again: {command} -s {shlex.quote(f'glacier.source={source}')}")


def caution(message: object) -> None:
    """A warning as one message, without the line of code that a user can do nothing about."""
    errors.print(Text.assemble(("warning:", "yellow"), f" {message}"))


def line(heading: str, text: object) -> None:
    """A line of what is said of one thing."""
    console.print(f"  {heading:10s} {text}")


def _range(numbers: np.ndarray) -> str:
    if numbers.ndim:
        return f"{numbers.min():.4g} to {numbers.max():.4g}"
    return f"{float(numbers):.4g}"
