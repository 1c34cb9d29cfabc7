"""``odinn info``: what a glacier or a result holds."""

from __future__ import annotations

from pathlib import Path

import equinox as eqx

import odinn
from odinn.atomic import path_of
from odinn.cli import report
from odinn.cli.config import GLACIER
from odinn.cli.schema import resolved
from odinn.cli.sources import opened
from odinn.data.opening import no_glacier
from odinn.errors import InputError
from odinn.results.snapshot import is_saved


def info(path: str, climate: str | None, thickness: str | None, coarsen: int) -> None:
    """Show what a glacier or a result holds."""
    place = path_of(path)
    # The embedded glaciers are meant whatever folders there are of that name.
    if path != "demo" and not path.startswith("demo:"):
        loaded = _saved(place)
        if loaded is not None:
            report.show(loaded)
            return
        what = no_glacier(place) if place.exists() else None
        if what is not None:
            raise InputError(
                f"{path}: is {what}. `odinn info` takes a glacier (a NetCDF file, an OGGM "
                "directory, demo:RGI-id) or a result (a file of odinn run, the folder of odinn "
                "invert)"
            )
    section = {"source": path, "climate": climate, "thickness": thickness, "coarsen": coarsen}
    said: frozenset[str] = frozenset()  # the embedded glaciers share their notes
    for _, open_it in opened(resolved(GLACIER, section, "info")):
        said |= {report.describe(open_it(), said)}


def _saved(path: Path) -> eqx.Module | None:
    """What odinn.save has put there; None for anything else."""
    if not path.exists() or (path / "gridded_data.nc").exists() or not is_saved(path):
        return None
    return odinn.load(path)
