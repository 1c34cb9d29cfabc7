"""Slope, aspect and roughness against planes, and against loops written from their definitions."""

import itertools

import numpy as np
import pytest

import odinn
from odinn.errors import InputError
from odinn.physics.laws.inputs import (
    Eastness,
    Northness,
    TopographicAspect,
    TopographicRoughness,
    TopographicSlope,
)

COMBINATIONS = list(itertools.product(("scalar", "variability"), ("flow", "cross_flow", "both")))


def glacier_on(bed, thickness=None, dx=50.0, dy=50.0):
    thickness = np.zeros_like(bed) if thickness is None else thickness
    grid = odinn.Grid(bed.shape[1], bed.shape[0], dx, dy)
    return odinn.Glacier("test-1", "", grid, bed, thickness, thickness > 0)


def plane(towards_x, towards_y, shape=(12, 15), dx=50.0, dy=40.0):
    """A plane that rises by these slopes to the east and to the north."""
    east, south = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    return glacier_on(2000.0 + towards_x * dx * east - towards_y * dy * south, dx=dx, dy=dy)


def roughness_by_definition(height, dx, dy, window, curvature, direction):
    """One cell after another; x to the east (columns), y to the south (rows)."""
    rows, columns = height.shape
    half_y, half_x = (max(1, max(4, round(window / d)) // 2) for d in (dy, dx))
    out = np.zeros_like(height)
    for i, j in np.ndindex(rows, columns):
        top, bottom = max(0, i - half_y), min(rows - 1, i + half_y)
        left, right = max(0, j - half_x), min(columns - 1, j + half_x)
        block = height[top : bottom + 1, left : right + 1]
        if curvature == "scalar":
            gradient = np.array(
                [np.mean(np.diff(block, axis=1)) / dx, np.mean(np.diff(block, axis=0)) / dy]
            )
            along = gradient / (np.linalg.norm(gradient) + np.finfo(float).eps)
            xx = np.mean(np.diff(block, 2, axis=1)) / dx**2
            yy = np.mean(np.diff(block, 2, axis=0)) / dy**2
            xy = np.mean(np.diff(np.diff(block, axis=1), axis=0)) / (dx * dy)
            hessians = [np.array([[xx, xy], [xy, yy]])]
        else:
            a, b = max(i - 1, 0), min(i + 1, rows - 1)
            c, d = max(j - 1, 0), min(j + 1, columns - 1)
            gradient = np.array(
                [
                    (height[i, d] - height[i, c]) / ((d - c) * dx),
                    (height[b, j] - height[a, j]) / ((b - a) * dy),
                ]
            )
            norm = np.linalg.norm(gradient)
            along = gradient / norm if norm > 0 else np.array([1.0, 0.0])
            hessians = []
            for k, m in np.ndindex(block.shape[0] - 2, block.shape[1] - 2):
                p = block[k : k + 3, m : m + 3]
                xx, yy = (
                    (p[1, 2] - 2 * p[1, 1] + p[1, 0]) / dx**2,
                    (p[2, 1] - 2 * p[1, 1] + p[0, 1]) / dy**2,
                )
                xy = (p[2, 2] - p[2, 0] - p[0, 2] + p[0, 0]) / (4 * dx * dy)
                hessians.append(np.array([[xx, xy], [xy, yy]]))
        across = np.array([-along[1], along[0]])
        values = [[e @ h @ e for h in hessians] for e in (along, across)]
        if curvature == "scalar":
            flow, cross = values[0][0], values[1][0]
        else:
            flow, cross = (np.std(v, ddof=1) if len(v) > 1 else 0.0 for v in values)
        out[i, j] = {"flow": flow, "cross_flow": cross, "both": np.hypot(flow, cross)}[direction]
    return out


@pytest.mark.parametrize(("curvature", "direction"), COMBINATIONS)
def test_roughness_of_a_rough_field_is_its_definition(curvature, direction):
    height = 2000.0 + 30.0 * np.random.default_rng(3).normal(size=(11, 14))
    glacier = glacier_on(height, dx=50.0, dy=30.0)
    found = TopographicRoughness(240.0, curvature, direction).field(glacier)
    expected = roughness_by_definition(height, 50.0, 30.0, 240.0, curvature, direction)
    # Round-off of sums over rows and of a variance from its moments; curvatures are of 0.01 m⁻¹.
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("position", ["bed", "surface"])
@pytest.mark.parametrize(("curvature", "direction"), COMBINATIONS)
def test_roughness_of_a_real_glacier_is_its_definition(argentiere, curvature, direction, position):
    crop = np.s_[60:84, 70:98]
    glacier = glacier_on(argentiere.bed[crop], argentiere.thickness[crop])
    assert glacier.volume > 0
    height = glacier.bed if position == "bed" else glacier.surface
    found = TopographicRoughness(200.0, curvature, direction, position).field(glacier)
    expected = roughness_by_definition(height, 50.0, 50.0, 200.0, curvature, direction)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_roughness_of_a_bowl_is_its_curvature_and_of_a_plane_nothing():
    east, south = np.meshgrid(np.arange(15) - 7.0, np.arange(15) - 7.0)
    bowl = glacier_on(2000.0 + 0.5 * 1e-3 * (50.0**2) * (east**2 + south**2))
    for direction, value in (("flow", 1e-3), ("cross_flow", 1e-3), ("both", np.sqrt(2) * 1e-3)):
        found = TopographicRoughness(direction=direction).field(bowl)
        level = (east == 0) & (south == 0)  # no gradient, no direction
        np.testing.assert_allclose(found[~level], value, rtol=1e-9)
        np.testing.assert_allclose(
            TopographicRoughness(200.0, "variability", direction).field(bowl), 0.0, atol=1e-9
        )
        for curvature in ("scalar", "variability"):
            found = TopographicRoughness(200.0, curvature, direction).field(plane(0.1, 0.3))
            np.testing.assert_allclose(found, 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("east", "north", "degrees", "bearing"),
    [
        (-0.2, 0.0, 0.0, 90.0),
        (0.0, -0.2, 90.0, 0.0),
        (0.2, 0.0, 180.0, 270.0),
        (0.0, 0.2, 270.0, 180.0),
    ],
)
@pytest.mark.parametrize("window", [10.0, 200.0])
def test_a_plane_has_its_slope_and_faces_where_it_falls(east, north, degrees, bearing, window):
    glacier = plane(east, north)
    np.testing.assert_allclose(
        TopographicSlope(window).field(glacier), np.rad2deg(np.arctan(0.2)), rtol=1e-9
    )
    for compass, expected in ((False, degrees), (True, bearing)):
        found = TopographicAspect(window, compass=compass).field(glacier)
        assert ((found >= 0) & (found < 360)).all()
        np.testing.assert_allclose((found - expected + 180.0) % 360.0, 180.0, atol=1e-9)
    np.testing.assert_allclose(
        Eastness(window).field(glacier), np.cos(np.deg2rad(degrees)), atol=1e-12
    )
    np.testing.assert_allclose(
        Northness(window).field(glacier), np.cos(np.deg2rad(bearing)), atol=1e-12
    )


def test_level_ground_has_no_slope_and_faces_nowhere():
    level = plane(0.0, 0.0)
    assert (TopographicSlope().field(level) == 0).all()
    aspect = TopographicAspect().field(level)
    assert ((aspect >= 0) & (aspect < 360)).all()
    assert (Northness().field(level) == 0).all()
    assert (Eastness().field(level) == 0).all()


def test_a_window_averages_the_surface_first():
    bumpy = plane(0.1, 0.0)
    bump = np.zeros(bumpy.grid.shape)
    bump[6, 7] = 25.0
    bumpy = bumpy.replace(thickness=bump)
    east, north = (
        np.gradient(bumpy.surface, 50.0, axis=1),
        -np.gradient(bumpy.surface, 40.0, axis=0),
    )
    np.testing.assert_allclose(
        np.tan(np.deg2rad(TopographicSlope(30.0).field(bumpy))), np.hypot(east, north)
    )
    smooth = TopographicSlope(250.0).field(bumpy)  # 5 x 7 cells: each holds 1/35 of the bump
    assert smooth[6, 9] == pytest.approx(np.rad2deg(np.arctan(0.1 - 25.0 / 35 / 100)), rel=1e-9)
    assert smooth[6, 7] == pytest.approx(np.rad2deg(np.arctan(0.1)), rel=1e-9)


def test_an_angle_is_averaged_to_corners_as_a_direction():
    """Ground that faces a little north and a little south of east faces east at the corners
    between, not west.
    """
    east, south = np.meshgrid(np.arange(8.0), np.arange(8.0))
    ridge = glacier_on(2000.0 - 20.0 * east - 2.0 * abs(south - 3.5))
    law = odinn.laws.Function(lambda degrees: degrees, [TopographicAspect(10.0)])
    slot = odinn.Model(odinn.SIA2D(A=law), None).slots()["flow.A"]
    (corners,) = law.fixed_inputs(ridge, slot)
    np.testing.assert_allclose((corners[3] + 180.0) % 360.0, 180.0, atol=1e-9)
    cells = TopographicAspect(10.0).field(ridge)
    assert 0 < cells[0, 0] < 10
    assert 350 < cells[-1, 0] < 360


def test_the_topography_of_a_learned_bed_is_that_of_its_present_value(slab):
    learned = slab.replace(
        bed=odinn.Parameter(slab.bed, (1000.0, 4000.0), per="cell"), keep="surface"
    )
    for item in (TopographicRoughness(), TopographicSlope()):
        np.testing.assert_allclose(
            item.field(learned), item.field(slab), rtol=1e-6, atol=1e-12
        )  # a sigmoid there and back


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: TopographicSlope(0.0),
            r"TopographicSlope\(window=0.0\): expected a positive length",
        ),
        (lambda: TopographicRoughness(curvature="mean"), "expected 'scalar' or 'variability'"),
        (
            lambda: TopographicRoughness(direction="down"),
            "expected 'flow' or 'cross_flow' or 'both'",
        ),
        (lambda: TopographicRoughness(position="ice"), "expected 'bed' or 'surface'"),
    ],
)
def test_options_that_make_no_sense_are_errors(make, message):
    with pytest.raises(InputError, match=message):
        make()
