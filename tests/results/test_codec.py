"""Files cannot harm: what is read is registered, declared and checked, or an error that says so."""

import importlib
import inspect
import json
import pkgutil
import typing
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import odinn
from odinn import registry
from odinn.errors import InputError
from odinn.results import codec
from tests.conftest import make_climate

MODEL = odinn.Model(odinn.SIA2D(A=5e-17), odinn.TemperatureIndex(4e-3, 2.0))

# made while a run or an inversion goes on, and never in what a file keeps
PASSING = {
    *(
        "GlacierArrays",
        "Batch",
        "Cells",
        "Domain",
        "PartialLaw",
        "DailyMonth",
        "MeanMonth",
        "MeanOfMonths",
        "OdinnMonth",
    ),
    *("Window", "Water", "Prognostic", "StepTally", "Turnover", "Ledger", "Fluxes", "Leg"),
    *("Report", "Levels", "Amounts", "Totals", "Members", "Carry"),
    *("IceFlow", "HeldBalance", "StageBalance", "MonthEndBalance", "OdinnMonthEnd", "BalanceSoFar"),
    *(
        "Snowpack",
        "IceFreeBorder",
        "SignedThickness",
        "EdgeTally",
        "EdgeTurnover",
        "System",
        "Plan",
    ),
    *(
        "Replay",
        "Record",
        "Tally",
        "Limits",
        "Stepping",
        "LoopState",
        "Progress",
        "_Window",
        "_WindowBackward",
        "_Inside",
    ),
    *("ErrorController", "CFLController", "TransposeByJax", "ChebyshevTranspose", "Chebyshev"),
    *("RungeKutta", "DiffraxScheme", "_Field", "_Strip", "AbstractTerm", "_Task", "_Velocity"),
    *("GlacierMisfit", "Settings", "Outcome", "Targets", "Comparison", "Failure"),
}


class Own(odinn.inputs.FixedInput):
    range, label, unit = None, "depth", "m"

    def field(self, glacier):
        return glacier.thickness


class OwnLaw(odinn.laws.AbstractLaw):
    inputs: tuple
    weights: dict
    ranges: tuple = ()

    def with_ranges(self, ranges):
        return self

    def evaluate(self, depth):
        return self.weights["a"] + 0.0 * depth


class OwnFlow(odinn.DiffusiveSIA2D):
    pass


@pytest.fixture
def registered():
    """The register of classes as it was, after the test."""
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


def glacier(**changes):
    grid = odinn.Grid(4, 3, 100.0, 100.0)
    fields = {"bed": np.full(grid.shape, 2000.0), "thickness": np.full(grid.shape, 10.0)}
    fields |= {"mask": np.ones(grid.shape, bool), "climate": make_climate((2000, 2001))}
    return odinn.Glacier("TEST-00.00002", "Block", grid, **(fields | changes))


def law():
    return OwnLaw((Own(),), {"a": jnp.asarray(4e-17)})


def inner(tree, *path):
    for name in path:
        tree = tree["fields"][name]
    return tree["fields"]


def read(tree, arrays):
    return codec.decode(json.loads(json.dumps(tree)), arrays, "crafted.nc")


def same(one, other):
    """Equal in every type, array and number, NaN included."""
    if isinstance(one, eqx.Module):
        return type(one) is type(other) and same(vars(one), vars(other))
    if isinstance(one, np.ndarray | jax.Array):
        alike = isinstance(other, jax.Array) == isinstance(one, jax.Array)
        alike &= one.dtype == other.dtype
        missing = one.dtype.kind == "f"
        return alike and np.array_equal(one, other, equal_nan=missing)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
dtypes = st.sampled_from(["bool", "i1", "u2", "i8", "u8", "f4", "f8", ">f8"])
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
values = st.recursive(
    scalars | arrays | arrays.filter(lambda a: a.dtype.isnative).map(jnp.asarray),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.lists(inside, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inside, max_size=3)
        | st.dictionaries(st.integers(), inside, max_size=3)
    ),
    max_leaves=8,
)
junk = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=5), scalars)


@given(extras=st.dictionaries(st.text(max_size=3), values, max_size=3))
@settings(deadline=None)
def test_what_is_encoded_is_decoded_to_the_last_bit(extras):
    state = odinn.State(2000.0, np.ones((2, 2)), extras)
    encoded = codec.encode(state)
    assert same(codec.decode(codec.parse(encoded.text, "a"), encoded.arrays, "a"), state)


@given(extras=st.dictionaries(st.text("abc", min_size=1), values, max_size=3))
@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_files_keep_every_bit(tmp_path, suffix, extras):
    state = odinn.State(2000.0, np.ones((2, 2)), extras)
    assert same(odinn.load(odinn.save(state, tmp_path / f"state.{suffix}")), state)


def nodes(tree, path=()):
    """The places of a tree."""
    yield path
    if isinstance(tree, dict | list):
        entries = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in entries:
            yield from nodes(value, (*path, key))


@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_a_tree_with_anything_changed_is_an_error_or_an_object(data):
    encoded = codec.encode(data.draw(st.sampled_from([MODEL, glacier(), odinn.State(1.0, 2.0)])))
    document = json.loads(encoded.text)
    path = data.draw(st.sampled_from(list(nodes(document))[1:]))
    place = document
    for key in path[:-1]:
        place = place[key]
    how = data.draw(st.sampled_from(["replace", "remove", "rename"]))
    value = place[path[-1]] if how == "replace" else place.pop(path[-1])
    if how == "replace":
        place[path[-1]] = data.draw(junk)
    if how == "rename" and isinstance(place, dict):
        place[data.draw(st.text(max_size=5))] = value
    try:
        back = codec.decode(codec.parse(json.dumps(document), "a"), encoded.arrays, "a")
    except InputError:
        return
    assert not isinstance(back, eqx.Module) or registry.public_name(type(back))


@given(cut=st.floats(0.0, 1.0, exclude_max=True))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_file_is_an_input_error(tmp_path, cut):
    path = tmp_path / "whole.nc"
    content = (path if path.exists() else odinn.save(MODEL, path)).read_bytes()
    (tmp_path / "cut.nc").write_bytes(content[: int(cut * len(content))])
    with pytest.raises(InputError, match="cut.nc: .*truncated or of another origin"):
        odinn.load(tmp_path / "cut.nc")


def test_every_class_of_odinn_that_a_file_may_hold_has_a_public_name():
    missing = []
    for module in pkgutil.walk_packages(odinn.__path__, "odinn."):
        for name, cls in vars(importlib.import_module(module.name)).items():
            is_own = isinstance(cls, type) and cls.__module__ == module.name
            if not is_own or not issubclass(cls, eqx.Module) or name.startswith("Abstract"):
                continue
            if (
                not inspect.isabstract(cls)
                and name not in PASSING
                and not registry.public_name(cls)
            ):
                missing.append(f"{module.name}.{name}")
    assert missing == [], "enter them in odinn.registry, or in PASSING if no file ever holds them"


@pytest.mark.parametrize("name", registry._BUILT_IN)
def test_every_public_name_is_that_of_a_class_whose_fields_are_declared(name):
    cls = registry.class_of(name)
    assert issubclass(cls, eqx.Module)
    assert registry.public_name(cls) == name
    typing.get_type_hints(cls)  # all can be found, so that all are checked


def test_a_file_does_not_know_where_a_class_lives():
    assert "odinn.physics" not in codec.encode((MODEL, glacier(), law())).text


POINTS = {"x": [1.0], "y": [2.0], "date": [2000.0], "thickness": [50.0]}
WARM = odinn.inputs.LongTermTemperature(range=(-10.0, 0.0))
ROUGH = odinn.inputs.TopographicRoughness(direction="both")


@pytest.mark.parametrize(
    "part",
    [
        odinn.Diffrax(),
        odinn.RKC2(),
        odinn.SSPRK3(),
        odinn.HybridSIA2D(Y=np.full((3, 4), 2e-17), n_S=2.5, n=jnp.asarray(3.1)),
        odinn.DiffusiveSIA2D(U={"a": 1.0, "b": np.ones((2, 3))}),
        odinn.SIA2D(A=odinn.Parameter({"a": 1e-17}, (1e-18, 1e-14), "log", "glacier")),
        odinn.LinearBalance(maximum=2, accumulation_threshold=None),
        odinn.TemperatureIndex(lapse_rate=-0.006, snow_temperature=[0, 2]),
        odinn.laws.Neural([WARM, odinn.inputs.SurfaceSlope(range=(0, 1))], (1e-18, 1e-15)),
        odinn.laws.Basis(ROUGH, (0.0, 1.0), "linear", kind="rbf"),
        odinn.laws.SyntheticSliding([odinn.inputs.RecentDegreeDays(2), ROUGH], (2000, 0.01)),
        odinn.laws.CuffeyPaterson([odinn.inputs.MonthlyTemperature("cell")], polynomial=True),
        odinn.losses.Thickness(at=[2000, 2001.5], error={"a": np.ones((3, 4)), "b": 2}, margin=1)
        + 0.1 * odinn.losses.Thickness(points={"a": POINTS}, where={"a": True, "b": False})
        + odinn.losses.Velocity("log", period=(2000, 2001), error=np.float32(0.5))
        + odinn.losses.ElevationChange(period=[("2000-01-01", "2001-01-01")], mean=True)
        + odinn.losses.MassBalance(target={"a": -0.5}, error=0.1)
        + odinn.losses.SmoothVelocity(error=2)
        + odinn.losses.Smoothness("flow.A", "variation")
        + odinn.losses.Prior("flow.A", 0.5, guess=1e-17),
        odinn.optimizers.adam(1e-2, 5, batch=2),
        odinn.verification.exact_solutions.ExactBalance(
            dome=odinn.verification.exact_solutions.Halfar(),
            circles=odinn.verification.exact_solutions.Circles.of(odinn.Grid(5, 5, 1e4, 1e4)),
        ),
    ],
    ids=lambda part: type(part).__name__,
)
def test_parts_of_models_and_studies_come_back_as_declared(part):
    encoded = codec.encode(part)
    assert encoded.left_out == []
    back = codec.decode(codec.parse(encoded.text, "a"), encoded.arrays, "a")
    assert eqx.tree_equal(back, part)


@pytest.mark.parametrize(
    "name",
    [
        "odinn.results.snapshot:np.lib.npyio.NpzFile",
        "odinn.physics.flow.sia:SIA2D",
        "odinn.physics.flow.sia.SIA2D",
        "odinn.laws.Nothing",
        "odinn.laws",
        "odinn.registry.sys.modules",
        "odinn.Glacier.__class__",
        "subprocess.Popen",
        "os:system",
        "builtins.dict",
        "Own",
        "",
    ],
)
def test_a_file_makes_nothing_but_registered_classes(tmp_path, name):
    text = json.dumps({"format": 2, "object": {"class": name, "fields": {"args": "true"}}})
    xr.Dataset(attrs={"objects": text}).to_netcdf(tmp_path / "crafted.nc", group="odinn")
    with pytest.raises(InputError, match="crafted.nc: no class is registered as '"):
        odinn.load(tmp_path / "crafted.nc")


@pytest.mark.parametrize(
    ("path", "field", "value", "message"),
    [
        (("grid",), "nx", -3, r"odinn.Glacier.grid: Grid\(nx=-3\): expected at least one cell"),
        (("grid",), "nx", 4.5, "grid.nx: found float 4.5, expected int"),
        (("grid",), "nx", 5, r"bed has shape \(3, 4\), expected \(3, 5\)"),
        (("grid",), "dx", 0.0, "expected a size > 0"),
        (("grid",), "dx", float("nan"), "expected a size > 0"),
        (("grid",), "dx", "100", "grid.dx: found str 100, expected float"),
        (("grid",), "crs", {"lost": "Crs"}, "grid.crs: found LostClass .*, expected str"),
        (("grid",), "crs", {"list": []}, "grid.crs: found list"),
        ((), "grid", {"lost": "Grid"}, "odinn.Glacier.grid: found LostClass"),
        ((), "grid", None, "odinn.Glacier.grid: found NoneType None, expected Grid"),
        ((), "mask", {"array": "a99", "dtype": "|b1", "jax": False}, "'a99' is not in the file"),
        ((), "mask", {"array": "a0", "dtype": "|b1", "jax": False}, "is of float64, expected bool"),
        (
            (),
            "mask",
            {"array": "a0", "dtype": "|O", "jax": False},
            "is of float64, expected object",
        ),
        ((), "mask", {"array": "a0", "dtype": "no", "jax": False}, "cannot be read"),
        (
            (),
            "mask",
            {"array": "a0", "dtype": "<f8", "jax": False},
            "mask: found an array of float",
        ),
        ((), "mask", {"array": "a0"}, "mask: found a dict array, expected what odinn.save writes"),
        ((), "bed", 2000.0, r"bed has shape \(\), expected \(3, 4\)"),
        ((), "name", True, "name: found bool True, expected str"),
        ((), "provenance", {"dict": [["a"]]}, "provenance: found a list, expected a key"),
        ((), "provenance", {"dict": [["a", 3]]}, "provenance: found dict"),
        (("climate",), "step", "weekly", "climate.step: found str weekly, expected Literal"),
        (("climate",), "shifted", {"tuple": [1.0]}, "climate.shifted: found tuple"),
        (("climate",), "first_month", None, "first_month: found NoneType None, expected int"),
    ],
)
def test_a_field_that_is_not_as_declared_is_named(path, field, value, message):
    encoded = codec.encode(glacier())
    inner(encoded.tree, *path)[field] = value
    with pytest.raises(InputError, match="^crafted.nc: .*" + message):
        read(encoded.tree, encoded.arrays)


def test_missing_and_unknown_fields_are_named():
    encoded = codec.encode(glacier())
    grid = inner(encoded.tree, "grid")
    grid["nz"] = 3
    with pytest.raises(InputError, match="Glacier.grid: 'nz' is not one of its fields"):
        read(encoded.tree, encoded.arrays)
    del grid["nz"], grid["nx"]
    with pytest.raises(InputError, match="Glacier.grid: 'nx' is missing"):
        read(encoded.tree, encoded.arrays)


@pytest.mark.parametrize("field", ["bed", "thickness"])
def test_a_bed_or_thickness_with_gaps_is_refused(field):
    with pytest.raises(InputError, match=f"TEST-00.00002: {field} is not finite in 1 cells"):
        glacier(**{field: np.where(np.arange(12).reshape(3, 4) == 5, np.nan, 100.0)})
    encoded = codec.encode(glacier())
    encoded.arrays[inner(encoded.tree)[field]["array"]][0, 0] = np.inf
    with pytest.raises(InputError, match=f"crafted.nc: .*{field} is not finite"):
        read(encoded.tree, encoded.arrays)


def test_a_climate_with_gaps_is_refused():
    encoded = codec.encode(glacier())
    encoded.arrays[inner(encoded.tree, "climate")["temp"]["array"]][3, 4] = np.nan
    with pytest.raises(InputError, match="crafted.nc: .*climate 'made': temp is not finite"):
        read(encoded.tree, encoded.arrays)


def test_series_of_one_climate_have_one_length():
    encoded = codec.encode(glacier())
    name = inner(encoded.tree, "climate")["precip"]["array"]
    encoded.arrays[name] = encoded.arrays[name][:-1]
    with pytest.raises(InputError, match="climate.precip: found an array of float64"):
        read(encoded.tree, encoded.arrays)


def test_a_negative_rate_factor_in_a_file_is_refused():
    encoded = codec.encode(MODEL)
    encoded.arrays[inner(encoded.tree, "flow")["A"]["array"]] = np.array(-1e-17)
    with pytest.raises(InputError, match="crafted.nc: odinn.Model.flow: SIA2D: A is -1e-17"):
        read(encoded.tree, encoded.arrays)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "null",
        "[]",
        "{}",
        '{"format": 2}',
        '{"format": "2", "object": 3}',
        '{"format": true, "object": 3}',
        '{"format": 2, "object": 3}',
        '{"format": 2, "object": ' + "9" * 10_000 + "}",
        '{"format": 2, "object": ' + '{"list": [' * 200 + "]}" * 200 + "}",
        '{"format": 2, "object": {"class": "odinn.State", "fields": {"time": '
        + '{"list": [' * 200
        + "]}" * 200
        + "}}}",
    ],
)
def test_text_that_is_no_tree_of_objects_is_an_input_error(tmp_path, text):
    xr.Dataset(attrs={"objects": text}).to_netcdf(tmp_path / "crafted.nc", group="odinn")
    for call in (odinn.load, odinn.restart):
        with pytest.raises(InputError, match="crafted.nc: "):
            call(tmp_path / "crafted.nc")


def test_files_of_the_earlier_and_of_a_later_format_say_which_version_reads_them(tmp_path):
    tree = json.dumps({"class": "odinn.flow.sia:SIA2D", "fields": {}})
    xr.Dataset(attrs={"tree": tree}).to_netcdf(tmp_path / "old.nc", group="odinn")
    with pytest.raises(InputError, match="old.nc: written by an earlier .* with odinn 0.1.0.dev0"):
        odinn.load(tmp_path / "old.nc")
    with pytest.raises(InputError, match="old.nc: written by an earlier .* with odinn 0.1.0.dev0"):
        odinn.restart(tmp_path / "old.nc")
    text = json.dumps({"format": 3, "object": {}})
    xr.Dataset(attrs={"objects": text}).to_netcdf(tmp_path / "new.nc", group="odinn")
    with pytest.raises(InputError, match="new.nc: written by a later version of odinn .*update"):
        odinn.load(tmp_path / "new.nc")


def test_a_store_that_would_unpickle_is_not_opened(tmp_path):
    path = odinn.save(MODEL, tmp_path / "model.zarr")
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None}
    array |= {"order": "C", "compressor": None, "filters": [{"id": "pickle"}]}
    (path / "odinn" / "evil").mkdir()
    (path / "odinn" / "evil" / ".zarray").write_text(json.dumps(array))
    with pytest.raises(InputError, match="model.zarr: cannot be read"):
        odinn.load(path)
    (path / "odinn" / "evil" / ".zarray").unlink()
    (path / "odinn" / "evil" / "zarr.json").write_text(json.dumps({"codecs": [{"name": "pickle"}]}))
    with pytest.raises(InputError, match="model.zarr: cannot be read"):
        odinn.load(path)


def test_a_class_of_ones_own_is_kept_once_it_is_registered(registered, tmp_path):
    model = odinn.Model(odinn.SIA2D(A=law()))
    odinn.register(Own)
    odinn.register(name="glacier.OwnLaw")(OwnLaw)
    path = odinn.save(model, tmp_path / "model.nc")
    assert eqx.tree_equal(odinn.load(path), model)
    registry._registered.clear()
    with pytest.raises(InputError, match=r"flow.A: no class is registered as 'glacier.OwnLaw'"):
        odinn.load(path)


def test_all_but_a_class_that_is_not_registered_is_saved_with_a_warning(slab, tmp_path):
    model = odinn.Model(odinn.SIA2D(A=law(), C=1e-3), odinn.TemperatureIndex())
    with pytest.warns(UserWarning, match=r"written without OwnLaw, .*odinn.register\(OwnLaw\)"):
        path = odinn.save(model, tmp_path / "model.nc")
    back = odinn.load(path)
    assert float(back.flow.C) == 1e-3
    assert "OwnLaw" in repr(back)
    with pytest.raises(InputError, match="class 'OwnLaw' was not kept in the file"):
        odinn.simulate(back, slab, 2000.0, 2000.5)
    with pytest.raises(InputError, match="class 'OwnLaw' was not kept in the file"):
        back.flow.A(100.0)
    with pytest.warns(UserWarning, match="written without OwnFlow"):
        path = odinn.save(odinn.Model(OwnFlow(U=1.0), None), path)
    with pytest.raises(InputError, match="class 'OwnFlow' was not kept in the file"):
        odinn.simulate(odinn.load(path), slab, 2000.0, 2000.5)
    with pytest.raises(
        InputError, match=r"OwnFlow is not registered: call odinn.register\(OwnFlow"
    ):
        odinn.save(OwnFlow(U=1.0), path)


def test_a_run_of_a_class_that_is_not_registered_keeps_its_numbers(slab, tmp_path):
    sim = odinn.simulate(odinn.Model(OwnFlow(U=1.0), None), slab, 2000.0, 2000.5)
    with pytest.warns(UserWarning, match="written without OwnFlow"):
        path = odinn.save(sim, tmp_path / "run.nc")
    back = odinn.load(path)
    assert (back.thickness == sim.thickness).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is lost is known already
        again = odinn.load(odinn.save(back.model, tmp_path / "model.nc"))
    assert again.flow.name == "OwnFlow"
    assert (odinn.restart(path)[1].thickness == sim.state.thickness).all()


def test_the_command_line_says_that_a_class_is_not_registered_before_it_runs(tmp_path, monkeypatch):
    from odinn.cli import main

    config = tmp_path / "run.yaml"
    config.write_text(
        "glacier: {source: 'demo:RGI60-18.03091'}\nrun: {t0: 2000, t1: 2001}\n"
        f"output: {{directory: {tmp_path / 'out'}}}\n"
    )
    own = odinn.Model(OwnFlow(U=1.0), None)
    monkeypatch.setattr("odinn.cli.running.build_model", lambda *_: own)
    monkeypatch.setattr("odinn.simulate", None)
    with pytest.raises(InputError, match="output.directory: a file cannot keep OwnFlow"):
        main.run(config, None, False)


@pytest.mark.parametrize(
    ("cls", "name", "message"),
    [
        (int, None, "expected a class such as a law"),
        (3, None, "expected a class such as a law"),
        (Own, "odinn.Own", "does not start with odinn."),
        (Own, "", "expected a name"),
        (Own, 3, "expected a name"),
    ],
)
def test_what_cannot_be_registered_is_said(cls, name, message):
    with pytest.raises(InputError, match=message):
        odinn.register(cls, name=name)


def test_a_name_belongs_to_one_class_which_may_be_defined_again(registered):
    odinn.register(Own, name="mine")
    with pytest.raises(InputError, match=r"'mine' is taken by tests.results.test_codec.Own"):
        odinn.register(OwnFlow, name="mine")
    again = type("Own", (odinn.inputs.FixedInput,), dict(vars(Own)))
    assert odinn.register(again, name="mine") is again  # as in a notebook
    assert registry.public_name(Own) == "mine"


def test_a_state_within_a_month_and_with_water_comes_back(slab, tmp_path):
    sim = odinn.simulate(MODEL, slab, 2000.0, 2000.29, hydrology=True)
    assert set(sim.state.extras) == {"balance", "snow"}
    back = odinn.load(odinn.save(sim.state, tmp_path / "state.nc"))
    assert same(back, sim.state)


def test_fields_of_a_run_that_are_gone_or_of_another_grid_are_an_input_error(slab, tmp_path):
    sim = odinn.simulate(odinn.Model(odinn.SIA2D(), None), slab, 2000.0, 2000.5)
    path = odinn.save(sim, tmp_path / "run.nc")
    group, root = (xr.load_dataset(path, group=g, decode_cf=False) for g in ("odinn", None))
    gaps = root.thickness.where(root.time > root.time[0])
    for name, changed in (
        ("the fields of the run cannot be read", root.drop_vars("smb")),
        ("Simulation.times: |Simulation.thickness: ", root.isel(time=slice(3))),
        (r"thickness has shape \(7, 23, 30\), the grid", root.isel(y=slice(23))),
        ("thickness has values that are no numbers", root.assign(thickness=gaps)),
    ):
        changed.to_netcdf(tmp_path / "crafted.nc")
        group.to_netcdf(tmp_path / "crafted.nc", group="odinn", mode="a")
        with pytest.raises(InputError, match=f"crafted.nc: .*({name})"):
            odinn.load(tmp_path / "crafted.nc")
