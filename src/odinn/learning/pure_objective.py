"""``objective``: a loss as a pure function of what is learned, for any optimiser or sampler."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from odinn.cache import enable_compilation_cache
from odinn.dates import Date
from odinn.errors import InputError, one_of, refuse_traced
from odinn.glacier import Glacier
from odinn.grid import Array
from odinn.learning.batches import (
    Batch,
    batch_of,
    gradients,
    groups_of,
    program_of,
    side_by_side,
    values,
)
from odinn.learning.evaluation import Laid, Runs
from odinn.learning.misfit import (
    GlacierMisfit,
    Path,
    compiled_value,
    misfit_of,
    placed_params,
)
from odinn.learning.terms import Total, as_total
from odinn.model.binding import as_list, bind, combine, for_one_glacier, learned_leaves, trainable
from odinn.model.model import Model
from odinn.notebook import table
from odinn.numbers.parameter import cast_floats
from odinn.run.checks import Replays, replay_of
from odinn.run.settings import Settings, settings_of

StepsOf = Literal["frozen", "live"]
Residuals = dict[str, dict[str, Array]]

REGULARIZATION: Final = "regularization"
# keywords of simulate that the runs of a loss cannot have, and why
_REFUSED: Final = {
    "save_every": "a run stops where losses look at it",
    "initial": "a run starts from the glacier's own thickness, which may be learned",
    "hydrology": "no loss looks at the water",
    "on_error": "a glacier that is dropped would change the loss",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Objective:
    """A loss over glaciers as a pure function of ``params``; made by :func:`odinn.objective`.

    Methods may be called inside ``jax.jit`` and ``jax.vmap``. ``jax.grad`` and ``jax.jvp``
    differentiate ``value`` (by the adjoint) and once more its gradient, ``jax.jvp`` the
    ``residuals``; over frozen steps the residuals have a reverse mode, too. Where a run fails, its
    value and derivatives are NaN, and so is a gradient whose buffers are too small: ``status`` says
    which.

    Args:
        params: where the search starts, unconstrained arrays as of :func:`odinn.trainable`.
        static: the rest, for :func:`odinn.combine`. glaciers, loss, settings: of the runs.
        misfits: of each glacier, on its grid. steps: "frozen" or "live". ready: the misfits that
            :meth:`prepare` has made of them, on the parts of the grids that the runs compute.
        groups: numbers of the glaciers that are computed together. batches: their misfits.
    """

    params: PyTree
    static: PyTree
    glaciers: list[Glacier]
    loss: Total
    settings: Settings
    misfits: list[GlacierMisfit]
    steps: StepsOf = "frozen"
    ready: list[Laid] | None = None
    groups: tuple[list[int], ...] = ()
    batches: tuple[Batch, ...] = ()

    def __repr__(self) -> str:
        numbers = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        state = "not prepared" if self.ready is None else "prepared"
        return (
            f"Objective({numbers} numbers, {len(self.glaciers)} glaciers, steps={self.steps!r}, "
            f"{state})"
        )

    def _repr_html_(self) -> str:
        learned = jax.tree.leaves(self.params)
        t0, t1 = self.settings.span
        rows = {
            "numbers to learn": sum(leaf.size for leaf in learned),
            "glaciers": ", ".join(glacier.rgi_id for glacier in self.glaciers),
            "period": f"{t0:.2f} to {t1:.2f}",
            "steps": self.steps,
            "prepared": "no" if self.ready is None else "yes",
        }
        return table("Objective", rows)

    def prepare(self, params: PyTree | None = None) -> Objective:
        """The objective after one run at ``params`` (default: its own), on the host: it records the
        steps that are repeated from now on ("frozen"), or sizes the buffers of gradients ("live").

        Raises:
            SolverError: the run fails; the message says where and why.
        """
        params = self.params if params is None else params
        refuse_traced(params, "Objective.prepare")
        runs = Runs(self)
        each = runs.records(params)
        ready = [runs.sized(number) for number in range(len(each))]
        if self.steps == "frozen":
            ready = [
                laid._replace(misfit=laid.misfit.repeating(record))
                for laid, (_, record) in zip(ready, each, strict=True)
            ]
        misfits = [laid.misfit for laid in ready]
        given = runs.given(params, range(len(ready)))
        programs = [program_of(*pair) for pair in zip(misfits, given, strict=True)]
        costs = [int(record.tally.evaluations) for _, record in each]
        groups = groups_of(programs, costs, misfits, "adjoint")
        batches = [batch_of([misfits[number] for number in group]) for group in groups]
        return dataclasses.replace(self, ready=ready, groups=tuple(groups), batches=tuple(batches))

    def value(self, params: PyTree) -> Array:
        """The loss, a scalar."""

        @jax.custom_jvp
        def value(params: PyTree) -> Array:
            total = self.penalty(params)
            given = self._given(params)
            for group, batch in self._batches():
                found = values(batch, side_by_side([given[number] for number in group]))
                total += jnp.sum((found.value * _one_or_nan(found.facts.status))[: len(group)])
            return total

        @value.defjvp
        def along(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
            # one adjoint serves both modes
            at, gradient = self.value_and_gradient(*primals)
            products = jax.tree.map(lambda g, t: jnp.sum(g * t), gradient, *tangents)
            return at, jnp.sum(jnp.stack(jax.tree.leaves(products)))

        return value(params)

    def gradient(self, params: PyTree) -> PyTree:
        """The gradient of the loss, in the structure of ``params``: the transpose of the steps."""
        return self.value_and_gradient(params)[1]

    def value_and_gradient(self, params: PyTree) -> tuple[Array, PyTree]:
        """(loss, gradient)"""
        total, of_penalty = jax.value_and_grad(self.penalty)(params)
        given, pull = jax.vjp(self._given, params)
        slopes: dict[int, PyTree] = {}
        for group, batch in self._batches():
            found = gradients(batch, side_by_side([given[number] for number in group]))
            good = _one_or_nan(found.facts.status)
            total += jnp.sum((found.value * good)[: len(group)])
            for place, number in enumerate(group):
                slopes[number] = jax.tree.map(
                    lambda rows, k=place, g=good: rows[k] * g[k], found.more
                )
        (gradient,) = pull([slopes[number] for number in range(len(given))])
        return total, jax.tree.map(jnp.add, of_penalty, gradient)

    def hessian_product(self, params: PyTree, v: PyTree) -> PyTree:
        """The Hessian of the loss times ``v``, in the structure of ``params``: the forward
        derivative of the gradient.
        """
        return jax.jvp(self.gradient, (params,), (v,))[1]

    def residuals(self, params: PyTree) -> Residuals:
        """{rgi_id: {term: residuals (N,)}}; their squares add up to the loss. Regularisations stand
        under "regularization".
        """

        @jax.custom_jvp
        def residuals(params: PyTree) -> Residuals:
            return self._residuals(params, "plain")

        @residuals.defjvp
        def along(primals: tuple, tangents: tuple) -> tuple[Residuals, Residuals]:
            # reverse mode needs loops of known length, which frozen steps have
            path: Path = "bounded" if self.steps == "frozen" else "plain"
            return jax.jvp(partial(self._residuals, path=path), primals, tangents)

        return residuals(params)

    def jvp(self, params: PyTree, v: PyTree) -> tuple[Residuals, Residuals]:
        """(residuals, their derivative along ``v``), in one forward run."""
        return jax.jvp(partial(self._residuals, path="plain"), (params,), (v,))

    def vjp(self, params: PyTree, cotangent: Residuals) -> tuple[Residuals, PyTree]:
        """(residuals, the transpose of their derivative times ``cotangent``), by the adjoint."""
        residuals, pull = jax.vjp(partial(self._residuals, path="adjoint"), params)
        (product,) = pull(cotangent)
        return residuals, product

    def status(self, params: PyTree) -> dict[str, Array]:
        """Of each glacier 0, or why it makes NaN: 1 ``max_steps`` did not suffice, 2 a value
        stopped being finite, 3 a frozen step has become too long, 4 ice has come to the edge of the
        part of the grid that is computed, 100 its gradient needs larger buffers (for the last three
        call :meth:`prepare` there).
        """
        codes = {}
        for glacier, misfit, given in self._members(params):
            _, (_, record) = compiled_value(misfit, given)
            codes[glacier.rgi_id] = misfit.status(record, "adjoint")
        return codes

    def combined(self, params: PyTree) -> tuple[Model, list[Glacier]]:
        """(model, glaciers) with these numbers in their places."""
        return combine(params, self.static)

    def local(self, params: PyTree, glacier: Glacier) -> PyTree:
        """What one glacier's misfit takes of ``params``, in the precision of the runs, on its
        grid.
        """
        ids = [own.rgi_id for own in self.glaciers]
        return self.locals(params, [ids.index(glacier.rgi_id)])[0]

    def locals(self, params: PyTree, numbers: Sequence[int]) -> list[PyTree]:
        """The same of some glaciers, by their numbers."""
        model, glaciers = combine(params, self.static)
        learned = [_split(model, glaciers[number])[0] for number in numbers]
        return cast_floats(learned, self.settings.dtype)

    def penalty(self, params: PyTree) -> Array:
        """The weighted regularisations, which need no run."""
        return sum(self.penalties(params).values(), start=jnp.zeros(()))

    def penalties(self, params: PyTree) -> dict[str, Array]:
        """Weighted value of each regularisation by name."""
        if not self.loss.regularization:
            return {}
        parts = combine(params, self.static)
        terms = self.loss.regularization
        return {name: weight * term.value(*parts) for name, weight, term in terms}

    def penalty_residuals(self, params: PyTree) -> dict[str, tuple[Array, float]]:
        """{regularisation: (residuals (N,), weight of their squares in the loss)}"""
        if not self.loss.regularization:
            return {}
        parts = combine(params, self.static)
        penalties = {}
        for name, weight, term in self.loss.regularization:
            residuals, number = term.residuals(*parts)
            penalties[name] = residuals, weight / number
        return penalties

    def _residuals(self, params: PyTree, path: Path) -> Residuals:
        residuals_of: Residuals = {}
        for glacier, misfit, given in self._members(params):
            each, (weights, record) = _compiled_residuals(misfit, given, path)
            good = _one_or_nan(misfit.status(record, path))
            residuals_of[glacier.rgi_id] = {
                name: residuals * jnp.sqrt(weight) * good
                for (name, _, _), residuals, weight in zip(
                    self.loss.data, each, weights, strict=True
                )
            }
        penalties = self.penalty_residuals(params)
        residuals_of[REGULARIZATION] = {
            name: residuals * np.sqrt(weight) for name, (residuals, weight) in penalties.items()
        }
        return residuals_of

    def _laid(self) -> list[Laid]:
        if self.ready is None:
            raise InputError(
                "objective: call .prepare() first; it runs once on the host, at where the search "
                "starts or at the params you give"
            )
        return self.ready

    def _given(self, params: PyTree) -> list[PyTree]:
        """What the prepared misfits take of ``params``."""
        laid = self._laid()
        own = self.locals(params, range(len(laid)))
        return [placed_params(local, one.frame) for local, one in zip(own, laid, strict=True)]

    def _members(self, params: PyTree) -> Iterator[tuple[Glacier, GlacierMisfit, PyTree]]:
        """Each glacier, its prepared misfit, and what that takes of ``params``."""
        given = self._given(params)
        for glacier, laid, own in zip(self.glaciers, self._laid(), given, strict=True):
            yield glacier, laid.misfit, own

    def _batches(self) -> zip[tuple[list[int], Batch]]:
        return zip(self.groups, self.batches, strict=True)


_compiled_residuals = eqx.filter_jit(GlacierMisfit.residuals)


def objective(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    loss: object,
    period: tuple[Date, Date],
    *,
    steps: StepsOf = "frozen",
    replay: Replays = None,
    **options: Any,
) -> Objective:
    """A loss over a period as a pure function of what is learned: what ``value_and_gradient`` and
    ``invert`` use inside, for optimisers and samplers of your own.

    Args:
        model, glaciers: with parameters and laws where something is to be learned; bound if need
            be.
        loss: a sum of losses. period: (t0, t1), decimal years or dates.
        steps: "frozen": the steps of the run of :meth:`Objective.prepare` are repeated, so that
            values, gradients and second derivatives are of one smooth function; "live": each run
            chooses its own, as :func:`odinn.simulate` does.
        replay: steps to repeat: one ``Steps``, a list in the glaciers' order, or {rgi_id: Steps}.
        options: stepper, coupling, dtype, max_steps as of :func:`odinn.simulate`.

    Returns:
        An :class:`Objective`; call its ``prepare`` before anything else.

    Raises:
        InputError: nothing to learn, data missing, a keyword that makes no sense here.

    >>> import odinn, jax
    >>> glacier = odinn.demo_glaciers()[1]
    >>> A = odinn.Parameter(2e-17, bounds=(1e-18, 1e-15))
    >>> loss = odinn.losses.Thickness(error=5.0)
    >>> truth = odinn.demo_model()
    >>> glacier = odinn.synthetic_observations(truth, glacier, (2010.0, 2010.5))[0]
    >>> model = odinn.Model(odinn.SIA2D(A=A), truth.mass_balance)
    >>> ready = odinn.objective(model, glacier, loss, (2010.0, 2010.5)).prepare()
    >>> value, gradient = jax.jit(jax.value_and_grad(ready.value))(ready.params)
    >>> bool(value > 0)
    True
    """
    one_of("steps", steps, ("frozen", "live"), about="objective")
    whole = misfits_to(model, glaciers, loss, period, replay, options)
    if not jax.tree.leaves(whole.params):
        raise InputError(
            "nothing to learn: put an odinn.Parameter or a law with weights where a number stands"
        )
    return dataclasses.replace(whole, steps=steps)


def misfits_to(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    loss: object,
    period: tuple[Date, Date],
    replay: Replays,
    options: dict[str, Any],
) -> Objective:
    """:func:`objective`, where nothing need be learned."""
    refuse_traced((model, glaciers), "a loss")
    enable_compilation_cache()
    total, listed = as_total(loss), as_list(glaciers)
    bound = bind(model, listed)
    params, static = trainable(bound, listed)
    settings = loss_settings(period, options)
    losses = [term for _, _, term in total.data]
    misfits = []
    # all are checked before the first is run
    for i, glacier in enumerate(listed):
        again = replay_of(replay, glacier, i, len(listed))
        _, rest = _split(bound, glacier)
        misfits.append(misfit_of(bound, glacier, rest, losses, settings, again))
    weights = _weights(total, misfits)
    misfits = [dataclasses.replace(m, weights=m.weights * weights) for m in misfits]
    return Objective(params, static, listed, total, settings, misfits)


def loss_settings(period: tuple[Date, Date], options: dict[str, Any]) -> Settings:
    """Checked settings of the runs of a loss; a keyword that says nothing there is an error."""
    for name, why in _REFUSED.items():
        if name in options:
            raise InputError(f"{name}= says nothing here: {why}")
    known = ("stepper", "coupling", "max_steps", "dtype")
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(f"unknown keyword {unknown[0]!r}; known: {', '.join(known)}")
    return settings_of(*period, **options, save_every=None, about="period")


def _weights(loss: Total, misfits: list[GlacierMisfit]) -> np.ndarray:
    """(terms,): values add up to the mean over the glaciers that have data of a kind."""
    counts = np.atleast_1d(sum(misfit.weights for misfit in misfits))
    for (name, _, _), count in zip(loss.data, counts, strict=True):
        if count == 0:
            raise InputError(f"losses.{name}: every glacier is left out of it")
    return np.array([weight for _, weight, _ in loss.data]) / counts


def _split(model: Model, glacier: Glacier) -> tuple[PyTree, PyTree]:
    """(what is learned, the rest) of (model, (bed, thickness)) as one glacier sees them."""
    own = for_one_glacier((model, (glacier.bed, glacier.thickness)), glacier.rgi_id)
    return eqx.partition(own, learned_leaves(own))


def _one_or_nan(status: Array) -> Array:
    """A factor rather than a choice: it makes derivatives NaN, too."""
    return jnp.where(status == 0, 1.0, jnp.nan)
