"""One glacier's run in progress: what it brings to a batch, and what it takes from it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from odinn.constants import MONTHS_PER_YEAR
from odinn.dates import MONTH
from odinn.errors import SolverError, of_glacier, warn
from odinn.glacier import Glacier
from odinn.model.binding import for_one_glacier, glacier_arrays
from odinn.model.frame import (
    can_be_cropped,
    frame_around,
    margins_of,
    placed_laws,
    placed_model,
    placed_rows,
    placed_tree,
    plain_frame,
    tree_back,
)
from odinn.model.model import Model
from odinn.numbers.parameter import cast_floats
from odinn.physics.domain import Domain
from odinn.physics.state import State
from odinn.results.simulation import Simulation
from odinn.run.assembly import start_of, system_of
from odinn.run.checks import check_replay, check_run, failure
from odinn.run.march import Kept
from odinn.run.plan import Chunk, plan_run
from odinn.run.ranges import ranges_left
from odinn.run.recorders import Recorders
from odinn.run.settings import Settings
from odinn.stepping.interface import OK
from odinn.stepping.steps import Replay, Steps, part_of

# steps of a window that are recorded, of a month and of a longer one; one with more is run again
_WIDTH, _LONG_WIDTH = 64, 1024
_STRANGE: Final = 3.0  # m w.e. yr⁻¹: few glaciers have a mean balance beyond


class Member(NamedTuple):
    """What a glacier brings to a batch: as :class:`odinn.run.march.Members`, without its axis."""

    system: PyTree
    state: State
    replay: Replay | None
    weather: PyTree
    laws: PyTree


class Job:
    """A run of one glacier: at the start of a chunk of its windows, or done.

    Raises:
        InputError: a run that makes no sense; nothing has been compiled then.
    """

    def __init__(
        self,
        model: Model,
        glacier: Glacier,
        settings: Settings,
        initial: State | None,
        replay: Steps | None,
    ) -> None:
        check_run(model, glacier, settings, initial)
        plan = plan_run(model, glacier, settings, resumes=initial is not None)
        check_replay(replay, plan, glacier)
        self.glacier, self.model = glacier, model
        self._own_model = for_one_glacier(model, glacier.rgi_id)
        self._settings, self._replay = settings, replay
        meets = plan.enters_or_leaves_a_balance(initial is not None)
        self._carries_balance = plan.carries or meets
        # what is kept of a balance in force, or of snow beside the ice, is on the whole grid
        keeps_fields = settings.hydrology or meets
        self._margins = (None,) if keeps_fields else margins_of(model)
        ice = glacier.thickness if initial is None else initial.thickness
        self._place(np.asarray(ice))
        state, plan = start_of(self._system, glacier, plan, initial)
        self._plan = plan
        self._state = cast_floats(state, settings.dtype)
        self._records = Recorders(plan, model, glacier, settings, self._state)
        cells = self.frame.shape[0] * self.frame.shape[1]
        self._chunks = list(plan.chunks(settings.dtype, cells, each=settings.hydrology))
        self._next = 0
        self._replay_width = 0 if replay is None else int(replay.count.max())
        is_long = plan.lengths.max() > MONTH + 1e-9
        self.width = _LONG_WIDTH if is_long else _WIDTH
        self.seconds = 0.0
        self._cost: float | None = None

    @property
    def chunk(self) -> Chunk:
        """The windows that come next."""
        return self._chunks[self._next]

    @property
    def is_done(self) -> bool:
        """Whether the run has reached its end."""
        return self._next == len(self._chunks)

    @property
    def state(self) -> State:
        """Where it is: at the start of a chunk, on the glacier's grid."""
        return State(self.time, self._state.thickness, self._state.extras)

    @property
    def memory(self) -> int:
        """Bytes that it takes at its end, about: what its months bring, and the fields it keeps."""
        brought = jax.tree.leaves([(chunk.forcing, chunk.laws) for chunk in self._chunks])
        rows = 1 + sum(len(chunk.kept) for chunk in self._chunks)
        fields = 7 if self._settings.hydrology else 2
        kept = 8 * rows * fields * self.glacier.mask.size
        return kept + sum(np.asarray(rows).nbytes for rows in brought)

    @property
    def time(self) -> float:
        """How far it has come, decimal years."""
        return self._settings.t0 if self._next == 0 else self._chunks[self._next - 1].end

    @property
    def cost(self) -> float:
        """What grows with the steps of the next chunk: the evaluations of the one before, and
        before the first a guess. Only glaciers of one chunk are compared.
        """
        if self._cost is None:
            thickness = self.frame.placed(np.asarray(self._state.thickness))
            self._cost = _first_guess(self._system.domain, np.asarray(thickness))
        return self._cost

    @property
    def program(self) -> Hashable:
        """Equal for runs whose next chunk goes through the same compiled call."""
        chunk = self.chunk
        leaves, structure = jax.tree.flatten((self._system, chunk.forcing, chunk.laws))
        own = self.glacier.grid.shape, self.glacier.grid.corner_shape
        forms = tuple(_form(leaf, own) for leaf in leaves)
        windows = tuple(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(chunk.leg))
        sizes = self.frame.shape, chunk.leg.rows, self.width, self._replay_width
        return structure, forms, windows, sizes

    def member(self) -> Member:
        """What the next chunk needs, as the run holds it."""
        chunk, replay = self.chunk, None
        if self._replay is not None:
            windows = len(chunk.leg.row)
            replay = part_of(self._replay, chunk.first, chunk.size, windows)
        state = placed_tree(self._state, self.frame)
        weather = placed_rows(chunk.forcing, self.frame)
        laws = placed_laws(chunk.laws, self.frame, self.model)
        return Member(self._system, state, replay, weather, laws)

    def take(self, end: State, kept: Kept, seconds: float) -> None:
        """What a batch made of the next chunk; where it did not hold, the same chunk comes again,
        with longer rows or on a larger part of the grid.

        Raises:
            SolverError: the stepping failed.
        """
        self.seconds += seconds
        chunk, count = self.chunk, np.asarray(kept.record.steps.count)
        longest = int(count.max())
        if int(kept.record.status) != OK:
            raise self._failure(int(kept.record.status), count)
        if longest > self.width:
            # a run with longer windows than rows has a right result and an incomplete record
            self.width = 1 << (longest - 1).bit_length()
            return
        if kept.near_cut.any():
            self._margins = self._margins[1:]
            self._place(np.asarray(self._state.thickness))
            return
        self._state = tree_back(end, self.frame)
        totals = jax.tree.map(lambda rows: rows[: chunk.size].astype(float), kept.totals)
        own = kept._replace(
            levels=self._on_grid(kept.levels), amounts=self._on_grid(kept.amounts), totals=totals
        )
        self._records.add(chunk, own)
        if chunk.first == 0:
            self._warn_about_balance(totals)
        self._cost = float(kept.record.tally.evaluations)
        self._next += 1

    def result(self) -> Simulation:
        """Of a run that is done, to be asked for once; says what is wrong with it."""
        sim = self._records.simulation(self._state, self.seconds)
        del self._records  # as large as the result
        states, span = list(sim.thickness), self._settings.span
        for sentence in sim.faults + ranges_left(self.model, self.glacier, states, span):
            warn(sentence)
        return sim

    def _on_grid(self, fields: PyTree) -> PyTree:
        """Kept fields on the glacier's own grid, in double precision."""
        used = len(self.chunk.kept)
        return jax.tree.map(lambda rows: self.frame.back(rows[:used]).astype(float), fields)

    def _failure(self, status: int, count: np.ndarray) -> SolverError:
        size = self.chunk.size
        windows = jax.tree.map(lambda rows: rows[:size], self.chunk.leg.windows)
        return failure(status, self.glacier, windows, count[:size], self._settings.max_steps)

    def _place(self, ice: np.ndarray) -> None:
        """Choose the part of the grid around the ice, and make the system on it."""
        margin = self._margins[0]
        if can_be_cropped(self.model):
            where = np.asarray(self.glacier.mask) | (ice > 0)
            self.frame = frame_around(where, margin)
        else:
            self.frame = plain_frame(self.glacier.grid.shape)
        site = glacier_arrays(self._own_model, self.glacier, self.frame)
        model = placed_model(self._own_model, self.frame)
        settings = self._settings
        water, carried = settings.hydrology, self._carries_balance
        system = system_of(model, site, settings.coupling, water=water, carried=carried)
        self._system = cast_floats(system, settings.dtype)

    def _warn_about_balance(self, totals: Any) -> None:
        """Warn when the first year's glacier-wide balance is not one that a real glacier has."""
        plan, balance = self._plan, self.model.mass_balance
        year = int((plan.ends <= plan.starts[0] + 1.0 + 1e-9).sum())
        cells = np.count_nonzero(np.asarray(self.glacier.thickness) > 0)
        if balance is None or balance.frequency != "monthly" or year < MONTHS_PER_YEAR or not cells:
            return
        accumulation, melt, _ = totals.on_glacier[:year].sum(axis=0) / cells
        gained = accumulation - melt
        if abs(gained) > _STRANGE:
            found = f"the glacier-wide balance of the first year is {gained:+.1f} m w.e. yr-1"
            advice = (
                "which few glaciers have. If it is not the scenario that is strong, the melt "
                "factor is not calibrated: use odinn.calibrate(model, glacier, target=...) or "
                "`odinn calibrate`."
            )
            warn(of_glacier(self.glacier.rgi_id, f"{found}, {advice}"))


def _first_guess(domain: Domain, thickness: np.ndarray) -> float:
    """The stiffness of shallow ice with n = 3, but for constants, m⁵ m⁻²."""
    surface = domain.bed + thickness
    along = np.diff(surface, axis=0)[:, 1:] / domain.dy
    across = np.diff(surface, axis=1)[1:] / domain.dx
    slope_squared = np.minimum(along**2 + across**2, 1.0)
    stiffness = thickness[1:, 1:] ** 5 * slope_squared
    return float(np.max(stiffness)) / min(float(domain.dx), float(domain.dy)) ** 2


def _form(leaf: Any, own: tuple[tuple[int, int], ...]) -> Hashable:
    """What of a leaf is compiled in: shape and precision of an array, of a field on the glacier's
    own grid, which goes onto the frame, its number of axes; a Python number itself.
    """
    if not hasattr(leaf, "shape"):
        return leaf
    shape = leaf.ndim if leaf.shape[-2:] in own else leaf.shape
    return shape, str(leaf.dtype)
