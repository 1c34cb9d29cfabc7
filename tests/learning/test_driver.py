"""invert: it finds what made the data, survives being killed, and reports."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.cli import report
from odinn.errors import InputError
from odinn.learning import driver, search
from odinn.learning.evaluation import value_of

SPAN = (2000.0, 2001.0)
TI = odinn.TemperatureIndex(4e-3, 2.0)
LOSS = odinn.losses.Thickness() + odinn.losses.Velocity()
ADAM, LBFGS, NEWTON = odinn.optimizers.adam, odinn.optimizers.lbfgs, odinn.optimizers.gauss_newton


@pytest.fixture(scope="module")
def twin(slab):
    return odinn.synthetic_observations(odinn.Model(odinn.SIA2D(A=3e-16), TI), slab, SPAN)[0]


def model(initial=1e-16):
    return odinn.Model(odinn.SIA2D(A=odinn.Parameter(initial, (1e-18, 1e-14), "log")), TI)


@pytest.mark.parametrize(
    ("stages", "error"),
    [([ADAM(0.1, 60)], 0.05), ([ADAM(0.1, 10), LBFGS(10)], 1e-6), ([NEWTON(8)], 1e-10)],
    ids=["adam", "adam and lbfgs", "gauss-newton"],
)
def test_every_optimiser_finds_the_number_that_made_the_data(twin, stages, error):
    fit = odinn.invert(model(), twin, LOSS, SPAN, optimizer=stages, progress=False)
    assert float(fit.model.flow.A.physical()) == pytest.approx(3e-16, rel=error)
    assert fit.records["loss"].min() < 1e-3 * fit.records["loss"][0]
    assert set(fit.misfits[twin.rgi_id]) == {"thickness", "velocity"}
    history = fit.history
    assert {"loss", "thickness", "velocity", "gradient_norm", "seconds"} <= set(history)
    np.testing.assert_allclose(history.loss, history.thickness + history.velocity, rtol=1e-12)


def test_thickness_and_sliding_are_told_apart_by_two_kinds_of_data(slab):
    truth = odinn.Model(odinn.SIA2D(A=3e-16, C=2e-3), TI)
    twin = odinn.synthetic_observations(truth, slab, SPAN)[0]
    start = odinn.Model(
        odinn.SIA2D(
            A=odinn.Parameter(2e-16, (1e-18, 1e-14), "log"),
            C=odinn.Parameter(1e-3, (1e-6, 1e-1), "log"),
        ),
        TI,
    )
    fit = odinn.invert(start, twin, LOSS, SPAN, optimizer=NEWTON(10), progress=False)
    assert float(fit.model.flow.A.physical()) == pytest.approx(
        3e-16, rel=1e-3
    )  # the bar of the experiments
    assert float(fit.model.flow.C.physical()) == pytest.approx(2e-3, rel=1e-3)


def test_an_inversion_that_was_killed_ends_bit_for_bit_as_one_that_was_not(
    twin, tmp_path, monkeypatch
):
    stages = [ADAM(0.1, 4), LBFGS(4)]
    run = lambda path: odinn.invert(
        model(), twin, LOSS, SPAN, optimizer=stages, progress=False, checkpoint=path
    )
    whole = run(tmp_path / "whole.npz")
    # an inversion that was over goes on where its last stage may have more steps
    for steps in (2, 4):
        stages[1] = LBFGS(steps)
        longer = run(tmp_path / "longer.npz")
    assert (longer.records["loss"] == whole.records["loss"]).all()
    assert float(longer.model.flow.A.raw) == float(whole.model.flow.A.raw)
    calls = []
    write = driver.write_checkpoint

    def killed(path, state, signature):
        write(path, state, signature)
        calls.append(1)
        if len(calls) in (3, 6):
            raise KeyboardInterrupt

    monkeypatch.setattr(driver, "write_checkpoint", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut.npz")
    again = run(tmp_path / "cut.npz")
    assert float(again.model.flow.A.raw) == float(whole.model.flow.A.raw)
    assert (again.records["loss"] == whole.records["loss"]).all()


def test_a_checkpoint_of_another_inversion_is_refused(twin, tmp_path):
    path = tmp_path / "run.npz"
    odinn.invert(model(), twin, LOSS, SPAN, optimizer=ADAM(0.1, 1), progress=False, checkpoint=path)
    what = "optimizer 1.learning_rate .0.1 there, 0.2 here.*remove it .*--fresh"
    with pytest.raises(InputError, match=f"belongs to another inversion.*{what}"):
        odinn.invert(
            model(), twin, LOSS, SPAN, optimizer=ADAM(0.2, 1), progress=False, checkpoint=path
        )
    path.write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="not a checkpoint"):
        odinn.invert(
            model(), twin, LOSS, SPAN, optimizer=ADAM(0.1, 1), progress=False, checkpoint=path
        )


def test_the_last_line_says_which_step_is_best_and_its_numbers_are_returned(twin, capsys):
    # such long steps overshoot, so that the last one is not the best
    fit = odinn.invert(model(), twin, LOSS, SPAN, optimizer=ADAM(3.0, 3), progress=True)
    last = capsys.readouterr().err.splitlines()[-1]
    best, loss = fit.best_step, fit.records["loss"]
    assert best < 3
    assert loss[best] == loss.min() < loss[-1]
    assert last.startswith(f"best: step {best} of 3, loss {loss.min():.4e}")
    again = odinn.misfits(fit.model, fit.glaciers, LOSS, SPAN)[twin.rgi_id]
    assert sum(again.values()) == pytest.approx(loss[best], rel=1e-9)
    assert f"3 steps, loss {loss[0]:.3e} to {loss.min():.3e} (best at step {best})" in str(fit)


def test_a_step_into_the_void_is_taken_back_and_said(twin):
    fit = odinn.invert(
        model(9e-15), twin, LOSS, SPAN, optimizer=ADAM(0.1, 2), progress=False, max_steps=200
    )
    assert np.isfinite(fit.records["loss"]).all()


def test_an_inversion_that_ends_at_a_bound_warns_and_says_so_when_it_is_shown(
    twin, tmp_path, capsys
):
    what = "flow.A is at its lower bound, 1e-18"
    with pytest.warns(UserWarning, match=f"{what}. The data ask for more.*widen the bounds"):
        fit = odinn.invert(
            model(1.05e-18), twin, LOSS, SPAN, optimizer=ADAM(0.01, 1), progress=False
        )
    report.print_fit(odinn.load(odinn.save(fit, tmp_path)))
    assert what in capsys.readouterr().out


def test_a_fit_can_be_run_forward(twin):
    fit = odinn.invert(model(), twin, LOSS, SPAN, optimizer=NEWTON(6), progress=False)
    (sim,) = fit.simulate(save_every=1.0)
    np.testing.assert_allclose(
        sim.thickness[-1][twin.mask], twin.observations.thickness[twin.mask], atol=1e-6
    )


def test_mini_batches_are_honoured(twin, monkeypatch):
    seen = []
    original = search.Search.value_and_gradient

    def spy(self, x, chosen=None):
        seen.append(chosen)
        return original(self, x, chosen)

    monkeypatch.setattr(search.Search, "value_and_gradient", spy)
    other = _renamed(twin, "TEST-00.00002")
    odinn.invert(
        model(), [twin, other], LOSS, SPAN, optimizer=ADAM(0.1, 6, batch=1), progress=False, seed=3
    )
    drawn = [tuple(c) for c in seen if c is not None]
    assert len(drawn) == 6
    assert set(drawn) == {(0,), (1,)}


def test_a_batch_spares_the_gradients_of_the_other_glaciers(twin, monkeypatch):
    gradients = []
    original = search.Runs.gradients

    def spy(self, params, chosen):
        gradients.extend(chosen)
        return original(self, params, chosen)

    monkeypatch.setattr(search.Runs, "gradients", spy)
    members = [twin, *(_renamed(twin, f"TEST-00.0000{i}") for i in (2, 3, 4))]
    stages = [ADAM(0.1, 5, batch=1), odinn.optimizers.lbfgs(2)]
    fit = odinn.invert(model(), members, LOSS, SPAN, optimizer=stages[:1], progress=False)
    # of all at the start, then one in each step
    assert len(gradients) == 4 + 5
    # the history is that of all glaciers, though only one gave the gradient
    whole = odinn.misfits(fit.model, fit.glaciers, LOSS, SPAN)
    mean = np.mean([sum(terms.values()) for terms in whole.values()])
    assert min(fit.records["loss"]) == pytest.approx(mean, rel=1e-12)
    both = odinn.invert(model(), members, LOSS, SPAN, optimizer=stages, progress=False)
    assert min(both.records["loss"]) < min(fit.records["loss"])


def _renamed(g, rgi_id):
    return odinn.Glacier(
        rgi_id, g.name, g.grid, g.bed, g.thickness, g.mask, g.climate, g.observations, g.provenance
    )


def test_a_fit_is_saved_without_pickle_and_read_again(twin, tmp_path):
    law = odinn.laws.Neural(
        [odinn.inputs.LongTermTemperature(per="cell")], bounds=(1e-17, 1e-15), hidden=(2,)
    )
    fit = odinn.invert(
        odinn.Model(odinn.SIA2D(A=law), TI),
        twin,
        LOSS,
        SPAN,
        optimizer=ADAM(0.05, 2),
        progress=False,
    )
    back = odinn.load(odinn.save(fit, tmp_path / "fit.nc"))
    assert (back.records["loss"] == fit.records["loss"]).all()
    temperature = np.linspace(-5.0, 0.0, 5)
    assert (back.model.flow.A.evaluate(temperature) == fit.model.flow.A.evaluate(temperature)).all()
    assert back.misfits == fit.misfits


def test_gauss_newton_weighs_data_against_a_prior_and_says_how_sure_it_is(twin):
    number, error, sigma = int(twin.mask.sum()), 0.5, 1e-2
    loss = odinn.losses.Thickness(error=error, where=twin.mask) + odinn.losses.Prior(
        "flow.A", sigma
    ) * (1 / number)
    fit = odinn.invert(model(), twin, loss, SPAN, optimizer=NEWTON(6), progress=False)
    assert fit.records["gradient_norm"][-1] < 1e-6 * fit.records["gradient_norm"][0]
    x, guess = float(fit.model.flow.A.raw), float(odinn.bind(model(), twin).flow.A.raw)
    end = lambda raw: _end(fit.model, raw, twin)
    slope = (end(x + 1e-4) - end(x - 1e-4)) / 2e-4
    precision = (slope**2).sum() / error**2 + 1 / sigma**2
    assert fit.covariance == pytest.approx(1 / precision, rel=1e-3)  # the steps of two runs differ
    misfit = twin.observations.thickness[twin.mask] - end(x)
    assert (slope * misfit).sum() / error**2 == pytest.approx(
        (x - guess) / sigma**2, rel=1e-2
    )  # the two pull alike


def _end(model, raw, glacier):
    moved = eqx.tree_at(lambda m: m.flow.A.raw, model, jnp.asarray(raw))
    sim = odinn.simulate(moved, glacier, *SPAN, save_every=1.0)
    return sim.thickness[-1][glacier.mask]


def test_a_glacier_left_out_of_a_term_does_not_count_in_its_mean(twin):
    other = _renamed(twin, "TEST-00.00002")
    keep = {twin.rgi_id: True, other.rgi_id: False}
    loss = odinn.losses.Thickness() + odinn.losses.Velocity(where=keep)
    whole = odinn.objective(model(), [twin, other], loss, SPAN)
    assert [m.weights.tolist() for m in whole.misfits] == [[0.5, 1.0], [0.5, 0.0]]
    local = whole.local(whole.params, twin)
    both = [value_of(misfit, local, twin) for misfit in whole.misfits]
    assert both[1][0] == pytest.approx(0.5 * both[0][1][0])
    assert both[0][0] == pytest.approx(0.5 * both[0][1][0] + both[0][1][1])
    nowhere = odinn.losses.Velocity(where={twin.rgi_id: False, other.rgi_id: False})
    with pytest.raises(InputError, match="every glacier is left out"):
        odinn.objective(model(), [twin, other], nowhere, SPAN)


@pytest.mark.parametrize("call", [odinn.value_and_gradient, odinn.invert])
def test_a_list_is_no_loss(twin, call):
    with pytest.raises(InputError, match="add losses up"):
        call(model(), twin, [odinn.losses.Thickness()], SPAN)


def test_what_gauss_newton_cannot_do_is_said_before_the_first_run(twin, monkeypatch):
    monkeypatch.setattr(search.Search, "value_and_gradient", None)
    gridded = odinn.Model(odinn.SIA2D(A=odinn.Parameter(1e-16, (1e-18, 1e-14), "log", "cell")), TI)
    with pytest.raises(InputError, match="667 numbers, at most 100"):
        odinn.invert(gridded, twin, LOSS, SPAN, optimizer=[ADAM(), NEWTON(2)], progress=False)


def test_misfits_need_nothing_to_learn(twin):
    truth, off = (odinn.Model(odinn.SIA2D(A=rate), TI) for rate in (3e-16, 2e-16))
    exact, wrong = (odinn.misfits(m, twin, LOSS, SPAN)[twin.rgi_id] for m in (truth, off))
    assert set(wrong) == {"thickness", "velocity"}
    assert all(exact[k] < 1e-20 < wrong[k] for k in wrong)
    at_start = odinn.value_and_gradient(model(2e-16), twin, LOSS, SPAN)[0]
    assert sum(wrong.values()) == pytest.approx(at_start, rel=1e-12)
    with pytest.raises(InputError, match="regularisations only"):
        odinn.misfits(truth, twin, odinn.losses.Smoothness("flow.A"), SPAN)


@pytest.mark.parametrize(
    "stage", [ADAM(0.1, 2), LBFGS(2), NEWTON(4)], ids=["adam", "lbfgs", "gauss-newton"]
)
def test_single_precision_serves_every_optimiser(twin, stage):
    fit = odinn.invert(model(), twin, LOSS, SPAN, optimizer=stage, progress=False, dtype="float32")
    assert fit.records["loss"].min() < fit.records["loss"][0]
    if stage == NEWTON(4):
        assert float(fit.model.flow.A.physical()) == pytest.approx(
            3e-16, rel=1e-3
        )  # float32 speeds: 7 digits
