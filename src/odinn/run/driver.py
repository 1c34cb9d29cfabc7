"""``simulate``: the host driver of forward runs. It checks, compiles, steps, reports; NumPy comes
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from odinn.cache import enable_compilation_cache
from odinn.dates import MONTH, Date
from odinn.errors import InputError, one_of, refuse_traced
from odinn.glacier import Glacier
from odinn.model.binding import as_list, bound_for_run
from odinn.model.model import Model
from odinn.physics.state import State
from odinn.progress import Progress
from odinn.results.simulation import Failure, Simulation
from odinn.run.batches import advance_all
from odinn.run.checks import Replays, check_model, replay_of
from odinn.run.job import Job
from odinn.run.settings import Coupling, Precision, Settings, settings_of
from odinn.run.stream import OnError, stream
from odinn.stepping.interface import AbstractStepper

if TYPE_CHECKING:
    import pandas as pd


@overload
def simulate(
    model: Model, glacier: Iterable, t0: Date, t1: Date, *, output: str | Path, **options: Any
) -> pd.DataFrame: ...
@overload
def simulate(model: Model, glacier: Glacier, t0: Date, t1: Date, **options: Any) -> Simulation: ...
@overload
def simulate(
    model: Model, glacier: Sequence[Glacier], t0: Date, t1: Date, **options: Any
) -> list: ...
def simulate(
    model: Model,
    glacier: Glacier | Iterable[Any],
    t0: Date,
    t1: Date,
    *,
    save_every: float = MONTH,
    stepper: AbstractStepper | None = None,
    coupling: Coupling = "source",
    initial: State | Simulation | None = None,
    replay: Replays = None,
    hydrology: bool = False,
    on_error: OnError | None = None,
    dtype: Precision = "float64",
    max_steps: int = 1_000_000,
    progress: bool | None = None,
    output: str | Path | None = None,
) -> Any:
    """Run one glacier, or many together; any number of them with ``output``.

    Args:
        model: flow and mass balance.
        glacier: one glacier, or a list; results of a list come in its order. What is learned of one
            (its thickness, its bed) is taken at its present values. With ``output`` it may be a
            generator, of glaciers or of what :func:`odinn.open_glacier` opens, such as paths.
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
            went wrong with the glacier. Default: "raise"; with ``output`` "keep", which is a row
            of the table.
        dtype: "float32" is about 0.6 times the time, with errors of millimetres.
        max_steps: attempts after which a window is given up.
        progress: show a progress bar; by default when a terminal is there.
        output: a folder, into which each result goes as ``<id>.nc`` when it is done, by
            :func:`odinn.save`. Glaciers are read and run some at a time, so that memory does not
            grow with their number. Those whose file is there are not run again, so a run that was
            cut off is called again to go on. ``initial`` is none then, ``replay`` by id.

    Returns:
        :class:`Simulation`, or a list of them (and of :class:`Failure`). With ``output`` a table of
        pandas, in the folder as ``glaciers.csv`` too, a row per glacier in the order given: status
        ("done", "resumed", "failed"), name of the file, volume (m³) and area (m²) at start and end,
        mean balance over the run's area (m w.e. yr⁻¹), seconds, evaluations of the right-hand side,
        error.

    Raises:
        InputError: before anything is compiled; with ``output`` also a file of another run in the
            place of a result. SolverError: steps ran out or a value stopped being finite.
            OutputError: a result cannot be written; those before it are whole.
    """
    refuse_traced((model, glacier), "simulate")
    enable_compilation_cache()
    check_model(model)
    if on_error is None:
        on_error = "raise" if output is None else "keep"
    one_of("on_error", on_error, ("raise", "keep"))
    single = isinstance(glacier, Glacier)
    # with output= they are read one after the other
    glaciers = as_list(cast(Sequence[Glacier], glacier)) if output is None else []
    settings = settings_of(
        t0,
        t1,
        save_every=save_every,
        stepper=stepper,
        coupling=coupling,
        hydrology=hydrology,
        dtype=dtype,
        max_steps=max_steps,
        about=glaciers[0].rgi_id if glaciers else "simulate",
    )
    if output is not None:
        if initial is not None or not isinstance(replay, Mapping | None):
            text = "output: initial= belongs to one glacier in memory; replay= is {rgi_id: Steps}"
            raise InputError(f"simulate: {text}")
        return stream(
            model, glacier, settings, output, replay=replay, on_error=on_error, progress=progress
        )
    if initial is not None and not single:
        text = "initial= belongs to one glacier; run a list glacier by glacier to continue states"
        raise InputError(f"simulate: {text}")
    if isinstance(initial, Simulation):
        initial = initial.state
    keep = not single and on_error == "keep"
    results = _in_memory(model, glaciers, settings, initial, replay, keep=keep, progress=progress)
    return results[0] if single else results


def _in_memory(
    model: Model,
    glaciers: list[Glacier],
    settings: Settings,
    initial: State | None,
    replay: Replays,
    *,
    keep: bool,
    progress: bool | None,
) -> list[Simulation | Failure]:
    """Results in the glaciers' order; ``keep`` failures instead of raising."""
    model = bound_for_run(model, glaciers)
    results: dict[int, Simulation | Failure] = {}

    def fail(position: int, error: Exception, job: Job | None = None) -> None:
        if not keep:
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

    def done(job: Job) -> None:
        results[place[id(job)]] = job.result()

    label = f"{glaciers[0].rgi_id} {glaciers[0].name}".strip()
    label = label if len(glaciers) == 1 else f"{len(glaciers)} glaciers"
    with Progress(label, *settings.span, progress) as bar:
        runs = list(jobs.values())
        advance_all(runs, settings, bar, done, lambda job, error: fail(place[id(job)], error, job))
    return [results[i] for i in range(len(glaciers))]
