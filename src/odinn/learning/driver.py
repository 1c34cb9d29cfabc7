"""``invert``: learn what is to be learned, and ``Inversion``, its result."""

from __future__ import annotations

import dataclasses
import time as clock
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import xarray as xr

from odinn.atomic import path_of
from odinn.dates import Date
from odinn.errors import InputError, OdinnError, SolverError
from odinn.glacier import Glacier, geometry
from odinn.learning import determined
from odinn.learning.bounds import AtBound, advice, at_bounds
from odinn.learning.checkpoint import read_checkpoint, write_checkpoint
from odinn.learning.fingerprint import fingerprint
from odinn.learning.gradients import misfits_at
from odinn.learning.optimizers import AbstractOptimizer, Move, adam, lbfgs
from odinn.learning.pure_objective import objective
from odinn.learning.search import Search
from odinn.learning.state import InversionState
from odinn.model.binding import as_list, learned_slots
from odinn.model.model import Model
from odinn.notebook import drawing, table
from odinn.printing import in_short
from odinn.progress import is_watched, teller
from odinn.results.codec import require_registered
from odinn.results.simulation import Failure, Simulation
from odinn.run.driver import simulate
from odinn.run.ranges import ranges_left


class Inversion(eqx.Module):
    """The result of an inversion.

    ``model`` and ``glaciers`` hold what was learned. ``records`` has, per step, the loss, each
    term, the gradient norm, seconds, stage, and whether a trial was rejected; ``history`` is the
    same as an ``xarray.Dataset``. ``misfits`` are the final values of the data terms of each
    glacier, but for those it is left out of. ``covariance`` (after Gauss–Newton, at its last
    linearisation) is that of the unconstrained numbers to first order, if every datum errs
    independently by its error, and what a prior or a smoothness says by its sigma (1 for a
    smoothness); weights shape it as they shape the fit. The variance of a number that the loss does
    not determine is infinite, and NaN stands beside it.
    """

    model: Model
    glaciers: list[Glacier]
    records: dict[str, np.ndarray]
    misfits: dict[str, dict[str, float]]
    period: tuple[float, float]
    covariance: np.ndarray | None = None
    options: dict[str, Any] = eqx.field(default_factory=dict)

    @property
    def history(self) -> xr.Dataset:
        """The steps as an ``xarray.Dataset`` with dimension ``step``."""
        return xr.Dataset({name: ("step", column) for name, column in self.records.items()})

    @property
    def best_step(self) -> int:
        """The step whose numbers ``model`` and ``glaciers`` hold: that of the lowest loss; 0 is the
        start.
        """
        return int(np.argmin(self.records["loss"]))

    @property
    def at_bounds(self) -> list[AtBound]:
        """What was learned and ended within 1 % of a bound (slot, end, bound, share, of): there the
        data do not speak.
        """
        return at_bounds(self.model, self.glaciers)

    def simulate(
        self, t0: Date | None = None, t1: Date | None = None, **options: Any
    ) -> list[Simulation | Failure]:
        """Forward runs with what was learned, over the period of the inversion unless told
        otherwise.
        """
        start = self.period[0] if t0 is None else t0
        end = self.period[1] if t1 is None else t1
        return simulate(self.model, self.glaciers, start, end, **(self.options | options))

    def __str__(self) -> str:
        loss = self.records["loss"]
        seconds = self.records["seconds"].sum()
        best = f"best at step {self.best_step}"
        change = f"loss {loss[0]:.3e} to {loss.min():.3e}"
        return f"{len(loss) - 1} steps, {change} ({best}), {seconds:.0f} s"

    def __repr__(self) -> str:
        names = ", ".join(glacier.rgi_id for glacier in self.glaciers[:3])
        more = ", ..." if len(self.glaciers) > 3 else ""
        learned = ", ".join(learned_slots(self.model, self.glaciers))
        return f"Inversion({names}{more}; learned {learned}; {self})"

    def _repr_html_(self) -> str:
        loss, seconds = self.records["loss"], self.records["seconds"].sum()
        rows = {
            "period": f"{self.period[0]:.2f} to {self.period[1]:.2f}",
            "steps": f"{len(loss)}, {seconds:.0f} s",
            "loss": f"{loss[0]:.3e} to {loss.min():.3e}",
        }
        for path, slot in learned_slots(self.model, self.glaciers).items():
            rows[f"learned {path}"] = in_short(slot.value)
        for rgi_id, terms in self.misfits.items():
            shares = [f"{name} {value:.3g}" for name, value in terms.items()]
            rows[f"misfit of {rgi_id}"] = ", ".join(shares)
        return table("Inversion", rows, drawing("learned").history(self))


def invert(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    loss: object,
    period: tuple[Date, Date],
    *,
    optimizer: AbstractOptimizer | Sequence[AbstractOptimizer] | None = None,
    checkpoint: str | Path | None = None,
    seed: int = 0,
    progress: bool | None = None,
    **options: Any,
) -> Inversion:
    """Learn the parameters and laws of a model, and of glaciers' initial thickness or bed, from
    observations.

    Args:
        model, glaciers, loss, period: as in :func:`odinn.value_and_gradient`.
        optimizer: a stage or several, each starting where the last one ended; default adam(1e-2,
            50), then lbfgs(30).
        checkpoint: a file; written after every step, and continued from if it exists: a run that
            was killed ends bit for bit as one that was not (same machine, same arguments). All
            arguments have to be the same, to the last datum, but that the stage at hand and those
            to come may have more steps. Classes of your own have to be registered
            (:func:`odinn.register`).
        seed: of the draws of mini-batches.
        progress: a line per step; by default when a terminal or a notebook is there.
        options: stepper, coupling, dtype, max_steps as of :func:`odinn.simulate`.

    Returns:
        :class:`Inversion`, with the best parameters found. What of them ended at a bound, or is not
        determined by the loss, is warned about.

    Raises:
        InputError: nothing to learn, data missing, a checkpoint of what a file would not keep, or
            one of another inversion: the message names what differs.
        SolverError: the first evaluation already fails.
    """
    stages = _stages(optimizer)
    path = None if checkpoint is None else path_of(checkpoint)
    if path is not None:
        require_registered([model, as_list(glaciers), options], f"checkpoint={path}")
    # all that follows knows what is learned as one vector
    search = Search(objective(model, glaciers, loss, period, **options))
    _check(search, stages)
    state = _run(search, stages, seed, path, progress)
    best = search.params_at(state.best)
    learned_model, learned_glaciers = search.objective.combined(best)
    fit = Inversion(
        model=learned_model,
        glaciers=learned_glaciers,
        records={name: np.asarray(column) for name, column in state.records.items()},
        misfits=misfits_at(search.objective, best),
        period=search.objective.settings.span,
        covariance=state.covariance,
        options={name: value for name, value in options.items() if value is not None},
    )
    _warn_of_undetermined(search, state, stages[-1])
    _warn_of_bounds(fit)
    _warn_of_ranges(fit)
    return fit


def _stages(
    optimizer: AbstractOptimizer | Sequence[AbstractOptimizer] | None,
) -> list[AbstractOptimizer]:
    if optimizer is None:
        return [adam(), lbfgs()]
    stages = [optimizer] if isinstance(optimizer, AbstractOptimizer) else list(optimizer)
    if not stages:
        raise InputError("optimizer: the list of stages is empty")
    return stages


def _check(search: Search, stages: list[AbstractOptimizer]) -> None:
    """Raise what is wrong with the regularisations or the optimisers before the first run."""
    search.objective.penalty_residuals(search.objective.params)
    for stage in stages:
        numbers, most = search.start.size, stage.most_numbers
        if most is not None and numbers > most:
            raise InputError(
                f"optimizers.{stage.name}: {numbers} numbers, at most {most}; use lbfgs"
            )


def _run(
    search: Search,
    stages: list[AbstractOptimizer],
    seed: int,
    path: Path | None,
    progress: bool | None,
) -> InversionState:
    """The state after all stages, begun anew or continued from a checkpoint."""
    problem = None if path is None else fingerprint(search.objective, stages, seed)
    say = teller() if (is_watched() if progress is None else progress) else None
    steps = sum(stage.steps for stage in stages)
    state = None if path is None else read_checkpoint(path, problem)
    if state is None:
        state = _first_state(search, stages[0])
    if say is not None:
        _report(state, steps, say)
    while True:
        stage = stages[state.stage]
        # a checkpoint is of a step, so that a stage whose steps have become more goes on from it
        if state.step > 0 and stage.done(state):
            if state.stage == len(stages) - 1:
                break
            state = _next_stage(search, stages, state)
            continue
        began = clock.perf_counter()
        move = stage.step(search, state, seed)
        state = _moved(state, move, clock.perf_counter() - began)
        if path is not None and problem is not None:
            write_checkpoint(path, state, problem)
        if say is not None:
            _report(state, steps, say)
    if say is not None:
        say(f"best: {state.described_best}; its numbers are the result")
    return state


def _first_state(search: Search, stage: AbstractOptimizer) -> InversionState:
    began = clock.perf_counter()
    x = search.start
    at, memory = stage.init(search, x)
    if not at.is_finite:
        raise SolverError(
            f"the loss at the start is {at.value:g}: look at the initial values of what is learned"
        )
    state = InversionState(
        x=x,
        value=at.value,
        gradient=at.gradient,
        best=x,
        best_value=at.value,
        memory=memory,
        covariance=memory.get("covariance"),
    )
    return state.recorded(at.terms, clock.perf_counter() - began, rejected=False)


def _moved(state: InversionState, move: Move, seconds: float) -> InversionState:
    """The state after a step."""
    x, at, memory, rejected = move
    if at.value < state.best_value:
        state = dataclasses.replace(state, best=x, best_value=at.value)
    state = dataclasses.replace(
        state,
        x=x,
        value=at.value,
        gradient=at.gradient,
        memory=memory,
        step=state.step + 1,
        total=state.total + 1,
        covariance=memory.get("covariance", state.covariance),
    )
    return state.recorded(at.terms, seconds, rejected=rejected)


def _next_stage(
    search: Search, stages: list[AbstractOptimizer], state: InversionState
) -> InversionState:
    """The next stage starts from the best point."""
    number = state.stage + 1
    state = dataclasses.replace(state, x=state.best, stage=number, step=0)
    # evaluated anew, for a stage of mini-batches knows no gradient of all glaciers
    at, memory = stages[number].init(search, state.x)
    return dataclasses.replace(state, value=at.value, gradient=at.gradient, memory=memory)


def _report(state: InversionState, steps: int, say: Callable[[str], None]) -> None:
    """A line about the latest step: loss, terms, gradient norm, time left."""
    # a file of output need not hold every line that a terminal shows
    if not is_watched() and state.total % 10 and state.total != steps:
        return
    last = {name: column[-1] for name, column in state.records.items()}
    terms = "  ".join(f"{name} {value:.3e}" for name, value in state.terms.items())
    # the first row has compiled the programs
    latest = (state.records["seconds"][1:] or state.records["seconds"])[-10:]
    left = (steps - state.total) * sum(latest) / len(latest)
    note = "  (trial rejected)" if last["rejected"] else ""
    say(
        f"step {state.total:4d}/{steps}  loss {last['loss']:.4e}  {terms}  |gradient| "
        f"{last['gradient_norm']:.1e}  {last['seconds']:.2f} s, {left:.0f} s left{note}"
    )


def _warn_of_undetermined(search: Search, state: InversionState, last: AbstractOptimizer) -> None:
    # the gradient of a batch is that of some glaciers only
    in_batches = getattr(last, "batch", None) is not None
    for found in determined.undetermined(search, state, in_batches=in_batches):
        warnings.warn(f"invert: {determined.advice(*found)}", stacklevel=3)


def _warn_of_ranges(fit: Inversion) -> None:
    for glacier in fit.glaciers:
        ice = np.asarray(geometry(glacier)[1])
        for sentence in ranges_left(fit.model, glacier, [ice], fit.period):
            warnings.warn(f"invert: {sentence}", stacklevel=3)


def _warn_of_bounds(fit: Inversion) -> None:
    # the warning is about the call of ``invert``
    try:
        for found in fit.at_bounds:
            warnings.warn(f"invert: {advice(found)}", stacklevel=3)
    except OdinnError as error:  # what was learned is not lost to a look at it
        warnings.warn(
            f"invert: it could not be seen whether something ended at a bound: {error}",
            stacklevel=3,
        )
