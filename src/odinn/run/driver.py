"""``simulate``: the host driver of forward runs. It checks, compiles, steps, reports; NumPy comes
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import jax

from odinn.cache import enable_compilation_cache
from odinn.dates import MONTH, Date
from odinn.errors import InputError, one_of, refuse_traced
from odinn.glacier import Glacier
from odinn.model.binding import as_list, bind
from odinn.model.model import Model
from odinn.numbers.parameter import Parameter
from odinn.physics.laws.base import AbstractLaw
from odinn.physics.state import State
from odinn.progress import Progress
from odinn.results.simulation import Failure, Simulation
from odinn.run.batches import advance_all
from odinn.run.checks import Replays, check_model, replay_of
from odinn.run.job import Job
from odinn.run.settings import Coupling, Precision, settings_of
from odinn.stepping.interface import AbstractStepper


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
    """Run one glacier, or many together.

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
    results: dict[int, Simulation | Failure] = {}

    def fail(position: int, error: Exception, job: Job | None = None) -> None:
        if single or on_error == "raise":
            raise error
        state = None if job is None else job.state
        results[position] = Failure(glaciers[position].rgi_id, error, state)

    jobs: dict[int, Job] = {}
    for position, one in enumerate(glaciers):
        try:
            steps = replay_of(replay, one, position, len(glaciers))
            jobs[position] = Job(model, one.without_parameters(), settings, initial, steps)
        except Exception as error:  # whatever it is: the other glaciers go on
            fail(position, error)
    place = {id(job): position for position, job in jobs.items()}
    label = f"{glaciers[0].rgi_id} {glaciers[0].name}".strip()
    label = label if len(glaciers) == 1 else f"{len(glaciers)} glaciers"
    with Progress(label, *settings.span, progress) as bar:
        advance_all(list(jobs.values()), settings, bar, lambda job, e: fail(place[id(job)], e, job))
    for position, job in jobs.items():
        if position not in results:
            results[position] = job.result()
    return results[0] if single else [results[i] for i in range(len(glaciers))]


def _bound(model: Model, glaciers: list[Glacier]) -> Model:
    """The model, bound where it has laws or parameters, so that a new one runs with its initial
    values.
    """

    def stands_for_a_number(node: Any) -> bool:
        return isinstance(node, Parameter | AbstractLaw)

    # plain models stay as they are
    leaves = jax.tree.leaves(model, is_leaf=stands_for_a_number)
    return bind(model, glaciers) if any(map(stands_for_a_number, leaves)) else model
