"""``simulate(..., output=FOLDER)``: runs of any number of glaciers, a load of them in memory at a
time, with a file for each.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import jax
import numpy as np

from odinn.atomic import path_of, whole_or_nothing
from odinn.constants import WATER_DENSITY
from odinn.data.opening import open_glacier
from odinn.errors import InputError, OutputError, of_glacier
from odinn.glacier import Glacier
from odinn.model.binding import bound_for_run, for_one_glacier
from odinn.model.model import Model
from odinn.physics.laws.base import AbstractLaw
from odinn.progress import Progress
from odinn.results.codec import require_registered
from odinn.results.parts import differences, listed, parts_of
from odinn.results.simulation import Simulation
from odinn.results.snapshot import load, save
from odinn.run.batches import advance_all
from odinn.run.checks import replay_of
from odinn.run.job import Job
from odinn.run.settings import Settings
from odinn.stepping.steps import Steps

if TYPE_CHECKING:
    import pandas as pd

TABLE: Final = "glaciers.csv"
# Glaciers that are in memory together: enough to fill batches of alike ones, and few enough that
# memory does not grow with the list.
LOAD: Final = {"cpu": 256, "gpu": 8192}
_BYTES: Final = {"cpu": 2**26, "gpu": 2**33}
_IDENTITY: Final = "fingerprint"  # of a run, among the settings in its file

OnError = Literal["raise", "keep"]


class Row(NamedTuple):
    """What the table says of a glacier."""

    rgi_id: str
    status: Literal["done", "resumed", "failed"]
    file: str = ""
    volume_start_m3: float = np.nan
    volume_end_m3: float = np.nan
    area_start_m2: float = np.nan
    area_end_m2: float = np.nan
    balance_m_we_yr: float = np.nan
    seconds: float = np.nan
    evaluations: int | None = None
    error: str = ""


def stream(
    model: Model,
    glaciers: Glacier | Iterable[Any],
    settings: Settings,
    output: str | Path,
    *,
    replay: Mapping[str, Steps] | None,
    on_error: OnError,
    progress: bool | None,
) -> pd.DataFrame:
    """Run glaciers, read one after the other, and save each; see :func:`odinn.simulate`.

    Returns:
        The table, which is also in the folder.
    """
    _check_ranges(model)
    require_registered(model, "output")
    several = [glaciers] if isinstance(glaciers, Glacier | str | Path) else glaciers
    if not isinstance(several, Iterable):
        found = type(glaciers).__name__
        raise InputError(f"simulate: found {found}, expected glaciers, or what opens as one")
    total = operator.length_hint(several, 0) or None
    with Progress(_label(total), 0.0, total, progress, "{:.0f}") as bar:
        run = _Stream(model, iter(several), settings, path_of(output), replay, on_error, bar)
        while run.next_load():
            pass
    rows = [row for row in run.rows if row is not None]
    if not rows:
        raise InputError("the list of glaciers is empty")
    return _written(rows, run.folder)


class _Stream:
    """A list of glaciers that is worked through load by load; ``rows`` are in its order."""

    def __init__(
        self,
        model: Model,
        source: Iterator[Any],
        settings: Settings,
        folder: Path,
        replay: Mapping[str, Steps] | None,
        on_error: OnError,
        bar: Progress,
    ) -> None:
        self.folder = folder
        self.rows: list[Row | None] = []
        self._model, self._source, self._settings = model, source, settings
        self._replay, self._on_error, self._bar = replay, on_error, bar
        self._seen: set[str] = set()

    def next_load(self) -> bool:
        """Read glaciers until there are enough to run, and run them; whether more may follow.

        All that is read here is gone when this returns, before the next one is read.
        """
        backend = jax.default_backend()
        most, room = (sizes.get(backend, sizes["gpu"]) for sizes in (LOAD, _BYTES))
        begun: dict[int, _Begun] = {}  # by the identity of its job
        before, more = len(self.rows), False
        for item in self._source:
            one = self._begin(item)
            if one is not None:
                begun[id(one.job)] = one
                room -= one.job.memory
            if len(begun) == most or room <= 0:
                more = True
                break
        bar = _Share(self._bar, before, len(self.rows) - before, self._settings)
        advance_all(
            [one.job for one in begun.values()],
            self._settings,
            bar,
            lambda job: self._save(begun[id(job)]),
            lambda job, error: self._fail(begun[id(job)].position, job.glacier.rgi_id, error),
        )
        bar.advance(self._settings.t1)
        return more

    def _begin(self, item: Any) -> _Begun | None:
        """The next glacier, ready to run; None where it has its row already."""
        position = len(self.rows)
        self.rows.append(None)
        rgi_id = str(item) if isinstance(item, str | Path) else type(item).__name__
        try:
            glacier = item if isinstance(item, Glacier) else open_glacier(item)
            rgi_id = glacier.rgi_id
            if rgi_id in self._seen:
                message = "appears twice in the list of glaciers; results are kept by id"
                raise InputError(of_glacier(rgi_id, message))
            self._seen.add(rgi_id)
            steps = replay_of(self._replay, glacier, position, 1)
            own, model = glacier.without_parameters(), bound_for_run(self._model, [glacier])
            identity = _Identity.of(model, own, self._settings, steps)
        except Exception as error:  # whatever it is: the other glaciers go on
            self._fail(position, rgi_id, error)
            return None
        path = self.folder / f"{rgi_id}.nc"
        if path.exists():
            sim = _earlier(path, identity, self._settings)
            self.rows[position] = _row(sim, "resumed", path)
            return None
        try:
            job = Job(model, own, self._settings, None, steps)
        except Exception as error:
            self._fail(position, rgi_id, error)
            return None
        return _Begun(position, job, path, identity.digest)

    def _save(self, one: _Begun) -> None:
        sim = one.job.result()
        sim = replace(sim, settings=sim.settings | {_IDENTITY: one.digest})
        save(sim, one.path)
        self.rows[one.position] = _row(sim, "done", one.path)

    def _fail(self, position: int, rgi_id: str, error: Exception) -> None:
        # after a disk that is full, the next one could not be written either
        if self._on_error == "raise" or isinstance(error, OutputError):
            raise error
        # not the error itself, whose traceback would keep the glacier in memory
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        self.rows[position] = Row(rgi_id, "failed", error=f"{kind}{error}")


class _Begun(NamedTuple):
    """A run of the load."""

    position: int
    job: Job
    path: Path
    digest: str


@dataclass(frozen=True)
class _Identity:
    """What a run depends on, part by part, and the digest of all."""

    parts: dict[str, str]

    @classmethod
    def of(
        cls, model: Model, glacier: Glacier, settings: Settings, steps: Steps | None
    ) -> _Identity:
        own = for_one_glacier(model, glacier.rgi_id)
        found = [*parts_of("model", own), *parts_of("glacier", glacier)]
        found += [*parts_of("run", settings), *parts_of("replay", steps)]
        return cls(dict(found))

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(self.parts).encode()).hexdigest()[:24]

    def difference(self, sim: Simulation, settings: Settings) -> str:
        """How an earlier run is another one, as far as its file tells."""
        model = for_one_glacier(sim.model, sim.glacier.rgi_id)
        theirs = dict([*parts_of("model", model), *parts_of("glacier", sim.glacier)])
        mine = {name: part for name, part in self.parts.items() if name.split(".")[0] in _KEPT}
        found = differences(theirs, mine)
        said = {name: value for name, value in sim.settings.items() if name != _IDENTITY}
        given = settings.described()
        found += differences(_texts("run", said), _texts("run", given))
        return listed(found) or "something that the file does not tell"


_KEPT: Final = ("model", "glacier")  # what a file holds as it was given


def _texts(name: str, values: Mapping[str, Any]) -> dict[str, str]:
    return {f"{name}.{key}": str(value) for key, value in values.items()}


class _Share:
    """A bar over all glaciers, as the runs of a load see it: in simulated time."""

    def __init__(self, bar: Progress, before: int, count: int, settings: Settings) -> None:
        self._bar, self._before, self._count = bar, before, count
        self._t0, self._t1 = settings.span

    def compiling(self, function: Callable) -> AbstractContextManager[None]:
        """See :class:`odinn.progress.Progress`."""
        return self._bar.compiling(function)

    def advance(self, t: float) -> None:
        """Simulated time of this load has reached t."""
        share = (t - self._t0) / (self._t1 - self._t0)
        self._bar.advance(self._before + share * self._count)


def _check_ranges(model: Model) -> None:
    """Refuse a law that would take the ranges of its inputs from whichever glaciers are read."""
    for slot in model.slots().values():
        law = slot.value
        is_open = isinstance(law, AbstractLaw) and law.ranges is None
        if is_open and any(item.range is None for item in law.inputs):
            raise InputError(
                f"output: the law in {slot.path} takes the ranges of its inputs from all glaciers, "
                "and here they are read one after the other: model = odinn.bind(model, glaciers) "
                "first, or give its inputs their range="
            )


def _earlier(path: Path, identity: _Identity, settings: Settings) -> Simulation:
    """The run of a file that is there, if it is this one."""
    advice = "remove it, or choose another folder"
    try:
        sim = load(path)
    except InputError as error:
        raise InputError(f"{error}. It is in the place of a result: {advice}") from error
    if not isinstance(sim, Simulation):
        raise InputError(f"{path}: holds {type(sim).__name__}, in the place of a result: {advice}")
    if sim.settings.get(_IDENTITY) != identity.digest:
        how = identity.difference(sim, settings)
        raise InputError(f"{path}: is the result of another run, which differs in {how}; {advice}")
    return sim


def _row(sim: Simulation, status: Literal["done", "resumed"], path: Path) -> Row:
    area, budget = sim.area, sim.budget
    gained = (budget["accumulation"] - budget["ablation"]) * sim.model.ice_density / WATER_DENSITY
    area_years = float(np.trapezoid(area, sim.times))
    return Row(
        sim.glacier.rgi_id,
        status,
        path.name,
        sim.initial_volume,
        sim.final_volume,
        float(area[0]),
        float(area[-1]),
        gained / area_years if area_years > 0 else np.nan,
        sim.seconds,
        sim.steps.evaluations,
    )


def _written(rows: list[Row], folder: Path) -> pd.DataFrame:
    """The rows as a table, in the folder too."""
    import pandas as pd  # which takes its time

    table = pd.DataFrame(rows, columns=Row._fields).set_index("rgi_id")
    table["evaluations"] = table["evaluations"].astype("Int64")  # whole numbers, or none
    with whole_or_nothing(folder / TABLE) as partial:
        table.to_csv(partial)
    return table


def _label(total: int | None) -> str:
    return "glaciers" if total is None else f"of {total} glaciers"
