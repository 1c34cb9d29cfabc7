"""One glacier of an inversion: how its run is laid out, and its residuals inside compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from odinn.constants import WATER_DENSITY
from odinn.dates import Date
from odinn.errors import InputError, where
from odinn.glacier import Glacier, geometry
from odinn.grid import Array, Cell
from odinn.learning.terms import AbstractLoss, Outcome, Total
from odinn.model.binding import Site, combine, learned_leaves, localized, site_of
from odinn.model.model import Model
from odinn.numbers.parameter import cast_floats
from odinn.numbers.slot import LawRows
from odinn.physics.processes.base import PyTree, Window
from odinn.physics.processes.flow import velocity_on_cells
from odinn.physics.processes.system import System, initial_state
from odinn.run.assembly import system_of
from odinn.run.checks import Replays, check_run, replay_of
from odinn.run.plan import CHUNK, padded, plan_run
from odinn.run.settings import Coupling, Settings, settings_of
from odinn.stepping.adjoint import snapshots
from odinn.stepping.interface import AbstractStepper
from odinn.stepping.steps import Record, Replay, Steps, record_as_replay

_SAME: Final = 1e-7  # years: a stop this close to the start is the start

Arrays = tuple[PyTree, ...]  # site, windows, keep, targets, start, shares of one glacier
Scheme = tuple[AbstractStepper, Coupling]
How = dict[str, PyTree]  # keywords of a run in compiled code: see run_outcome
Misfit = tuple[Array, Array | int]  # residuals, number of data


class Problem(eqx.Module):
    """One glacier of an inversion, prepared on the host: site, windows, targets, step, all as
    arrays.

    ``keep`` are the numbers of the windows that end where a loss asked the run to stop. ``targets``
    has an entry for each data term, None where the glacier is left out of it; ``shares`` (terms,)
    is what the glacier's value of each term counts in the whole loss: 1 over the number of glaciers
    that have such data, or 0. ``carries``: the balance in force has to be carried from window to
    window.
    """

    glacier: Glacier
    site: Site
    windows: Window
    keep: Int[np.ndarray, " stops"]
    targets: tuple[PyTree, ...]
    shares: Float[np.ndarray, " terms"]
    start: float
    replay: Steps | None
    carries: bool

    @property
    def used(self) -> np.ndarray:
        """True for windows that are not there to fill up."""
        return np.asarray(self.windows.length) > 0

    @property
    def steps(self) -> Replay | None:
        """The steps to repeat, if there are."""
        if self.replay is None:
            return None
        return record_as_replay(self.replay, len(self.windows.start))


def make_settings(span: tuple[Date, Date], **options: Any) -> Settings:
    """Checked settings of the runs of an inversion.

    ``save_every`` says nothing here: a run stops where losses look at it.
    """
    # hydrology, initial states and recorded steps are of forward runs
    known = ("stepper", "coupling", "max_steps", "dtype", "save_every")
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(f"unknown keyword {unknown[0]!r}; known: {', '.join(known[:-1])}")
    return settings_of(*span, **(options | {"save_every": None}), about="span")


def prepare_all(
    model: Model,
    glaciers: Sequence[Glacier],
    loss: Total,
    settings: Settings,
    replay: Replays = None,
) -> list[Problem]:
    """Each glacier prepared, its shares such that values add up to the mean over the glaciers that
    have data of a kind.
    """
    # all are checked before the first is run
    problems = []
    for i, glacier in enumerate(glaciers):
        steps = replay_of(replay, glacier, i, len(glaciers))
        problems.append(prepare(model, glacier, loss, settings, steps))
    counts = np.atleast_1d(sum(p.shares for p in problems))
    for (name, _, _), count in zip(loss.data, counts, strict=True):
        if count == 0:
            raise InputError(f"losses.{name}: every glacier is left out of it")
    return [eqx.tree_at(lambda p: p.shares, p, p.shares / counts) for p in problems]


def prepare(
    model: Model, glacier: Glacier, loss: Total, settings: Settings, replay: Steps | None = None
) -> Problem:
    """Check a glacier and lay out its windows, law inputs and data; its shares are 1, as if it were
    alone.
    """
    data = [term for _, _, term in loss.data]
    plain = glacier.settled()
    check_run(model, plain, settings)
    stops = _stops(data, glacier, settings)
    plan = plan_run(model, plain, settings, stops=stops)
    if replay is not None and len(replay.start) != plan.count:
        text = f"replay has {len(replay.start)} windows, this run has {plan.count}"
        raise InputError(where(glacier.rgi_id, text))
    later = [t for t in stops if t - settings.t0 > _SAME]
    # a run needs one stop at least
    keep = plan.nearest(later or [settings.t1])

    def index(t: float) -> int:
        """The row of an outcome for a stop; 0 is the start."""
        if t - settings.t0 < _SAME:
            return 0
        return int(np.argmin(np.abs(plan.ends[keep] - t))) + 1

    targets = tuple(term.targets(glacier, settings.span, index) for term in data)
    return Problem(
        glacier=glacier,
        site=site_of(model, glacier),
        # a multiple of the chunk, so that spans of alike length share a program
        windows=padded(plan.windows, -(-plan.count // CHUNK) * CHUNK),
        keep=keep,
        targets=targets,
        shares=np.array([float(target is not None) for target in targets]),
        start=settings.t0,
        replay=replay,
        carries=plan.carries,
    )


def _stops(data: list[AbstractLoss], glacier: Glacier, settings: Settings) -> list[float]:
    """Where the losses want to see the run, in order."""
    t0, t1 = settings.span
    stops = sorted({t for term in data for t in term.stops(glacier, settings.span)})
    for t in stops:
        if not t0 - 1e-9 <= t <= t1 + 1e-9:
            text = f"an observation of {t:.4f} lies outside the span {t0:.4f} to {t1:.4f}"
            raise InputError(where(glacier.rgi_id, text))
    return stops


def run_outcome(
    model: Model,
    site: Site,
    windows: Window,
    keep: Int[Array, " stops"],
    start: float,
    settings: Scheme,
    how: How,
) -> tuple[Outcome, Record]:
    """A run of one glacier inside compiled code, with the states at the ends of the windows
    ``keep``.

    ``settings`` are (stepper, coupling); ``how`` are keywords of ``snapshots``, and "carries" and
    "balance_so_far" of ``system_of``; with "continuous" it is solved by ``continuous_snapshots``
    (the record is then whether that went well).
    """
    stepper, coupling = settings
    how = dict(how)
    carries, so_far = how.pop("carries"), how.pop("balance_so_far")
    continuous = how.pop("continuous", False)
    system = system_of(model, site, coupling, reports=False, balance_so_far=so_far, carried=carries)
    _, thickness = geometry(site)
    # geometry is in double precision, the windows are in that of the run
    system, thickness = cast_floats((system, thickness), windows.length.dtype)
    first = jax.tree.map(lambda column: column[0], windows)
    state = initial_state(system, jnp.asarray(start, windows.length.dtype), thickness, {}, first)
    keep = jnp.asarray(keep)
    solved: PyTree  # the record of the continuous adjoint is of another kind
    if continuous:
        # diffrax takes long to load
        from odinn.stepping.continuous import continuous_snapshots

        solved = continuous_snapshots(system, state, windows, keep, how["max_steps"])
    else:
        solved = snapshots(system, state, windows, keep, stepper, **how)
    states, record = solved
    ice = _with_start(thickness, system.edge.ice(states.thickness))
    balance = None
    if so_far:
        balance = _with_start(state.extras["applied"], states.extras["applied"])
    outcome = Outcome(
        thickness=ice,
        balance=balance,
        times=_with_start(state.time, states.time),
        velocity=_Velocity(system, ice, _laws_at(windows, keep)),
        water=model.ice_density / WATER_DENSITY,
    )
    return outcome, record


def _with_start(at_start: Array, at_stops: Array) -> Array:
    return jnp.concatenate([jnp.asarray(at_start)[None], at_stops])


def _laws_at(windows: Window, keep: Int[Array, " stops"]) -> LawRows | None:
    """Monthly inputs of laws at the start and at stops, (2 · (1 + stops), ...): first those of the
    window that ends at each, then those of the one that begins there."""
    # after the last window none begins: its own laws stand for those
    begins = jnp.minimum(keep + 1, len(windows.start) - 1)

    def rows(column: Array) -> Array:
        column = jnp.asarray(column)
        return jnp.concatenate([column[:1], column[keep], column[:1], column[begins]])

    return jax.tree.map(rows, windows.laws)


class _Velocity(eqx.Module):
    """(vx, vy) on cells, m yr⁻¹, at the start (0) or a stop, with the laws of the window that ends
    there, or begins.
    """

    system: System
    ice: Float[Array, "stops ny nx"]
    laws: LawRows | None

    def __call__(self, index: Array, begins: Array | bool = False) -> tuple[Cell, Cell]:
        # rows of the months that begin come after those of the months that end
        row = jnp.where(begins, len(self.ice), 0) + index
        laws = jax.tree.map(lambda rows: rows[row], self.laws)
        # ice that does not flow has a velocity, too
        if self.system.flow is None:
            zero = jnp.zeros_like(self.ice[index])
            return zero, zero
        return velocity_on_cells(self.system.flow, self.system.domain, self.ice[index], laws)


def residuals_of(
    params: PyTree, static: PyTree, arrays: Arrays, loss: Total, settings: Scheme, how: How
) -> tuple[list[Misfit], Record]:
    """((residuals, number of data) of each data term, record) of one glacier; inside compiled code.

    ``params``, ``static`` and ``arrays`` are of :func:`local_parts`, the rest of
    :func:`run_outcome`.
    Nothing where the glacier is left out: (zeros (1,), 1).
    """
    model, own_geometry = eqx.combine(params, static)
    site, windows, keep, targets, start, _ = arrays
    site = with_geometry(site, own_geometry)
    outcome, record = run_outcome(model, site, windows, keep, start, settings, how)
    found: list[Misfit] = []
    for (_, _, term), target in zip(loss.data, targets, strict=True):
        if target is None:
            found.append((jnp.zeros(1), 1))
        else:
            found.append((term.residuals(outcome, target), term.count(target)))
    return found, record


def local_parts(params: PyTree, static: PyTree, problem: Problem) -> tuple[PyTree, PyTree, Arrays]:
    """(params, static, arrays) of one glacier, without its name."""
    model, glaciers = combine(params, static)
    rgi_id = problem.glacier.rgi_id
    own = next(g for g in glaciers if g.rgi_id == rgi_id)
    local = localized(model, rgi_id), localized((own.bed, own.thickness), rgi_id)
    own_params, own_static = eqx.partition(local, learned_leaves(local))
    # geometry is among what may be learned
    site = with_geometry(problem.site, (None, None))
    arrays = (
        site,
        problem.windows,
        problem.keep,
        problem.targets,
        problem.start,
        problem.shares,
    )
    return own_params, own_static, arrays


def with_geometry(owner: PyTree, geometry: tuple[PyTree, PyTree]) -> PyTree:
    """A site or a glacier with another (bed, thickness), either of which may be None."""
    return eqx.tree_at(
        lambda own: (own.bed, own.thickness), owner, geometry, is_leaf=lambda x: x is None
    )


def run_options(problem: Problem, loss: Total, settings: Settings) -> How:
    """Keywords of :func:`run_outcome` that do not depend on the method; the balance is summed up
    where a loss asks for it.
    """
    so_far = any(term.uses_balance for _, _, term in loss.data)
    return {"carries": problem.carries, "balance_so_far": so_far, "max_steps": settings.max_steps}
