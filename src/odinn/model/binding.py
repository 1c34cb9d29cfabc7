"""``bind``, ``trainable``, ``combine``: which arrays of a model and its glaciers are learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, PyTree

from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.grid import Array, Scalar, interior_mask
from odinn.model.frame import Frame, placed_value
from odinn.model.model import Model
from odinn.numbers.parameter import Parameter
from odinn.numbers.slot import AbstractVariable, LocatedSlot, slots_of
from odinn.physics.laws.base import AbstractLaw
from odinn.physics.laws.refresh import fixed_values


def as_list(glaciers: Glacier | Sequence[Glacier]) -> list[Glacier]:
    """One glacier or several as a list; an empty one, or an id twice, is an error."""
    listed = [glaciers] if isinstance(glaciers, Glacier) else list(glaciers)
    if not listed:
        raise InputError("the list of glaciers is empty")
    ids = [g.rgi_id for g in listed]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise InputError(
            f"{twice[0]}: appears twice in the list of glaciers; results are kept by id"
        )
    return listed


def bind(model: Model, glaciers: Glacier | Sequence[Glacier]) -> Model:
    """The model with every :class:`Parameter` allocated and every law's inputs normalised for these
    glaciers.

    Binding again changes nothing; ``invert`` and ``value_and_gradient`` bind by themselves.
    """
    listed = as_list(glaciers)
    changed: dict[str, dict[str, Any]] = {"flow": {}, "mass_balance": {}}
    for slot in model.slots().values():
        if isinstance(slot.value, AbstractVariable):
            changed[slot.part][slot.name] = _bound(slot, listed)
    parts = {name: getattr(model, name) for name in changed}
    for name, values in changed.items():
        if values:
            parts[name] = dataclasses.replace(parts[name], **values)
    return Model(**parts)


def bound_for_run(model: Model, glaciers: list[Glacier]) -> Model:
    """The model, bound where it has laws or parameters, so that a new one runs with its initial
    values; any other as it is.
    """

    def stands_for_a_number(node: Any) -> bool:
        return isinstance(node, Parameter | AbstractLaw)

    leaves = jax.tree.leaves(model, is_leaf=stands_for_a_number)
    return bind(model, glaciers) if any(map(stands_for_a_number, leaves)) else model


def _bound(slot: LocatedSlot, glaciers: list[Glacier]) -> AbstractVariable:
    if isinstance(slot.value, Parameter):
        shapes = {g.rgi_id: slot.slot.shape_on(g.grid) for g in glaciers}
        return slot.value.allocated(shapes, slot.path, slot.slot.scale)
    if isinstance(slot.value, AbstractLaw):
        return slot.value.bound(glaciers, slot.path)
    return slot.value


def trainable(model: Model, glaciers: Glacier | Sequence[Glacier]) -> tuple[PyTree, PyTree]:
    """(params, static): the arrays to be learned, and all the rest; see :func:`combine`.

    ``params`` has the structure of (model, list of glaciers) with arrays where something is learned
    (a parameter's ``raw``, a law's weights) and None elsewhere.
    """
    listed = as_list(glaciers)
    tree = bind(model, listed), listed
    return eqx.partition(tree, learned_leaves(tree))


def combine(params: PyTree, static: PyTree) -> tuple[Model, list[Glacier]]:
    """(model, glaciers) again, from what :func:`trainable` split."""
    return eqx.combine(params, static)


def learned_leaves(tree: PyTree) -> PyTree:
    """A tree of the same structure, True where an array is learned."""

    def mark(node: Any) -> PyTree:
        if not isinstance(node, AbstractVariable):
            return False
        nothing = jax.tree.map(lambda _: False, node)
        if node.learned is None:
            return nothing
        marks = jax.tree.map(eqx.is_inexact_array, node.learned)
        return eqx.tree_at(lambda bound: bound.learned, nothing, marks)

    return jax.tree.map(mark, tree, is_leaf=lambda node: isinstance(node, AbstractVariable))


def all_slots(model: Model, glaciers: Sequence[Glacier] = ()) -> dict[str, LocatedSlot]:
    """The slots of a model and of glaciers by title: "flow.A", "thickness of RGI60-11.03638"."""
    slots = model.slots()
    for glacier in glaciers:
        slots |= {slot.title: slot for slot in slots_of(glacier, "glacier", glacier.rgi_id)}
    return slots


def learned_slots(model: Model, glaciers: Sequence[Glacier] = ()) -> dict[str, LocatedSlot]:
    """Those of :func:`all_slots` in which a parameter or a law with weights stands."""
    return {title: slot for title, slot in all_slots(model, glaciers).items() if slot.is_learned}


def for_one_glacier(tree: PyTree, rgi_id: str) -> PyTree:
    """A model as one glacier sees it: of mappings and of parameters per glacier or cell, its own
    entry.
    """

    def pick(node: Any) -> PyTree:
        if isinstance(node, Parameter):
            of_glacier = lambda value: (
                value[rgi_id] if isinstance(value, dict) and rgi_id in value else value
            )
            parts = of_glacier(node.raw), of_glacier(node.initial)
            return eqx.tree_at(
                lambda p: (p.raw, p.initial), node, parts, is_leaf=lambda x: x is None
            )
        if isinstance(node, dict) and rgi_id in node:
            return node[rgi_id]
        return node

    return jax.tree.map(pick, tree, is_leaf=lambda n: isinstance(n, Parameter | dict))


class Cells(eqx.Module):
    """A grid without position whose spacings, m, are arrays: glaciers of one shape share a
    program.
    """

    nx: int = eqx.field(static=True)
    ny: int = eqx.field(static=True)
    dx: Scalar
    dy: Scalar

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)"""
        return self.ny, self.nx

    @property
    def corner_shape(self) -> tuple[int, int]:
        """(ny − 1, nx − 1)"""
        return self.ny - 1, self.nx - 1


class GlacierArrays(eqx.Module):
    """What compiled code knows of one glacier: geometry and the values of law inputs, without
    names.

    Args:
        grid: without position, its spacings traced.
        bed, thickness: m, or parameters to be learned. mask: inside the outline.
        inputs: values of the fixed inputs of each law, by slot.
        interior, near_cut: as of :class:`odinn.physics.domain.Domain`.
    """

    grid: Cells
    bed: Any
    thickness: Any
    mask: Any
    kept_surface: Any
    inputs: dict[str, tuple[Float[Any, ...], ...]]
    interior: Any
    near_cut: Any = None
    rgi_id: str = eqx.field(static=True, default="")


def glacier_arrays(model: Model, glacier: Glacier, frame: Frame | None = None) -> GlacierArrays:
    """The site of a glacier under a bound model, on a frame or on its grid as it is; computes the
    fixed inputs of its laws on the whole grid.
    """
    own = glacier.grid
    dx, dy = np.asarray(own.dx, float), np.asarray(own.dy, float)
    bed, thickness = for_one_glacier((glacier.bed, glacier.thickness), glacier.rgi_id)
    whole = GlacierArrays(
        grid=Cells(own.nx, own.ny, dx, dy),
        bed=bed,
        thickness=thickness,
        mask=np.asarray(glacier.mask),
        kept_surface=glacier.kept_surface,
        inputs=dict(fixed_values(model, glacier)),
        interior=interior_mask(own.shape),
    )
    return whole if frame is None else placed_site(whole, model, frame)


def placed_site(site: GlacierArrays, model: Model, frame: Frame) -> GlacierArrays:
    """A site on the whole of its grid, as a run on a frame holds it."""
    ny, nx = frame.shape
    dx, dy = site.grid.dx, site.grid.dy
    slots = model.slots()
    inputs = {
        path: tuple(_placed(values, frame, slots[path]) for values in fixed)
        for path, fixed in site.inputs.items()
    }
    return dataclasses.replace(
        site,
        grid=Cells(nx, ny, *((dy, dx) if frame.turned else (dx, dy))),
        bed=placed_value(site.bed, frame),
        thickness=placed_value(site.thickness, frame),
        mask=frame.placed(site.mask) & frame.within,
        kept_surface=placed_value(site.kept_surface, frame),
        inputs=inputs,
        interior=frame.interior,
        near_cut=frame.near_cut,
    )


def _placed(values: Array, frame: Frame, slot: LocatedSlot) -> Array:
    """An input of a law: a field where its slot lives, or one number."""
    return values if np.ndim(values) < 2 else frame.placed(values, slot.slot.place)
