"""What the command line says: glaciers, runs and inversions in a few lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from odinn.data.products import note

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 180)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def describe(glacier: Any, notes: frozenset[str] = frozenset()) -> str:
    """What a glacier is and holds, and the note on its data unless it is among ``notes``: that
    note.
    """
    console.print(f"[bold]{glacier.rgi_id}[/] {glacier.name}")
    console.print(f"  grid       {glacier.grid}")
    console.print(
        f"  ice        {glacier.area / 1e6:.2f} km2, {glacier.volume / 1e9:.4f} km3, up to "
        f"{glacier.thickness.max():.0f} m"
    )
    if "coarsened" in glacier.provenance:
        k, areas = (glacier.provenance[key] for key in ("coarsen", "coarsened"))
        console.print(
            f"  coarsened  {k} x {k} cells in one: {areas} (edges are spread over blocks), volume "
            "kept"
        )
    console.print(f"  thickness  {glacier.provenance.get('thickness', 'given')}")
    console.print(f"  climate    {glacier.climate if glacier.climate is not None else 'none'}")
    observed = [
        f for f in glacier.observations.FIELDS if getattr(glacier.observations, f) is not None
    ]
    observed += ["annual balance"] if glacier.observations.mass_balance is not None else []
    console.print(f"  observed   {', '.join(observed) or 'nothing'}")
    remarks = note(glacier.provenance)
    if remarks and remarks not in notes:
        console.print(f"  note       {remarks}", markup=False)
    if "oggm_calibration" in glacier.provenance:
        console.print(
            f"  OGGM       {glacier.provenance['oggm_calibration']} (melt_f in kg m-2 K-1 d-1; "
            "not used)"
        )
    return remarks


def show(found: Any) -> None:
    """What a file of ``odinn.save`` holds: a run, an inversion, a glacier, or a module that is
    printed.
    """
    from odinn.glacier import Glacier
    from odinn.learning.driver import Inversion
    from odinn.results.simulation import Simulation

    if isinstance(found, Simulation):
        describe(found.glacier)
        summarise(found)
    elif isinstance(found, Inversion):
        for glacier in found.glaciers:
            console.print(str(glacier))
        print_fit(found)
    elif isinstance(found, Glacier):
        describe(found.settled())
    else:
        console.print(repr(found), markup=False)


def summarise(sim: Any) -> None:
    """Volume, area, budget and steps of a run."""
    budget = sim.budget
    km3 = lambda key: f"{budget[key] / 1e9:.4f}"
    console.print(
        f"  run        {sim.times[0]:.2f} to {sim.times[-1]:.2f}: {km3('initial')} to "
        f"{km3('final')} km3, {sim.steps}, "
        f"{sim.seconds:.1f} s"
    )
    console.print(
        f"  budget     +{km3('accumulation')} -{km3('ablation')} km3, lost at the border "
        f"{km3('lost_at_border')}, clipped "
        f"{km3('clipped')}, residual {sim.relative_residual:.0e}"
    )
    if sim.hydrology is not None:
        water = sim.hydrology.series()
        area = sim.hydrology.domain.sum() * sim.hydrology.cell_area
        per_year = lambda name: water[name].sum() / area / (sim.times[-1] - sim.times[0])
        console.print(
            f"  water      precipitation {per_year('precipitation'):.2f}, runoff "
            f"{per_year('runoff'):.2f} m yr-1 over "
            f"{area / 1e6:.2f} km2 ({len(water['runoff'])} months), residual "
            f"{sim.relative_water_residual:.0e}"
        )
    if budget["lost_at_border"] > 1e-3 * max(budget["initial"], 1.0):
        errors.print(
            "[yellow]warning:[/] ice reached the border of the grid and was lost; use a larger grid"
        )


def print_plan(said: dict[str, str]) -> None:
    """What a run would be."""
    for heading, text in said.items():
        console.print(f"  {heading:10s} {text}", markup=False)


def print_study(study: Any, *, stand_in: bool) -> None:
    """What an inversion would learn, and from which data."""
    from odinn.cli.inverting import described

    learned, data = described(study)
    table = Table("slot", "learned as", "numbers", "between", title="What is learned")
    for slot, what, count, between in learned:
        table.add_row(slot, what, str(count), between)
    console.print(table)
    table = Table("glacier", "term", "data", title="From which data")
    for rgi_id, term, number in data:
        table.add_row(rgi_id, term, f"about {number}" if stand_in else number)
    console.print(table)
    t0, t1 = study.span
    total = sum(count for _, _, count, _ in learned)
    console.print(f"{total} numbers from {len(study.glaciers)} glacier(s), {t0:g} to {t1:g}")


def print_fit(fit: Any) -> None:
    """What an inversion has learned."""
    import numpy as np

    from odinn.model.binding import learned_slots
    from odinn.numbers.parameter import Parameter

    console.print(f"[bold]{fit}[/]")
    for path, slot in learned_slots(fit.model).items():
        if isinstance(slot.value, Parameter):
            own = slot.value.physical()
            for rgi_id, number in own.items() if isinstance(own, dict) else [("all glaciers", own)]:
                shown = np.asarray(number)
                field = (
                    f"{shown.min():.4g} to {shown.max():.4g}"
                    if shown.ndim
                    else f"{float(shown):.4g}"
                )
                console.print(f"  {path} = {field} ({rgi_id})")
    for found in fit.at_bounds:
        console.print(f"  [yellow]{found}[/]")
    names = list(dict.fromkeys(name for own in fit.misfits.values() for name in own))
    table = Table(
        "glacier",
        *names,
        title="Misfit: mean squared (modelled − observed) / error; 1 is as good as the data",
    )
    for rgi_id, own in fit.misfits.items():
        table.add_row(rgi_id, *(f"{own[n]:.3g}" if n in own else "-" for n in names))
    console.print(table)


def print_where_to_look(fit: Any, folder: Path, *, plots: bool) -> None:
    """Which files to open first."""
    from odinn.model.binding import learned_slots
    from odinn.physics.laws.base import AbstractLaw

    if plots:
        laws = [
            folder / f"{path}.png"
            for path, slot in learned_slots(fit.model).items()
            if isinstance(slot.value, AbstractLaw)
        ]
        first = [str(p) for p in [*laws, folder / "history.png"] if p.exists()]
        console.print(
            f"Look at {' and '.join(first)} first, then at the maps in "
            f"{folder / fit.glaciers[0].rgi_id}."
        )
    console.print(
        f'In Python: fit = odinn.load("{folder}"); fit.model, fit.history, fit.simulate()'
    )


def write_markdown(path: Path, rows: Sequence[tuple[str, ...]]) -> None:
    """The table of a verification as Markdown."""
    lines = ["| problem | quantity | measured | bar | unit | source |", "|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    path.write_text("\n".join(lines) + "\n")


def listed(paths: list[Path]) -> None:
    """Files that were written."""
    for path in paths:
        console.print(f"  wrote      {path}")


def complain(error: Exception) -> None:
    """An error as one message."""
    errors.print(f"[red]error:[/] {error}")
