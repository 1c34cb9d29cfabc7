"""``invert``: learn what is to be learned, and ``Inversion``, its result."""

from __future__ import annotations

import time as clock
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from odinn.cache import enable_compilation_cache
from odinn.errors import InputError, OdinnError, SolverError
from odinn.glacier import Glacier
from odinn.learning import gradients
from odinn.learning.bounds import AtBound, advice, at_bounds
from odinn.learning.checkpoint import read_checkpoint, write_checkpoint
from odinn.learning.optimizers import Stage, adam, lbfgs
from odinn.learning.problem import (
    Problem,
    make_settings,
    prepare_all,
)
from odinn.learning.progress import InversionProgress
from odinn.learning.terms import Total, as_total
from odinn.model.binding import as_list, bind, combine, trainable
from odinn.model.model import Model
from odinn.results.codec import require_registered
from odinn.run.settings import Settings

_MOST_GAUSS_NEWTON = 100
_LONGEST = 1.0  # step of Gauss–Newton, in unconstrained numbers


class Inversion(eqx.Module):
    """The result of an inversion.

    ``model`` and ``glaciers`` hold what was learned. ``records`` has, per step, the loss, each
    term, the gradient norm, seconds, stage, and whether a trial was rejected; ``history`` is the
    same as an ``xarray.Dataset``. ``misfits`` are the final values of the data terms of each
    glacier, but for those it is left out of. ``covariance`` (after Gauss–Newton, at its last
    linearisation) is that of the unconstrained numbers to first order, if every datum errs
    independently by its error, and what a prior or a smoothness says by its sigma (1 for a
    smoothness); weights shape it as they shape the fit.
    """

    model: Model
    glaciers: list[Glacier]
    records: dict[str, np.ndarray]
    misfits: dict[str, dict[str, float]]
    span: tuple[float, float]
    covariance: np.ndarray | None = None
    options: dict[str, Any] = eqx.field(default_factory=dict)

    @property
    def history(self) -> Any:
        """The steps as an ``xarray.Dataset`` with dimension ``step``."""
        import xarray as xr

        return xr.Dataset({k: ("step", v) for k, v in self.records.items()})

    @property
    def at_bounds(self) -> list[AtBound]:
        """What was learned and ended within 1 % of a bound (slot, end, bound, share, of): there the
        data do not speak.
        """
        return at_bounds(self.model, self.glaciers)

    def simulate(self, t0: Any = None, t1: Any = None, **options: Any) -> list:
        """Forward runs with what was learned, over the span of the inversion unless told
        otherwise.
        """
        from odinn.run.driver import simulate

        span = self.span[0] if t0 is None else t0, self.span[1] if t1 is None else t1
        return simulate(
            self.model, [g.settled() for g in self.glaciers], *span, **{**self.options, **options}
        )

    def __str__(self) -> str:
        loss = self.records["loss"]
        seconds = self.records["seconds"].sum()
        return f"{len(loss)} steps, loss {loss[0]:.3e} to {loss.min():.3e}, {seconds:.0f} s"


def invert(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    loss: Any,
    span: tuple[Any, Any],
    *,
    optimizer: Stage | Sequence[Stage] | None = None,
    checkpoint: str | Path | None = None,
    seed: int = 0,
    progress: bool | None = True,
    **options: Any,
) -> Inversion:
    """Learn the parameters and laws of a model, and of glaciers' initial thickness or bed, from
    observations.

    Args:
        model, glaciers, loss, span: as in :func:`odinn.value_and_gradient`.
        optimizer: a stage or several, each starting where the last one ended; default adam(1e-2,
            50), then lbfgs(30).
        checkpoint: a file; written after every step, and continued from if it exists: a run that
            was killed ends bit for bit as one that was not (same machine, same arguments). Classes
            of your own have to be registered (:func:`odinn.register`).
        seed: of the draws of mini-batches. progress: a line per step.
        options: keywords of :func:`odinn.simulate`.

    Returns:
        :class:`Inversion`, with the best parameters found. What of them ended at a bound is warned
        about.

    Raises:
        InputError: nothing to learn, data missing, or a checkpoint of what a file would not keep.
        SolverError: the first evaluation already fails.
    """
    enable_compilation_cache()
    loss, listed = as_total(loss), as_list(glaciers)
    if checkpoint is not None:
        require_registered([model, listed, options], f"checkpoint={checkpoint}")
    model = bind(model, listed)
    params, static = trainable(model, listed)
    if not jax.tree.leaves(params):
        raise InputError(
            "nothing to learn: put an odinn.Parameter or a law with weights where a number stands"
        )
    stages = (
        [adam(), lbfgs()]
        if optimizer is None
        else [optimizer]
        if isinstance(optimizer, Stage)
        else list(optimizer)
    )
    if not stages:
        raise InputError("optimizer: the list of stages is empty")
    gradients.regularization_values(
        params, static, loss
    )  # what is wrong with it is said before the first run
    if any(stage.method == "gauss-newton" for stage in stages):
        numbers = sum(leaf.size for leaf in jax.tree.leaves(params))
        if numbers > _MOST_GAUSS_NEWTON:
            raise InputError(
                f"gauss_newton: {numbers} numbers, at most {_MOST_GAUSS_NEWTON}; use lbfgs"
            )
        gradients.regularization_residuals(params, static, loss)
    settings = make_settings(span, **options)
    problems = prepare_all(model, listed, loss, settings)
    search = _Search(params, static, problems, loss, settings)
    state = None
    if checkpoint is not None:
        state = read_checkpoint(Path(checkpoint), search.signature(stages, seed))
    if state is not None and state["x"].shape != search.start.shape:
        raise InputError(
            f"{checkpoint}: holds {state['x'].size} numbers, expected {search.start.size}; remove "
            "it to start anew"
        )
    with InversionProgress(sum(s.steps for s in stages), progress) as bar:
        if state is None:
            state = search.first_state(stages[0])
        bar.show(state)
        while int(state["stage"]) < len(stages):
            stage = stages[int(state["stage"])]
            state = _STEPS[stage.method](search, stage, state, seed)
            if _ended(stage, state, state["records"]["loss"]):
                best = {
                    "x": state["best"],
                    "value": state["best_value"],
                    "gradient": state["best_gradient"],
                }
                state = state | best | {"stage": state["stage"] + 1, "step": 0, "memory": {}}
            if checkpoint is not None:
                write_checkpoint(Path(checkpoint), state, search.signature(stages, seed))
            bar.show(state)
    best_params = search.unravel(jnp.asarray(state["best"]))
    final_model, final_glaciers = combine(best_params, static)
    fit = Inversion(
        final_model,
        final_glaciers,
        {k: np.asarray(v) for k, v in state["records"].items()},
        search.misfits(best_params),
        settings.span,
        state.get("covariance"),
        {k: v for k, v in options.items() if v is not None},
    )
    try:
        for found in fit.at_bounds:
            warnings.warn(f"invert: {advice(found)}", stacklevel=2)
    except OdinnError as error:  # what was learned is not lost to a look at it
        warnings.warn(
            f"invert: it could not be seen whether something ended at a bound: {error}",
            stacklevel=2,
        )
    return fit


class _Search:
    """The loss as a function of a flat vector, glacier by glacier."""

    def __init__(
        self, params: Any, static: Any, problems: list[Problem], loss: Total, settings: Settings
    ) -> None:
        self.static, self.problems, self.loss, self.settings = static, problems, loss, settings
        start, self.unravel = ravel_pytree(params)
        self.start = np.asarray(start)
        self.names = [name for name, _, _ in loss.data]
        self.sizes: gradients.Sizes = {}

    def signature(self, stages: list[Stage], seed: int) -> str:
        """What a checkpoint has to agree with."""
        ids = ",".join(p.glacier.rgi_id for p in self.problems)
        terms = [(name, weight) for name, weight, _ in self.loss.named]
        return f"{ids}|{self.start.size}|{self.settings.span}|{terms}|{stages}|{seed}"

    def first_state(self, stage: Stage) -> dict[str, Any]:
        """Before the first step; Gauss–Newton needs no adjoint, so none is compiled for it."""
        began = clock.perf_counter()
        memory: dict[str, Any] = {}
        if stage.method == "gauss-newton":
            value, gradient, terms, memory = self.linearised(self.start)
        else:
            value, gradient, terms = self.value_and_gradient(self.start)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise SolverError(
                f"the loss at the start is {value:g}: look at the initial values of what is learned"
            )
        state = {
            "x": self.start,
            "value": value,
            "gradient": gradient,
            "best": self.start,
            "best_value": value,
            "best_gradient": gradient,
            "stage": 0,
            "step": 0,
            "total": 0,
            "memory": memory,
            "records": {},
        }
        if "covariance" in memory:
            state["covariance"] = memory["covariance"]
        return self.recorded(state, terms, clock.perf_counter() - began, rejected=False)

    def recorded(self, state: dict, terms: dict, seconds: float, *, rejected: bool) -> dict:
        """The state with one more row of history."""
        row = {
            "loss": state["value"],
            **terms,
            "gradient_norm": float(np.linalg.norm(state["gradient"])),
            "seconds": seconds,
            "stage": float(state["stage"]),
            "rejected": float(rejected),
        }
        records = {k: [*state["records"].get(k, []), v] for k, v in row.items()}
        return state | {"records": records}

    def value_and_gradient(
        self, x: np.ndarray, chosen: Sequence[int] | None = None
    ) -> tuple[float, np.ndarray, dict]:
        """(value, gradient, weighted terms by name); a run that fails gives infinity."""
        params = self.unravel(jnp.asarray(x))
        indices = range(len(self.problems)) if chosen is None else chosen
        value, gradient, terms = 0.0, np.zeros_like(x), dict.fromkeys(self.names, 0.0)
        scale = len(self.problems) / len(indices)  # a batch stands for all
        for i in indices:
            problem = self.problems[i]
            try:
                own, grad, values = gradients.glacier_value_and_gradient(
                    params, self.static, problem, self.loss, self.settings, sizes=self.sizes
                )
            except SolverError:
                return np.inf, np.full_like(x, np.nan), terms
            value += scale * own
            gradient = gradient + scale * np.asarray(ravel_pytree(grad)[0])
            for (name, weight, _), share, v in zip(
                self.loss.data, problem.shares, values, strict=True
            ):
                terms[name] += scale * weight * float(share) * float(v)
        penalty, slope = gradients.regularization_value_and_gradient(params, self.static, self.loss)
        parts = gradients.regularization_values(params, self.static, self.loss)
        terms |= {k: float(v) for k, v in parts.items()}
        return value + penalty, gradient + np.asarray(ravel_pytree(slope)[0]), terms

    def value(self, x: np.ndarray) -> float:
        """The value alone."""
        params = self.unravel(jnp.asarray(x))
        total = 0.0
        for problem in self.problems:
            try:
                own = gradients.glacier_value(
                    params, self.static, problem, self.loss, self.settings
                )[0]
            except SolverError:
                return np.inf
            total += own
        total += float(
            sum(gradients.regularization_values(params, self.static, self.loss).values())
        )
        return total if np.isfinite(total) else np.inf

    def misfits(self, params: Any) -> dict[str, dict[str, float]]:
        """Unweighted values of the data terms of each glacier."""
        return gradients.misfits_of(params, self.static, self.problems, self.loss, self.settings)

    def linearised(self, x: np.ndarray) -> tuple[float, np.ndarray, dict, dict[str, np.ndarray]]:
        """(value, gradient, weighted terms, {"normal": half the Gauss–Newton Hessian, "covariance":
        of the numbers when the residuals have unit variance}) from all residuals and their
        derivatives, without the adjoint."""
        params, own = self.unravel(jnp.asarray(x)), (self.static, self.loss)
        tangents = [self.unravel(unit) for unit in jnp.eye(x.size)]
        penalty = lambda v: gradients.regularization_residuals(self.unravel(v), *own)
        residual, weight = penalty(jnp.asarray(x))
        rows = [(residual, jax.jacfwd(lambda v: penalty(v)[0])(jnp.asarray(x)), weight)]
        terms = dict.fromkeys(self.names, 0.0)
        for problem in self.problems:
            call_at = lambda p, own=problem: gradients.call_of(
                p, self.static, own, self.loss, self.settings
            )
            call = gradients.over_replay(call_at(params), problem, self.settings)[2]
            stacked = jax.tree.map(
                lambda *leaves: jnp.stack(leaves), *(call_at(t).params for t in tangents)
            )
            parts = gradients.residuals_with_jacobian(call.params, stacked, *call[1:])
            for name, (residual, _, weight) in zip(self.names, parts, strict=True):
                terms[name] += float(jnp.sum(weight * residual**2))
            rows += parts
        residuals, jacobian, weights = (
            np.concatenate([np.asarray(row[i]) for row in rows]) for i in range(3)
        )
        weighted = weights[:, None] * jacobian
        normal, inverse = jacobian.T @ weighted, np.linalg.pinv(jacobian.T @ weighted)
        terms |= {
            k: float(v)
            for k, v in gradients.regularization_values(params, self.static, self.loss).items()
        }
        quadratic = {"normal": normal, "covariance": inverse @ (weighted.T @ weighted) @ inverse}
        return float(weights @ residuals**2), 2.0 * weighted.T @ residuals, terms, quadratic


def _adam_step(search: _Search, stage: Stage, state: dict, seed: int) -> dict:
    """One step of Adam; a step into a value that is not finite is taken back, and the next ones are
    half as long.
    """
    import optax

    began = clock.perf_counter()
    chain = [optax.scale_by_adam(), optax.scale(-stage.learning_rate)]
    method = optax.chain(*([optax.clip_by_global_norm(stage.clip)] if stage.clip else []), *chain)
    x, memory = state["x"], state["memory"]
    moments = memory.get("moments")
    template = method.init(jnp.asarray(x))
    moments = template if moments is None else _restored(template, moments)
    scale = float(memory.get("scale", 1.0))
    chosen, gradient = None, state["gradient"]
    if stage.batch is not None and stage.batch < len(search.problems):
        random = np.random.default_rng((seed, int(state["total"])))
        chosen = sorted(random.choice(len(search.problems), stage.batch, replace=False).tolist())
        gradient = search.value_and_gradient(x, chosen)[1]
    update, moments = method.update(jnp.asarray(gradient), moments, jnp.asarray(x))
    trial = x + scale * np.asarray(update)
    value, slope, terms = search.value_and_gradient(trial)
    rejected = not (np.isfinite(value) and np.isfinite(slope).all())
    if rejected:
        scale, trial, value, slope = 0.5 * scale, x, state["value"], state["gradient"]
    memory = {
        "moments": [np.asarray(leaf) for leaf in jax.tree.leaves(moments)],
        "scale": np.asarray(scale),
    }
    return _moved(search, state, trial, value, slope, terms, memory, began, rejected)


def _lbfgs_step(search: _Search, stage: Stage, state: dict, seed: int) -> dict:
    """One step of L-BFGS with a strong-Wolfe line search; where the search fails, steepest descent
    from scratch.
    """
    import optax
    from scipy.optimize import line_search

    began = clock.perf_counter()
    method = optax.scale_by_lbfgs(memory_size=stage.memory)
    x, gradient = state["x"], state["gradient"]
    template = method.init(jnp.asarray(x))
    memory = state["memory"].get("pairs")
    memory = template if memory is None else _restored(template, memory)
    direction, memory = method.update(jnp.asarray(gradient), memory, jnp.asarray(x))
    direction = -np.asarray(direction)
    seen: dict[bytes, tuple] = {}

    def slope(p: np.ndarray) -> np.ndarray:
        seen[p.tobytes()] = search.value_and_gradient(p)
        return np.nan_to_num(seen[p.tobytes()][1])

    def along(d: np.ndarray) -> float | None:
        longest = 10.0 / max(float(np.abs(d).max()), 1e-12)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy warns where it returns None
            return line_search(
                search.value, slope, x, d, gradient, state["value"], amax=longest, maxiter=12
            )[0]

    step = along(direction) if float(direction @ gradient) < 0 else None
    if step is None:
        direction, memory = -gradient / max(float(np.linalg.norm(gradient)), 1e-300), template
        step = along(direction)
    if step is None:
        return _moved(
            search, state, x, state["value"], gradient, {}, {"stuck": np.asarray(1)}, began, True
        )
    trial = x + step * direction
    value, new_gradient, terms = seen.get(trial.tobytes()) or search.value_and_gradient(trial)
    pairs = {"pairs": [np.asarray(leaf) for leaf in jax.tree.leaves(memory)]}
    return _moved(search, state, trial, value, new_gradient, terms, pairs, began, False)


def _gauss_newton_step(search: _Search, stage: Stage, state: dict, seed: int) -> dict:
    """One damped Gauss–Newton step (Levenberg & Marquardt), of at most ``_LONGEST`` in any
    unconstrained number: further the linear model of a sigmoid says nothing. The damping falls
    where the model predicts the gain well, else it grows (Nielsen 1999)."""
    began = clock.perf_counter()
    x, memory = state["x"], state["memory"]
    if "normal" not in memory:
        memory = memory | search.linearised(x)[3]
    normal, gradient, damping = (
        memory["normal"],
        state["gradient"],
        float(memory.get("damping", stage.damping)),
    )
    scale = np.maximum(np.diag(normal), 1e-6 * np.diag(normal).max(initial=1e-300))
    for _ in range(40):
        step = -0.5 * np.linalg.solve(normal + damping * np.diag(scale), gradient)
        if np.abs(step).max() <= _LONGEST:
            gain = state["value"] - search.value(x + step)
            if gain > 0:  # False for NaN
                break
        damping *= 4.0
    else:
        memory = {"stuck": np.asarray(1)}
        return _moved(search, state, x, state["value"], gradient, {}, memory, began, True)
    predicted = -float(gradient @ step + step @ normal @ step)
    value, gradient, terms, quadratic = search.linearised(x + step)
    damping *= max(0.1, 1.0 - (2.0 * gain / max(predicted, 1e-300) - 1.0) ** 3)
    state = _moved(
        search,
        state,
        x + step,
        value,
        gradient,
        terms,
        {"damping": np.asarray(damping)} | quadratic,
        began,
        False,
    )
    return state | {"covariance": quadratic["covariance"]}


_STEPS = {"adam": _adam_step, "lbfgs": _lbfgs_step, "gauss-newton": _gauss_newton_step}


def _restored(template: Any, leaves: list) -> Any:
    """An optimiser's state from the list of its arrays."""
    wanted, structure = jax.tree.flatten(template)
    if [np.shape(leaf) for leaf in leaves] != [np.shape(leaf) for leaf in wanted]:
        raise InputError(
            "the checkpoint's optimiser is of another inversion; remove the checkpoint"
        )
    return jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in leaves])


def _moved(
    search: _Search,
    state: dict,
    x: np.ndarray,
    value: float,
    gradient: np.ndarray,
    terms: dict,
    memory: dict,
    began: float,
    rejected: bool,
) -> dict:
    """The state after a step."""
    new = state | {"x": x, "value": value, "gradient": gradient, "memory": memory}
    new |= {"step": state["step"] + 1, "total": state["total"] + 1}
    if value < state["best_value"]:
        new |= {"best": x, "best_value": value, "best_gradient": gradient}
    for name in state["records"]:  # every row has every column
        if name not in ("loss", "gradient_norm", "seconds", "stage", "rejected"):
            terms.setdefault(name, state["records"][name][-1])
    return search.recorded(new, terms, clock.perf_counter() - began, rejected=rejected)


def _ended(stage: Stage, state: dict, losses: list[float]) -> bool:
    if state["step"] >= stage.steps or "stuck" in state["memory"] or state["value"] <= stage.target:
        return True
    if stage.patience is None or state["step"] <= stage.patience:
        return False
    return min(losses[-stage.patience :]) >= min(losses[: -stage.patience])
