"""``odinn``: run, invert, calibrate, info, plot, export, verify, demo.

Exit codes: 0 done; 1 a run, a calibration or a verification failed; 2 the input is wrong;
130 an inversion was interrupted.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from odinn.cli import report
from odinn.cli.report import console, errors
from odinn.errors import InputError, OdinnError, SolverError

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Glacier evolution with learnable physics."
)

Overrides = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", help="Override a key: -s run.t1=2015 (may be repeated)."),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.print(f"odinn {version('odinn-model')}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Glacier evolution with learnable physics."""


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="YAML file; see examples/argentiere.yaml.")],
    overrides: Overrides = None,
    check: Annotated[
        bool, typer.Option("--check", "--dry-run", help="Only say what would be run.")
    ] = False,
) -> None:
    """Run one or several glaciers and write NetCDF, maps and the resolved configuration."""
    import odinn
    from odinn.cli.config import (
        build_model,
        build_stepper,
        in_scenario,
        opened,
        read_config,
        to_yaml,
    )
    from odinn.cli.planning import plan
    from odinn.results.codec import require_registered

    settings = read_config(config, overrides or [])
    if settings.run is None:
        raise InputError(f"{config}: run: is required (t0, t1)")
    folder = Path(settings.output.directory)
    model, stepper = build_model(settings), build_stepper(settings.run.stepper)
    failures, seen = 0, set()
    if check:
        console.print(repr(model), markup=False)
    for _, open_it in opened(settings.glacier):
        try:
            glacier = open_it()
            report.describe(glacier)
            under = in_scenario(glacier, settings.glacier)
            if under is not glacier:
                console.print(f"  run under  {under.climate}")
            if glacier.rgi_id in seen:
                raise InputError(
                    f"{glacier.rgi_id}: appears twice in glacier.source; results are kept by id"
                )
            seen.add(glacier.rgi_id)
            if model.mass_balance is None:
                console.print("  balance    none: only flow (model.mass_balance is not set)")
            if check:
                report.print_plan(plan(settings, model, glacier, under))
                continue
            _writable(folder)
            own = (
                model
                if settings.calibrate is None
                else _calibrated(model, glacier, settings.calibrate)
            )
            require_registered([own, under], "output.directory")
            sim = odinn.simulate(
                own,
                under,
                settings.run.t0,
                settings.run.t1,
                save_every=settings.run.save_every,
                stepper=stepper,
                coupling=settings.run.coupling,
                hydrology=settings.run.hydrology,
                dtype=settings.run.dtype,
                max_steps=settings.run.max_steps,
            )
        except OdinnError as error:
            if settings.run.on_error == "raise":
                raise
            failures += 1
            report.complain(error)
            continue
        report.summarise(sim)
        stem = folder / glacier.rgi_id
        written = [odinn.save(sim, stem.with_name(f"{glacier.rgi_id}.{settings.output.format}"))]
        if settings.output.plots:
            written += odinn.plot.save_all(sim, stem)
        report.listed(written)
    if check:
        console.print("Nothing was run. Without --check this run starts.")
    else:
        _writable(folder)
        resolved = folder / "config.yaml"
        resolved.write_text(to_yaml(settings))
        console.print(f"Settings as used: {resolved}")
    if failures:
        raise typer.Exit(1)


@app.command()
def calibrate(
    config: Annotated[
        Path, typer.Argument(help="The same YAML file as for run, with a calibrate: section.")
    ],
    overrides: Overrides = None,
) -> None:
    """Solve for one number of the mass balance so that the mean balance meets a target; compare
    with measurements.
    """
    from odinn.cli.config import CalibrateSection, build_model, opened, read_config

    settings = read_config(config, overrides or [])
    for _, open_it in opened(settings.glacier):
        glacier = open_it()
        report.describe(glacier)
        _calibrated(build_model(settings), glacier, settings.calibrate or CalibrateSection())


@app.command()
def invert(
    config: Annotated[Path, typer.Argument(help="YAML file; see examples/invert_law.yaml.")],
    overrides: Overrides = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", "--dry-run", help="Only say what would be learned from which data."
        ),
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew even if there is a checkpoint.")
    ] = False,
) -> None:
    """Learn numbers, fields or laws of a model from observations; a run that was cut is
    continued.
    """
    import odinn
    from odinn.cli import inverting, pictures
    from odinn.cli.config import to_yaml
    from odinn.cli.learning import build_optimizer, read_invert_config
    from odinn.results.codec import require_registered

    settings, place = read_invert_config(config, overrides or []), str(config)
    if not check:
        _writable(settings.folder)
        done = None if fresh else inverting.steps_to_continue(settings)
    study = inverting.prepared(settings, place, trial=check, say=console.print)
    report.print_study(study, stand_in=check and settings.synthetic is not None)
    if check:
        console.print("Nothing was run. Without --check this inversion starts.")
        return
    require_registered(study, "output.directory")
    checkpoint = settings.checkpoint_path
    if done is None:
        inverting.begin_checkpoint(settings)
    else:
        console.print(f"Continuing from {checkpoint}: {done} steps are done (--fresh starts anew)")
    try:
        before = (
            inverting.modelled(study, study.model, study.glaciers) if settings.output.plots else {}
        )
        fit = odinn.invert(
            study.model,
            study.glaciers,
            study.loss,
            study.span,
            optimizer=build_optimizer(settings, place),
            checkpoint=checkpoint,
            seed=settings.seed,
            **study.options,
        )
        report.print_fit(fit)
        folder = settings.folder
        written = [odinn.save(fit, folder), odinn.save(study, folder / "start.nc")]
        written += inverting.write_tables(fit, folder)
        (folder / "config.yaml").write_text(to_yaml(settings))
        if settings.output.plots:
            written += pictures.save_all(fit, study, before, folder)
    except KeyboardInterrupt:
        steps = inverting.steps_done(checkpoint)
        kept = f"{checkpoint} holds {steps} steps" if steps is not None else "no step was done yet"
        errors.print(f"Interrupted: {kept}. The same command continues from there.")
        raise typer.Exit(130) from None
    except SolverError as error:
        raise inverting.failing_glacier(study, error) from error
    report.listed([*written, folder / "config.yaml"])
    report.print_where_to_look(fit, folder, plots=settings.output.plots)


@app.command()
def info(
    path: Annotated[
        str,
        typer.Argument(
            help="A glacier (NetCDF file, OGGM directory, demo:RGI-id) or a result (a file of odinn run, the folder of odinn "
            "invert)."
        ),
    ],
    climate: Annotated[str | None, typer.Option(help="Climate product.")] = None,
    thickness: Annotated[str | None, typer.Option(help="Thickness product.")] = None,
    coarsen: Annotated[int, typer.Option(help="Average blocks of k x k cells.")] = 1,
) -> None:
    """Show what a glacier or a result holds."""
    from odinn.cli.config import GlacierSection, opened
    from odinn.data.opening import no_glacier

    place, embedded = (
        Path(path),
        path == "demo" or path.startswith("demo:"),
    )  # whatever folders there are of that name
    if not embedded and (loaded := _saved(place)) is not None:
        report.show(loaded)
        return
    if not embedded and place.exists() and (what := no_glacier(place)) is not None:
        raise InputError(
            f"{path}: is {what}. `odinn info` takes a glacier (a NetCDF file, an OGGM directory, "
            "demo:RGI-id) or a result (a "
            "file of odinn run, the folder of odinn invert)"
        )
    section = {"source": path, "climate": climate, "thickness": thickness, "coarsen": coarsen}
    said: frozenset[str] = frozenset()  # the embedded glaciers share their notes
    for _, open_it in opened(GlacierSection.model_validate(section)):
        said |= {report.describe(open_it(), said)}


@app.command()
def plot(
    path: Annotated[
        Path | None, typer.Argument(help="A result of odinn run, or the folder of odinn invert.")
    ] = None,
    what: Annotated[
        list[str] | None,
        typer.Option(
            "-w", "--what", help="Figures by name, with commas between or repeated; see --list."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder; default: beside the result.")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="Of figures: png, pdf or svg.")] = "png",
    line: Annotated[
        str | None,
        typer.Option(
            help="Of cross-sections, in projected metres: 'x,y x,y ...'; default: the central line."
        ),
    ] = None,
    field: Annotated[
        str, typer.Option(help="That gif and mp4 show: thickness, speed or change.")
    ] = "thickness",
    listing: Annotated[bool, typer.Option("--list", help="Only list the figures.")] = False,
) -> None:
    """Draw maps, curves, cross-sections, a one-page summary or a moving picture of a result."""
    import odinn
    from odinn.learning.driver import Inversion
    from odinn.plot import figures

    if listing:
        for name, shows in [(n, kind.shows) for n, kind in figures.FIGURES.items()] + list(
            figures.MOVING.items()
        ):
            console.print(
                f"{name:20s} {shows}{' (drawn by default)' if name in figures.DEFAULT else ''}"
            )
        return
    if path is None:
        raise InputError("plot: no result given, such as results/argentiere/RGI60-11.03638.nc")
    chosen = _names(what) or list(figures.DEFAULT)
    figures.check(chosen, format, field)
    corners = None if line is None else _corners(line)
    folder = output or path.with_suffix("")
    sim = odinn.load(path)
    if isinstance(sim, Inversion):
        report.listed(_plots_of_inversion(sim, path if path.is_dir() else path.parent, output))
        return
    _simulation(sim, path)
    _writable(folder, "--output")
    drawn = odinn.plot.save_all(sim, folder, chosen, format=format, line=corners, field=field)  # type: ignore[arg-type]
    report.listed(drawn)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="A result of odinn run or odinn.save.")],
    field: Annotated[
        list[str] | None,
        typer.Option(
            "-f",
            "--field",
            help="thickness, surface, speed, vx, vy, smb, bed, glacier_mask, change; repeatable.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A .tif file, or a folder for several; default: beside the result.",
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="A saved time: 2015-10-01 or 2015.75; default: the last.")
    ] = None,
) -> None:
    """Write maps of a result as GeoTIFF, for QGIS and the like."""
    import odinn
    from odinn.results.geotiff import FIELDS

    fields = _names(field) or ["thickness"]
    for unknown in [f for f in fields if f not in FIELDS]:
        raise InputError(f"--field: no field {unknown!r}: choose from {', '.join(FIELDS)}")
    one = output is not None and output.suffix.lower() in (".tif", ".tiff")
    if one and len(fields) > 1:
        raise InputError(f"--output: {output} is one file for {len(fields)} fields; give a folder")
    folder = path.parent if output is None else output.parent if one else output
    time = None if at is None else _time(at)
    sim = _simulation(odinn.load(path), path)
    _writable(folder, "--output")
    ds = sim.to_dataset()
    targets = [
        output if one and output is not None else folder / f"{path.stem}_{f}.tif" for f in fields
    ]
    report.listed(
        [
            odinn.to_geotiff(ds, f, target, at=time)
            for f, target in zip(fields, targets, strict=True)
        ]
    )


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Problems; all of the fast ones by default.")
    ] = None,
    slow: Annotated[bool, typer.Option("--slow", help="The long ones, too.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Only list the problems.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the table to this Markdown file, too.")
    ] = None,
) -> None:
    """Compare with exact solutions and published errors."""
    from odinn.verification.problems import PROBLEMS

    unknown = [n for n in names or [] if n not in PROBLEMS]
    if unknown:
        raise InputError(f"verify: no problem {unknown[0]!r}; known: {', '.join(PROBLEMS)}")
    chosen = (
        [PROBLEMS[n] for n in names]
        if names
        else [p for p in PROBLEMS.values() if slow or not p.slow]
    )
    if listing:
        for name, problem in PROBLEMS.items():
            console.print(f"{name:28s} {problem.what}{' (slow)' if problem.slow else ''}")
        return
    rows = []
    table = Table(
        "problem", "quantity", "measured", "bar", "unit", "", "source", title="Verification"
    )
    failed = 0
    for problem in chosen:
        with errors.status(f"{problem.name}: {problem.what}"):
            result = problem.run()
        for i, row in enumerate(result.rows):
            mark = "[green]ok[/]" if row.passed else "[red]FAILED[/]"
            failed += not row.passed
            label = f"{problem.name} ({result.seconds:.0f} s)" if i == 0 else ""
            rows.append(
                (label, row.quantity, f"{row.measured:.6g}", str(row.bar), row.unit, row.source)
            )
            table.add_row(
                label, row.quantity, f"{row.measured:.6g}", str(row.bar), row.unit, mark, row.source
            )
    console.print(table)
    if markdown is not None:
        report.write_markdown(markdown, rows)
    console.print("all passed" if not failed else f"[red]{failed} failed[/]")
    if failed:
        raise typer.Exit(1)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")] = Path(
        "demo"
    ),
    years: Annotated[int, typer.Option(help="Length of the runs.")] = 50,
    coarsen: Annotated[
        int, typer.Option(help="Average blocks of k x k cells of 50 m in the runs.")
    ] = 1,
) -> None:
    """Show two embedded glaciers, run them under two climates, and learn a law: pictures and
    NetCDF, in a few minutes.
    """
    from odinn.cli.demo import run_demo

    run_demo(output, console.print, years=years, coarsen=coarsen)


def main() -> None:
    """Entry point: errors a user can act on are one message and an exit code, not a traceback."""
    warnings.showwarning = lambda message, *_: errors.print(f"[yellow]warning:[/] {message}")
    try:
        app()
    except InputError as error:
        report.complain(error)
        sys.exit(2)
    except (OdinnError, OSError) as error:
        report.complain(error)
        sys.exit(1)


def _saved(path: Path) -> Any:
    """What odinn.save has put there; None for anything else."""
    import odinn
    from odinn.results.snapshot import is_saved

    if not path.exists() or (path / "gridded_data.nc").exists() or not is_saved(path):
        return None
    return odinn.load(path)


def _names(given: list[str] | None) -> list[str]:
    """Names that were given with commas between or by repeating the option, each once."""
    return list(
        dict.fromkeys(
            name.strip() for part in given or [] for name in part.split(",") if name.strip()
        )
    )


def _corners(line: str) -> list[tuple[float, float]]:
    """The corners of a line written as 'x,y x,y ...'."""
    try:
        corners = [tuple(float(number) for number in corner.split(",")) for corner in line.split()]
    except ValueError:
        corners = []
    if len(corners) < 2 or any(len(corner) != 2 for corner in corners):
        raise InputError(
            f"--line: found {line!r}, expected two or more corners such as '350200,5091800 "
            "351000,5092400'"
        )
    return corners  # type: ignore[return-value]


def _time(text: str) -> float:
    """A decimal year or a date."""
    from odinn.dates import decimal_year

    try:
        return float(text)
    except ValueError:
        return decimal_year(text)


def _simulation(found: Any, path: Path) -> Any:
    """What was found in a file, if it is a simulation."""
    from odinn.results.simulation import Simulation

    if not isinstance(found, Simulation):
        raise InputError(f"{path}: holds a {type(found).__name__}, expected the result of a run")
    return found


def _plots_of_inversion(fit: Any, folder: Path, output: Path | None) -> list[Path]:
    """The pictures of an inversion, drawn again."""
    import odinn
    from odinn.cli import inverting, pictures

    study = odinn.load(folder / "start.nc")
    before = inverting.modelled(study, study.model, study.glaciers)
    return pictures.save_all(fit, study, before, folder if output is None else output)


def _writable(folder: Path, option: str = "output.directory") -> None:
    """Fail before a run or a drawing whose result could not be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".odinn-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{option}: {folder} cannot be written to ({error.strerror}); choose another"
        ) from error


def _calibrated(model: Any, glacier: Any, section: Any) -> Any:
    import odinn
    from odinn.learning.calibration import compare_with_measurements, measured_target

    target, period = measured_target(glacier, section.target, section.period)
    model = odinn.calibrate(model, glacier, target, period, section.vary)
    value = float(getattr(model.mass_balance, section.vary))
    console.print(
        f"  calibrated {section.vary} = {value:.4g} for {target:+.3f} m w.e. yr-1 over "
        f"{period[0]} to {period[1]}"
    )
    comparison = compare_with_measurements(model, glacier, period)
    if comparison is not None:
        console.print(
            f"  against {len(comparison.years)} measured years: correlation "
            f"{comparison.correlation:.2f}, RMSE "
            f"{comparison.rmse:.2f} m w.e. (a constant forecast: {comparison.constant_rmse:.2f})"
        )
    return model
