"""Outlines of glaciers, as files, text, mappings, geometries, or tables of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from odinn.atomic import path_of
from odinn.errors import InputError

if TYPE_CHECKING:
    import pyproj
    import shapely

_WKT: Final = re.compile(r"\s*(?:SRID=(\d+);\s*)?(?=[A-Z]+[A-Z ]*(?:\(|EMPTY))", re.IGNORECASE)
_IDS: Final = ("rgi_id", "RGIId", "rgiid", "glims_id", "GLIMSId", "id", "ID")
_NAMES: Final = ("name", "Name", "glac_name", "NAME")
_EXPECTED: Final = (
    "expected a GeoPackage, shapefile or GeoJSON, WKT, a mapping in GeoJSON's form, a geometry, or "
    "a geodataframe"
)


class Outline(NamedTuple):
    """One outline: a (multi)polygon, its reference system, and what its source says of it."""

    polygon: shapely.Geometry
    crs: pyproj.CRS
    record: dict[str, Any]

    @property
    def rgi_id(self) -> str | None:
        """The id among its properties, if there is one."""
        return _first(self.record, _IDS)

    @property
    def name(self) -> str:
        """The name among its properties, or nothing."""
        return _first(self.record, _NAMES) or ""


class _Feature(NamedTuple):
    geometry: shapely.Geometry | None
    crs: object
    record: dict[str, Any]


def read_outline(source: Any, *, rgi_id: str | None = None, crs: Any = None) -> Outline:
    """The outline that a source holds; of several that with an id.

    Args:
        source: a path; WKT, or GeoJSON as text or mapping; anything with a ``__geo_interface__``,
            such as a geometry, a geodataframe or a geoseries.
        rgi_id: chooses among several, by any of their properties.
        crs: of a source that states none; anything that pyproj understands.

    Raises:
        InputError: none or several outlines, no reference system, no polygon, an empty or a
            self-crossing one.
    """
    label = Path(source).name if _is_path(source) else "outline"

    def fail(message: str) -> InputError:
        return InputError(f"{label}: {message}")

    feature = _chosen(list(_features(source, fail)), rgi_id, fail)
    polygon = _polygon(feature.geometry, fail)
    stated = feature.crs if feature.crs is not None else crs
    if stated is None:
        raise fail("no coordinate reference system: say which with crs=, such as 'EPSG:4326'")
    system = crs_of(stated, fail)
    _check_range(polygon, system, fail)
    return Outline(polygon, system, feature.record)


def crs_of(stated: Any, fail: Callable[[str], InputError]) -> pyproj.CRS:
    """A reference system from whatever states one."""
    import pyproj

    try:
        return pyproj.CRS.from_user_input(stated)
    except pyproj.exceptions.CRSError as error:
        raise fail(
            f"the coordinate reference system {str(stated)[:80]!r} is not understood"
        ) from error


def _first(record: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    found = (str(record[key]).strip() for key in keys if record.get(key) is not None)
    return next((text for text in found if text and text != "nan"), None)


def _is_path(source: Any) -> bool:
    if isinstance(source, Path):
        return True
    return (
        isinstance(source, str) and not _WKT.match(source) and not source.lstrip().startswith("{")
    )


def _features(source: Any, fail: Callable[[str], InputError]) -> Iterator[_Feature]:
    """What a source holds, polygons or not."""
    if _is_path(source):
        yield from _from_file(path_of(source), fail)
    elif isinstance(source, str) and (match := _WKT.match(source)):
        system = f"EPSG:{match[1]}" if match[1] else None
        yield _Feature(_parsed(source[match.end() :], fail), system, {})
    elif isinstance(source, str):
        try:
            mapping = json.loads(source)
        except ValueError as error:
            raise fail(f"cannot be read as GeoJSON ({str(error)[:80]})") from error
        yield from _from_mapping(mapping, None, fail)
    elif isinstance(source, Mapping):
        yield from _from_mapping(source, "EPSG:4326", fail)  # so GeoJSON's standard (RFC 7946)
    elif hasattr(source, "__geo_interface__"):
        # tables of geometries know their system, single geometries do not
        yield from _from_mapping(source.__geo_interface__, None, fail, getattr(source, "crs", None))
    else:
        raise fail(f"found {type(source).__name__}; {_EXPECTED}")


def _from_file(path: Path, fail: Callable[[str], InputError]) -> Iterator[_Feature]:
    # a second to load, and only here
    import pyogrio
    import shapely

    if not path.exists():
        raise fail(f"no such file; {_EXPECTED}" if path.suffix == "" else "no such file")
    try:
        layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
        read = [pyogrio.raw.read(path, layer=name, force_2d=True) for name in layers]
        shapes = [shapely.from_wkb(geometries) for _, _, geometries, _ in read]
    except (RuntimeError, ValueError, OSError, shapely.errors.ShapelyError) as error:
        reason = str(error).splitlines()[0][:120]
        raise fail(f"cannot be read as an outline ({reason}); {_EXPECTED}") from error
    for (meta, _, _, columns), geometries in zip(read, shapes, strict=True):
        for i, geometry in enumerate(geometries):
            record = dict(zip(meta["fields"], (column[i] for column in columns), strict=True))
            yield _Feature(geometry, meta["crs"], record)


def _from_mapping(
    mapping: Any, default: str | None, fail: Callable[[str], InputError], crs: Any = None
) -> Iterator[_Feature]:
    """Features of a mapping in GeoJSON's form."""
    import shapely.geometry

    if not isinstance(mapping, Mapping) or "type" not in mapping:
        raise fail("no 'type': expected a mapping in GeoJSON's form")
    named = mapping.get("crs")  # of GeoJSON before 2016
    if crs is None and isinstance(named, Mapping):
        properties = named.get("properties")
        crs = properties.get("name") if isinstance(properties, Mapping) else None
    crs = default if crs is None else crs
    if mapping["type"] == "FeatureCollection":
        features = mapping.get("features") or ()
        if not isinstance(features, list | tuple):
            raise fail("its 'features' are no list: expected a mapping in GeoJSON's form")
        for feature in features:
            yield from _from_mapping(feature, None, fail, crs)
        return
    is_feature = mapping["type"] == "Feature"
    geometry = mapping.get("geometry") if is_feature else mapping
    properties = mapping.get("properties") if is_feature else None
    record = dict(properties) if isinstance(properties, Mapping) else {}
    if is_feature and mapping.get("id") is not None:
        record.setdefault("id", mapping["id"])
    if geometry is None:
        yield _Feature(None, crs, record)
        return
    try:
        shape = shapely.geometry.shape(geometry)
    except (AttributeError, KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise fail(f"its geometry is not in GeoJSON's form ({str(error)[:80]})") from error
    yield _Feature(shape, crs, record)


def _parsed(wkt: str, fail: Callable[[str], InputError]) -> shapely.Geometry:
    import shapely

    try:
        return shapely.from_wkt(wkt)
    except shapely.errors.ShapelyError as error:
        raise fail(f"cannot be read as WKT ({str(error)[:80]})") from error


def _chosen(
    features: list[_Feature], rgi_id: str | None, fail: Callable[[str], InputError]
) -> _Feature:
    """The only outline, or that with an id among its properties."""
    if not features:
        raise fail("holds no outline")
    if len(features) == 1:
        return features[0]
    wanted = [f for f in features if rgi_id in {str(value) for value in f.record.values()}]
    if len(wanted) == 1:
        return wanted[0]
    ids = [_first(f.record, _IDS) or "without an id" for f in features]
    shown = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
    found = f"holds {len(features)} outlines ({shown})"
    if rgi_id is None:
        raise fail(f"{found}: choose one by rgi_id=")
    raise fail(f"{found}, {len(wanted) or 'none'} of them with rgi_id={rgi_id!r}")


def _polygon(
    geometry: shapely.Geometry | None, fail: Callable[[str], InputError]
) -> shapely.Geometry:
    """The geometry if it is a polygon, or several, with an area and without crossings."""
    import shapely

    if geometry is None or geometry.is_empty:
        raise fail("the outline is empty")
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        raise fail(f"the outline is a {geometry.geom_type}, expected a polygon")
    geometry = shapely.force_2d(geometry)
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise fail("the outline has coordinates that are not finite")
    if not geometry.is_valid:
        reason = shapely.is_valid_reason(geometry)
        raise fail(f"the outline crosses itself ({reason}): mend it, as shapely.make_valid does")
    return geometry


def _check_range(
    polygon: shapely.Geometry, crs: pyproj.CRS, fail: Callable[[str], InputError]
) -> None:
    """Raise where coordinates cannot be degrees of a geographic system."""
    if not crs.is_geographic:
        return
    west, south, east, north = polygon.bounds
    if west < -360 or east > 360 or south < -90 or north > 90:
        raise fail(
            f"coordinates of {west:g} to {east:g} and {south:g} to {north:g} are no degrees, but "
            f"its reference system is {crs.name}: say which it is with crs="
        )
    if east - west > 180:
        raise fail("the outline crosses the date line: give it in a projected system")
