"""Mutants of every kind of input.

Those that keep the meaning are the same glacier, those that break it are errors of odinn's own, the
rest are one or the other within the declared ranges: no traceback of a library, nothing that hangs.

The few of `make test` and the many of `make slow` are drawn from the same source, without chance.
"""

import datetime
import json
import tarfile
import warnings

import numpy as np
import pytest
import shapefile
import xarray as xr
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import odinn
from odinn.data.quantities import BED, FASTEST, THICKEST
from odinn.errors import OdinnError
from tests.data import mutants
from tests.data.made import MONTHS, everything, weather

HANG = datetime.timedelta(seconds=5)


def examples(number):
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=HANG,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


SIZES = [pytest.param(1, id="few"), pytest.param(10, marks=pytest.mark.slow, id="many")]


def opened(source, **options):
    """A glacier, or None for an error of odinn's own; warnings are odinn's own, too."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            return odinn.open_glacier(source, **options)
        except OdinnError:
            return None
        finally:
            assert [w for w in said if w.category is not UserWarning] == []


def assert_in_ranges(glacier):
    assert ((glacier.bed >= BED.smallest) & (glacier.bed <= BED.largest)).all()
    assert ((glacier.thickness >= 0) & (glacier.thickness <= THICKEST)).all()
    assert not (glacier.thickness[~glacier.mask] > 0).any()
    seen = glacier.observations
    if seen.speed is not None:
        assert not (np.isinf(seen.speed) | (seen.speed < 0) | (seen.speed > FASTEST)).any()
    if glacier.climate is not None:
        assert np.isfinite(glacier.climate.temp).all()
        assert (glacier.climate.precip >= 0).all()


def assert_same(glacier, plain):
    """Up to the round-off of a change of units."""
    assert glacier.grid.shape == plain.grid.shape
    for name in ("dx", "dy", "x0", "y0"):
        assert getattr(glacier.grid, name) == pytest.approx(getattr(plain.grid, name), rel=1e-12)
    np.testing.assert_allclose(glacier.bed, plain.bed, rtol=1e-12)
    np.testing.assert_allclose(glacier.thickness, plain.thickness, rtol=1e-12, atol=1e-9)
    assert (glacier.mask == plain.mask).all()
    for name in ("temp", "precip", "gradient"):
        series, expected = getattr(glacier.climate, name), getattr(plain.climate, name)
        np.testing.assert_allclose(series, expected, rtol=1e-12, atol=1e-12)
    seen, expected = glacier.observations, plain.observations
    np.testing.assert_allclose(seen.speed, expected.speed, rtol=1e-12)
    np.testing.assert_allclose(seen.thickness, expected.thickness, rtol=1e-12)
    np.testing.assert_allclose(seen.errors["speed"], expected.errors["speed"], rtol=1e-12)
    balance, expected_balance = seen.mass_balance, expected.mass_balance
    np.testing.assert_allclose(balance.annual, expected_balance.annual, rtol=1e-12)
    np.testing.assert_allclose(seen.points.thickness, expected.points.thickness)


@pytest.mark.parametrize("size", SIZES)
def test_a_dataset_whose_meaning_is_kept_is_the_same_glacier(size):
    plain = odinn.open_glacier(everything())

    @examples(12 * size)
    @given(mutants.datasets(mutants.KEEPING))
    def check(mutant):
        name, ds = mutant
        glacier = opened(ds)
        assert glacier is not None, name
        assert_same(glacier, plain)

    check()


@pytest.mark.parametrize("size", SIZES)
def test_a_dataset_whose_meaning_is_broken_is_refused(size):
    @examples(12 * size)
    @given(mutants.datasets(mutants.BREAKING))
    def check(mutant):
        name, ds = mutant
        assert opened(ds) is None, name

    check()


@pytest.mark.parametrize("size", SIZES)
def test_any_other_dataset_is_refused_or_stays_in_the_declared_ranges(size):
    @examples(12 * size)
    @given(mutants.datasets(mutants.ANY))
    def check(mutant):
        _, ds = mutant
        glacier = opened(ds)
        if glacier is not None:
            assert_in_ranges(glacier)

    check()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_64BIT"])
def test_a_damaged_netcdf_file_is_refused_or_stays_in_the_declared_ranges(size, form, tmp_path):
    path = tmp_path / "made.nc"
    everything().to_netcdf(path, format=form)
    whole = path.read_bytes()

    @examples(4 * size)
    @given(mutants.damaged(whole))
    def check(mutant):
        path.write_bytes(mutant[1])
        glacier = opened(path)
        if glacier is not None:
            assert_in_ranges(glacier)

    check()


@pytest.mark.parametrize("size", SIZES)
def test_a_damaged_table_of_weather_is_refused_or_stays_in_the_declared_ranges(size, tmp_path):
    path = tmp_path / "own.csv"
    rows = [f"{month},{-3.0},{80.0}" for month in np.datetime_as_string(MONTHS, "D")]
    text = "\n".join(["# ref_height: 2400", "time,temp,prcp", *rows])

    @examples(6 * size)
    @given(mutants.tables(text))
    def check(content):
        path.write_bytes(content)
        try:
            climate = odinn.open_climate(path)
        except OdinnError as error:
            if "own.csv" not in str(error):
                raise
            return
        assert ((climate.temp > -100) & (climate.temp < 70)).all()
        assert (climate.precip >= 0).all()

    check()


@pytest.mark.parametrize("size", SIZES)
def test_a_damaged_saved_object_is_refused_and_runs_no_code(size, tmp_path):
    path = odinn.save(odinn.open_glacier(everything()), tmp_path / "saved.nc")
    with xr.open_dataset(path, group="odinn") as group:
        sound = group.load()

    @examples(6 * size)
    @given(mutants.texts(sound.attrs["objects"]))
    def check(text):
        group = sound.assign_attrs(objects=text)
        group.to_netcdf(path, group="odinn", mode="w")
        try:
            odinn.load(path)
        except OdinnError as error:
            if "saved.nc" not in str(error):
                raise

    check()


@pytest.mark.parametrize("size", SIZES)
def test_a_damaged_directory_of_oggm_is_refused_or_stays_in_the_declared_ranges(size, tmp_path):
    folder = tmp_path / "RGI60-11.00897"
    folder.mkdir()
    everything().to_netcdf(folder / "gridded_data.nc")
    weather(MONTHS).to_netcdf(folder / "climate_historical.nc")
    calibration = {"melt_f": 5.0, "prcp_fac": 2.5, "temp_bias": 0.3, "mb_global_params": {}}
    (folder / "mb_calib.json").write_text(json.dumps(calibration), encoding="utf-8")
    (folder / "settings.yml").write_text("melt_f: 5.0\nprcp_fac: 2.5\n", encoding="utf-8")
    table = tmp_path / "outlines.dbf"
    with shapefile.Writer(dbf=str(table)) as writer:
        writer.field("RGIId", "C", 20)
        writer.record("RGI60-11.00897")
    with tarfile.open(folder / "outlines.tar.gz", "w:gz") as archive:
        archive.add(table, "outlines.dbf")
    files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    assert opened(folder) is not None

    @examples(10 * size)
    @given(st.sampled_from(sorted(files)).flatmap(mutants.of_a_file(files)))
    def check(mutant):
        name, content = mutant
        (folder / name).write_bytes(content)
        glacier = opened(folder)
        if glacier is not None:
            assert_in_ranges(glacier)
        (folder / name).write_bytes(files[name])

    check()
