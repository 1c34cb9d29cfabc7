"""Time error of the default stepper under a monthly balance."""

import numpy as np
import pytest

import odinn


@pytest.mark.parametrize("name", ["vegafonna_RGI60-07.00065", "bodleybreen_RGI60-07.00042"])
@pytest.mark.parametrize("coupling", ["source", "jump"])
def test_ten_years_of_monthly_balance_are_stepped_to_three_centimetres(data, name, coupling):
    """Against the same scheme at a tolerance 1e5 times smaller; measured 1e-4 and 2.5e-4 m."""
    glacier = odinn.open_glacier(data / "glaciers" / f"{name}.nc")
    start = odinn.Model(mass_balance=odinn.TemperatureIndex(precip_factor=2.5))
    model = odinn.calibrate(start, glacier, target=-0.5, period=(2010.0, 2015.0))
    run = lambda stepper: odinn.simulate(
        model, glacier, 2009.5, 2019.5, save_every=10.0, coupling=coupling, stepper=stepper
    )
    default, tight = run(odinn.RKC2()), run(odinn.RKC2(tol=1e-7))
    ice = (default.thickness[-1] > 0) | (tight.thickness[-1] > 0)
    error = np.sqrt(np.mean((default.thickness[-1] - tight.thickness[-1])[ice] ** 2))
    assert error <= 3e-2
    assert error > 1e-7  # the two runs are not the same
    for sim in (default, tight):
        assert sim.relative_residual < 1e-12
        assert sim.budget["clipped"] == 0.0
