"""Files: CF metadata, round trips, restart."""

import json

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pyproj
import pytest
import xarray as xr

import odinn
from odinn.errors import InputError
from odinn.results.variables import VARIABLES, table
from tests.data.made import fields

MODEL = odinn.Model(odinn.SIA2D(A=5e-17), odinn.TemperatureIndex(4e-3, 2.0))


@pytest.fixture(scope="module")
def sim(slab):
    return odinn.simulate(MODEL, slab, 2000.0, 2002.0)


@pytest.fixture(scope="module", params=["nc", "zarr"])
def path(request, sim, tmp_path_factory):
    return odinn.save(sim, tmp_path_factory.mktemp("out") / f"run.{request.param}")


def test_the_dataset_carries_the_conventions_of_the_field(sim, tmp_path):
    with xr.open_dataset(odinn.save(sim, tmp_path / "a.nc"), decode_times=False) as raw:
        assert raw.attrs["Conventions"] == "CF-1.11"
        assert raw.time.attrs["units"] == "days since 1970-01-01"
        assert raw.time.attrs["bounds"] == "time_bounds"
        assert raw.time_bounds.shape == (25, 2)
        assert raw.time.values[0] == 10957  # 1 January 2000
        assert raw.decimal_year.values[-1] == 2002.0
        names = {
            "thickness": ("land_ice_thickness", "m"),
            "surface": ("surface_altitude", "m"),
            "bed": ("bedrock_altitude", "m"),
            "smb": ("land_ice_surface_specific_mass_balance_flux", "kg m-2 yr-1"),
            "vx": ("land_ice_surface_x_velocity", "m yr-1"),
            "vy": ("land_ice_surface_y_velocity", "m yr-1"),
        }
        for name, (standard, units) in names.items():
            assert raw[name].attrs["standard_name"] == standard
            assert raw[name].attrs["units"] == units
            assert raw[name].attrs["grid_mapping"] == "crs"
        assert raw.smb.attrs["cell_methods"] == "time: mean"
        assert pyproj.CRS.from_wkt(raw.crs.attrs["crs_wkt"]) == pyproj.CRS.from_user_input(
            "EPSG:32632"
        )
        for variable in raw.data_vars.values():
            assert variable.name in {"crs", "time_bounds"} or {"units", "long_name"} <= set(
                variable.attrs
            )
        assert json.loads(raw.attrs["odinn_settings"])["stepper"] == "RKC2(tol=0.01)"
        assert raw.attrs["odinn_version"]
        assert {"volume_m3", "area_m2", "ela_m", "terminus_altitude_m", "volume_bsl_m3"} <= set(raw)


def test_the_numbers_in_the_file_are_those_of_the_run(sim, path):
    opened = (
        xr.open_zarr(path, consolidated=False) if path.suffix == ".zarr" else xr.open_dataset(path)
    )
    with opened as ds:
        assert (ds.thickness.values == sim.thickness).all()
        np.testing.assert_allclose(ds.smb.values[1:], 1000 * sim.smb[1:], rtol=1e-6)  # float32
        assert ds.volume_m3.values[-1] == sim.budget["final"]
        assert ds.area_m2.values[0] == (sim.thickness[0] >= 1).sum() * 1e4
        ice = sim.thickness[3] >= 1
        assert ds.terminus_altitude_m.values[3] == pytest.approx(sim.surface[3][ice].min())
        np.testing.assert_allclose(np.hypot(ds.vx, ds.vy), ds.speed, rtol=1e-5, atol=1e-6)


def test_the_equilibrium_line_is_where_the_linear_balance_puts_it(slab):
    model = odinn.Model(
        None, odinn.LinearBalance(gradient=8e-3, ela=2650.0, accumulation_threshold=None)
    )
    ds = odinn.simulate(model, slab, 2000.0, 2002.0, save_every=1 / 12).to_dataset()
    assert np.isnan(ds.ela_m.values[:12]).all()  # no full year yet
    # the surface sinks and rises with the balance meanwhile; bands are 20 m wide
    np.testing.assert_allclose(ds.ela_m.values[12:], 2650.0, atol=10.0)


def test_one_odd_cell_does_not_move_the_equilibrium_line():
    from odinn.results.altitude import zero_crossing

    height, area = np.arange(2000.0, 3700.0, 100.0), np.full(17, 50.0)
    balance = (height - 2950.0) / 500.0
    balance[-2], area[-2] = -0.25, 1.0  # a single cell that loses, far above
    assert zero_crossing(height, balance, area) == pytest.approx(2950.0)


def test_the_file_says_which_numbers_were_used(sim):
    text = sim.to_dataset().attrs["odinn_model"]
    assert "A=5e-17" in text
    assert "melt_factor=0.004" in text
    assert "n=3," in text


def test_a_simulation_comes_back_whole(sim, path):
    back = odinn.load(path)
    for name in ("times", "thickness"):
        np.testing.assert_array_equal(getattr(back, name), getattr(sim, name))
    np.testing.assert_allclose(back.smb, sim.smb, rtol=1e-6)  # kept in single precision
    assert back.budget == sim.budget
    assert (back.velocity()[2] == sim.velocity()[2]).all()
    assert back.glacier.climate.name == sim.glacier.climate.name
    again = odinn.simulate(back.model, back.glacier, 2000.0, 2002.0, replay=back.steps)
    np.testing.assert_allclose(
        again.thickness, sim.thickness, rtol=0, atol=1e-12 * sim.thickness.max()
    )


def test_a_run_goes_on_from_its_file_bit_for_bit(sim, path, slab):
    whole = odinn.simulate(MODEL, slab, 2000.0, 2003.0)
    glacier, state = odinn.restart(path)
    rest = odinn.simulate(MODEL, glacier, 2002.0, 2003.0, initial=state)
    assert (rest.thickness[-1] == whole.thickness[-1]).all()


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        odinn.Model(odinn.HybridSIA2D(Y=np.full((3, 4), 2e-17), n_S=2.5), odinn.LinearBalance()),
        odinn.Model(odinn.SIA2D(A={"a": 1e-17, "b": 2e-17}, n=jnp.asarray(3.1)), None),
    ],
)
def test_models_are_saved_without_pickle(model, tmp_path):
    import jax

    back = odinn.load(odinn.save(model, tmp_path / "model.nc"))
    assert jax.tree.structure(back) == jax.tree.structure(model)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(model), strict=True)
    )


@pytest.mark.parametrize("name", ["run.nc", "run.zarr"])
def test_nothing_half_written_is_left_behind(sim, tmp_path, monkeypatch, name):
    def half(root, group, path, *, zarr):
        path.write_text("half")
        raise OSError("disk full")

    target = tmp_path / name
    odinn.save(MODEL, target)
    with monkeypatch.context() as patch:
        patch.setattr("odinn.results.snapshot._write", half)
        with pytest.raises(OSError, match="disk full"):
            odinn.save(sim, target)
    assert eqx.tree_equal(odinn.load(target), MODEL)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    odinn.save(sim, target)  # and what is there is replaced as a whole
    assert odinn.load(target).budget == sim.budget
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: odinn.save(MODEL, p / "a.txt"), "ends in .nc or .zarr"),
        (lambda p: odinn.save({}, p / "a.nc"), "found dict"),
        (lambda p: odinn.load(p / "none.nc"), "no such file"),
        (lambda p: odinn.restart(odinn.save(MODEL, p / "a.nc")), "expected a saved simulation"),
    ],
)
def test_wrong_files_are_errors_that_say_what_was_expected(call, message, tmp_path):
    with pytest.raises(InputError, match=message):
        call(tmp_path)


def test_a_run_beyond_the_calendar_can_be_saved(slab, tmp_path):
    sim = odinn.simulate(odinn.Model(odinn.SIA2D(), None), slab, 0.0, 20000.0, save_every=10000.0)
    with xr.open_dataset(odinn.save(sim, tmp_path / "long.nc")) as ds:
        assert list(ds.decimal_year.values) == [0.0, 10000.0, 20000.0]


def test_files_of_another_kind_are_called_what_they_are(sim, tmp_path):
    run = odinn.save(sim, tmp_path / "run.nc")
    again, plain = tmp_path / "again.nc", tmp_path / "plain.nc"
    with xr.open_dataset(run) as ds:
        ds.load().to_netcdf(again)
    fields().to_netcdf(plain)
    with pytest.raises(InputError, match=r"again.nc: is the dataset of a run without its objects"):
        odinn.load(again)
    with pytest.raises(InputError, match=r"plain.nc: is no file of odinn.save; .*open_glacier"):
        odinn.load(plain)
    for path in (run, again):
        with pytest.raises(InputError, match=rf"{path.name}: is a run of odinn.* odinn.load"):
            odinn.open_glacier(path)
    with pytest.raises(InputError, match=r"glacier.nc: holds no fields.* odinn.load"):
        odinn.open_glacier(odinn.save(sim.glacier, tmp_path / "glacier.nc"))


@pytest.mark.parametrize("start", [-3.0, 0.0, 0.5, 1.0, 1999.75, 9997.0, 9998.0, 12000.0])
def test_dates_are_right_in_any_year(slab, tmp_path, start):
    sim = odinn.simulate(odinn.Model(odinn.SIA2D(), None), slab, start, start + 1.5, save_every=1.5)
    coder = xr.coders.CFDatetimeCoder(use_cftime=True)
    with xr.open_dataset(odinn.save(sim, tmp_path / "run.nc"), decode_times=coder) as ds:
        found = [(t.year, t.month, t.day, t.hour) for t in ds.time.values]
    expected = [(int(t // 1), 1 + int(12 * (t % 1)), 1, 0) for t in (start, start + 1.5)]
    assert found == expected


def test_the_documentation_table_lists_every_variable(sim):
    written = set(sim.to_dataset().data_vars) - {"crs", "time_bounds"}
    water = odinn.simulate(MODEL, sim.glacier, 2000.0, 2000.25, hydrology=True).to_dataset()
    assert set(water.data_vars) - {"crs", "time_bounds", "month_bounds"} == set(VARIABLES)
    assert written == {
        k for k, v in VARIABLES.items() if "month" not in v.dims and k != "hydrology_domain"
    }
    assert all(f"`{name}`" in table() for name in VARIABLES)
