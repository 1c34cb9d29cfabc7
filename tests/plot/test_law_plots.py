"""Laws as drawn: the curve is the law, the strip is the glaciers' data, and axes name input and
unit.
"""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

import odinn
from odinn.grid import corner_gradient, corner_mean
from odinn.physics.laws.samples import samples
from odinn.plot import law

CELLS = odinn.inputs.LongTermTemperature(per="cell")
STATE = [
    odinn.inputs.IceThickness(range=(1.0, 150.0)),
    odinn.inputs.SurfaceSlope(range=(0.01, 0.5)),
]


@pytest.fixture(scope="module")
def learned(slab):
    return odinn.laws.Basis([CELLS], bounds=(1e-18, 1e-15)).bound([slab], "flow.A")


def test_the_curve_is_the_law_and_the_axes_say_so(learned, slab):
    truth = odinn.laws.CuffeyPaterson()
    ax = law(learned, slab, truth, initial=lambda T: 2e-17 + 0 * T, label="flow.A")
    before, true, curve = ax.lines
    x, y = curve.get_data()
    np.testing.assert_allclose(y, learned(x))
    np.testing.assert_allclose(true.get_ydata(), truth(x))
    np.testing.assert_allclose(before.get_ydata(), 2e-17)
    assert ax.get_xlabel() == "long-term air temperature, raw series (°C)"  # not that of the ice
    assert ax.get_ylabel() == "rate factor A (Pa⁻ⁿ yr⁻¹)"
    assert ax.get_yscale() == "log"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "before training",
        "truth",
        "law",
    ]
    ax.figure.draw_without_rendering()


def test_the_strip_counts_corners_with_ice_and_the_rest_is_shaded(learned, slab):
    ax = law(learned, slab)
    values = np.asarray(corner_mean(CELLS.field(slab)))[
        np.asarray(corner_mean(slab.thickness)) >= 1.0
    ]
    strip = ax.figure.axes[1]
    assert sum(bar.get_height() for bar in strip.patches) == values.size
    assert strip.get_xlim() == ax.get_xlim() == learned.range_of(0)
    shaded = [(p.get_x(), p.get_x() + p.get_width()) for p in ax.patches]
    (low, first), (last, high) = shaded
    np.testing.assert_allclose([low, high], learned.ranges[0])
    np.testing.assert_allclose([first, last], [values.min(), values.max()])


def test_one_value_for_each_glacier_is_a_mark_for_each(slab):
    whole = odinn.inputs.LongTermTemperature()
    other = slab.replace(bed=slab.bed + 300.0, keep="thickness")
    ax = law(odinn.laws.CuffeyPaterson([whole]), [slab, other])
    (marks,) = ax.figure.axes[1].collections
    at = sorted(segment[0, 0] for segment in marks.get_segments())
    np.testing.assert_allclose(at, sorted(float(whole.field(g)) for g in (slab, other)))


def test_inputs_of_the_state_are_those_of_the_initial_ice(slab):
    thickness, slope = samples(STATE, slab)
    corners = np.asarray(corner_mean(slab.thickness))
    gradient = np.hypot(*(np.asarray(g) for g in corner_gradient(slab.surface, 100.0, 100.0)))
    np.testing.assert_allclose(thickness, corners[corners >= 1.0])
    np.testing.assert_allclose(
        slope, gradient[corners >= 1.0], atol=1e-5
    )  # the slope's regularisation


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_a_law_of_two_inputs_is_a_map_beside_its_ratio_to_the_truth(slab, scale):
    learned = odinn.laws.Basis(STATE, bounds=(1.0, 100.0), scale=scale, size=4).bound(
        [slab], "flow.U"
    )
    truth = odinn.laws.Function(lambda H, s: 20.0 + 0 * H, STATE)
    ax = law(learned, slab, truth, label="flow.U")
    panels = [a for a in ax.figure.axes if a.get_xlabel()]
    assert panels[0] is ax
    for panel in panels:
        assert (panel.get_xlabel(), panel.get_ylabel()) == (
            "ice thickness (m)",
            "surface slope (1)",
        )
        assert any(not isinstance(c, QuadMesh) for c in panel.collections)  # contours of the data
    left, right = (next(c for c in p.collections if isinstance(c, QuadMesh)) for p in panels)
    middle = 10.0 if scale == "log" else 50.5  # all weights 0
    np.testing.assert_allclose(left.get_array(), middle)
    np.testing.assert_allclose(
        right.get_array(), middle / 20.0 if scale == "log" else middle - 20.0
    )
    labels = {a.get_ylabel() for a in ax.figure.axes}
    assert {"mobility U (m yr⁻¹)", "law / truth" if scale == "log" else "law − truth"} <= labels
    ax.figure.draw_without_rendering()


def test_a_law_goes_onto_axes_of_the_user(learned, slab):
    fig = Figure(figsize=(14, 4), layout="constrained")
    one, two = fig.subplots(1, 2)
    assert law(learned, slab, ax=one) is one
    mapped = odinn.laws.Basis(STATE, bounds=(1.0, 100.0), size=4).bound((), "flow.U")
    assert law(mapped, truth=lambda H, s: 10.0 + H, ax=two) is two
    fig.draw_without_rendering()


def test_what_cannot_be_drawn_is_an_error(slab):
    three = odinn.laws.Function(lambda a, b, c: a, [CELLS, *STATE])
    with pytest.raises(odinn.InputError, match="has 3 inputs; laws of one or two"):
        law(three)
    with pytest.raises(
        odinn.InputError,
        match=r"range of 'long-term air temperature, raw series' is not known: give glaciers=",
    ):
        law(odinn.laws.CuffeyPaterson())
    with pytest.raises(odinn.InputError, match="one input"):
        law(odinn.laws.Function(lambda a, b: a, STATE), initial=lambda a, b: a)
