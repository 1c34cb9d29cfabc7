"""The glaciers of a configuration: opened, each under the scenario of its section."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import odinn
from odinn.cli.schema import Values, at
from odinn.data.opening import each_source
from odinn.data.series import is_series
from odinn.errors import InputError, of_glacier

Paths = TypeVar("Paths", str, list)


def opened(section: Values) -> Iterator[tuple[str, Callable[[], odinn.Glacier]]]:
    """Each source of a section, and how to open it."""
    for source in each_source(_filled_in(section["source"])):
        yield str(source), partial(_open, source, section)


def wanted_climate(section: Values) -> str | odinn.Climate | None:
    """The ``climate=`` of ``odinn.open_glacier``: a product's name, a series that was read from a
    file, or None.
    """
    product, height = section["climate"]["product"], section["climate"]["ref_height"]
    name = None if product is None else _filled_in(product)
    if height is None:
        return name
    if name is None or not is_series(name):
        raise InputError(
            "glacier.climate.ref_height: belongs to a file (product: series.csv); products have "
            "their own"
        )
    return odinn.open_climate(name, ref_height=height)


def in_scenario(glacier: odinn.Glacier, section: Values) -> odinn.Glacier:
    """The glacier under the scenario of its section; itself where there is none."""
    asked, climate = section["climate"], glacier.climate
    scenario, change = asked["scenario"], (asked["temp"], asked["precip"])
    if scenario is None and change == (0.0, 1.0):
        return glacier
    if climate is None:
        message = "glacier.climate: a scenario needs a series, and this glacier has none"
        raise InputError(of_glacier(glacier.rgi_id, message))
    options = (asked["seed"], asked["block_years"]) if scenario == "random" else ()
    with at(glacier.rgi_id):  # a series does not know whose it is
        if scenario is not None:
            climate = getattr(climate, scenario)(asked["period"], *options)
        return glacier.replace(climate=climate.shift(*change))


def _filled_in(path: Paths) -> Paths:
    if isinstance(path, list):
        return [_filled_in(one) for one in path]
    # Variables first: one may hold a path that begins with ~.
    return os.path.expanduser(os.path.expandvars(path))


def _open(source: str, section: Values) -> odinn.Glacier:
    return odinn.open_glacier(
        source,
        climate=wanted_climate(section),  # None leaves the choice to open_glacier
        thickness=section["thickness"],
        coarsen=section["coarsen"],
    )
