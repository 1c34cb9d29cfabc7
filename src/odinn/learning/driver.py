"""``invert``: learn what is to be learned, and ``Inversion``, its result."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import equinox as eqx
import jax
import numpy as np
import xarray as xr

from odinn.cache import enable_compilation_cache
from odinn.dates import Date
from odinn.errors import InputError, OdinnError
from odinn.glacier import Glacier
from odinn.learning import gradients
from odinn.learning.bounds import AtBound, advice, at_bounds
from odinn.learning.checkpoint import InversionState, read_checkpoint, write_checkpoint
from odinn.learning.optimizers import Stage, adam, lbfgs
from odinn.learning.problem import make_settings, prepare_all
from odinn.learning.progress import InversionProgress
from odinn.learning.search import Search
from odinn.learning.steps import first_state, next_state
from odinn.learning.terms import Total, as_total
from odinn.model.binding import as_list, bind, combine
from odinn.model.model import Model
from odinn.physics.processes.base import PyTree
from odinn.results.codec import require_registered
from odinn.results.simulation import Failure, Simulation
from odinn.run.driver import simulate

# each costs one forward derivative of the run
_MOST_GAUSS_NEWTON: Final = 100


class Inversion(eqx.Module):
    """The result of an inversion.

    ``model`` and ``glaciers`` hold what was learned. ``records`` has, per step, the loss, each
    term, the gradient norm, seconds, stage, and whether a trial was rejected; ``history`` is the
    same as an ``xarray.Dataset``. ``misfits`` are the final values of the data terms of each
    glacier, but for those it is left out of. ``covariance`` (after Gauss–Newton, at its last
    linearisation) is that of the unconstrained numbers to first order, if every datum errs
    independently by its error, and what a prior or a smoothness says by its sigma (1 for a
    smoothness); weights shape it as they shape the fit.
    """

    model: Model
    glaciers: list[Glacier]
    records: dict[str, np.ndarray]
    misfits: dict[str, dict[str, float]]
    span: tuple[float, float]
    covariance: np.ndarray | None = None
    options: dict[str, Any] = eqx.field(default_factory=dict)

    @property
    def history(self) -> xr.Dataset:
        """The steps as an ``xarray.Dataset`` with dimension ``step``."""
        return xr.Dataset({name: ("step", column) for name, column in self.records.items()})

    @property
    def at_bounds(self) -> list[AtBound]:
        """What was learned and ended within 1 % of a bound (slot, end, bound, share, of): there the
        data do not speak.
        """
        return at_bounds(self.model, self.glaciers)

    def simulate(
        self, t0: Date | None = None, t1: Date | None = None, **options: Any
    ) -> list[Simulation | Failure]:
        """Forward runs with what was learned, over the span of the inversion unless told
        otherwise.
        """
        start = self.span[0] if t0 is None else t0
        end = self.span[1] if t1 is None else t1
        return simulate(self.model, self.glaciers, start, end, **(self.options | options))

    def __str__(self) -> str:
        loss = self.records["loss"]
        seconds = self.records["seconds"].sum()
        return f"{len(loss)} steps, loss {loss[0]:.3e} to {loss.min():.3e}, {seconds:.0f} s"


def invert(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    loss: object,
    span: tuple[Date, Date],
    *,
    optimizer: Stage | Sequence[Stage] | None = None,
    checkpoint: str | Path | None = None,
    seed: int = 0,
    progress: bool | None = True,
    **options: Any,
) -> Inversion:
    """Learn the parameters and laws of a model, and of glaciers' initial thickness or bed, from
    observations.

    Args:
        model, glaciers, loss, span: as in :func:`odinn.value_and_gradient`.
        optimizer: a stage or several, each starting where the last one ended; default adam(1e-2,
            50), then lbfgs(30).
        checkpoint: a file; written after every step, and continued from if it exists: a run that
            was killed ends bit for bit as one that was not (same machine, same arguments). Classes
            of your own have to be registered (:func:`odinn.register`).
        seed: of the draws of mini-batches. progress: a line per step.
        options: keywords of :func:`odinn.simulate`.

    Returns:
        :class:`Inversion`, with the best parameters found. What of them ended at a bound is warned
        about.

    Raises:
        InputError: nothing to learn, data missing, or a checkpoint of what a file would not keep.
        SolverError: the first evaluation already fails.
    """
    enable_compilation_cache()
    total, listed = as_total(loss), as_list(glaciers)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None:
        require_registered([model, listed, options], f"checkpoint={path}")
    model = bind(model, listed)
    params, static = gradients.what_is_learned(model, listed)
    stages = _stages(optimizer)
    _check_loss(params, static, total, stages)
    settings = make_settings(span, **options)
    problems = prepare_all(model, listed, total, settings)
    # all that follows knows what is learned as one vector
    search = Search(params, static, problems, total, settings)
    state = _run(search, stages, seed, path, progress)
    best = search.params_at(state.best)
    learned_model, learned_glaciers = combine(best, static)
    fit = Inversion(
        model=learned_model,
        glaciers=learned_glaciers,
        records={name: np.asarray(column) for name, column in state.records.items()},
        misfits=search.misfits(best),
        span=settings.span,
        covariance=state.covariance,
        options={name: value for name, value in options.items() if value is not None},
    )
    _warn_of_bounds(fit)
    return fit


def _stages(optimizer: Stage | Sequence[Stage] | None) -> list[Stage]:
    if optimizer is None:
        return [adam(), lbfgs()]
    stages = [optimizer] if isinstance(optimizer, Stage) else list(optimizer)
    if not stages:
        raise InputError("optimizer: the list of stages is empty")
    return stages


def _check_loss(params: PyTree, static: PyTree, loss: Total, stages: list[Stage]) -> None:
    """Raise what is wrong with the regularisations, or for Gauss–Newton, before the first run."""
    gradients.regularization_values(params, static, loss)
    if all(stage.method != "gauss-newton" for stage in stages):
        return
    numbers = sum(leaf.size for leaf in jax.tree.leaves(params))
    if numbers > _MOST_GAUSS_NEWTON:
        raise InputError(
            f"gauss_newton: {numbers} numbers, at most {_MOST_GAUSS_NEWTON}; use lbfgs"
        )
    gradients.regularization_residuals(params, static, loss)


def _run(
    search: Search, stages: list[Stage], seed: int, path: Path | None, progress: bool | None
) -> InversionState:
    """The state after all stages, begun anew or continued from a checkpoint."""
    signature = search.signature(stages, seed)
    state = _continued(path, signature, search.start.size)
    with InversionProgress(sum(stage.steps for stage in stages), progress) as bar:
        if state is None:
            state = first_state(search, stages[0])
        bar.show(state)
        while state.stage < len(stages):
            state = next_state(search, stages[state.stage], state, seed)
            if path is not None:
                write_checkpoint(path, state, signature)
            bar.show(state)
    return state


def _continued(path: Path | None, signature: str, size: int) -> InversionState | None:
    state = None if path is None else read_checkpoint(path, signature)
    if state is not None and state.x.size != size:
        raise InputError(
            f"{path}: holds {state.x.size} numbers, expected {size}; remove it to start anew"
        )
    return state


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
