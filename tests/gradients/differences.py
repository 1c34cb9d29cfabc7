"""Directional derivatives against differences over the very steps that ran."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import odinn
from odinn.learning.evaluation import Runs
from odinn.learning.gradients import directional_difference

STEPS = 1e-3, 1e-4, 1e-5, 1e-6, 1e-7
SENSITIVE = 10  # cells that are tried one by one
GOOD = 1e-7  # of the gradient's norm: no better step is looked for


@dataclass
class Direction:
    """One directional derivative: its error over the gradient's norm at the best step, and how many
    cells have ice at only one end of that difference, the kinks at the margin that it crosses
    (counted where the error is above ``GOOD``)."""

    glacier: str
    along: str
    error: float
    step: float
    changed: int

    def __str__(self):
        kink = f", {self.changed} cells changed between ice and none" if self.changed else ""
        return f"{self.glacier}, along {self.along}: {self.error:.1e} at step {self.step:g}{kink}"


def wrong_derivatives(model, glaciers, loss, span, bar, **options):
    """The directional derivatives that are not within the bar; those whose difference crosses a
    kink are printed.
    """
    found = directions(model, glaciers, loss, span, **options)
    for one in found:
        if one.changed:
            print(one)
    return [str(one) for one in found if not one.error <= bar]


def directions(model, glaciers, loss, span, **options):
    """Along the gradient, along two random directions, and in the most sensitive cells of
    fields.
    """
    random = np.random.default_rng(0)
    found = []
    for glacier in glaciers:
        # alone, so that it counts whole
        alone = odinn.objective(odinn.bind(model, glaciers), glacier, loss, span, **options)
        params, misfit = alone.local(alone.params, glacier), alone.misfits[0]
        # in the batch, on the part of the grid that is computed, against runs on the whole grid
        runs = Runs(alone)
        ((_, record),) = runs.records(alone.params)
        _, of_all = runs.gradients(alone.params)
        gradient = alone.local(of_all, glacier)
        local = [np.asarray(g) for g in jax.tree.leaves(gradient)]
        fixed = misfit.repeating(record)
        for along, draws in _tangents(local, random):
            found.append(_direction(along, draws, glacier.rgi_id, local, fixed, params))
    return found


def _direction(along, draws, rgi_id, local, misfit, params):
    """One derivative against the best of several differences."""
    norm = np.sqrt(sum((g**2).sum() for g in local))
    assert norm > 0
    length = np.sqrt(sum((d**2).sum() for d in draws))
    draws = [d / length for d in draws]
    tangent = jax.tree.unflatten(jax.tree.structure(params), [jnp.asarray(d) for d in draws])
    exact = sum((g * t).sum() for g, t in zip(local, draws, strict=True))
    at = lambda h: directional_difference(misfit, params, tangent, step=h)
    best, step = np.inf, STEPS[0]
    for h in STEPS:  # fourth order, or second order at a step short enough for kinks to stay away
        error = abs(((4 * at(h / 2) - at(h)) / 3 if h > 1e-5 else at(h)) - exact) / norm
        best, step = (error, h) if error < best else (best, step)
        if best <= GOOD:
            break
    if best <= GOOD:
        return Direction(rgi_id, along, best, step, 0)
    moved = lambda h: jax.tree.map(lambda p, t: p + h * t, params, tangent)
    ends = [np.asarray(_ice_at_stops(misfit, moved(h))) for h in (step, -step)]
    return Direction(rgi_id, along, best, step, int((ends[0] != ends[1]).any(axis=0).sum()))


def _tangents(local, random):
    """Names and directions to be tried."""
    yield "the gradient", local
    for k in range(2):
        yield f"random direction {k + 1}", [random.normal(size=g.shape) for g in local]
    for i, leaf in enumerate(local):
        if leaf.ndim == 2 and leaf.size > SENSITIVE:
            for flat in np.argsort(np.abs(leaf).ravel())[-SENSITIVE:]:
                unit = [np.zeros_like(g) for g in local]
                unit[i].flat[flat] = 1.0
                yield f"cell {tuple(int(k) for k in np.unravel_index(flat, leaf.shape))}", unit


@eqx.filter_jit
def _ice_at_stops(misfit, params):
    return misfit.outcome(params)[0].thickness > 0
