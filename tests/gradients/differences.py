"""Directional derivatives against differences over the very steps that ran."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from odinn.binding import bind, trainable
from odinn.inversion import gradients
from odinn.inversion.problem import local_parts, make_settings, prepare, run_options
from odinn.inversion.terms import as_total
from odinn.steps import record_as_replay


def worst_error(model, glaciers, loss, span, **options):
    """Largest relative error of directional derivatives over glaciers and directions."""
    settings, loss = make_settings(span, **options), as_total(loss)
    model = bind(model, glaciers)
    params, static = trainable(model, glaciers)
    random, worst = np.random.default_rng(0), 0.0
    for glacier in glaciers:
        problem = prepare(model, glacier, loss, settings)
        gradient = gradients.glacier_value_and_gradient(params, static, problem, loss, settings)[1]
        record = gradients.glacier_value(params, static, problem, loss, settings)[2]
        replay = record_as_replay(record, len(problem.windows.start))
        how = run_options(problem, loss, settings) | {"capacity": 1, "replay": replay}
        own, own_static, arrays = local_parts(params, static, problem)
        local = jax.tree.leaves(local_parts(gradient, static, problem)[0])
        norm = np.sqrt(sum(float(jnp.sum(g**2)) for g in local))
        assert norm > 0
        structure = jax.tree.structure(own)
        for k in range(3):
            draws = [np.asarray(g) if k == 0 else random.normal(size=g.shape) for g in local]
            length = np.sqrt(sum((d**2).sum() for d in draws))
            tangent = jax.tree.unflatten(structure, [jnp.asarray(d / length) for d in draws])
            exact = sum(float(jnp.sum(g * t)) for g, t in zip(local, jax.tree.leaves(tangent), strict=True))
            ours = settings.stepper, settings.coupling
            at = partial(gradients.directional_difference, own, tangent, own_static, arrays, loss, ours, how)
            # fourth order, or second order at a step short enough for kinks to stay away
            tried = [(4 * at(h / 2) - at(h)) / 3 for h in (1e-3, 1e-4)] + [at(h) for h in (1e-5, 1e-6, 1e-7)]
            worst = max(worst, min(abs(t - exact) for t in tried) / norm)
    return worst
