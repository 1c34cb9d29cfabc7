"""A number that the loss does not depend on is said, and has no standard error."""

import warnings

import numpy as np
import pytest

import odinn
from odinn.learning.covariance import covariance

SPAN = (2000.0, 2000.5)
ADAM, NEWTON = odinn.optimizers.adam, odinn.optimizers.gauss_newton
EPS = np.finfo(float).eps


@pytest.fixture(scope="module")
def frozen(slab):
    """A glacier on which nothing melts, and its thickness half a year later."""
    cold = slab.replace(climate=slab.climate.shift(temp=-50.0))
    truth = odinn.Model(odinn.SIA2D(A=3e-16), odinn.TemperatureIndex(4e-3, 2.0))
    return odinn.synthetic_observations(truth, cold, SPAN, of=("thickness",))[0]


def model(A, melt, precip=2.0):
    return odinn.Model(odinn.SIA2D(A=A), odinn.TemperatureIndex(melt, precip))


def rate(initial=1e-16):
    return odinn.Parameter(initial, (1e-18, 1e-14), "log")


MELT = odinn.Parameter(4e-3, (1e-3, 1e-2))


@pytest.mark.parametrize("stage", [NEWTON(3), ADAM(0.1, 2)], ids=["gauss-newton", "adam"])
def test_what_the_loss_does_not_depend_on_is_named_with_what_to_do(frozen, stage):
    loss = odinn.losses.Thickness()
    with pytest.warns(UserWarning, match="mass_balance.melt_factor is not determined: .*fixed"):
        fit = odinn.invert(model(rate(), MELT), frozen, loss, SPAN, optimizer=stage, progress=False)
    assert float(fit.model.mass_balance.melt_factor.physical()) == pytest.approx(4e-3)
    if fit.covariance is not None:
        variances = np.diag(fit.covariance)
        assert sorted(np.isinf(variances)) == [False, True]
        assert np.isnan(fit.covariance).sum() == 2
        assert 0 < variances.min() < 1


def test_a_prior_determines_what_the_data_do_not_see(frozen):
    loss = odinn.losses.Thickness() + odinn.losses.Prior("mass_balance.melt_factor", 0.5)
    both = model(rate(), MELT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = odinn.invert(both, frozen, loss, SPAN, optimizer=NEWTON(3), progress=False)
        odinn.invert(both, frozen, loss, SPAN, optimizer=ADAM(0.1, 2), progress=False)
    assert np.isfinite(fit.covariance).all()


def test_an_inversion_that_starts_at_the_truth_depends_on_what_it_learns(frozen):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        odinn.invert(
            model(rate(3e-16), 4e-3),
            frozen,
            odinn.losses.Thickness(),
            SPAN,
            optimizer=ADAM(1e-9, 1),
            progress=False,
        )


def test_a_covariance_is_finite_where_residuals_tell_numbers_apart():
    random = np.random.default_rng(1)
    jacobian, weights, x = random.normal(size=(20, 3)), random.uniform(0.5, 2.0, 20), np.zeros(3)
    whole = covariance(jacobian, weights, x, EPS)
    normal = jacobian.T @ (weights[:, None] * jacobian)
    inverse = np.linalg.inv(normal)
    weighted = weights[:, None] * jacobian
    np.testing.assert_allclose(whole, inverse @ weighted.T @ weighted @ inverse, rtol=1e-10)


@pytest.mark.parametrize("size", [0.0, 1e-31], ids=["zero", "below round-off"])
def test_a_number_without_influence_has_an_infinite_variance_and_leaves_the_others(size):
    jacobian = np.random.default_rng(1).normal(size=(20, 3))
    alone = covariance(jacobian[:, :2], np.ones(20), np.zeros(2), EPS)
    jacobian[:, 2] *= size
    whole = covariance(jacobian, np.ones(20), np.zeros(3), EPS)
    np.testing.assert_allclose(whole[:2, :2], alone, rtol=1e-12)
    assert whole[2, 2] == np.inf
    assert np.isnan(whole[2, :2]).all()
    assert covariance(jacobian[:, 2:], np.ones(20), np.zeros(1), EPS) == np.inf


def test_numbers_that_can_be_traded_for_each_other_are_not_determined():
    jacobian = np.random.default_rng(1).normal(size=(20, 3))
    jacobian[:, 2] = -3.0 * jacobian[:, 0]
    variances = np.diag(covariance(jacobian, np.ones(20), np.zeros(3), EPS))
    assert np.isinf(variances).tolist() == [True, False, True]
