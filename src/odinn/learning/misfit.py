"""The misfit of one glacier: its run and its residuals, as pure functions of what is learned of
it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, PyTree

from odinn.constants import WATER_DENSITY
from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier, geometry
from odinn.grid import Array, Cell
from odinn.learning.terms import AbstractLoss, Outcome
from odinn.model.binding import GlacierArrays, glacier_arrays, placed_site
from odinn.model.frame import Frame, placed_laws, placed_model, placed_rows, placed_value
from odinn.model.model import Model
from odinn.numbers.parameter import cast_floats
from odinn.numbers.slot import LawRows
from odinn.physics.processes.base import Window
from odinn.physics.processes.flow import velocity_on_cells
from odinn.physics.processes.system import System, initial_state
from odinn.run.assembly import system_of
from odinn.run.checks import check_run
from odinn.run.plan import CHUNK, padded, plan_run
from odinn.run.settings import Coupling, Settings
from odinn.stepping.adjoint import snapshots
from odinn.stepping.integrate import Stepping
from odinn.stepping.interface import OK, AbstractStepper
from odinn.stepping.steps import Limits, Record, Replay, Steps, all_of, narrowed

TOO_SMALL: Final = 100  # status of a derivative whose buffers did not hold the run's steps
WIDTH: Final = 512  # steps of a window that a first run may record
_SAME: Final = 1e-7  # years: a stop this close to the start is the start

# "plain": JAX's own rules, forward mode only; "adjoint": the transpose of the steps, reverse mode
# only; "bounded": plain with loops of known length, every mode; "continuous": by diffrax
Path = Literal["plain", "adjoint", "bounded", "continuous"]
Term = tuple[Array, Array | int]  # residuals (any shape), number of data


class Buffers(NamedTuple):
    """Static sizes: steps per window, stages per step."""

    steps: int = WIDTH
    stages: int = 0

    def hold(self, needed: Buffers) -> bool:
        """Whether a run that needs so much fits."""
        return all(size >= need for size, need in zip(self, needed, strict=True))


class GlacierMisfit(eqx.Module):
    """How far a glacier's run is from its data.

    It knows no names, so that glaciers of one shape share their compiled programs.

    Args:
        rest: (model, (bed, thickness)) as this glacier sees them, None where something is learned;
            the ``params`` of all methods are what stands there.
        site: grid, outline and inputs of laws. windows: of the run, filled up to whole chunks.
        keep: windows that end where a loss looks at the run. start: decimal year.
        losses: the data terms; targets: their data, None where the glacier is left out.
        weights: (terms,), what the mean of a term's squared residuals counts in the whole loss.
        carries: the balance in force has to be carried from window to window.
        replay: steps to repeat; None: they are chosen anew. buffers: see :class:`Buffers`.
        turned: rows and columns have changed places.
    """

    rest: PyTree
    site: GlacierArrays
    windows: Window
    keep: Int[Array, " stops"]
    start: Float[Array, ""]
    losses: tuple[AbstractLoss, ...]
    targets: tuple[PyTree, ...]
    weights: Float[Array, " terms"]
    stepper: AbstractStepper
    coupling: Coupling
    max_steps: int
    carries: bool
    replay: Replay | None
    buffers: Buffers = Buffers()
    turned: Bool[Array, ""] = eqx.field(default_factory=lambda: np.asarray(False))

    def value(self, params: PyTree, path: Path = "plain") -> tuple[Array, tuple[Array, Record]]:
        """(weighted sum over the terms, (value of each term, record of the steps))"""
        terms, record = self.terms(params, path)
        means = [jnp.sum(residuals * residuals) / number for residuals, number in terms]
        values = jnp.stack(means) if means else jnp.zeros(0)
        return jnp.sum(self.weights * values), (values, record)

    def residuals(
        self, params: PyTree, path: Path = "plain"
    ) -> tuple[list[Array], tuple[list[Array], Record]]:
        """(residuals of each term (N,), (weights of their squares in the loss (N,), record))"""
        terms, record = self.terms(params, path)
        residuals: list[Array] = []
        weights: list[Array] = []
        for weight, (residual, number) in zip(self.weights, terms, strict=True):
            residuals.append(jnp.ravel(residual))
            weights.append(jnp.broadcast_to(weight / number, residual.size))
        return residuals, (weights, record)

    def terms(self, params: PyTree, path: Path = "plain") -> tuple[list[Term], Record]:
        """(residuals and number of data of each term, record); of a term that the glacier is left
        out of: (zeros (1,), 1).
        """
        outcome, record = self.outcome(params, path)
        terms: list[Term] = []
        for loss, target in zip(self.losses, self.targets, strict=True):
            if target is None:
                terms.append((jnp.zeros(1), 1))
            else:
                terms.append((loss.residuals(outcome, target), loss.count(target)))
        return terms, record

    def outcome(self, params: PyTree, path: Path = "plain") -> tuple[Outcome, Record]:
        """The run as losses see it, and the record of its steps ("continuous": whether diffrax
        reached the end).
        """
        model, own_geometry = eqx.combine(params, self.rest)
        site = eqx.tree_at(_geometry, self.site, own_geometry, is_leaf=lambda x: x is None)
        so_far = any(loss.uses_balance for loss in self.losses)
        system = system_of(
            model,
            site,
            self.coupling,
            reports=False,
            balance_so_far=so_far,
            carried=self.carries,
        )
        # geometry is in double precision, the windows are in that of the run
        precision = self.windows.length.dtype
        system, thickness = cast_floats((system, geometry(site)[1]), precision)
        first = jax.tree.map(lambda column: column[0], self.windows)
        start = jnp.asarray(self.start, precision)
        state = initial_state(system, start, thickness, {}, first)
        states, record = self._states(system, state, path)
        ice = _with_start(thickness, system.edge.ice(states.thickness))
        balance = None
        if so_far:
            balance = _with_start(state.extras["applied"], states.extras["applied"])
        outcome = Outcome(
            thickness=ice,
            balance=balance,
            velocity=_Velocity(
                system, ice, _laws_at(self.windows, jnp.asarray(self.keep)), self.turned
            ),
            water=model.ice_density / WATER_DENSITY,
        )
        return outcome, record

    def _states(self, system: System, state: PyTree, path: Path) -> tuple[PyTree, PyTree]:
        keep = jnp.asarray(self.keep)
        if path == "continuous":
            # diffrax takes long to load
            from odinn.stepping.continuous import continuous_snapshots

            return continuous_snapshots(system, state, self.windows, keep, self.max_steps)
        return snapshots(
            system,
            state,
            self.windows,
            keep,
            Stepping(
                self.stepper,
                self.buffers.steps,
                self.max_steps,
                (self.buffers.steps, self.buffers.stages) if path == "bounded" else None,
            ),
            self.replay,
            Limits(*self.buffers) if path == "adjoint" else None,
        )

    def status(self, record: Record, path: Path = "plain") -> Array:
        """0, why the stepping stopped, or ``TOO_SMALL`` for a derivative that is wrong."""
        if path == "plain":
            return record.status
        stages = record.most_stages if self.replay is None else jnp.max(self.replay.stages)
        fits = (record.longest <= self.buffers.steps) & (stages <= self.buffers.stages)
        return jnp.where((record.status == OK) & ~fits, TOO_SMALL, record.status)

    def needs(self, record: Record) -> Buffers:
        """What a run would have needed; of the stages, as far as they were recorded. On the
        host.
        """
        return Buffers(int(record.longest), int(record.most_stages))

    def repeating(self, record: Record) -> GlacierMisfit:
        """The same over the steps of a run; a loss is differentiable over fixed steps only, for
        their choice jumps. Steps that are repeated already stay.
        """
        replay = self.replay
        if replay is None:
            replay = narrowed(record.steps)
        buffers = Buffers(int(np.max(replay.count)), int(np.max(replay.stages)))
        return dataclasses.replace(self, replay=replay, buffers=buffers)


def misfit_of(
    model: Model,
    glacier: Glacier,
    rest: PyTree,
    losses: Sequence[AbstractLoss],
    settings: Settings,
    steps: Steps | None = None,
) -> GlacierMisfit:
    """Check a glacier under a bound model and lay out its run and data; weights are 1 where it has
    data, else 0.

    Args:
        rest: as of :class:`GlacierMisfit`. steps: to repeat.

    Raises:
        InputError: what cannot be run, or data that do not fit; nothing has been compiled then.
    """
    plain = glacier.without_parameters()
    check_run(model, plain, settings)
    stops = _stops(losses, glacier, settings)
    plan = plan_run(model, plain, settings, stops=stops)
    if steps is not None and len(steps.start) != plan.count:
        text = f"replay has {len(steps.start)} windows, this run has {plan.count}"
        raise InputError(of_glacier(glacier.rgi_id, text))
    later = [t for t in stops if t - settings.t0 > _SAME]
    # a run needs one stop at least
    keep = plan.nearest(later or [settings.t1])

    def row_of(t: float) -> int:
        """The row of an outcome for a stop; 0 is the start."""
        if t - settings.t0 < _SAME:
            return 0
        return int(np.argmin(np.abs(plan.ends[keep] - t))) + 1

    targets = tuple(loss.targets(glacier, settings.span, row_of) for loss in losses)
    # a multiple of the chunk, so that spans of alike length share a program
    windows = padded(plan.windows, -(-plan.count // CHUNK) * CHUNK)
    misfit = GlacierMisfit(
        rest=rest,
        # geometry is among what may be learned
        site=eqx.tree_at(_geometry, glacier_arrays(model, glacier), (None, None)),
        windows=windows,
        keep=keep,
        start=np.asarray(settings.t0),
        losses=tuple(losses),
        targets=targets,
        weights=np.array([float(target is not None) for target in targets]),
        stepper=settings.stepper,
        coupling=settings.coupling,
        max_steps=settings.max_steps,
        carries=plan.carries,
        replay=None if steps is None else all_of(steps, len(windows.start)),
    )
    if settings.dtype == "float32":
        runs = lambda whole: (whole.rest, whole.site, whole.windows, whole.targets, whole.replay)
        single = cast_floats(runs(misfit), jnp.float32)
        misfit = eqx.tree_at(runs, misfit, single, is_leaf=lambda x: x is None)
    return misfit


def placed_misfit(misfit: GlacierMisfit, frame: Frame) -> GlacierMisfit | None:
    """A glacier's misfit as it lies on a part of its grid; None where a loss looks beyond."""
    model, ground = misfit.rest
    pairs = zip(misfit.losses, misfit.targets, strict=True)
    targets = tuple(None if data is None else loss.placed(data, frame) for loss, data in pairs)
    whole = [data is None for data in misfit.targets]
    if [data is None for data in targets] != whole:
        return None
    windows = dataclasses.replace(
        misfit.windows,
        forcing=placed_rows(misfit.windows.forcing, frame),
        laws=placed_laws(misfit.windows.laws, frame, model),
    )
    return dataclasses.replace(
        misfit,
        rest=(placed_model(model, frame), _placed_ground(ground, frame)),
        site=placed_site(misfit.site, model, frame),
        windows=windows,
        targets=targets,
        turned=np.asarray(frame.turned),
    )


def placed_params(params: PyTree, frame: Frame) -> PyTree:
    """What is learned of a glacier, on the same part."""
    model, ground = params
    return placed_model(model, frame), _placed_ground(ground, frame)


def _placed_ground(ground: tuple, frame: Frame) -> tuple:
    return tuple(placed_value(part, frame) for part in ground)


def _stops(losses: Sequence[AbstractLoss], glacier: Glacier, settings: Settings) -> list[float]:
    """Where the losses want to see the run, in order."""
    t0, t1 = settings.span
    stops = sorted({t for loss in losses for t in loss.stops(glacier, settings.span)})
    for t in stops:
        if not t0 - 1e-9 <= t <= t1 + 1e-9:
            text = f"an observation of {t:.4f} lies outside the period {t0:.4f} to {t1:.4f}"
            raise InputError(of_glacier(glacier.rgi_id, text))
    return stops


def _geometry(owner: PyTree) -> tuple[PyTree, PyTree]:
    return owner.bed, owner.thickness


def with_room(needed: Buffers) -> Buffers:
    """Sizes with room, and few of them, for each compiles a program."""
    return Buffers(
        steps=1 << (max(needed.steps, 2) - 1).bit_length(),
        stages=-(-needed.stages // 4) * 4,
    )


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
    turned: Bool[Array, ""]

    def __call__(self, index: Array, begins: Array | bool = False) -> tuple[Cell, Cell]:
        # rows of the months that begin come after those of the months that end
        row = jnp.where(begins, len(self.ice), 0) + index
        laws = jax.tree.map(lambda rows: rows[row], self.laws)
        # ice that does not flow has a velocity, too
        if self.system.flow is None:
            zero = jnp.zeros_like(self.ice[index])
            return zero, zero
        vx, vy = velocity_on_cells(self.system.flow, self.system.domain, self.ice[index], laws)
        # what flows east on the turned grid flows down the rows, which is south
        return jnp.where(self.turned, -vy, vx), jnp.where(self.turned, -vx, vy)


# (weighted value, (values of the terms, record)) of a misfit, params and path; compiled
compiled_value = eqx.filter_jit(GlacierMisfit.value)


@eqx.filter_jit
def compiled_gradient(
    misfit: GlacierMisfit, params: PyTree, path: Path = "adjoint"
) -> tuple[tuple[Array, tuple[Array, Record]], PyTree]:
    """(what ``compiled_value`` gives, gradient of the weighted value)"""

    def value(params: PyTree) -> tuple[Array, tuple[Array, Record]]:
        return misfit.value(params, path)

    return jax.value_and_grad(value, has_aux=True)(params)


@eqx.filter_jit
def compiled_derivative(
    misfit: GlacierMisfit, params: PyTree, tangent: PyTree
) -> tuple[Array, Array]:
    """(weighted value, its derivative along a direction by forward mode)"""
    return jax.jvp(lambda p: misfit.value(p)[0], (params,), (tangent,))


@eqx.filter_jit
def compiled_jacobian(
    misfit: GlacierMisfit, params: PyTree, directions: PyTree
) -> list[tuple[Array, Array, Array]]:
    """Of each term: residuals (N,), their derivatives along K directions (N, K), and the weights
    (N,) of their squares in the loss. The leaves of ``directions`` have a leading axis K; the run
    itself is made once.
    """

    def along(direction: PyTree) -> tuple[PyTree, PyTree, PyTree]:
        residuals, slopes, (weights, _) = jax.jvp(
            misfit.residuals, (params,), (direction,), has_aux=True
        )
        return residuals, slopes, weights

    # what does not depend on the direction has no axis for it
    columns = jax.vmap(along, out_axes=(None, 1, None))(directions)
    return list(zip(*columns, strict=True))
