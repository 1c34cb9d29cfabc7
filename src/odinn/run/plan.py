"""How a run is cut into windows, and what is checked of it first."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from odinn.climate import months_between
from odinn.data.checks import check_fields
from odinn.dates import MONTH, month_index, snap
from odinn.errors import InputError, SolverError, where
from odinn.glacier import Glacier
from odinn.model.model import Model, State
from odinn.physics.dynamics import Coupling, Window
from odinn.physics.laws.base import monthly_rows
from odinn.stepping.interface import NOT_FINITE

CHUNK = 12  # windows per compiled call: fixed, so that runs of every length share one program


def check_run(
    model: Model,
    glacier: Glacier,
    t0: float,
    t1: float,
    save_every: float,
    coupling: str,
    initial: State | None,
    dtype: str,
) -> None:
    """Raise :class:`InputError` for a run that makes no sense, before anything is compiled."""
    fail = lambda message: InputError(where(glacier.rgi_id, message))
    if not isinstance(model, Model):
        raise fail(
            f"simulate: found {type(model).__name__}, expected odinn.Model(flow=..., "
            "mass_balance=...)"
        )
    if not t1 > t0:
        raise fail(f"the run ends at {t1:g}, which is not after its start {t0:g}")
    if not save_every > 0:
        raise fail(f"save_every={save_every!r}: expected a positive number of years such as 1/12")
    if coupling not in ("source", "jump"):
        raise fail(f"coupling={coupling!r}: expected 'source' or 'jump'")
    if dtype not in ("float64", "float32"):
        raise fail(f"dtype={dtype!r}: expected 'float64' or 'float32'")
    balance = model.mass_balance
    if getattr(balance, "scheme", None) == "odinn" and coupling != "jump":
        raise fail("TemperatureIndex(scheme='odinn') needs coupling='jump'")
    if getattr(balance, "scheme", None) == "odinn" and initial is not None:
        raise fail(
            "scheme='odinn' leaves out the event at the final time, so its runs cannot be continued"
        )
    if coupling == "jump":
        if balance is None or balance.frequency != "monthly":
            raise fail("coupling='jump' applies the balance at month ends and needs a monthly one")
        for label, t in (("start", t0), ("end", t1)):
            if abs(t * 12 - round(t * 12)) > 1e-6:
                raise fail(f"coupling='jump' needs whole months, but the {label} is {t}")
    check_fields(glacier)
    if initial is not None:
        if abs(float(initial.time) - t0) > 1e-9:
            raise fail(
                f"the initial state is of {float(initial.time):.6f}, but the run starts at {t0:.6f}"
            )
        if np.shape(initial.thickness) != glacier.grid.shape:
            raise fail(
                f"the initial thickness has shape {np.shape(initial.thickness)}, expected "
                f"{glacier.grid.shape}"
            )


def plan_windows(
    model: Model,
    glacier: Glacier,
    t0: float,
    t1: float,
    save_every: float,
    coupling: Coupling,
    *,
    stops: Sequence[float] = (),
    resumes: bool = False,
) -> tuple[Window, np.ndarray]:
    """Cut a run at save times, further stops, and, for a monthly balance, at months.

    Returns:
        Windows with leading axis (windows,), and whether each one's end is a save time, (windows,)
        bool.
    """
    count = int(np.floor((t1 - t0) / save_every + 1e-6))
    saves = {snap(round(t0 + i * save_every, 9)) for i in range(1, count + 1)}
    saves = {t for t in saves if t < t1 - 1e-9} | {t1}
    balance = model.mass_balance
    monthly = balance is not None and balance.frequency == "monthly"
    needed = months_between(t0, t1)
    laws = monthly_rows(model, glacier, needed)
    ends = saves | {snap(t) for t in stops if t0 < t < t1}
    if monthly or laws:
        ends |= {
            k / 12 for k in range(month_index(t0) + 1, month_index(t1) + 1) if t0 < k / 12 < t1
        }
    ends_ = np.array(sorted(ends))
    starts = np.concatenate([[t0], ends_[:-1]])
    months = np.array([month_index(t) for t in starts])
    whole = np.isclose(starts * 12, months, atol=1e-9, rtol=0) & np.isclose(
        ends_ * 12, months + 1, atol=1e-9, rtol=0
    )
    length = np.where(whole, MONTH, ends_ - starts)
    in_force = lambda table: jax.tree.map(lambda a: np.asarray(a)[months - needed[0]], table)
    n = len(starts)
    evaluate, jump, forcing = np.zeros(n, bool), np.zeros(n, bool), None
    at_start = np.isclose(starts * 12, months, atol=1e-9, rtol=0)
    if balance is not None and balance.frequency == "fixed":
        renewed = any(slot.startswith("mass_balance.") for slot in laws)
        evaluate = at_start & renewed
        evaluate[0] |= not resumes
    if monthly and balance is not None:
        evaluate = at_start.copy()
        evaluate[0] |= not resumes
        jump = np.isclose(ends_ * 12, months + 1, atol=1e-9, rtol=0) if coupling == "jump" else jump
        if coupling == "jump" and getattr(balance, "scheme", None) == "odinn":
            jump[-1] = False  # ODINN has no event at the final time
        forcing = in_force(balance.forcing(glacier, needed))
    return Window(
        starts, length, evaluate, jump, forcing, in_force(laws) if laws else None
    ), np.isin(ends_, sorted(saves))


def padded(windows: Window, count: int) -> Window:
    """Windows of length zero, which do nothing, up to a number of windows: runs of similar length
    share a program.
    """
    size = len(windows.start)
    if size == count:
        return windows
    fill = lambda a: np.concatenate(
        [np.asarray(a), np.repeat(np.asarray(a)[-1:], count - size, axis=0)]
    )
    longer = jax.tree.map(fill, windows)
    idle = np.arange(count) >= size
    end = np.asarray(windows.start)[-1] + np.asarray(windows.length)[-1]
    return Window(
        np.where(idle, end, longer.start).astype(longer.start.dtype),
        np.where(idle, 0.0, longer.length).astype(longer.length.dtype),
        longer.evaluate & ~idle,
        longer.jump & ~idle,
        longer.forcing,
        longer.laws,
    )


def failure(
    status: int,
    glacier: Glacier,
    part: Window,
    count: np.ndarray,
    thickness: np.ndarray,
    max_steps: int,
) -> SolverError:
    """Where and why the stepping of these windows stopped."""
    stuck = int(np.argmax(count == 0)) if (count == 0).any() else len(count) - 1
    start, end = part.start[stuck], part.start[stuck] + part.length[stuck]
    place = f"between {float(start):.4f} and {float(end):.4f}"
    if status == NOT_FINITE:
        text = (
            f"the thickness stopped being finite {place}: look for a wild value in the model's "
            "numbers, the climate or the "
            "bed; with Euler or SSPRK3, lower the courant number"
        )
    else:
        text = (
            f"{max_steps} steps did not suffice {place}: the ice may be far from equilibrium "
            "(thick and steep); loosen the "
            "tolerance, coarsen the grid, or raise max_steps"
        )
    return SolverError(where(glacier.rgi_id, text))
