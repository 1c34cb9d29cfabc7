"""Climate series of one's own, from CSV or NetCDF."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from odinn.climate import Climate
from odinn.data import products
from odinn.data.netcdf import read_dataset
from odinn.data.units import converted
from odinn.data.weather import climate_from_dataset, climate_from_oggm_form, climate_from_series
from odinn.errors import ClimateError, InputError, where

SUFFIXES = (".csv", ".txt", ".nc", ".nc4")


def open_climate(
    path: str | Path, *, ref_height: float | None = None, name: str | None = None
) -> Climate:
    """A daily or monthly series from a file.

    Args:
        path: CSV with columns time (ISO dates), temp (°C), prcp (kg m⁻², that is mm, per step) and
            optionally gradient (K m⁻¹; without it −0.0065); another unit stands in brackets: ``temp
            [K]``, ``prcp [m]``, ``prcp [mm/day]``. Lines that start with # are comments; ``#
            ref_height: 2400`` gives the height. Or NetCDF with variables of these names, whose
                ``units`` are converted, and the attribute ``ref_hgt``; or a glacier's NetCDF file.
        ref_height: m, the height of the series, in place of what the file says.
        name: of the series, default the file's; for a glacier's NetCDF file the product, such as
            "w5e5".

    Returns:
        The series cut into whole months.

    Raises:
        ClimateError: missing columns, times or values, a unit that is not understood, no height;
            the file is named.

    In monthly series the days of a month are taken as normally distributed about its mean, with the
    standard deviation ``TemperatureIndex(temperature_std=3.0)`` (Calov & Greve 2005).
    """
    path = Path(path)
    if not path.exists():
        raise ClimateError(f"{path}: no such climate file")
    if ref_height is not None and not (np.isfinite(ref_height) and -500 <= ref_height <= 9000):
        raise InputError(
            f"{path.name}: ref_height={ref_height!r}: expected the height of the series in m"
        )
    if path.suffix in (".nc", ".nc4"):
        return _from_netcdf(path, ref_height, name)
    return _from_csv(path, ref_height, name)


def is_series(climate: Any) -> bool:
    """Whether a ``climate=`` is a path rather than a product's name."""
    return isinstance(climate, Path) or (
        isinstance(climate, str) and Path(climate).suffix.lower() in SUFFIXES
    )


def _from_netcdf(path: Path, ref_height: float | None, name: str | None) -> Climate:
    ds = read_dataset(path)
    climate: Climate | None
    if {"temp", "prcp"} <= set(ds.variables):
        series = ds.squeeze(drop=True)
        if ref_height is not None:
            series = series.assign_attrs(ref_hgt=float(ref_height))
        named = {"climate_source", "source"} & set(ds.attrs)
        climate = climate_from_oggm_form(series, path.name, name or (None if named else path.stem))
    else:
        for variable in list(ds.data_vars):
            if ref_height is not None and re.fullmatch(r"temp_(daily|monthly)_\w+", str(variable)):
                ds[variable].attrs["ref_hgt"] = float(ref_height)
        climate = climate_from_dataset(ds, name, path.name)
    if climate is None:
        found = ", ".join(map(str, ds.data_vars)) or "no variables"
        raise ClimateError(
            f"{path.name}: found {found}; expected time, temp, prcp[, gradient]: rename them"
        )
    return climate


def _from_csv(path: Path, ref_height: float | None, name: str | None) -> Climate:
    import pandas as pd

    fail = lambda message: ClimateError(where(path.name, message))
    try:
        table = pd.read_csv(
            path, comment="#", dtype=str, skipinitialspace=True, encoding="utf-8-sig"
        )
    except (ValueError, OSError) as error:
        raise fail(f"cannot be read as CSV ({str(error).splitlines()[0][:120]})") from error
    columns: dict[str, tuple[str, str | None]] = {}  # what it is: its column and unit
    for column in table.columns:
        match = re.fullmatch(r"\s*(\w+)\s*(?:[\[(](.*)[\])])?\s*", str(column))
        kind = match[1].lower() if match else ""
        if match is None or kind not in ("time", "temp", "prcp", "gradient") or kind in columns:
            reason = "appears twice" if kind in columns else "is not understood"
            raise fail(
                f"column {str(column)!r} {reason}; expected time, temp, prcp[, gradient]: rename "
                "or remove it"
            )
        columns[kind] = str(column), match[2]
    if missing := [k for k in ("time", "temp", "prcp") if k not in columns]:
        found = ", ".join(map(str, table.columns)) or "nothing"
        raise fail(
            f"no column {', '.join(missing)}; found {found}, expected time, temp, prcp[, gradient]"
        )
    written = table[columns["time"][0]].astype(str)
    stamps = pd.to_datetime(written, format="ISO8601", errors="coerce", utc=True)
    if stamps.isna().any():
        raise fail(f"time {written[stamps.isna()].iloc[0]!r} is not a date such as 2000-01-31")
    time = stamps.dt.tz_localize(None).to_numpy("datetime64[ns]")
    values: dict[str, np.ndarray | None] = {"gradient": None}
    for kind in ("temp", "prcp", "gradient"):
        if kind in columns:
            text = table[columns[kind][0]]
            numbers = pd.to_numeric(text, errors="coerce")
            if (wrong := numbers.isna() & text.notna()).any():
                raise fail(
                    f"{kind} is {text[wrong].iloc[0]!r} on {written[wrong].iloc[0]}, expected a "
                    "number"
                )
            values[kind] = converted(
                numbers.to_numpy(float), kind, columns[kind][1], time, path.name, kind
            )
    temp, precip = values["temp"], values["prcp"]
    assert temp is not None
    assert precip is not None
    height = _height_in(path) if ref_height is None else ref_height
    if height is None:
        raise fail(
            "no reference height: give ref_height= (m), or a line '# ref_height: 2400' in the file"
        )
    product = products.climate_name(name or path.stem)
    return climate_from_series(
        time,
        temp,
        precip,
        values["gradient"],
        height,
        name=product,
        rgi_id=path.name,
        source=path.name,
    )


def _height_in(path: Path) -> float | None:
    """The reference height that a comment of a CSV gives, m."""
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if match := re.match(
            r"#\s*ref_(?:height|hgt)\s*[:=]\s*(-?[\d.]+)\s*(?:m\s*)?$", line.strip()
        ):
            return float(match[1])
    return None
