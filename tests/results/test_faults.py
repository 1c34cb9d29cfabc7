"""A run whose own books say that it is wrong says so, and a sound one does not."""

import numpy as np

from odinn.results.faults import faults_of, too_fast

TIMES = np.array([2000.0, 2001.0, 2002.0])


def books(lost=(0.0, 0.0), clipped=(0.0, 0.0)):
    return {
        "time": TIMES[1:],
        "lost_at_border": np.array(lost),
        "clipped": np.array(clipped),
    }


def test_ice_that_left_is_said_with_its_volume_and_its_beginning():
    (said,) = faults_of(books(lost=(0.0, 23e9)), np.full(3, 1e9), 1e9)
    assert said.startswith(
        "23 km3 of ice (23 of the initial volume), from 2001-12 on, left the grid"
    )


def test_ice_that_was_made_is_said():
    (said,) = faults_of(books(clipped=(2e6, 0.0)), np.full(3, 1e9), 1e9)
    assert "from 2000-12 on, were made by lifting" in said


def test_round_off_and_a_run_without_ice_are_sound():
    assert faults_of(books(lost=(1e5, 0.0), clipped=(1e-3, 0.0)), np.full(3, 1e9), 1e9) == []
    assert faults_of(books(), np.zeros(3), 0.0) == []


def test_ice_faster_than_any_glacier_is_said():
    speed = np.zeros((3, 4, 4))
    assert too_fast(TIMES, speed) is None
    speed[1, 2, 2] = 5e4
    assert too_fast(TIMES, speed).startswith("ice moves by up to 5e+04 m yr-1, from 2001.00 on")
