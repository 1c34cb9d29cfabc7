"""What steppers refuse."""

import pytest

import odinn
from odinn.errors import InputError


@pytest.mark.parametrize(("kind", "limit"), [(odinn.Euler, 2.0), (odinn.SSPRK3, 2.51)])
def test_a_courant_number_beyond_linear_stability_is_refused(kind, limit):
    assert kind(courant=limit).courant == limit
    for courant in (limit * 1.01, 0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match=rf"{kind.__name__}\(courant=.*stable up to {limit:g}"):
            kind(courant=courant)
