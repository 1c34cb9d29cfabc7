"""One glacier of an inversion: how its run is laid out, and its residuals inside compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.climate import months_between
from odinn.constants import WATER_DENSITY
from odinn.dates import decimal_year
from odinn.errors import InputError, where
from odinn.glacier import Glacier, geometry
from odinn.learning.terms import Outcome, Total
from odinn.model.binding import Site, combine, learned_leaves, localized, site_of
from odinn.model.model import Model, State
from odinn.numbers.parameter import cast_floats
from odinn.physics.dynamics import Coupling, Window, dynamics_of
from odinn.physics.laws.base import check_laws
from odinn.run.plan import CHUNK, check_run, padded, plan_windows
from odinn.run.steps import record_as_replay, replay_of
from odinn.stepping.adjoint import snapshots
from odinn.stepping.interface import AbstractStepper
from odinn.stepping.rkc import RKC2
from odinn.stepping.steps import Record, Replay, Steps


class Problem(eqx.Module):
    """One glacier of an inversion, prepared on the host: site, windows, targets, step, all as
    arrays.

    ``keep`` are the numbers of the windows that end where a loss asked the run to stop.
    ``targets`` has an entry for each data term, None where the glacier is left out of it;
    ``shares`` (terms,) is what the glacier's value of each term counts in the whole loss: 1 over
    the number of glaciers that have such data, or 0.
    """

    glacier: Glacier
    site: Site
    windows: Window
    keep: np.ndarray
    targets: tuple
    shares: np.ndarray
    start: float
    replay: Steps | None

    @property
    def used(self) -> np.ndarray:
        """True for windows that are not there to fill up."""
        return np.asarray(self.windows.length) > 0

    @property
    def carries(self) -> bool:
        """Whether some window starts within a month, so that the balance in force has to be
        carried.
        """
        return self.windows.forcing is not None and not bool(
            np.asarray(self.windows.evaluate)[self.used].all()
        )

    @property
    def steps(self) -> Replay | None:
        """The steps to repeat, if there are."""
        return (
            None if self.replay is None else record_as_replay(self.replay, len(self.windows.start))
        )


class Settings(eqx.Module):
    """How every run of an inversion is made."""

    span: tuple[float, float]
    stepper: AbstractStepper
    coupling: Coupling
    max_steps: int
    dtype: str


def make_settings(
    span: tuple[Any, Any],
    *,
    stepper: AbstractStepper | None = None,
    coupling: Coupling = "source",
    max_steps: int = 1_000_000,
    dtype: str = "float64",
    save_every: float | None = None,
    **unknown: Any,
) -> Settings:
    """Checked settings of the runs of an inversion."""
    if unknown:
        raise InputError(
            f"unknown keyword {next(iter(unknown))!r}; known: stepper, coupling, max_steps, dtype"
        )
    t0, t1 = (decimal_year(t) for t in span)
    return Settings((t0, t1), RKC2() if stepper is None else stepper, coupling, max_steps, dtype)


def prepare_all(
    model: Model, glaciers: Sequence[Glacier], loss: Total, settings: Settings, replay: Any = None
) -> list[Problem]:
    """Each glacier prepared, its shares such that values add up to the mean over the glaciers that
    have data of a kind.
    """
    replays = [replay_of(replay, g, i, len(glaciers)) for i, g in enumerate(glaciers)]
    problems = [
        prepare(model, g, loss, settings, r) for g, r in zip(glaciers, replays, strict=True)
    ]
    counts = sum(p.shares for p in problems)
    for (name, _, _), count in zip(loss.data, np.atleast_1d(counts), strict=True):
        if count == 0:
            raise InputError(f"losses.{name}: every glacier is left out of it")
    return [eqx.tree_at(lambda p: p.shares, p, p.shares / counts) for p in problems]


def prepare(
    model: Model, glacier: Glacier, loss: Total, settings: Settings, replay: Steps | None = None
) -> Problem:
    """Check a glacier and lay out its windows, law inputs and data; its shares are 1, as if it were
    alone.
    """
    t0, t1 = settings.span
    site = site_of(model, glacier)
    bed, thickness = geometry(site)
    plain = eqx.tree_at(
        lambda g: (g.bed, g.thickness), glacier, (np.asarray(bed), np.asarray(thickness))
    )
    check_run(model, plain, t0, t1, t1 - t0, settings.coupling, None, settings.dtype)
    check_laws(model, glacier, months_between(t0, t1))
    data = [term for _, _, term in loss.data]
    stops = sorted({t for term in data for t in term.stops(glacier, settings.span)})
    for t in stops:
        if not t0 - 1e-9 <= t <= t1 + 1e-9:
            raise InputError(
                where(
                    glacier.rgi_id,
                    f"an observation of {t:.4f} lies outside the span {t0:.4f} to {t1:.4f}",
                )
            )
    windows, _ = plan_windows(model, plain, t0, t1, t1 - t0, settings.coupling, stops=stops)
    ends = np.asarray(windows.start) + np.asarray(windows.length)

    later = [t for t in stops if t - t0 > 1e-7] or [t1]
    keep = np.unique([np.argmin(np.abs(ends - t)) for t in later])

    def index(t: float) -> int:
        return 0 if t - t0 < 1e-7 else int(np.argmin(np.abs(ends[keep] - t))) + 1

    targets = tuple(term.targets(glacier, settings.span, index) for term in data)
    if replay is not None and len(replay.start) != len(windows.start):
        raise InputError(
            where(
                glacier.rgi_id,
                f"replay has {len(replay.start)} windows, this run has {len(windows.start)}",
            )
        )
    count = -(-len(ends) // CHUNK) * CHUNK
    shares = np.array([float(t is not None) for t in targets])
    return Problem(glacier, site, padded(windows, count), keep, targets, shares, t0, replay)


def run_outcome(
    model: Model, site: Site, windows: Window, keep: Any, start: Any, settings: tuple, how: dict
) -> tuple[Outcome, Record]:
    """A run of one glacier inside compiled code, with the states at the ends of the windows
    ``keep``.

    ``settings`` are (stepper, coupling); ``how`` are keywords of ``snapshots``, and "carries" and
    "accounts" of ``dynamics_of``; with "continuous" it is solved by ``continuous_snapshots`` (the
    record is then whether that went well).
    """
    stepper, coupling = settings
    how = dict(how)
    carries, accounts, continuous = (
        how.pop("carries"),
        how.pop("accounts"),
        how.pop("continuous", False),
    )
    system = dynamics_of(model, site, coupling, carries=carries, accounts=accounts)
    _, thickness = geometry(site)
    system, thickness = (
        cast_floats(tree, windows.length.dtype) for tree in (system, thickness)
    )  # geometry is float64
    extras = {}
    if carries and system.has_source:
        extras["balance"] = system.no_source(jax.tree.map(lambda a: a[0], windows))
    if accounts == "balance":
        extras["applied"] = jnp.zeros_like(thickness)
    state = State(jnp.asarray(start, windows.length.dtype), thickness, extras)
    states: Any
    record: Any
    if continuous:
        from odinn.stepping.continuous import continuous_snapshots

        states, record = continuous_snapshots(
            system, state, windows, jnp.asarray(keep), how["max_steps"]
        )
    else:
        states, record = snapshots(system, state, windows, jnp.asarray(keep), stepper, **how)

    at_stops = jnp.maximum(states.thickness, 0.0) if system.signed else states.thickness
    ends, last = jnp.asarray(keep), len(windows.start) - 1
    begins = jnp.minimum(ends + 1, last)
    laws = jax.tree.map(lambda a: jnp.concatenate([a[:1], a[ends], a[:1], a[begins]]), windows.laws)
    with_start = lambda first, rest: jnp.concatenate([first[None], rest])
    balance = (
        with_start(extras["applied"], states.extras["applied"]) if accounts == "balance" else None
    )
    times = with_start(state.time, states.time)
    stack = with_start(thickness, at_stops)

    def velocity(index: Any, begins: Any = False) -> tuple[Any, Any]:
        row = jnp.where(begins, len(stack), 0) + index
        return system.velocity(stack[index], jax.tree.map(lambda a: a[row], laws))

    outcome = Outcome(stack, balance, times, velocity, model.ice_density / WATER_DENSITY)
    return outcome, record


def residuals_of(
    params: Any, static: Any, arrays: tuple, loss: Total, settings: tuple, how: dict
) -> tuple[list[tuple[Any, Any]], Record]:
    """((residuals, number of data) of each data term, record) of one glacier; inside compiled code.

    ``params``, ``static`` and ``arrays`` are of :func:`local_parts`, the rest of
    :func:`run_outcome`. Nothing where the
    glacier is left out: (zeros (1,), 1).
    """
    model, own_geometry = eqx.combine(params, static)
    site, windows, keep, targets, start, _ = arrays
    site = eqx.tree_at(
        lambda s: (s.bed, s.thickness), site, own_geometry, is_leaf=lambda x: x is None
    )
    outcome, record = run_outcome(model, site, windows, keep, start, settings, how)
    found = []
    for (_, _, term), own in zip(loss.data, targets, strict=True):
        found.append(
            (jnp.zeros(1), 1) if own is None else (term.residuals(outcome, own), term.count(own))
        )
    return found, record


def local_parts(params: Any, static: Any, problem: Problem) -> tuple[Any, Any, tuple]:
    """(params, static, arrays) of one glacier, without its name."""
    model, glaciers = combine(params, static)
    rgi_id = problem.glacier.rgi_id
    own = next(g for g in glaciers if g.rgi_id == rgi_id)
    local = localized(model, rgi_id), localized((own.bed, own.thickness), rgi_id)
    own_params, own_static = eqx.partition(local, learned_leaves(local))
    site = eqx.tree_at(lambda s: (s.bed, s.thickness), problem.site, (None, None))
    return (
        own_params,
        own_static,
        (site, problem.windows, problem.keep, problem.targets, problem.start, problem.shares),
    )


def run_options(problem: Problem, loss: Total, settings: Settings) -> dict[str, Any]:
    """Keywords of :func:`run_outcome` that do not depend on the method; the balance is summed up
    where a loss asks for it.
    """
    accounts = "balance" if any(term.uses_balance for _, _, term in loss.data) else "none"
    return {"carries": problem.carries, "accounts": accounts, "max_steps": settings.max_steps}
