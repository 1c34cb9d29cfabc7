"""The glaciers of a configuration: opened, each under the scenario of its section."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import odinn
from odinn.cli.config import GlacierSection
from odinn.cli.schema import suggest
from odinn.data.demo.rakaia import FOLDER, demo_climate
from odinn.data.series import is_series
from odinn.errors import InputError, of_glacier


def opened(section: GlacierSection) -> Iterator[Callable[[], odinn.Glacier]]:
    """Of each source of a section, how to open it."""
    listed = section.source if isinstance(section.source, list) else [section.source]
    for source in listed:
        if source == "demo" or source.startswith("demo:"):
            for rgi_id in _demo_ids(source.partition(":")[2]):
                yield partial(_open_demo, rgi_id, section)
        else:
            yield partial(_open, _filled_in(source), section)


def wanted_climate(section: GlacierSection) -> str | odinn.Climate | None:
    """The ``climate=`` of ``odinn.open_glacier``: a product's name, a series that was read from a
    file, or None.
    """
    climate = section.climate
    name = None if climate.product is None else _filled_in(climate.product)
    if climate.ref_height is None:
        return name
    if name is None or not is_series(name):
        raise InputError(
            "glacier.climate.ref_height: belongs to a file (product: series.csv); products have "
            "their own"
        )
    return odinn.open_climate(name, ref_height=climate.ref_height)


def in_scenario(glacier: odinn.Glacier, section: GlacierSection) -> odinn.Glacier:
    """The glacier under the scenario of its section; itself where there is none."""
    asked = section.climate
    if asked.scenario is None and (asked.temp, asked.precip) == (0.0, 1.0):
        return glacier
    climate = glacier.climate
    if climate is None:
        message = "glacier.climate: a scenario needs a series, and this glacier has none"
        raise InputError(of_glacier(glacier.rgi_id, message))
    # The section is checked: with a scenario comes a period.
    options = (asked.seed, asked.block_years) if asked.scenario == "random" else ()
    try:
        if asked.scenario is not None:
            climate = getattr(climate, asked.scenario)(asked.period, *options)
        return glacier.replace(climate=climate.shift(asked.temp, asked.precip))
    except InputError as error:
        # A series does not know whose it is.
        raise type(error)(of_glacier(glacier.rgi_id, str(error))) from error


def _filled_in(path: str) -> str:
    # Variables first: one may hold a path that begins with ~.
    return os.path.expanduser(os.path.expandvars(path))


def _open(
    path: str | Path, section: GlacierSection, otherwise: odinn.Climate | None = None
) -> odinn.Glacier:
    climate = wanted_climate(section)  # None leaves the choice to open_glacier
    return odinn.open_glacier(
        path,
        climate=otherwise if climate is None else climate,
        thickness=section.thickness,
        coarsen=section.coarsen,
    )


def _open_demo(rgi_id: str, section: GlacierSection) -> odinn.Glacier:
    """An embedded glacier, under its idealised climate unless another is named."""
    return _open(FOLDER / f"{rgi_id}.nc", section, demo_climate())


def _demo_ids(rgi_id: str) -> list[str]:
    """Ids of the embedded glaciers: the one that is named, or all of them."""
    known = sorted(path.stem for path in FOLDER.glob("*.nc"))
    if rgi_id and rgi_id not in known:
        near, names = suggest(rgi_id, known), ", ".join(known)
        raise InputError(f"demo:{rgi_id}: no such embedded glacier{near}; known: {names}")
    return [rgi_id] if rgi_id else known
