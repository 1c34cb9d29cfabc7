"""Curves of a run: volume and area in time, balance and thickness change by altitude, modelled and
measured balance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.axes_grid1 import make_axes_locatable

from odinn.constants import AREA_THRESHOLD, WATER_DENSITY
from odinn.dates import date_of
from odinn.errors import InputError
from odinn.results.altitude import in_bands, zero_crossing
from odinn.results.simulation import Simulation

if TYPE_CHECKING:
    import xarray as xr

BAND: Final = 50.0  # m of altitude
_BLUE, _RED, _GREY, _ORANGE = "#1f4e79", "#b03a2e", "#c8ccd0", "#c26a10"


def volume_and_area(sim: Simulation, ax: Axes | None = None) -> Axes:
    """Ice volume (left axis) and area with at least 1 m of ice (right axis) in time.

    Returns:
        The axes of the volume; its title has the change of both over the run.
    """
    ax = _axes() if ax is None else ax
    volume, area, area_ax = sim.volume, sim.area, ax.twinx()
    factor, unit = _readable("m3", volume.max())
    marker = "o" if len(sim.times) <= 40 else ""
    ax.plot(sim.times, volume / factor, color=_BLUE, marker=marker, markersize=3.5)
    area_ax.plot(
        sim.times, area / 1e6, color=_ORANGE, linestyle="--", marker=marker, markersize=3.5
    )
    for axis, text, color in (
        (ax, f"ice volume ({unit})", _BLUE),
        (area_ax, "area (km²)", _ORANGE),
    ):
        axis.set_ylabel(text, color=color)
        axis.tick_params(axis="y", colors=color)
        axis.ticklabel_format(useOffset=False)
    ax.set_xlabel("year")
    _time_axis(ax, sim.times)
    ax.set_title(f"volume {percent(volume)}, area {percent(area)}", fontsize=10)
    return ax


def balance_by_altitude(sim: Simulation, ax: Axes | None = None, *, band: float = BAND) -> Axes:
    """Mean balance by altitude, and beside it the area at each altitude.

    A cell counts in the intervals between saved times at both ends of which it had at least 1 m of
    ice, so that melt was not limited by the ice there was; its altitude is that of the interval's
    start. The area is the mean in time.

    Args:
        band: width of the altitude bands, m.
    """
    ax = _axes() if ax is None else ax
    ice = sim.thickness >= AREA_THRESHOLD
    years = np.diff(sim.times)[:, None, None] * (ice[:-1] & ice[1:])
    water = sim.smb[1:] * sim.model.ice_density / WATER_DENSITY
    height, balance, weight = _profile_of(sim.surface[:-1], water, years, band)
    area = weight * sim.glacier.grid.cell_area / np.ptp(sim.times) / 1e6
    _draw_profile(ax, height, balance, area, band, "mean balance (m w.e. yr⁻¹)")
    ax.set_title(period(sim), fontsize=10)
    line = zero_crossing(height, balance, weight)
    if np.isfinite(line):
        ax.axhline(line, color="black", linewidth=0.8, linestyle=":")
        text, across = f"equilibrium line {line:.0f} m", ax.get_yaxis_transform()
        ax.text(0.02, line, text, transform=across, fontsize=8, va="bottom")
    return ax


def thickness_change_by_altitude(
    sim: Simulation, ax: Axes | None = None, *, band: float = BAND
) -> Axes:
    """Mean thickness change over the run by altitude, and beside it the area at each altitude.

    Cells and altitudes are those with at least 1 m of ice at the start.

    Args:
        band: width of the altitude bands, m.
    """
    ax = _axes() if ax is None else ax
    there = sim.thickness[0] >= AREA_THRESHOLD
    change = sim.thickness[-1] - sim.thickness[0]
    height, mean, count = _profile_of(sim.surface[0], change, there, band)
    area = count * sim.glacier.grid.cell_area / 1e6
    _draw_profile(ax, height, mean, area, band, "thickness change (m)")
    ax.set_title(period(sim), fontsize=10)
    return ax


def annual_balance(years: Any, modelled: Any, measured: Any, ax: Axes | None = None) -> Axes:
    """Glacier-wide annual balance, modelled (line) and measured (bars), with their differences in
    numbers.

    Args:
        years: hydrological years, (N,), labelled by their end.
        modelled, measured: m w.e. yr⁻¹, (N,); NaN where there is none.
    """
    ax = _axes() if ax is None else ax
    years, modelled, measured = (np.asarray(a, float) for a in (years, modelled, measured))
    if years.ndim != 1 or not years.shape == modelled.shape == measured.shape:
        found = f"{years.shape}, {modelled.shape} and {measured.shape}"
        raise InputError(
            f"annual_balance: years, modelled and measured have shapes {found}, expected one and "
            "the same"
        )
    ax.bar(years, measured, width=0.7, color=_GREY, label="measured")
    ax.plot(years, modelled, color=_BLUE, marker="o", markersize=3.5, label="modelled")
    ax.axhline(0.0, color="black", linewidth=0.8)
    both = np.isfinite(modelled) & np.isfinite(measured)
    if both.any():
        difference = (modelled - measured)[both]
        text = (
            f"bias {difference.mean():+.2f}, rms {np.sqrt(np.mean(difference**2)):.2f} m w.e. yr⁻¹"
        )
        if both.sum() > 2 and min(np.ptp(modelled[both]), np.ptp(measured[both])) > 0:
            text += f", r = {np.corrcoef(modelled[both], measured[both])[0, 1]:.2f}"
        ax.set_title(f"{text} ({both.sum()} years)".replace("-", "−"), fontsize=10)
    ax.set(xlabel="hydrological year", ylabel="balance (m w.e. yr⁻¹)")
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ax.legend(frameon=False, fontsize=8, ncols=2)
    return ax


def named(source: Simulation | xr.Dataset, *names: str, ax: Axes | None = None) -> Axes:
    """Draw series of a result by the names that they have in its file, such as "melt" and "rain".

    Args:
        source: a run, or the dataset of one (``sim.to_dataset()``, ``xr.open_dataset("run.nc")``).
        names: variables along ``time``, drawn as lines, or along ``window``, as steps from window
            to window; of one unit.

    Raises:
        InputError: for a name that is not a series of the result, no name, or names of different
            units.
    """
    ds = source.to_dataset() if isinstance(source, Simulation) else source
    known = {
        str(k): v.attrs.get("units", "1")
        for k, v in ds.data_vars.items()
        if v.dims in (("time",), ("window",))
    }
    unknown = [n for n in names if n not in known]
    if unknown or not names:
        raise InputError(
            f"no series {unknown[0]!r}: known are {', '.join(known)}"
            if unknown
            else "series: no name given"
        )
    if len({known[n] for n in names}) > 1:
        found = ", ".join(f"{n} ({known[n]})" for n in names)
        raise InputError(f"series of different units: {found}; draw them on axes of their own")
    ax = _axes() if ax is None else ax
    factor, unit = _readable(known[names[0]], max(float(abs(ds[n]).max()) for n in names))
    years = ds["decimal_year"].values
    for name in names:
        values = ds[name].values / factor
        if ds[name].dims == ("window",):
            ax.stairs(
                values,
                [years[0], *ds["window_end"].values],
                baseline=None,
                linewidth=1.5,
                label=name,
            )
        else:
            ax.plot(years, values, label=name)
    ax.set(xlabel="year", ylabel=f"{'per window, ' if 'window' in ds[names[0]].dims else ''}{unit}")
    _time_axis(ax, years)
    ax.ticklabel_format(axis="y", useOffset=False)
    if len(names) > 1:
        ax.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    else:
        ax.set_title(ds[names[0]].attrs.get("long_name", names[0]), fontsize=10)
    return ax


def summary(sim: Simulation) -> Figure:
    """Volume and area, balance by altitude, thickness change by altitude: one figure."""
    fig = Figure(figsize=(15.0, 4.4), layout="constrained")
    fig.suptitle(name_of(sim), fontsize=12)
    for ax, curve in zip(
        fig.subplots(1, 3),
        (volume_and_area, balance_by_altitude, thickness_change_by_altitude),
        strict=True,
    ):
        curve(sim, ax)
    return fig


def mean_balance(sim: Simulation) -> Float[np.ndarray, "ny nx"]:
    """Mean balance of the run, m w.e. yr⁻¹: the intervals between saved times count by their
    length.
    """
    mean = np.average(sim.smb[1:], axis=0, weights=np.diff(sim.times))
    return mean * sim.model.ice_density / WATER_DENSITY


def name_of(sim: Simulation) -> str:
    """The glacier's name and identifier."""
    name, rgi_id = sim.glacier.name, sim.glacier.rgi_id
    return f"{name} ({rgi_id})" if name and name != rgi_id else rgi_id


def date_label(year: float) -> str:
    """A decimal year as YYYY-MM-DD; beyond the calendar of the standard library as a number."""
    return date_of(year).date().isoformat() if 1 <= year < 9999 else f"year {year:g}"


def period(sim: Simulation) -> str:
    """First and last date of a run."""
    return f"{date_label(sim.times[0])} to {date_label(sim.times[-1])}"


def _profile_of(
    surface: np.ndarray, values: np.ndarray, weights: np.ndarray, band: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle (m), mean and sum of weights of the bands that are not empty, all cells in one."""
    one = (surface.reshape(1, -1), values.reshape(1, -1), weights.reshape(1, -1))
    bands = in_bands(*one, band)
    there = bands.weight[0] > 0
    return bands.altitude[there], bands.mean[0, there], bands.weight[0, there]


def _draw_profile(
    ax: Axes, height: np.ndarray, values: np.ndarray, area: np.ndarray, band: float, label: str
) -> None:
    """Values against altitude, red where negative and blue where positive, and a histogram of area
    to the right.
    """
    ax.set(xlabel=label, ylabel="surface altitude (m)")
    if not height.size:
        ax.text(0.5, 0.5, "no ice", transform=ax.transAxes, ha="center", va="center", fontsize=14)
        return
    colors = np.where(values < 0, _RED, _BLUE)
    ax.barh(height, values, height=band, color=colors, alpha=0.85, edgecolor="white", linewidth=0.5)
    ax.axvline(0.0, color="black", linewidth=0.8)
    beside = make_axes_locatable(ax).append_axes("right", size="30%", pad=0.08, sharey=ax)
    beside.barh(height, area, height=band, color=_GREY, edgecolor="white", linewidth=0.5)
    beside.set_xlabel("area (km²)")
    beside.tick_params(axis="y", labelleft=False)
    beside.tick_params(axis="x", labelsize=8)
    beside.xaxis.set_major_locator(
        MaxNLocator(3, prune="lower")
    )  # 0 would run into the label of the axes beside
    ax.set_ylim(height[0] - band, height[-1] + band)


def percent(series: np.ndarray) -> str:
    """Change from the first to the last value, signed."""
    return (
        f"{100 * (series[-1] / series[0] - 1):+.1f} %".replace("-", "−")
        if series[0] > 0
        else "from 0"
    )


def _readable(unit: str, largest: float) -> tuple[float, str]:
    """By what numbers in a unit of the file are divided for a curve, and the unit that they have
    then.
    """
    if unit == "m3":
        return (1e9, "km³") if largest >= 1e7 else (1e6, "10⁶ m³")
    return (1e6, "km²") if unit == "m2" else (1.0, unit)


def _time_axis(ax: Axes, years: np.ndarray) -> None:
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=bool(np.ptp(years) > 3)))
    ax.ticklabel_format(axis="x", useOffset=False)


def _axes() -> Axes:
    return Figure(figsize=(5.6, 4.2), layout="constrained").subplots()
