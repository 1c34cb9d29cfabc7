"""``simulate``: the host driver of forward runs. It checks, compiles, steps, reports; NumPy comes
out.
"""

from __future__ import annotations

import dataclasses
import time as clock
from collections.abc import Sequence
from typing import Any, Final, Literal, overload

import equinox as eqx
import jax
import numpy as np

from odinn.cache import enable_compilation_cache
from odinn.constants import MONTHS_PER_YEAR, WATER_DENSITY
from odinn.dates import MONTH, Date
from odinn.errors import InputError, of_glacier, one_of, refuse_traced, warn
from odinn.glacier import Glacier
from odinn.model.binding import as_list, bind
from odinn.model.model import Model
from odinn.numbers.parameter import Parameter, cast_floats
from odinn.physics.laws.base import AbstractLaw
from odinn.physics.processes.system import System, Totals
from odinn.physics.state import State
from odinn.progress import Progress
from odinn.results.simulation import Failure, Simulation
from odinn.run.assembly import start_of, system_of
from odinn.run.checks import Replays, check_model, check_replay, check_run, failure, replay_of
from odinn.run.march import Kept, march
from odinn.run.plan import Chunk, Plan, plan_run
from odinn.run.ranges import ranges_left
from odinn.run.recorders import Recorders
from odinn.run.settings import Coupling, Precision, Settings, settings_of
from odinn.stepping.integrate import Stepping
from odinn.stepping.interface import AbstractStepper
from odinn.stepping.steps import Steps, part_of

_WIDTH = 64  # steps of a window that are recorded, doubled and run again where it has more
_STRANGE: Final = 3.0  # m w.e. yr⁻¹: few glaciers have a mean balance beyond


@overload
def simulate(model: Model, glacier: Glacier, t0: Date, t1: Date, **options: Any) -> Simulation: ...
@overload
def simulate(
    model: Model, glacier: Sequence[Glacier], t0: Date, t1: Date, **options: Any
) -> list: ...
def simulate(
    model: Model,
    glacier: Glacier | Sequence[Glacier],
    t0: Date,
    t1: Date,
    *,
    save_every: float = MONTH,
    stepper: AbstractStepper | None = None,
    coupling: Coupling = "source",
    initial: State | Simulation | None = None,
    replay: Replays = None,
    hydrology: bool = False,
    on_error: Literal["raise", "keep"] = "raise",
    dtype: Precision = "float64",
    max_steps: int = 1_000_000,
    progress: bool | None = None,
) -> Any:
    """Run one glacier, or several one after the other.

    Args:
        model: flow and mass balance.
        glacier: one glacier, or a list; results of a list come in its order. What is learned of one
            (its thickness, its bed) is taken at its present values.
        t0, t1: start and end: decimal years or dates.
        save_every: years between saved states; the last one is always saved.
        stepper: default ``RKC2(tol=1e-2)``.
        coupling: "source" (the month's balance acts through the month) or "jump" (at its end).
        initial: the run to continue, or its state, as left by ``Simulation.state`` or
            ``odinn.restart``; it has to be at t0.
        replay: steps of an earlier run over the same windows, repeated exactly.
        hydrology: record snow, rain, melt and snowpack by cell and month
            (:class:`odinn.results.hydrology.Hydrology`); needs a balance by degree-days. The state
            then carries the snowpack, so a run may be cut anywhere; other states start without snow
            beside the ice.
        on_error: for a list: "raise", or "keep" a :class:`Failure` in place of the result, whatever
            went wrong with the glacier.
        dtype: "float32" is about 0.6 times the time, with errors of millimetres.
        max_steps: attempts after which a window is given up.
        progress: show a progress bar; by default when a terminal is there.

    Returns:
        :class:`Simulation`, or a list of them (and of :class:`Failure`).

    Raises:
        InputError: before anything is compiled. SolverError: steps ran out or a value stopped being
            finite.
    """
    refuse_traced((model, glacier), "simulate")
    enable_compilation_cache()
    single = isinstance(glacier, Glacier)
    glaciers = as_list(glacier)
    check_model(model)
    one_of("on_error", on_error, ("raise", "keep"))
    if initial is not None and not single:
        text = "initial= belongs to one glacier; run a list glacier by glacier to continue states"
        raise InputError(f"simulate: {text}")
    if isinstance(initial, Simulation):
        initial = initial.state
    settings = settings_of(
        t0,
        t1,
        save_every=save_every,
        stepper=stepper,
        coupling=coupling,
        hydrology=hydrology,
        dtype=dtype,
        max_steps=max_steps,
        about=glaciers[0].rgi_id,
    )
    model = _bound(model, glaciers)
    results: list[Simulation | Failure] = []
    for position, one in enumerate(glaciers):
        try:
            steps = replay_of(replay, one, position, len(glaciers))
            plain = one.without_parameters()
            results.append(run_one(model, plain, settings, initial, steps, progress))
        except Exception as error:  # whatever it is: the other glaciers go on
            if single or on_error == "raise":
                raise
            results.append(Failure(one.rgi_id, error))
    return results[0] if single else results


def _bound(model: Model, glaciers: list[Glacier]) -> Model:
    """The model, bound where it has laws or parameters, so that a new one runs with its initial
    values.
    """

    def stands_for_a_number(node: Any) -> bool:
        return isinstance(node, Parameter | AbstractLaw)

    # plain models stay as they are
    leaves = jax.tree.leaves(model, is_leaf=stands_for_a_number)
    return bind(model, glaciers) if any(map(stands_for_a_number, leaves)) else model


def run_one(
    model: Model,
    glacier: Glacier,
    settings: Settings,
    initial: State | None,
    replay: Steps | None,
    progress: bool | None,
) -> Simulation:
    """One run of one glacier: plan it, step its windows, collect what they report."""
    began = clock.perf_counter()
    check_run(model, glacier, settings, initial)
    plan = plan_run(model, glacier, settings, resumes=initial is not None)
    check_replay(replay, plan, glacier)
    system = system_of(model, glacier, settings.coupling, water=settings.hydrology)
    state, plan = start_of(system, glacier, plan, initial)
    system, state = (cast_floats(tree, settings.dtype) for tree in (system, state))
    records = Recorders(plan, model, glacier, settings, state)
    with Progress(f"{glacier.rgi_id} {glacier.name}".strip(), *settings.span, progress) as bar:
        for chunk in plan.chunks(
            settings.dtype, glacier.thickness.size, each=settings.hydrology
        ):
            state, kept = _advance(system, state, chunk, settings, replay, glacier, bar)
            records.add(chunk, kept)
            bar.advance(chunk.end)
            if chunk.first == 0:
                _warn_about_balance(model, glacier, kept.totals, plan)
    sim = records.simulation(state, clock.perf_counter() - began)
    for sentence in sim.faults + ranges_left(model, glacier, list(sim.thickness), settings.span):
        warn(sentence)
    return sim


def _advance(
    system: System,
    state: State,
    chunk: Chunk,
    settings: Settings,
    replay: Steps | None,
    glacier: Glacier,
    bar: Progress,
) -> tuple[State, Kept]:
    """One compiled call, and what it kept on the host in double precision; called again with longer
    rows where the record of steps did not fit."""
    width, most = _WIDTH, np.int32(settings.max_steps)
    leg = chunk.leg
    again = None
    if replay is not None:
        again = part_of(replay, chunk.first, chunk.size, len(leg.row))
    lead = lambda tree: jax.tree.map(lambda a: a[None] if eqx.is_array(a) else a, tree)
    rows = lambda tree: jax.tree.map(lambda a: np.asarray(a)[:, None], tree)
    leg = dataclasses.replace(leg, windows=dataclasses.replace(leg.windows, forcing=rows(leg.windows.forcing), laws=rows(leg.windows.laws)))
    while True:
        how = Stepping(settings.stepper, width, most)
        with bar.compiling(march):
            end, kept = march(lead(system), lead(state), leg, how, lead(again))
            kept = jax.device_get(kept)  # waits for the result
        end, kept = jax.tree.map(lambda a: a[0], (end, kept))
        status = int(kept.record.status)
        count = kept.record.steps.count
        if status != 0:
            raise failure(status, glacier, leg.windows, count[:chunk.size], settings.max_steps)
        # a longer run than the rows has a right result and an incomplete record
        longest = int(count.max())
        if longest <= width:
            totals = jax.tree.map(lambda a: np.asarray(a, float)[: chunk.size], kept.totals)
            fields = jax.tree.map(lambda a: np.asarray(a, float)[: len(chunk.kept)], kept[:2])
            return end, Kept(*fields, totals, kept.record)
        width = 1 << (longest - 1).bit_length()


def _warn_about_balance(model: Model, glacier: Glacier, totals: Totals, plan: Plan) -> None:
    """Warn when the first year's glacier-wide balance is not one that a real glacier has."""
    balance = model.mass_balance
    year = plan.ends <= plan.starts[0] + 1.0 + 1e-9
    if balance is None or balance.frequency != "monthly" or year.sum() < MONTHS_PER_YEAR:
        return
    cells = np.count_nonzero(np.asarray(glacier.thickness) > 0)
    if cells == 0:
        return
    accumulation, melt, _ = totals.on_glacier[: year.sum()].sum(axis=0) / cells
    gained = accumulation - melt
    if abs(gained) > _STRANGE:
        found = f"the glacier-wide balance of the first year is {gained:+.1f} m w.e. yr-1"
        advice = (
            "which few glaciers have. If it is not the scenario that is strong, the melt factor is "
            "not calibrated: use odinn.calibrate(model, glacier, target=...) or `odinn calibrate`."
        )
        warn(of_glacier(glacier.rgi_id, f"{found}, {advice}"))
