"""The flow of a month's end is that of the next month's start, unless something comes between."""

import numpy as np
import pytest

import odinn


@pytest.fixture(scope="module")
def steep():
    """A demo glacier where ice is taken back from thin cells after most steps."""
    return odinn.demo_glaciers()[0]


def run(glacier, t0, t1, **options):
    return odinn.simulate(odinn.demo_model(), glacier, t0, t1, progress=False, **options)


@pytest.mark.parametrize(("coupling", "starts"), [("source", 1), ("jump", 6)])
def test_the_flow_is_evaluated_once_at_the_start_and_after_each_jump(steep, coupling, starts):
    stepper = odinn.RKC2(tol=10.0)  # rejects nothing
    steps = run(steep, 2000.0, 2000.5, coupling=coupling, stepper=stepper).steps
    assert steps.rejected == 0
    assert len(steps.count) == 6
    assert steps.evaluations == steps.stages.sum() + starts


@pytest.mark.parametrize("stepper", [odinn.RKC2(), odinn.Euler()], ids=lambda s: type(s).__name__)
def test_a_run_that_goes_on_from_any_window_ends_with_the_same_bits(steep, stepper):
    how = {"stepper": stepper, "save_every": 0.1}  # within months, too
    whole = run(steep, 2000.0, 2001.0, **how)
    first = run(steep, 2000.0, 2000.7, **how)
    rest = run(steep, 2000.7, 2001.0, initial=first, **how)
    np.testing.assert_array_equal(rest.thickness[-1], whole.thickness[-1])
