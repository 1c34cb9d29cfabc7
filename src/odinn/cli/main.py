"""``odinn``: run, invert, calibrate, info, plot, export, verify, demo.

Exit codes: 0 done; 1 a run, a calibration or a verification failed; 2 the input is wrong;
130 an inversion was interrupted.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from odinn.errors import InputError, OdinnError

app = typer.Typer(
    no_args_is_help=True,
    help="Glacier evolution with learnable physics.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Overrides = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", help="Override a key: -s run.t1=2015 (may be repeated)."),
]

Registered = Annotated[
    list[str] | None,
    typer.Option(
        "--register",
        metavar="MODULE",
        help="Import a module, installed or in this folder, that registers classes of one's own "
        "(odinn.register), so that files which hold them can be read (may be repeated).",
    ),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"odinn {version('odinn-model')}")
        raise typer.Exit()


# The commands load what they need themselves: `odinn --help` is not to wait for JAX.


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Glacier evolution with learnable physics."""


@app.command(epilog="Example: odinn run examples/argentiere.yaml -s run.t1=2015")
def run(
    config: Annotated[Path, typer.Argument(help="YAML file; see examples/argentiere.yaml.")],
    overrides: Overrides = None,
    check: Annotated[
        bool, typer.Option("--check", "--dry-run", help="Only say what would be run.")
    ] = False,
) -> None:
    """Run one or several glaciers and write NetCDF, maps and the resolved configuration."""
    from odinn.cli import running

    if running.run(config, overrides or [], check=check):
        raise typer.Exit(1)


@app.command(epilog="Example: odinn calibrate examples/argentiere.yaml")
def calibrate(
    config: Annotated[
        Path, typer.Argument(help="The same YAML file as for run, with a calibrate: section.")
    ],
    overrides: Overrides = None,
) -> None:
    """Solve for one number of the mass balance so that the mean balance meets a target; compare
    with measurements.
    """
    from odinn.cli import running

    running.calibrate(config, overrides or [])


@app.command(epilog="Example: odinn invert examples/invert_law.yaml --check")
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
    from odinn.cli import inversion

    inversion.invert(config, overrides or [], check=check, fresh=fresh)


@app.command(epilog="Example: odinn info demo:Ramsay")
def info(
    path: Annotated[
        str,
        typer.Argument(
            help="A glacier (NetCDF file, OGGM directory, demo:RGI-id) or a result (a file of "
            "odinn run, the folder of odinn invert)."
        ),
    ],
    climate: Annotated[str | None, typer.Option(help="Climate product.")] = None,
    thickness: Annotated[str | None, typer.Option(help="Thickness product.")] = None,
    coarsen: Annotated[int, typer.Option(help="Average blocks of k x k cells.")] = 1,
    register: Registered = None,
) -> None:
    """Show what a glacier or a result holds."""
    from odinn.cli import showing

    _import(register)
    showing.info(path, climate, thickness, coarsen)


@app.command(epilog="Example: odinn plot results/RGI60-11.03638.nc -w summary,section")
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
    register: Registered = None,
) -> None:
    """Draw maps, curves, cross-sections, a one-page summary or a moving picture of a result."""
    from odinn.cli import drawing

    _import(register)
    if listing:
        drawing.list_figures()
    else:
        drawing.plot(path, _names(what), output, format=format, line=line, field=field)


@app.command(epilog="Example: odinn export results/RGI60-11.03638.nc -f speed --at 2015-10-01")
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
    register: Registered = None,
) -> None:
    """Write maps of a result as GeoTIFF, for QGIS and the like."""
    from odinn.cli import drawing

    _import(register)
    drawing.export(path, _names(field) or ["thickness"], output, at)


@app.command(epilog="Example: odinn verify bedrock-step")
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
    from odinn.cli import verifying

    chosen = verifying.problems(names or [], slow=slow)
    if listing:
        verifying.list_problems()
    elif verifying.verify(chosen, markdown):
        raise typer.Exit(1)


@app.command(epilog="Example: odinn demo -o pictures")
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
    from odinn.cli.report import console

    run_demo(output, console.print, years=years, coarsen=coarsen)


def main() -> None:
    """Entry point: errors a user can act on are one message and an exit code, not a traceback."""
    warnings.showwarning = lambda message, *_: _warn(message)
    try:
        app()
    except (OdinnError, OSError) as error:
        from odinn.cli.report import complain

        complain(error)
        sys.exit(2 if isinstance(error, InputError) else 1)


def _warn(message: Warning | str) -> None:
    from odinn.cli.report import caution

    caution(message)


def _import(modules: list[str] | None) -> None:
    """Import modules that the user names; those in the working folder are found, too."""
    from importlib import import_module

    folder = str(Path.cwd())
    for name in modules or []:
        sys.path.insert(0, folder)
        try:
            import_module(name)
        except (ImportError, ValueError) as error:  # ValueError: no name
            raise InputError(
                f"--register: cannot import {name!r}: {error}. Give the name of a module, such as "
                "my_laws for my_laws.py in this folder"
            ) from error
        finally:
            sys.path.remove(folder)


def _names(given: list[str] | None) -> list[str]:
    """Names that were given with commas between or by repeating the option, each once."""
    names = (name.strip() for name in ",".join(given or []).split(","))
    return list(dict.fromkeys(filter(None, names)))
