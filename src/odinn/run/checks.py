"""What is checked of a run before anything is compiled, and what is said where one fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from odinn.climate import months_between
from odinn.data.checks import check_fields
from odinn.errors import InputError, SolverError, of_glacier
from odinn.glacier import Glacier
from odinn.model.model import Model
from odinn.physics.laws.refresh import check_laws
from odinn.physics.processes.base import Window
from odinn.physics.state import State
from odinn.run.plan import Plan
from odinn.run.settings import Settings
from odinn.stepping.interface import NOT_FINITE, TOO_COARSE
from odinn.stepping.steps import Steps

Replays = Steps | Sequence[Steps] | Mapping[str, Steps] | None
_CLOSE = 1e-9  # years


def check_model(model: object) -> None:
    """Raise :class:`InputError` for what is no model."""
    if not isinstance(model, Model):
        found = type(model).__name__
        raise InputError(f"simulate: found {found}, expected odinn.Model(flow, mass_balance)")


def check_run(
    model: Model, glacier: Glacier, settings: Settings, initial: State | None = None
) -> None:
    """Raise :class:`InputError` for a run that makes no sense, before anything is compiled."""
    check_model(model)
    _check_coupling(model, glacier, settings)
    check_fields(glacier)
    if settings.hydrology:
        _check_hydrology(model, glacier)
    check_laws(model, glacier, months_between(*settings.span))
    if initial is not None:
        _check_initial(model, glacier, settings, initial)


def _check_coupling(model: Model, glacier: Glacier, settings: Settings) -> None:
    balance, coupling = model.mass_balance, settings.coupling
    allowed = ("source",) if balance is None else balance.couplings
    if coupling not in allowed:
        text = f"{type(balance).__name__} needs coupling={allowed[0]!r}"
        if balance is None or balance.frequency != "monthly":
            text = "coupling='jump' applies the balance at month ends and needs a monthly one"
        raise InputError(of_glacier(glacier.rgi_id, text))
    if coupling == "source":
        return
    # the event is at a month's end: of a part of a month there is no telling when
    for label, t in (("start", settings.t0), ("end", settings.t1)):
        if abs(t * 12 - round(t * 12)) > 1e-6:
            text = f"coupling='jump' needs whole months, but the {label} is {t}"
            raise InputError(of_glacier(glacier.rgi_id, text))


def _check_hydrology(model: Model, glacier: Glacier) -> None:
    balance = model.mass_balance
    if balance is None:
        found = "no mass balance"
    elif not balance.distinguishes_water:
        found = type(balance).__name__
    else:
        return
    text = (
        f"hydrology=True: {found} does not tell snow from rain, or does not conserve water; use "
        "TemperatureIndex"
    )
    raise InputError(of_glacier(glacier.rgi_id, text))


def _check_initial(model: Model, glacier: Glacier, settings: Settings, initial: State) -> None:
    balance = model.mass_balance
    if balance is not None and not balance.acts_at_final_time:
        text = (
            f"{type(balance).__name__} leaves out the event at the final time, so its runs cannot "
            "be "
            "continued"
        )
        raise InputError(of_glacier(glacier.rgi_id, text))
    time = float(initial.time)
    if abs(time - settings.t0) > 1e-9:
        text = f"the initial state is of {time:.6f}, but the run starts at {settings.t0:.6f}"
        raise InputError(of_glacier(glacier.rgi_id, text))
    shape = np.shape(initial.thickness)
    if shape != glacier.grid.shape:
        text = f"the initial thickness has shape {shape}, expected {glacier.grid.shape}"
        raise InputError(of_glacier(glacier.rgi_id, text))


def replay_of(replay: Replays, glacier: Glacier, position: int, total: int) -> Steps | None:
    """The steps that one of several glaciers is to repeat."""
    if replay is None:
        return None
    if isinstance(replay, Steps):
        if total > 1:
            text = "one Steps for several glaciers; give a list, or {rgi_id: Steps}"
            raise InputError(f"replay: {text}")
        return replay
    if isinstance(replay, Mapping):
        if glacier.rgi_id not in replay:
            raise InputError(of_glacier(glacier.rgi_id, "replay has no entry for this glacier"))
        return replay[glacier.rgi_id]
    if len(replay) != total:
        raise InputError(f"replay has {len(replay)} entries for {total} glaciers")
    return replay[position]


def check_replay(replay: Steps | None, plan: Plan, glacier: Glacier) -> None:
    """Raise where steps to repeat are of other windows."""
    if replay is None:
        return
    same = len(replay.start) == plan.count
    same = same and np.allclose(replay.start, plan.starts, atol=_CLOSE, rtol=0)
    same = same and np.allclose(replay.length, plan.lengths, atol=_CLOSE, rtol=0)
    if not same:
        text = (
            f"replay: the recorded run has {len(replay.start)} windows from "
            f"{replay.start[0]:.4f}, this "
            f"one has {plan.count} from {plan.starts[0]:.4f}; span and save_every have to be the "
            "same"
        )
        raise InputError(of_glacier(glacier.rgi_id, text))


def failure(
    status: int, glacier: Glacier, windows: Window, count: np.ndarray, max_steps: int
) -> SolverError:
    """Where and why the stepping of these windows stopped; ``count`` (windows,) are the steps taken
    in each.
    """
    # windows after the one that failed were not begun: they count no step
    stuck = int(np.argmax(count == 0)) if (count == 0).any() else len(count) - 1
    start = float(windows.start[stuck])
    end = start + float(windows.length[stuck])
    place = f"between {start:.4f} and {end:.4f}"
    if status == NOT_FINITE:
        text = (
            f"the thickness stopped being finite {place}: look for a wild value in the model's "
            "numbers, the climate or the bed; with Euler or SSPRK3, lower the courant number"
        )
    elif status == TOO_COARSE:
        text = (
            f"the steps to repeat are too long for this model {place}: they were chosen where "
            "the ice flows more slowly; run without replay=, or prepare the objective here"
        )
    else:
        text = (
            f"{max_steps} steps did not suffice {place}: the ice may be far from equilibrium "
            "(thick "
            "and steep); loosen the tolerance, coarsen the grid, or raise max_steps"
        )
    return SolverError(of_glacier(glacier.rgi_id, text))
