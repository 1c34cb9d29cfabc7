"""``simulate``: the host driver of forward runs. It checks, compiles, steps, reports; NumPy comes
out.
"""

from __future__ import annotations

import time as clock
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, overload

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.cache import enable_compilation_cache
from odinn.climate import months_between
from odinn.constants import MONTHS_PER_YEAR
from odinn.dates import MONTH, decimal_year, snap
from odinn.errors import InputError, OdinnError
from odinn.glacier import Glacier
from odinn.model.model import Model, State
from odinn.numbers.parameter import Parameter, cast_floats
from odinn.physics.balance.temperature_index import TemperatureIndex
from odinn.physics.dynamics import Coupling, Dynamics, Report, Window, dynamics_of
from odinn.physics.laws.base import check_laws
from odinn.progress import Progress
from odinn.results.hydrology import Gauge, check_hydrology, in_force
from odinn.results.simulation import BUDGET, Failure, Simulation
from odinn.run.plan import CHUNK, check_run, failure, padded, plan_windows
from odinn.run.steps import check_replay, part_of, replay_of
from odinn.stepping.integrate import integrate
from odinn.stepping.interface import AbstractStepper
from odinn.stepping.rkc import RKC2
from odinn.stepping.steps import Record, Replay, Steps

_CAPACITY = 4096  # steps recorded per call, doubled and run again when it does not suffice


@overload
def simulate(model: Model, glacier: Glacier, t0: Any, t1: Any, **options: Any) -> Simulation: ...
@overload
def simulate(
    model: Model, glacier: Sequence[Glacier], t0: Any, t1: Any, **options: Any
) -> list: ...
def simulate(
    model: Model,
    glacier: Glacier | Sequence[Glacier],
    t0: Any,
    t1: Any,
    *,
    save_every: float = MONTH,
    stepper: AbstractStepper | None = None,
    coupling: Coupling = "source",
    initial: State | None = None,
    replay: Steps | Sequence[Steps] | Mapping[str, Steps] | None = None,
    hydrology: bool = False,
    on_error: Literal["raise", "keep"] = "raise",
    dtype: Literal["float64", "float32"] = "float64",
    max_steps: int = 1_000_000,
    progress: bool | None = None,
) -> Any:
    """Run one glacier, or several one after the other.

    Args:
        model: flow and mass balance.
        glacier: one glacier, or a list; results of a list come in its order.
        t0, t1: start and end: decimal years or dates.
        save_every: years between saved states; the last one is always saved.
        stepper: default ``RKC2(tol=1e-2)``.
        coupling: "source" (the month's balance acts through the month) or "jump" (at its end).
        initial: state to continue from, as left by ``Simulation.state`` or ``odinn.restart``; it
            has to be at t0.
        replay: steps of an earlier run over the same windows, repeated exactly.
        hydrology: record snow, rain, melt and snowpack by cell and month
            (:class:`odinn.results.hydrology.Hydrology`); needs a balance by degree-days. The state
            then carries the snowpack, so a run may be cut anywhere; other states start without snow
            beside the ice.
        on_error: for a list: "raise", or "keep" a :class:`Failure` in place of the result.
        dtype: "float32" is about 0.6 times the time, with errors of millimetres.
        max_steps: attempts after which a window is given up.
        progress: show a progress bar; by default when a terminal is there.

    Returns:
        :class:`Simulation`, or a list of them (and of :class:`Failure`).

    Raises:
        InputError: before anything is compiled. SolverError: steps ran out or a value stopped being
            finite.
    """
    enable_compilation_cache()
    if stepper is not None and not isinstance(stepper, AbstractStepper):
        raise InputError(f"stepper={stepper!r}: expected one such as odinn.RKC2() or odinn.Euler()")
    if isinstance(save_every, str) or save_every is None:
        raise InputError(f"save_every={save_every!r}: expected a number of years such as 1/12")
    options: dict[str, Any] = {
        "save_every": save_every,
        "stepper": RKC2() if stepper is None else stepper,
        "coupling": coupling,
        "hydrology": hydrology,
        "dtype": dtype,
        "max_steps": max_steps,
        "progress": progress,
    }
    if isinstance(glacier, Glacier):
        model = _bound(model, [glacier])
        one = replay_of(replay, glacier, 0, 1)
        return _simulate_one(model, glacier, t0, t1, initial=initial, replay=one, **options)
    glaciers = list(glacier)
    if not glaciers:
        raise InputError("simulate: the list of glaciers is empty")
    if on_error not in ("raise", "keep"):
        raise InputError(f"on_error={on_error!r}: expected 'raise' or 'keep'")
    if initial is not None:
        raise InputError(
            "simulate: initial= belongs to one glacier; run a list glacier by glacier to continue "
            "states"
        )
    model = _bound(model, glaciers)
    results: list[Simulation | Failure] = []
    for position, g in enumerate(glaciers):
        try:
            one = replay_of(replay, g, position, len(glaciers))
            results.append(_simulate_one(model, g, t0, t1, initial=None, replay=one, **options))
        except OdinnError as error:
            if on_error == "raise":
                raise
            results.append(Failure(g.rgi_id, error))
    return results


def _bound(model: Model, glaciers: list[Glacier]) -> Model:
    """The model, bound where it has laws or parameters, so that a new one runs with its initial
    values.
    """
    from odinn.model.binding import bind
    from odinn.physics.laws.base import AbstractLaw

    slot = lambda node: isinstance(node, Parameter | AbstractLaw)
    return bind(model, glaciers) if any(map(slot, jax.tree.leaves(model, is_leaf=slot))) else model


@eqx.filter_jit
def _run_chunk(
    system: Dynamics,
    state: State,
    windows: Window,
    stepper: AbstractStepper,
    replay: Replay | None,
    limits: tuple,
) -> tuple[State, Report, Record]:
    capacity, max_steps = limits
    return integrate(
        system, state, windows, stepper, capacity=capacity, max_steps=max_steps, replay=replay
    )


def _simulate_one(
    model: Model,
    glacier: Glacier,
    t0: Any,
    t1: Any,
    *,
    save_every: float,
    stepper: AbstractStepper,
    coupling: Coupling,
    hydrology: bool,
    initial: State | None,
    replay: Steps | None,
    dtype: str,
    max_steps: int,
    progress: bool | None,
) -> Simulation:
    began = clock.perf_counter()
    t0, t1 = decimal_year(t0), decimal_year(t1)
    check_run(model, glacier, t0, t1, save_every, coupling, initial, dtype)
    if hydrology:
        check_hydrology(model, glacier)
    check_laws(model, glacier, months_between(t0, t1))
    system = dynamics_of(model, glacier, coupling, accounts="water" if hydrology else "budget")
    windows, saved = plan_windows(
        model, glacier, t0, t1, save_every, coupling, resumes=initial is not None
    )
    check_replay(replay, windows, glacier)
    starts, lengths = (
        np.asarray(windows.start),
        np.asarray(windows.length),
    )  # in double precision, whatever the run's
    stops = starts + lengths
    state = _first_state(system, glacier, windows, t0, initial)
    if dtype == "float32":
        system, state, windows = (
            cast_floats(tree, jnp.float32) for tree in (system, state, windows)
        )
    total = len(saved)
    grid = glacier.grid
    initial_volume = float(np.sum(np.asarray(state.thickness, float)) * grid.cell_area)
    times, thickness = [t0], [np.maximum(np.asarray(state.thickness, float), 0.0)]
    smb = [np.full(grid.shape, np.nan)]
    pending, since = np.zeros(grid.shape), t0
    gauge = None
    if hydrology:
        snow = None if initial is None else initial.extras.get("snow")
        gauge = Gauge(np.asarray(glacier.mask), snow, model.ice_density, grid.cell_area, dtype)
    before = thickness[0]
    reports: list[dict[str, np.ndarray]] = []
    records: list[tuple[np.ndarray, ...]] = []
    rejected = evaluations = 0
    warned = False
    with Progress(f"{glacier.rgi_id} {glacier.name}".strip(), t0, t1, progress) as bar:
        for first in range(0, total, CHUNK):
            size = min(CHUNK, total - first)
            part = padded(jax.tree.map(lambda a, i=first, n=size: a[i : i + n], windows), CHUNK)
            state, report, record = _chunk(
                system,
                state,
                part,
                stepper,
                part_of(replay, first, size),
                max_steps,
                glacier,
                size,
                bar,
            )
            report = jax.tree.map(lambda a, n=size: np.asarray(a, float)[:n], report)
            ends = stops[first : first + size]
            for i in range(size):
                pending = pending + report.balance[i]
                if gauge is not None:
                    gauge.add(
                        float(starts[first + i]),
                        float(ends[i]),
                        before,
                        jax.tree.map(lambda a, i=i: a[i], report),
                    )
                    before = report.thickness[i]
                if saved[first + i]:
                    t = snap(float(ends[i]))
                    times.append(t)
                    thickness.append(report.thickness[i])
                    smb.append(pending / (t - since))
                    pending, since = np.zeros(grid.shape), t
            reports.append(
                {k: getattr(report, k) * grid.cell_area for k in BUDGET}
                | {"on_glacier": report.on_glacier * grid.cell_area}
            )
            taken = int(record.total)
            records.append(
                (
                    np.asarray(record.count)[:size],
                    np.asarray(record.dt)[:taken],
                    np.asarray(record.stages)[:taken],
                )
            )
            rejected, evaluations = (
                rejected + int(record.rejected),
                evaluations + int(record.evaluations),
            )
            bar.advance(float(ends[-1]))
            if not warned and first == 0:
                warned = True
                _warn_about_balance(model, glacier, report, part, size)
    series = {k: np.concatenate([r[k] for r in reports]) for k in (*BUDGET, "on_glacier")}
    on_glacier = series.pop("on_glacier")
    count, dt, stages = (np.concatenate([r[i] for r in records]) for i in range(3))
    steps = Steps(starts, lengths, count, dt, stages, rejected, evaluations)
    extras = jax.tree.map(np.asarray, state.extras) | (
        {} if gauge is None else {"snow": gauge.snow}
    )
    return Simulation(
        glacier=glacier,
        model=model,
        times=np.array(times),
        thickness=np.stack(thickness),
        smb=np.stack(smb),
        budget_series={"time": stops, **series},
        glacier_series={
            "time": stops,
            **{k: on_glacier[:, i] for i, k in enumerate(("accumulation", "melt", "rain"))},
        },
        steps=steps,
        state=State(t1, np.asarray(state.thickness), extras),
        initial_volume=initial_volume,
        final_volume=float(np.sum(np.asarray(state.thickness, float)) * grid.cell_area),
        seconds=clock.perf_counter() - began,
        settings={
            "t0": t0,
            "t1": t1,
            "save_every": save_every,
            "coupling": coupling,
            "stepper": _describe(stepper),
            "dtype": dtype,
        },
        hydrology=None if gauge is None else gauge.hydrology(),
    )


def _chunk(
    system: Dynamics,
    state: State,
    part: Window,
    stepper: AbstractStepper,
    replay: Replay | None,
    max_steps: int,
    glacier: Glacier,
    size: int,
    bar: Progress,
) -> tuple[State, Report, Record]:
    """One compiled call; called again with longer buffers where the record of steps did not fit."""
    capacity = _CAPACITY
    while True:
        with bar.compiling(_run_chunk):
            out, report, record = _run_chunk(
                system, state, part, stepper, replay, (capacity, np.int32(max_steps))
            )
            total = int(record.total)  # waits for the result
        status = int(record.status)
        if status != 0:
            done = np.asarray(report.thickness)[:size]
            raise failure(status, glacier, part, np.asarray(record.count), done, max_steps)
        if total <= capacity:
            return out, report, record
        capacity = 1 << (total - 1).bit_length()


def _first_state(
    system: Dynamics, glacier: Glacier, windows: Window, t0: float, initial: State | None
) -> State:
    thickness = jnp.asarray(glacier.thickness if initial is None else initial.thickness, float)
    if not system.has_source:
        return State(jnp.asarray(t0), thickness)
    if initial is not None and "balance" in initial.extras:
        balance = in_force(
            initial.extras["balance"],
            system.accounts == "water",
            bool(windows.evaluate[0]),
            glacier,
        )
        return State(jnp.asarray(t0), thickness, {"balance": jax.tree.map(jnp.asarray, balance)})
    if not windows.evaluate[0]:
        windows.evaluate[0] = True  # a state from elsewhere brings no balance in force
    first = jax.tree.map(lambda a: jnp.asarray(a[0]), windows)
    return State(jnp.asarray(t0), thickness, {"balance": system.no_source(first)})


def _describe(stepper: AbstractStepper) -> str:
    """The stepper with all of its numbers, for the record."""
    numbers = ", ".join(
        f"{f}={getattr(stepper, f)}" for f in (field.name for field in fields(stepper))
    )
    return f"{type(stepper).__name__}({numbers})"


def _warn_about_balance(
    model: Model, glacier: Glacier, report: Report, part: Window, size: int
) -> None:
    """Warn when the first year's glacier-wide balance is not one that a real glacier has."""
    if not isinstance(model.mass_balance, TemperatureIndex) or size < MONTHS_PER_YEAR:
        return
    if abs(float(np.sum(part.length[:size])) - 1.0) > 1e-6:
        return
    ice = np.asarray(glacier.thickness) > 0
    if not ice.any():
        return
    balance = float(report.balance[:size].sum(axis=0)[ice].mean()) * model.ice_density / 1000.0
    if abs(balance) > 3.0:
        warnings.warn(
            f"{glacier.rgi_id}: the glacier-wide balance of the first year is {balance:+.1f} m "
            "w.e. yr-1, which few glaciers "
            "have. If it is not the scenario that is strong, the melt factor is not calibrated: "
            "use odinn.calibrate(model, "
            "glacier, target=...) or `odinn calibrate`.",
            stacklevel=4,
        )
