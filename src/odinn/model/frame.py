"""The part of a glacier's grid that a run computes: cropped to where ice is or may come, its long
side first, and filled up to one of a few sizes, so that glaciers of all shapes share programs.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int, PyTree

from odinn.grid import Array, interior_mask
from odinn.model.model import Model
from odinn.numbers.parameter import Parameter
from odinn.numbers.slot import AbstractVariable, LawRows, Place, slots_of, with_fields
from odinn.physics.flow.base import AbstractWarmFlow

# (rows, columns), each about 1.6 times the cells of the one before: what filling up wastes is less
# than what compiling for every shape would cost
LADDER: Final = (
    (28, 24),
    (36, 28),
    (44, 36),
    (56, 44),
    (72, 56),
    (88, 72),
    (112, 88),
    (144, 112),
)
_STEP: Final = 16  # cells, to which the sides of larger domains are rounded up
_MOST: Final = 100_000  # cells, above which shapes are kept as they are
_WASTE: Final = 2.0  # times its cells, to which a domain is filled up at most
MARGINS: Final = (4, 16, 64)  # cells around the ice, from try to try; then the whole grid
GUARD: Final = 2  # cells of a cut edge that ice may not reach


@dataclasses.dataclass(frozen=True)
class Frame:
    """How the arrays of a run lie on a glacier's grid.

    Args:
        grid: (ny, nx) of the glacier. rows, columns: the part of it, as (first, beyond the last).
        turned: rows and columns change places.
        shape: (ny, nx) of the run's arrays, after turning; what is beyond the part follows it.
    """

    grid: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    turned: bool
    shape: tuple[int, int]

    @property
    def is_plain(self) -> bool:
        """Whether it changes nothing."""
        return self.shape == self.grid and not self.turned and self._part == self.grid

    @property
    def _part(self) -> tuple[int, int]:
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    def placed(self, values: Array, place: Place = "cell") -> Array:
        """Fields (..., ny, nx) on cells, or on corners, of the glacier as the run holds them;
        beyond the part the values at its edge go on.
        """
        if self.is_plain:
            return values
        less = int(place == "corner")
        rows, columns = (slice(a, b - less) for a, b in (self.rows, self.columns))
        part = values[..., rows, columns]
        part = part.swapaxes(-1, -2) if self.turned else part
        beyond = [(0, n - less - m) for n, m in zip(self.shape, part.shape[-2:], strict=True)]
        widths = [(0, 0)] * (part.ndim - 2) + beyond
        pad = jnp.pad if isinstance(part, jax.Array) else np.pad
        return pad(part, widths, mode="edge")

    def only(self, values: Array) -> np.ndarray:
        """Fields on cells as the run holds them, 0 beyond the part. On the host."""
        return np.where(self.within, self.placed(np.asarray(values)), 0.0)

    def cells(self, flat: Int[Array, ...], wanted: Bool[Array, ...]) -> Int[np.ndarray, ...] | None:
        """Where cells of the glacier's grid, by their flat indices, stand in the run's arrays; None
        where one that is wanted is not among them. One that is not may stand anywhere.
        """
        row, column = np.divmod(np.asarray(flat), self.grid[1])
        inside = (row >= self.rows[0]) & (row < self.rows[1])
        inside &= (column >= self.columns[0]) & (column < self.columns[1])
        if (np.asarray(wanted) & ~inside).any():
            return None
        row, column = row - self.rows[0], column - self.columns[0]
        if self.turned:
            row, column = column, row
        return np.where(inside, row * self.shape[1] + column, 0).astype(np.int32)

    def back(self, values: np.ndarray, beyond: Any = 0) -> np.ndarray:
        """Fields of a run, (..., *shape), on the glacier's grid; ``beyond`` the part a number."""
        if self.is_plain:
            return values
        part = values.swapaxes(-1, -2) if self.turned else values
        height, width = self._part
        whole = np.full((*values.shape[:-2], *self.grid), beyond, values.dtype)
        rows, columns = slice(*self.rows), slice(*self.columns)
        whole[..., rows, columns] = part[..., :height, :width]
        return whole

    @property
    def within(self) -> Bool[np.ndarray, "ny nx"]:
        """False beyond the part, where the run's arrays are only filled up."""
        return self._filled(np.ones(self._part, bool))

    @property
    def interior(self) -> Bool[np.ndarray, "ny nx"]:
        """False on the glacier's own outermost ring and beyond it, and where the grid was cut."""
        rows, columns = slice(*self.rows), slice(*self.columns)
        own = np.asarray(interior_mask(self.grid))[rows, columns]
        return self._filled(own & self._cut(1))

    @property
    def near_cut(self) -> Bool[np.ndarray, "ny nx"] | None:
        """The cells within ``GUARD`` of an edge behind which the glacier's own grid goes on; None
        where there is no such edge.
        """
        if self._part == self.grid:
            return None
        return self._filled(~self._cut(GUARD))

    def _cut(self, width: int) -> Bool[np.ndarray, "height width"]:
        """False within some cells of an edge where the grid was cut."""
        inside = np.ones(self._part, bool)
        if self.rows[0] > 0:
            inside[:width] = False
        if self.rows[1] < self.grid[0]:
            inside[-width:] = False
        if self.columns[0] > 0:
            inside[:, :width] = False
        if self.columns[1] < self.grid[1]:
            inside[:, -width:] = False
        return inside

    def _filled(self, part: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "ny nx"]:
        """The part as the run holds it, False beyond."""
        part = part.T if self.turned else part
        whole = np.zeros(self.shape, bool)
        whole[: part.shape[0], : part.shape[1]] = part
        return whole


def plain_frame(shape: tuple[int, int]) -> Frame:
    """A grid as it is."""
    ny, nx = shape
    return Frame(shape, (0, ny), (0, nx), False, shape)


def frame_around(ice: Bool[np.ndarray, "ny nx"], margin: int | None) -> Frame:
    """The frame of some cells.

    Args:
        ice: where ice is, or may be. margin: cells around them; None for the whole grid.
    """
    ny, nx = ice.shape
    rows, columns = (0, ny), (0, nx)
    if margin is not None and ice.any():
        rows = _around(np.any(ice, axis=1), margin)
        columns = _around(np.any(ice, axis=0), margin)
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    turned = width > height
    shape = _size(width, height) if turned else _size(height, width)
    return Frame(ice.shape, rows, columns, turned, shape)


def _around(line: Bool[np.ndarray, " n"], margin: int) -> tuple[int, int]:
    used = np.flatnonzero(line)
    return max(int(used[0]) - margin, 0), min(int(used[-1]) + 1 + margin, line.size)


def _size(height: int, width: int) -> tuple[int, int]:
    """The smallest size that holds a domain."""
    if height * width > _MOST:
        return height, width
    rounded = -(-height // _STEP) * _STEP, -(-width // _STEP) * _STEP
    held = [size for size in LADDER if height <= size[0] and width <= size[1]]
    most = max(_WASTE * height * width, LADDER[0][0] * LADDER[0][1])
    # a long and narrow domain has no place in the ladder
    for size in (*held[:1], rounded):
        if size[0] * size[1] <= most:
            return size
    return height, width


def placed_model(model: Model, frame: Frame) -> Model:
    """The model, as one glacier sees it, with the fields in its numbers as the run holds them."""
    if frame.is_plain:
        return model
    parts = {}
    for part in ("flow", "mass_balance"):
        owner = getattr(model, part)
        if owner is not None:
            values = {
                slot.name: placed_value(slot.value, frame, slot.slot.place)
                for slot in slots_of(owner, part)
            }
            owner = with_fields(owner, **values)
        parts[part] = owner
    return with_fields(model, **parts)


def placed_value(value: Any, frame: Frame, place: Place = "cell") -> Any:
    """What stands in a slot, as the run holds it: a field, or a parameter on every cell; numbers
    and laws stay as they are.
    """

    def on_frame(field: Any) -> Any:
        less = int(place == "corner")
        own = tuple(n - less for n in frame.grid)
        is_field = place != "one" and np.shape(field) == own
        return frame.placed(field, place) if is_field else field

    if isinstance(value, Parameter):
        pick = lambda p: (p.raw, p.initial)
        parts = tuple(on_frame(part) for part in pick(value))
        return eqx.tree_at(pick, value, parts, is_leaf=lambda x: x is None)
    return value if value is None or isinstance(value, AbstractVariable) else on_frame(value)


def placed_rows(rows: PyTree, frame: Frame) -> PyTree:
    """What months bring, (windows, ...), its fields as the run holds them."""

    def placed(column: Array) -> Array:
        is_field = column.ndim == 3 and column.shape[1:] == frame.grid
        return frame.placed(column) if is_field else column

    return jax.tree.map(placed, rows)


def placed_laws(laws: LawRows | None, frame: Frame, model: Model) -> LawRows | None:
    """Monthly inputs of laws, (windows,) or (windows, rows, columns), where their slots live."""
    if laws is None:
        return None
    slots = model.slots()
    return {
        path: tuple(
            frame.placed(rows, slots[path].slot.place) if rows.ndim == 3 else rows
            for rows in inputs
        )
        for path, inputs in laws.items()
    }


def placed_tree(tree: PyTree, frame: Frame) -> PyTree:
    """The cell fields of a state as the run holds them; what has fewer axes stays."""
    return jax.tree.map(lambda leaf: frame.placed(leaf) if np.ndim(leaf) >= 2 else leaf, tree)


def tree_back(tree: PyTree, frame: Frame) -> PyTree:
    """The same, on the glacier's grid."""

    def back(leaf: Any) -> Any:
        return frame.back(np.asarray(leaf)) if np.ndim(leaf) >= 2 else leaf

    return jax.tree.map(back, tree)


def can_be_cropped(model: Model) -> bool:
    """Whether a model may be looked at in part, and turned: its parts say that they are local, and
    all their fields stand in their numbers, where a frame finds them.
    """
    for part in ("flow", "mass_balance"):
        owner = getattr(model, part)
        if owner is None:
            continue
        if not owner.is_local:
            return False
        numbers = {slot.name for slot in slots_of(owner, part)}
        names = [field.name for field in dataclasses.fields(owner) if field.name not in numbers]
        others = [getattr(owner, name) for name in names]
        if any(np.ndim(leaf) > 0 for leaf in jax.tree.leaves(others)):
            return False
    return True


def margins_of(model: Model) -> tuple[int | None, ...]:
    """Cells around the ice that a run computes, from try to try; None is the whole grid."""
    balance = model.mass_balance
    gains_everywhere = balance is not None and balance.accumulation_threshold is None
    warm = isinstance(model.flow, AbstractWarmFlow)
    if gains_everywhere or warm or not can_be_cropped(model):
        return (None,)
    return (*MARGINS, None)
