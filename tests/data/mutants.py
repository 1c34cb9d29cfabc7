"""Mutants of sound inputs: those that keep the meaning, those that break it, and any others."""

import re

import numpy as np
import pyproj
import xarray as xr
from hypothesis import strategies as st

from tests.data.made import INSIDE, everything

# Names of numeric variables, and those whose values a run depends on.
FIELDS = ("surface", "thickness")
MEASURED = ("velocity_obs", "velocity_obs_error", "thickness_obs")
SERIES = ("temp_monthly_era5", "prcp_monthly_era5")
UNITS = {
    "surface": (("km", 1e3), ("ft", 0.3048), ("m a.s.l.", 1.0), ("metres", 1.0)),
    "thickness": (("cm", 0.01), ("km", 1e3), ("m", 1.0)),
    "velocity_obs": (("m/day", 365.25), ("cm d-1", 3.6525), ("m s-1", 31557600.0), ("m/a", 1.0)),
    "temp_monthly_era5": (("degC", 1.0), ("celsius", 1.0)),
    "prcp_monthly_era5": (("mm", 1.0), ("m", 1e3), ("cm", 10.0), ("l m-2", 1.0)),
    "mb_annual": (("m w.e.", 1e3), ("kg m-2 yr-1", 1.0), ("cm w.e. a-1", 10.0)),
    "x": (("km", 1e3), ("m", 1.0)),
    "y": (("km", 1e3), ("metre", 1.0)),
}
ALIASES = {
    "surface": ("topo", "usurf", "surface_altitude"),
    "thickness": ("thickness_consensus", "land_ice_thickness", "thk"),
    "glacier_mask": ("mask",),
    "velocity_obs": ("millan_v", "itslive_v"),
}
NONSENSE = (
    *("", "x", "NaN", "1e999", "\x00", "../../x", "[/bold]", "𝔘" * 300),
    *(-9999, 0, -1, 1e30, float("nan"), float("inf"), [1, 2, 3], [float("nan")]),
)


# Each of these takes (draw, dataset) and gives another dataset.


def in_other_units(draw, ds):
    name = draw(st.sampled_from(sorted(UNITS)))
    unit, factor = draw(st.sampled_from(UNITS[name]))
    ds[name] = (ds[name] / factor).assign_attrs(ds[name].attrs | {"units": unit})
    return ds


def with_axes_reversed(draw, ds):
    axes = draw(st.sets(st.sampled_from(("x", "y")), min_size=1))
    return ds.isel({axis: slice(None, None, -1) for axis in axes})


def with_axes_swapped(draw, ds):
    return ds.transpose(..., "x", "y")


def with_bytes_swapped(draw, ds):
    name = draw(st.sampled_from((*FIELDS, *MEASURED, *SERIES, "mb_annual")))
    return ds.assign({name: ds[name].astype(">f8")})


def with_single_dimensions(draw, ds):
    name = draw(st.sampled_from((*FIELDS, *MEASURED, "glacier_mask")))
    return ds.assign({name: ds[name].expand_dims(band=[1], axis=draw(st.sampled_from((0, 2))))})


def under_other_names(draw, ds):
    name = draw(st.sampled_from(sorted(ALIASES)))
    other = draw(st.sampled_from(ALIASES[name]))
    renamed = {name: other}
    if f"{name}_error" in ds:
        renamed[f"{name}_error"] = f"{other}_error"
    return ds.rename(renamed)


def in_another_order(draw, ds):
    names = draw(st.permutations(sorted(ds.data_vars)))
    return ds[names].assign_attrs(ds.attrs)


def with_what_nobody_asked_for(draw, ds):
    extra = draw(st.sampled_from((np.array(["a", "b"]), np.zeros(5), np.datetime64("2001", "ns"))))
    dims = ("other",) if np.ndim(extra) else ()
    return ds.assign(something_else=(dims, extra)).assign_attrs(history="made", version=3)


def with_its_projection_elsewhere(draw, ds):
    crs = pyproj.CRS.from_epsg(32632)
    del ds.attrs["crs"]
    form = draw(st.sampled_from(("epsg", "spatial_epsg", "proj4", "mapping", "wkt")))
    if form in ("epsg", "spatial_epsg"):
        return ds.assign_attrs({form: 32632})
    if form == "proj4":
        return ds.assign_attrs(proj4="+proj=utm +zone=32 +datum=WGS84 +units=m")
    attrs = crs.to_cf() if form == "mapping" else {"spatial_ref": crs.to_wkt()}
    ds = ds.assign(somewhere=((), 0, attrs))
    ds["surface"].attrs["grid_mapping"] = "somewhere"
    return ds


def with_missing_measurements(draw, ds):
    """Fill values that are said to be such."""
    ds["velocity_obs"] = ds["velocity_obs"].assign_attrs(_FillValue=8.5)
    return ds


KEEPING = (
    in_other_units,
    with_axes_reversed,
    with_axes_swapped,
    with_bytes_swapped,
    with_single_dimensions,
    under_other_names,
    in_another_order,
    with_what_nobody_asked_for,
    with_its_projection_elsewhere,
    with_missing_measurements,
)


def with_a_value_that_cannot_be(draw, ds):
    name = draw(st.sampled_from(FIELDS))
    wrong = st.sampled_from((-32768.0, -9999.0, 1e5, 1e30, np.inf, -np.inf))
    cell = draw(st.integers(*(INSIDE[0].start, INSIDE[0].stop - 1)))
    ds[name] = ds[name].copy(deep=True)
    ds[name][{"y": cell, "x": 5}] = draw(wrong)
    return ds


def without_what_is_needed(draw, ds):
    return ds.drop_vars(draw(st.sampled_from((*FIELDS, "x", "y", "prcp_monthly_era5", "mb_year"))))


def in_a_unit_that_is_none(draw, ds):
    name = draw(st.sampled_from(sorted(UNITS)))
    unit = draw(st.sampled_from(("bananas", "kg", "Pa s", "1/0", "((", "degrees_north", "s")))
    ds[name] = ds[name].assign_attrs(ds[name].attrs | {"units": unit})
    return ds


def with_words_for_numbers(draw, ds):
    name = draw(st.sampled_from((*FIELDS, *MEASURED, *SERIES, "x", "mb_annual")))
    return ds.assign({name: (ds[name].dims, np.full(ds[name].shape, "many"), ds[name].attrs)})


def on_a_grid_that_is_none(draw, ds):
    axis = draw(st.sampled_from(("x", "y")))
    values = ds[axis].values
    change = draw(st.sampled_from(("equal", "nan", "zigzag", "uneven", "huge", "degrees")))
    new = {
        "equal": np.full(values.size, values[0]),
        "nan": np.where(np.arange(values.size) == 2, np.nan, values),
        "zigzag": values[::-1] + 50.0 * (-1.0) ** np.arange(values.size) * np.arange(values.size),
        "uneven": np.cumsum(np.arange(1.0, values.size + 1)) * 10.0,
        "huge": values * 1e6,
        "degrees": np.linspace(8.0, 8.01, values.size),
    }[change]
    return ds.assign_coords({axis: new})


def with_more_dimensions(draw, ds):
    name = draw(st.sampled_from((*FIELDS, *MEASURED)))
    return ds.assign({name: xr.concat([ds[name], ds[name]], "member")})


def with_an_impossible_attribute(draw, ds):
    where, key = draw(
        st.sampled_from(
            (
                (None, "geodetic_mb_m_we_per_year"),
                (None, "geodetic_mb_period"),
                ("temp_monthly_era5", "ref_hgt"),
            )
        )
    )
    value = draw(st.sampled_from(("many", 1e9, -1e9, float("nan"), [1.0, 2.0, 3.0], "2020-2000")))
    (ds if where is None else ds[where]).attrs[key] = value
    return ds


BREAKING = (
    with_a_value_that_cannot_be,
    without_what_is_needed,
    in_a_unit_that_is_none,
    with_words_for_numbers,
    on_a_grid_that_is_none,
    with_more_dimensions,
    with_an_impossible_attribute,
)


def with_any_attribute(draw, ds):
    where = draw(st.sampled_from((None, *map(str, ds.variables))))
    keys = (
        *("units", "_FillValue", "scale_factor", "add_offset", "valid_range", "valid_min"),
        *("calendar", "date", "ref_hgt", "rgi_id", "name", "crs", "epsg", "grid_mapping", "bounds"),
        *("pyproj_srs", "source", "comment", "coordinates", "standard_name", "dtype"),
    )
    attrs = (ds if where is None else ds[where]).attrs
    attrs[draw(st.sampled_from(keys))] = draw(st.sampled_from(NONSENSE))
    return ds


def with_any_values(draw, ds):
    name = draw(st.sampled_from(sorted(map(str, ds.data_vars))))
    values = np.array(ds[name].values, float)
    index = draw(st.integers(0, max(values.size - 1, 0)))
    values.reshape(-1)[index] = draw(st.floats(allow_nan=True, allow_infinity=True))
    return ds.assign({name: (ds[name].dims, values, ds[name].attrs)})


def with_another_type(draw, ds):
    name = draw(st.sampled_from(sorted(map(str, ds.data_vars))))
    kind = draw(st.sampled_from(("int8", "uint8", "float16", "complex64", "bool", "object", "U4")))
    with np.errstate(all="ignore"):
        return ds.assign({name: (ds[name].dims, ds[name].values.astype(kind))})


def with_a_part_cut_off(draw, ds):
    dim = draw(st.sampled_from(sorted(map(str, ds.dims))))
    return ds.isel({dim: slice(draw(st.integers(0, ds.sizes[dim])))})


ANY = (with_any_attribute, with_any_values, with_another_type, with_a_part_cut_off)


@st.composite
def datasets(draw, changes):
    """A mutant of a sound dataset, with the name of what was changed."""
    change = draw(st.sampled_from(changes))
    return change.__name__, change(draw, everything().copy(deep=True))


@st.composite
def damaged(draw, whole):
    """Bytes of a file that are cut, overwritten, doubled or swapped."""
    content = bytearray(whole)
    start = draw(st.integers(0, len(content) - 1))
    end = min(start + draw(st.integers(1, 64)), len(content))
    change = draw(st.sampled_from(("cut", "overwritten", "zeros", "doubled", "empty", "tail")))
    if change == "cut":
        del content[start:]
    elif change == "overwritten":
        content[start:end] = draw(st.binary(min_size=end - start, max_size=end - start))
    elif change == "zeros":
        content[start:end] = bytes(end - start)
    elif change == "doubled":
        content[start:start] = content[start:end]
    elif change == "empty":
        content.clear()
    else:
        content += draw(st.binary(min_size=1, max_size=64))
    return change, bytes(content)


WORDS = (
    *(
        "",
        "NaN",
        "-9999",
        "1e999",
        "inf",
        "many",
        "2000-13-41",
        "0000-00-00",
        '"',
        "\x00",
        "é",
        ",",
    ),
    *("# ref_height: high", "temp", "time,temp,prcp", "-32768", "1/2/2000", "0x10", "١٢"),
)


@st.composite
def tables(draw, text):
    """Lines or words of a table that are replaced, left out, doubled or moved."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        k = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(("word", "line", "drop", "double", "move")))
        if change == "word":
            words = lines[k].split(",")
            words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(WORDS))
            lines[k] = ",".join(words)
        elif change == "line":
            lines[k] = draw(st.sampled_from(WORDS))
        elif change == "drop" and len(lines) > 1:
            del lines[k]
        elif change == "double":
            lines.insert(k, lines[k])
        else:
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(k))
    encoding = draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "latin-1")))
    return "\n".join(lines).encode(encoding, errors="replace")


@st.composite
def texts(draw, text):
    """A text in which a word is another: a number, a name, a bracket."""
    words = re.findall(r"[\w.+-]+|\W", text)
    for _ in range(draw(st.integers(1, 3))):
        k = draw(st.integers(0, len(words) - 1))
        others = st.sampled_from(
            ("null", "-1", "1e999", "[]", "{}", '"x"', "os.system", "[" * 3000)
        )
        words[k] = draw(st.one_of(st.just(""), others, st.sampled_from(words)))
    return "".join(words)


def of_a_file(files):
    """What makes mutants of a file of a directory: (its name, bytes)."""

    def mutants(name):
        whole = files[name]
        if name.endswith((".json", ".yml")):
            changed = texts(whole.decode()).map(str.encode)
        else:
            changed = damaged(whole).map(lambda mutant: mutant[1])
        return changed.map(lambda content: (name, content))

    return mutants
