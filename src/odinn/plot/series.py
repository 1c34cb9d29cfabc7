"""Curves of a run: volume and area in time, balance and thickness change by altitude, modelled and
measured balance.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.axes_grid1 import make_axes_locatable
from numpy.typing import ArrayLike

from odinn.dates import date_of
from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.plot.parts import Picture, remark
from odinn.results.altitude import in_bands, zero_crossing
from odinn.results.simulation import Simulation

BAND: Final = 50.0  # m of altitude
_BLUE, _RED, _GREY, _ORANGE = "#1f4e79", "#b03a2e", "#c8ccd0", "#c26a10"


def volume_and_area(sim: Simulation, ax: Axes | None = None) -> Axes:
    """Ice volume (left axis) and area (right axis) in time.

    Returns:
        The axes of the volume; its title has the change of both over the run.
    """
    ax = ax or _axes()
    area = sim.area
    factor, unit = _readable("m3", sim.volume.max())
    beside = ax.twinx()
    marker = "o" if len(sim.times) <= 40 else ""  # more of them would run into one another
    for axis, values, label, color, style in (
        (ax, sim.volume / factor, f"ice volume ({unit})", _BLUE, "-"),
        (beside, area / 1e6, "area (km²)", _ORANGE, "--"),
    ):
        axis.plot(sim.times, values, color=color, linestyle=style, marker=marker, markersize=3.5)
        axis.set_ylabel(label, color=color)
        axis.tick_params(axis="y", colors=color)
        axis.ticklabel_format(useOffset=False)
    ax.set_xlabel("year")
    _time_axis(ax, sim.times)
    ax.set_title(f"volume {percent(sim.volume)}, area {percent(area)}", fontsize=10)
    return ax


def balance_by_altitude(sim: Simulation, ax: Axes | None = None, *, band: float = BAND) -> Axes:
    """Mean balance by altitude, and beside it the area at each altitude.

    A cell counts in the intervals between saved times at both ends of which it was glacier
    (:attr:`odinn.Simulation.is_glacier`), so that melt was not limited by the ice there was; its
    altitude is that of the interval's start. The area is the mean in time.

    Args:
        band: width of the altitude bands, m.
    """
    ax = _axes() if ax is None else ax
    ice = sim.is_glacier
    years = np.diff(sim.times)[:, None, None] * (ice[:-1] & ice[1:])
    height, balance, weight = _profile_of(sim.surface[:-1], sim.smb[1:], years, band)
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
    ax = ax or _axes()
    there = sim.is_glacier[0]
    change = sim.thickness[-1] - sim.thickness[0]
    height, mean, count = _profile_of(sim.surface[0], change, there, band)
    area = count * sim.glacier.grid.cell_area / 1e6
    _draw_profile(ax, height, mean, area, band, "thickness change (m)")
    ax.set_title(period(sim), fontsize=10)
    return ax


def annual_balance(
    years: ArrayLike, modelled: ArrayLike, measured: ArrayLike, ax: Axes | None = None
) -> Axes:
    """Glacier-wide annual balance, modelled (line) and measured (bars), with their differences in
    numbers.

    Args:
        years: hydrological years, (N,), labelled by their end.
        modelled, measured: m w.e. yr⁻¹, (N,); NaN where there is none.
    """
    ax = ax or _axes()
    year, model, data = (np.asarray(a, float) for a in (years, modelled, measured))
    if year.ndim != 1 or not year.shape == model.shape == data.shape:
        raise InputError(
            f"annual_balance: years, modelled and measured have shapes {year.shape}, "
            f"{model.shape} and {data.shape}, expected one and the same"
        )
    ax.bar(year, data, width=0.7, color=_GREY, label="measured")
    ax.plot(year, model, color=_BLUE, marker="o", markersize=3.5, label="modelled")
    ax.axhline(0.0, color="black", linewidth=0.8)
    # Years with one of the two are drawn, and not compared.
    both = np.isfinite(model) & np.isfinite(data)
    if both.any():
        ax.set_title(_compared(model[both], data[both]), fontsize=10)
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
    unit = _one_unit(ds, names)
    factor, unit = _readable(unit, max(float(abs(ds[n]).max()) for n in names))
    ax = ax or _axes()
    years = ds["decimal_year"].values
    for name in names:
        values = ds[name].values / factor
        if ds[name].dims == ("time",):
            ax.plot(years, values, label=name)
        else:
            # A window begins where the one before it ends, the first at the start of the run.
            edges = [years[0], *ds["window_end"].values]
            ax.stairs(values, edges, baseline=None, linewidth=1.5, label=name)
    in_windows = ds[names[0]].dims == ("window",)
    ax.set(xlabel="year", ylabel=f"per window, {unit}" if in_windows else unit)
    _time_axis(ax, years)
    ax.ticklabel_format(axis="y", useOffset=False)
    if len(names) > 1:
        ax.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    else:
        ax.set_title(ds[names[0]].attrs.get("long_name", names[0]), fontsize=10)
    return ax


def summary(sim: Simulation) -> Figure:
    """Volume and area, balance by altitude, thickness change by altitude: one figure."""
    fig = Picture(figsize=(15.0, 4.4), layout="constrained")
    fig.suptitle(name_of(sim.glacier), fontsize=12)
    left, middle, right = fig.subplots(1, 3)
    volume_and_area(sim, left)
    balance_by_altitude(sim, middle)
    thickness_change_by_altitude(sim, right)
    return fig


def mean_balance(sim: Simulation) -> Float[np.ndarray, "ny nx"]:
    """Mean balance of the run, m w.e. yr⁻¹: the intervals between saved times count by their
    length.
    """
    # The first balance is NaN: that of an interval stands at its end.
    return np.average(sim.smb[1:], axis=0, weights=np.diff(sim.times))


def name_of(glacier: Glacier) -> str:
    """The glacier's name and identifier."""
    name, rgi_id = glacier.name, glacier.rgi_id
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
        remark(ax, "no ice")
        return
    colors = np.where(values < 0, _RED, _BLUE)
    ax.barh(height, values, height=band, color=colors, alpha=0.85, edgecolor="white", linewidth=0.5)
    ax.axvline(0.0, color="black", linewidth=0.8)
    beside = make_axes_locatable(ax).append_axes("right", size="30%", pad=0.08, sharey=ax)
    beside.barh(height, area, height=band, color=_GREY, edgecolor="white", linewidth=0.5)
    beside.set_xlabel("area (km²)")
    beside.tick_params(axis="y", labelleft=False)
    beside.tick_params(axis="x", labelsize=8)
    # 0 would run into the label of the axes beside.
    beside.xaxis.set_major_locator(MaxNLocator(3, prune="lower"))
    ax.set_ylim(height[0] - band, height[-1] + band)


def percent(series: np.ndarray) -> str:
    """Change from the first to the last value, signed."""
    if not series[0] > 0:  # a share of nothing
        return "from 0"
    return f"{100 * (series[-1] / series[0] - 1):+.1f} %".replace("-", "−")


def _compared(modelled: np.ndarray, measured: np.ndarray) -> str:
    """Bias, root mean square and correlation, where the series have one, in words."""
    difference = modelled - measured
    rms = np.sqrt(np.mean(difference**2))
    text = f"bias {difference.mean():+.2f}, rms {rms:.2f} m w.e. yr⁻¹"
    # Two points lie on a line, and a constant series has no correlation.
    if len(modelled) > 2 and np.ptp(modelled) > 0 and np.ptp(measured) > 0:
        text += f", r = {np.corrcoef(modelled, measured)[0, 1]:.2f}"
    return f"{text} ({len(modelled)} years)".replace("-", "−")


def _one_unit(ds: xr.Dataset, names: tuple[str, ...]) -> str:
    """The unit that all the series have."""
    units = {}
    for key, variable in ds.data_vars.items():
        if variable.dims in (("time",), ("window",)):  # no fields, no months
            units[str(key)] = variable.attrs.get("units", "1")
    if not names:
        raise InputError("series: no name given")
    for name in names:
        if name not in units:
            raise InputError(f"no series {name!r}: known are {', '.join(units)}")
    if len({units[name] for name in names}) > 1:
        found = ", ".join(f"{name} ({units[name]})" for name in names)
        raise InputError(f"series of different units: {found}; draw them on axes of their own")
    return units[names[0]]


def _readable(unit: str, largest: float) -> tuple[float, str]:
    """By what numbers in a unit of the file are divided for a curve, and the unit that they have
    then.
    """
    if unit == "m3":
        return (1e9, "km³") if largest >= 1e7 else (1e6, "10⁶ m³")
    return (1e6, "km²") if unit == "m2" else (1.0, unit)


def _time_axis(ax: Axes, years: np.ndarray) -> None:
    # Whole years, unless that would leave two ticks; never as an offset from a number above.
    whole = bool(np.ptp(years) > 3)
    ax.xaxis.set_major_locator(MaxNLocator(6 if whole else 4, integer=whole))
    ax.ticklabel_format(axis="x", useOffset=False)


def _axes() -> Axes:
    return Picture(figsize=(5.6, 4.2), layout="constrained").subplots()
