"""Climate series of one's own, from CSV or NetCDF."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeGuard

import numpy as np
import xarray as xr

from odinn.atomic import path_of
from odinn.climate import Climate
from odinn.data import gate, quantities
from odinn.data.climate_series import climate_from_dataset, climate_from_oggm_form, has_weather
from odinn.data.reading import decoded, read_dataset
from odinn.errors import ClimateError, InputError, of_glacier

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES: Final = (".csv", ".txt", ".nc", ".nc4")
_COLUMNS: Final = ("time", "temp", "prcp", "gradient")


def open_climate(
    source: str | Path | xr.Dataset, *, ref_height: float | None = None, name: str | None = None
) -> Climate:
    """A daily or monthly series from a file or a dataset.

    Args:
        source: CSV with columns time (ISO dates), temp (°C), prcp (kg m⁻², that is mm, per step),
            optionally gradient (K m⁻¹; without it −0.0065); another unit stands in brackets: ``temp
            [K]``, ``prcp [m]``, ``prcp [mm/day]``. Lines that start with # are comments; ``#
            ref_height: 2400`` gives the height. Or NetCDF, or a Dataset, with variables of these
            names or those of CMIP (tas, pr), whose ``units`` and calendar are read, and the
            attribute ``ref_hgt`` (or CMIP's orog); or a glacier's NetCDF file.
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
    if ref_height is not None:
        label = "open_climate: ref_height"
        ref_height = gate.number(ref_height, quantities.REFERENCE_HEIGHT, label, InputError)
    if isinstance(source, xr.Dataset):
        ds = decoded(source, ClimateError)
        return _from_dataset(ds, "climate dataset", ref_height, name)
    path = path_of(source)
    if not path.exists():
        raise ClimateError(f"{path}: no such climate file")
    if path.suffix.lower() in (".nc", ".nc4"):
        ds = read_dataset(path)
        is_named = bool({"climate_source", "source"} & set(ds.attrs))
        return _from_dataset(ds, path.name, ref_height, name, None if is_named else path.stem)
    return _from_csv(path, ref_height, name)


def is_series(climate: object) -> TypeGuard[str | Path]:
    """Whether a ``climate=`` is a path rather than a product's name."""
    return isinstance(climate, Path) or (
        isinstance(climate, str) and Path(climate).suffix.lower() in SUFFIXES
    )


def _from_dataset(
    ds: xr.Dataset,
    label: str,
    ref_height: float | None,
    name: str | None,
    otherwise: str | None = None,
) -> Climate:
    """The climate of a decoded dataset.

    Args:
        label: what errors call it. otherwise: name of a series that bears none.
    """
    if ref_height is not None:
        height = {"ref_hgt": float(ref_height)}
        ds = ds.map(lambda array: array.assign_attrs(height), keep_attrs=True).assign_attrs(height)
    if has_weather(ds):
        return climate_from_oggm_form(ds, label, name or otherwise)
    climate = climate_from_dataset(ds, name, label)
    if climate is None:
        found = ", ".join(map(str, ds.data_vars)) or "no variables"
        raise ClimateError(
            f"{label}: found {found}; expected time, temp, prcp[, gradient] or tas, pr: rename them"
        )
    return climate


def _from_csv(path: Path, ref_height: float | None, name: str | None) -> Climate:
    """A table becomes a dataset, so that it passes where those do."""
    table, units = _read_csv(path)
    height = _height_in(path) if ref_height is None else ref_height
    if height is None:
        raise _error(
            path,
            "no reference height: give ref_height= (m), or a line '# ref_height: 2400' in the file",
        )
    ds = xr.Dataset(
        coords={"time": _dates(table["time"], path)},
        attrs={"ref_hgt": height, "source": path.name},
    )
    for kind in quantities.WEATHER:
        if kind in table:
            numbers = _numbers(table[kind], table["time"], path)
            ds[kind] = ("time", numbers, {"units": units[kind] or ""})
    return climate_from_oggm_form(ds, path.name, name or path.stem)


def _read_csv(path: Path) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """A table of text with columns time, temp, prcp and maybe gradient, and the units of these."""
    import pandas as pd

    try:
        # text, so that an error can show what stands there; spreadsheets put a mark first (sig)
        table = pd.read_csv(
            path, comment="#", dtype=str, skipinitialspace=True, encoding="utf-8-sig"
        )
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        raise _error(path, f"cannot be read as CSV ({reason})") from error
    kinds: list[str] = []
    units: dict[str, str | None] = {}
    for column in table.columns:
        # a name, and maybe a unit in brackets
        match = re.fullmatch(r"\s*(\w+)\s*(?:[\[(](.*)[\])])?\s*", str(column))
        kind = match[1].lower() if match else ""
        if match is None or kind not in _COLUMNS or kind in units:
            reason = "appears twice" if kind in units else "is not understood"
            raise _error(
                path,
                f"column {str(column)!r} {reason}; expected time, temp, prcp[, gradient]: rename "
                "or remove it",
            )
        kinds.append(kind)
        units[kind] = match[2]
    if missing := [kind for kind in ("time", "temp", "prcp") if kind not in units]:
        found = ", ".join(map(str, table.columns)) or "nothing"
        raise _error(
            path,
            f"no column {', '.join(missing)}; found {found}, expected time, temp, prcp[, gradient]",
        )
    return table.set_axis(kinds, axis=1), units


def _dates(written: pd.Series, path: Path) -> np.ndarray:
    import pandas as pd

    written = written.astype(str)
    stamps = pd.to_datetime(written, format="ISO8601", errors="coerce", utc=True)
    wrong = stamps.isna()
    if wrong.any():
        raise _error(path, f"time {written[wrong].iloc[0]!r} is not a date such as 2000-01-31")
    return stamps.dt.tz_localize(None).to_numpy("datetime64[ns]")


def _numbers(column: pd.Series, time: pd.Series, path: Path) -> np.ndarray:
    """A column of text as numbers; what is empty is NaN, what is no number an error."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & column.notna()
    if wrong.any():
        found, when = column[wrong].iloc[0], time[wrong].iloc[0]
        raise _error(path, f"{column.name} is {found!r} on {when}, expected a number")
    return numbers.to_numpy(float)


def _error(path: Path, message: str) -> ClimateError:
    return ClimateError(of_glacier(path.name, message))


def _height_in(path: Path) -> float | None:
    """The reference height that a comment of a CSV gives, m."""
    comment = re.compile(r"#\s*ref_(?:height|hgt)\s*[:=]\s*(-?[\d.]+)\s*(?:m\s*)?$")
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if match := comment.match(line.strip()):
            return float(match[1])
    return None
