"""What is said once of a number of the model, and what follows from it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.errors import InputError
from odinn.model.binding import all_slots, learned_slots
from odinn.model.model import known_slots
from odinn.numbers.slot import Number, Slot, declared
from odinn.physics.balance.base import AbstractMassBalance
from odinn.physics.balance.temperature_index import net_rates

BOUNDS = (1e-18, 1e-14)
LAW = odinn.laws.Function(lambda z: 1e-17 + 0.0 * z, [odinn.inputs.Altitude()])


class OwnBalance(AbstractMassBalance):
    """A balance of one's own: a gain that is the same all over the glacier, minus a loss."""

    loss: Number = odinn.slot(
        unit="m w.e. yr⁻¹", place="cell", label="loss", symbol="b", smallest=0.0, scale="log"
    )
    gain: Number = odinn.slot(1.0, unit="m w.e. yr⁻¹", place="one", label="gain", smallest=0.0)
    note: Any = None
    accumulation_threshold: float | None = None
    frequency = "fixed"

    def forcing(self, glacier, months):
        return None

    def rates(self, forcing, surface, time):
        return net_rates(self.gain - self.loss)


def test_a_declaration_converts_what_is_given():
    flow = odinn.SIA2D(A=1e-16, C={"a": 2}, n=3)
    assert isinstance(flow.A, jax.Array)  # another value of it compiles nothing
    assert isinstance(flow.C["a"], jax.Array)
    assert isinstance(flow.n, float)  # compiled in: products instead of powers
    assert isinstance(odinn.SIA2D(n=jnp.asarray(3.0)).n, jax.Array)
    assert odinn.HybridSIA2D(Y=1e-16).n_H is None
    assert isinstance(odinn.SIA2D(A=LAW).A, odinn.laws.Function)
    for wrong in (True, "4e-17"):
        with pytest.raises(InputError, match="a model number has to be a number"):
            odinn.SIA2D(A=wrong)


def test_a_python_zero_leaves_its_term_out(slab):
    out, zero = odinn.SIA2D(C=0), odinn.SIA2D(C=jnp.asarray(0.0))
    assert out.on(slab).C is None
    assert zero.on(slab).C.shape == slab.grid.corner_shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: odinn.SIA2D(A=-1e-17), r"SIA2D: A is -1e-17; expected a number >= 0"),
        (lambda: odinn.SIA2D(C=np.nan), r"SIA2D: C is nan"),
        (lambda: odinn.HybridSIA2D(Y=np.array([[1.0, -2.0]])), r"Y is -2 in 1 places"),
        (lambda: odinn.DiffusiveSIA2D(U={"g": -1.0}), r"DiffusiveSIA2D: U is -1"),
        (lambda: odinn.TemperatureIndex(temperature_std=0.0), r"temperature_std is 0.*> 0"),
        (lambda: OwnBalance(gain=-1.0, loss=1.0), r"OwnBalance: gain is -1; .* >= 0"),
        (
            lambda: OwnBalance(loss=1.0, note=odinn.Parameter(1.0)),
            r"OwnBalance: note holds a Parameter and is no slot",
        ),
        (lambda: OwnBalance(loss=1.0, note=LAW), r"note holds a Function and is no slot"),
    ],
)
def test_what_cannot_be_is_refused_by_class_and_slot(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_an_exponent_may_have_either_sign():
    assert odinn.SIA2D(q=-1.0).q == -1.0


def test_the_list_is_complete(slab):
    """Every field of a part that may hold a parameter is in it: all that convert numbers."""
    model = odinn.Model(odinn.HybridSIA2D(Y=1e-16), odinn.TemperatureIndex())
    for part, owner in (("flow", model.flow), ("mass_balance", model.mass_balance)):
        paths = [s.path for s in model.slots().values() if s.part == part]
        assert paths == [f"{part}.{name}" for name in declared(type(owner))]
        for name in declared(type(owner)):
            assert model.slots()[f"{part}.{name}"].value is getattr(owner, name)
    assert list(model.slots())[:3] == ["flow.Y", "flow.C", "flow.n"]
    assert odinn.Model(None, None).slots() == {}
    geometry = set(all_slots(model, [slab])) - set(model.slots())
    assert geometry == {f"bed of {slab.rgi_id}", f"thickness of {slab.rgi_id}"}
    assert learned_slots(model, [slab]) == {}


def test_what_is_learned_is_found_in_model_and_glaciers(slab):
    thick = slab.replace(thickness=odinn.Parameter(slab.thickness, (0, None), per="cell"))
    law = odinn.laws.Basis([odinn.inputs.Altitude()], (1e-3, 1e-2))
    model = odinn.Model(
        odinn.SIA2D(A=odinn.Parameter(1e-16, BOUNDS), C=LAW), odinn.TemperatureIndex(law)
    )
    found = learned_slots(model, [thick])
    assert list(found) == ["flow.A", "mass_balance.melt_factor", f"thickness of {slab.rgi_id}"]
    assert found[f"thickness of {slab.rgi_id}"].path == "thickness"


def test_every_number_has_a_label_and_a_unit():
    slots = known_slots()
    assert slots["flow.A"].axis_label == "rate factor A (Pa⁻ⁿ yr⁻¹)"
    assert slots["mass_balance.precip_factor"].axis_label == "precipitation factor (1)"
    assert slots["mass_balance.loss"].axis_label == "loss b (m w.e. yr⁻¹)"
    for slot in slots.values():
        assert slot.label
        assert slot.unit


def test_the_place_says_on_which_grid_a_number_lives(slab):
    field = np.arange(float(slab.surface.size)).reshape(slab.grid.shape)
    balance = OwnBalance(loss=field)
    placed = balance.on(slab)
    assert placed.gain.shape == ()
    np.testing.assert_array_equal(placed.loss, field)
    assert odinn.SIA2D(A=LAW).on(slab).A.shape == slab.grid.corner_shape
    with pytest.raises(InputError, match=r"flow.A has shape .* corner field"):
        odinn.SIA2D(A=field).on(slab)
    with pytest.raises(InputError, match="gain is one number, and 'altitude' a field"):
        OwnBalance(gain=LAW, loss=1.0).on(slab)


def test_where_a_law_of_the_state_may_stand(slab):
    thick = odinn.laws.Function(lambda H: H, [odinn.inputs.IceThickness()])
    assert callable(odinn.SIA2D(A=thick).on(slab).A)
    with pytest.raises(InputError, match="loss: laws of the state may stand in flow slots only"):
        OwnBalance(loss=thick).on(slab)
    with pytest.raises(InputError, match="flow.n: exponents take laws of fixed inputs only"):
        odinn.SIA2D(n=thick).on(slab)


def test_a_slot_of_ones_own_is_learned_like_any_other(slab):
    """A year of balance is a difference of two numbers, whose derivatives are known."""
    ice = 1000.0 / 900.0  # m of ice for a metre of water
    glacier = slab.replace(thickness=slab.thickness + 50.0 * slab.mask)
    seen = glacier.replace(observations=odinn.Observations(thickness=glacier.thickness))
    balance = OwnBalance(gain=odinn.Parameter(1.5), loss=odinn.Parameter(0.5, (0.1, 2.0)))
    model = odinn.bind(odinn.Model(None, balance), seen)
    assert model.mass_balance.loss.scale == "log"
    loss = odinn.losses.Thickness(error=1.0)
    value, gradient = odinn.value_and_gradient(model, seen, loss, (2000.0, 2001.0))
    assert float(value) == pytest.approx(ice**2, rel=1e-12)
    assert float(gradient[0].mass_balance.gain.raw) == pytest.approx(2 * ice**2, rel=1e-12)
    share = np.log(0.5 / 0.1) / np.log(2.0 / 0.1)
    slope = 0.5 * np.log(2.0 / 0.1) * share * (1 - share)  # of physical to raw
    own = float(gradient[0].mass_balance.loss.raw)
    assert own == pytest.approx(-2 * ice**2 * slope, rel=1e-12)


def test_laws_of_other_ranges_share_one_program(slab, caplog):
    """Ranges of inputs are arrays: twenty of them run and are differentiated by what one is."""
    seen = slab.replace(observations=odinn.Observations(thickness=0.9 * slab.thickness))

    def run(k):
        inputs = [
            odinn.inputs.Altitude(range=(2000.0 + k, 3000.0 + 2 * k)),
            odinn.inputs.IceThickness(range=(0.0, 150.0 + k)),
        ]
        law = odinn.laws.Neural(inputs, bounds=BOUNDS, hidden=(2,))
        model = odinn.Model(odinn.SIA2D(A=law), None)
        sim = odinn.simulate(model, seen, 2000.0, 2000.1, save_every=0.1)
        value, _ = odinn.value_and_gradient(model, seen, odinn.losses.Thickness(), (2000.0, 2000.1))
        return sim.thickness[-1].sum(), float(value)

    first = run(0)
    with jax.log_compiles():
        others = {run(k) for k in range(1, 21)}
        jax.jit(lambda x: x + 2.0)(1.0)  # this one has to be seen
    assert len(others - {first}) == 20
    assert len([r for r in caplog.records if "Compiling" in r.getMessage()]) == 1


def test_ranges_are_not_learned(slab):
    law = odinn.laws.Basis([odinn.inputs.Altitude(range=(2000.0, 3000.0))], BOUNDS, size=5)
    params, _ = odinn.trainable(odinn.Model(odinn.SIA2D(A=law), None), slab)
    assert [leaf.shape for leaf in jax.tree.leaves(params)] == [(5,)]


def test_a_slot_is_described_where_its_class_is():
    slot = declared(OwnBalance)["loss"]
    assert slot == Slot("m w.e. yr⁻¹", "cell", "loss", "b", 0.0, True, "log")
    assert declared(eqx.Module) == {}
