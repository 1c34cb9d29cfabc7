"""A glacier: grid, bed, ice, outline, climate and what was observed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from odinn.climate import Climate
from odinn.constants import AREA_THRESHOLD
from odinn.dates import Date
from odinn.errors import ClimateError, InputError, of_glacier, refuse_traced
from odinn.grid import Array, Grid, block_mean
from odinn.identity import check_id
from odinn.notebook import drawing, table
from odinn.numbers.conversion import for_glacier
from odinn.numbers.parameter import SMALLEST_THICKNESS, Parameter
from odinn.numbers.slot import as_floats, slot
from odinn.printing import printed_as_call

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Field = Array | Parameter  # (ny, nx), or learned on each cell
Keep = Literal["bed", "surface", "thickness"]
When = Date | tuple[Date, Date] | list[Date] | list[tuple[Date, Date]]


@runtime_checkable
class Ground(Protocol):
    """What :func:`geometry` reads: of a glacier, or of a site inside compiled code."""

    @property
    def rgi_id(self) -> str: ...
    @property
    def bed(self) -> Field: ...
    @property
    def thickness(self) -> Field: ...
    @property
    def mask(self) -> Array: ...
    @property
    def kept_surface(self) -> Array | None: ...


def climate_of(glacier: Glacier, what: str) -> Climate:
    """The glacier's climate; without one an error names what needs it.

    Raises:
        ClimateError: there is none.
    """
    if glacier.climate is None:
        message = f"{what} needs a climate and this glacier has none: open it with climate=..."
        raise ClimateError(of_glacier(glacier.rgi_id, message))
    return glacier.climate


def geometry(site: Ground) -> tuple[Array, Array]:
    """(bed, thickness), m, of a glacier or site, learned parts at their present values.

    A learned thickness acts inside the outline and where the first guess is > 0, and is exactly 0
    elsewhere. Where ``kept_surface`` is set, the part that is not learned follows from it.
    """
    bed, thickness = _present_bed(site), _present_thickness(site)
    if site.kept_surface is None:
        return bed, thickness
    if not isinstance(site.bed, Parameter):
        return site.kept_surface - thickness, thickness
    # a bed above the kept surface would be negative ice; outside the outline the bed is the surface
    thickness = jnp.maximum(site.kept_surface - bed, 0.0)
    bed = jnp.where(site.mask, bed, site.kept_surface)
    return bed, jnp.where(site.mask, thickness, 0.0)


def _present_bed(site: Ground) -> Array:
    bed = site.bed
    if isinstance(bed, Parameter):
        bed = bed.physical_of(site.rgi_id)
    return as_floats(bed)


def _present_thickness(site: Ground) -> Array:
    thickness = site.thickness
    if not isinstance(thickness, Parameter):
        return as_floats(thickness)
    guess = jnp.asarray(for_glacier(thickness.initial, site.rgi_id, "thickness"))
    # bounds keep what is learned above 0, but ground that is bare stays so
    may_have_ice = site.mask | (guess > SMALLEST_THICKNESS)
    present = jnp.where(may_have_ice, thickness.physical_of(site.rgi_id), 0.0)
    return jnp.asarray(present, float)


class MassBalanceRecord(eqx.Module):
    """Glacier-wide measured balance by hydrological year (labelled by its end), m w.e. yr⁻¹; NaN
    where not measured.
    """

    years: np.ndarray
    annual: np.ndarray


class PointThickness(eqx.Module):
    """Thickness measured at points: projected x, y (m) and thickness (m)."""

    x: np.ndarray
    y: np.ndarray
    thickness: np.ndarray


@printed_as_call
class Observations(eqx.Module):
    """What was measured on a glacier; None where nothing was.

    Fields are (ny, nx), or (K, ny, nx) for K dates or intervals, with NaN where not measured.

    Args:
        thickness: m. speed: surface speed, m yr⁻¹. vx, vy: surface velocity along projected x and
            y, m yr⁻¹.
        elevation_change: m yr⁻¹.
        dates: decimal year of each named field, or (start, end) of a mean over an interval, or a
            list of K of either; a field without a date counts at the end of a span.
        errors: standard error of each named field in its unit, a number or a field.
        mass_balance: glacier-wide series. geodetic: (m w.e. yr⁻¹, first year, last year).
        points: thickness at points.
    """

    thickness: Float[np.ndarray, "... ny nx"] | None = None
    speed: Float[np.ndarray, "... ny nx"] | None = None
    vx: Float[np.ndarray, "... ny nx"] | None = None
    vy: Float[np.ndarray, "... ny nx"] | None = None
    elevation_change: Float[np.ndarray, "... ny nx"] | None = None
    mass_balance: MassBalanceRecord | None = None
    geodetic: tuple[float, float, float] | None = None
    points: PointThickness | None = None
    dates: Mapping[str, When] = eqx.field(default_factory=dict)
    errors: Mapping[str, float | int | Array] = eqx.field(default_factory=dict)

    FIELDS: ClassVar[tuple[str, ...]] = ("thickness", "speed", "vx", "vy", "elevation_change")

    @property
    def names(self) -> list[str]:
        """What was measured."""
        everything = (*self.FIELDS, "mass_balance", "geodetic", "points")
        return [name for name in everything if getattr(self, name) is not None]

    def coarsened(self, k: int) -> Observations:
        """Fields and their errors averaged over the measured cells of k x k blocks."""

        def mean(field: Array | None) -> np.ndarray | None:
            return None if field is None else block_mean(field, k, beyond="missing")

        # errors of the cells of a block go together, so the mean has their mean
        errors = dict(self.errors)
        for name, error in self.errors.items():
            if np.ndim(error) > 0:
                errors[name] = block_mean(np.asarray(error), k, beyond="missing")
        return dataclasses.replace(
            self,
            thickness=mean(self.thickness),
            speed=mean(self.speed),
            vx=mean(self.vx),
            vy=mean(self.vy),
            elevation_change=mean(self.elevation_change),
            errors=errors,
        )


@printed_as_call
class Glacier(eqx.Module):
    """One glacier on its grid; frozen, changed by :meth:`replace`.

    Args:
        rgi_id: identifier under which results are kept. name: for people.
        grid: see :class:`odinn.grid.Grid`.
        bed: bed altitude, m, (ny, nx). thickness: ice thickness, m, >= 0, exactly 0 without ice.
        mask: True inside the outline.
        climate: None for runs without a balance that needs one.
        provenance: what was chosen from where (products, files), for the record.

    >>> import numpy as np, odinn
    >>> grid = odinn.Grid(nx=5, ny=4, dx=100.0, dy=100.0)
    >>> ice = np.zeros((4, 5)); ice[1:3, 2] = 50.0
    >>> flat = np.full((4, 5), 2000.0)
    >>> g = Glacier("example", "Example", grid, bed=flat, thickness=ice, mask=ice > 0)
    >>> float(g.surface.max()), g.volume
    (2050.0, 1000000.0)
    """

    rgi_id: str = eqx.field(static=True)
    name: str = eqx.field(static=True)
    grid: Grid
    bed: Field = slot(unit="m", place="cell", label="bed altitude", symbol="b", kind="field")
    thickness: Field = slot(
        unit="m", place="cell", label="ice thickness", symbol="H", smallest=0.0, kind="field"
    )
    mask: Bool[np.ndarray, "ny nx"]
    climate: Climate | None = None
    observations: Observations = eqx.field(default_factory=Observations)
    provenance: dict[str, str] = eqx.field(static=True, default_factory=dict)
    kept_surface: Array | None = None

    def __check_init__(self) -> None:
        check_id(self.rgi_id)
        for label, field in (("bed", self.bed), ("thickness", self.thickness), ("mask", self.mask)):
            if not isinstance(field, Parameter) and np.shape(field) != self.grid.shape:
                raise self._error(
                    f"{label} has shape {np.shape(field)}, expected {self.grid.shape} (ny, nx)"
                )
            if isinstance(field, np.ndarray) and not np.isfinite(field).all():
                missing = int((~np.isfinite(field)).sum())
                raise InputError(
                    of_glacier(self.rgi_id, f"{label} is not finite in {missing} cells; fill them")
                )

    @property
    def surface(self) -> Float[np.ndarray, "ny nx"]:
        """Surface altitude, m: bed plus thickness, learned parts at their present values."""
        bed, thickness = self._present
        return bed + thickness

    @property
    def volume(self) -> float:
        """Ice volume, m³; like ``area``, of a learned thickness at its present values."""
        _, thickness = self._present
        return float(np.sum(thickness) * self.grid.cell_area)

    @property
    def area(self) -> float:
        """Area with at least 1 m of ice, m²."""
        _, thickness = self._present
        return float(np.sum(thickness >= AREA_THRESHOLD) * self.grid.cell_area)

    @property
    def is_learned(self) -> bool:
        """Whether bed or thickness is a :class:`Parameter`."""
        return isinstance(self.bed, Parameter) or isinstance(self.thickness, Parameter)

    def plot(self) -> Figure:
        """Surface and thickness with the outline; a notebook shows the figure."""
        figure: Figure = drawing("glance").glacier(self)
        return figure

    def replace(
        self,
        *,
        bed: float | Field | None = None,
        thickness: float | Field | None = None,
        climate: Climate | None = None,
        observations: Observations | None = None,
        keep: Keep | None = None,
    ) -> Glacier:
        """A glacier with another thickness, bed, climate or observations; all else stays.

        Args:
            climate: such as ``g.climate.constant((1995, 2015)).shift(temp=2.0)``; the provenance
                says which. Here as everywhere, None keeps what is there.
            thickness: m, or a :class:`Parameter` per cell, with ``keep="bed"`` (default; the
                surface follows) or ``keep="surface"`` (the bed does).
            bed: the same, with ``keep="surface"`` (default; the thickness follows) or
                ``keep="thickness"``.

        Raises:
            InputError: negative, missing or misshapen values, or a ``keep`` that does not go with
                what is replaced.
        """
        refuse_traced((thickness, bed), "Glacier.replace")
        if thickness is not None and bed is not None:
            raise self._error(
                "replace takes thickness or bed, not both: the other follows from keep"
            )
        glacier = self
        if thickness is not None:
            glacier = self._with_thickness(thickness, keep or "bed")
        elif bed is not None:
            glacier = self._with_bed(bed, keep or "surface")
        elif keep is not None:
            raise self._error("keep= needs thickness= or bed=")
        if climate is not None:
            notes = glacier.provenance | {"climate": str(climate)}
            glacier = dataclasses.replace(glacier, climate=climate, provenance=notes)
        if observations is not None:
            glacier = dataclasses.replace(glacier, observations=observations)
        return glacier

    def with_parameter(self, name: str, parameter: Parameter) -> Glacier:
        """The glacier with another parameter in place of its thickness or bed."""
        return dataclasses.replace(self, **{name: parameter})  # type: ignore[arg-type]

    def without_parameters(self) -> Glacier:
        """The glacier with learned parts at their present values, as plain fields."""
        if not self.is_learned:
            return self
        bed, thickness = self._present
        return dataclasses.replace(self, bed=bed, thickness=thickness, kept_surface=None)

    @property
    def _present(self) -> tuple[np.ndarray, np.ndarray]:
        """(bed, thickness), m, learned parts at their present values."""
        parts = geometry(self) if self.is_learned else (self.bed, self.thickness)
        bed, thickness = (np.asarray(part) for part in parts)
        return bed, thickness

    def _with_thickness(self, thickness: float | Field, keep: Keep) -> Glacier:
        if keep not in ("bed", "surface"):
            raise self._error(f"keep={keep!r}: with thickness expected 'bed' or 'surface'")
        # under a kept surface the stored bed is not the present one
        present_bed, _ = self._present
        bed = self.bed if isinstance(self.bed, Parameter) else present_bed
        kept_surface: np.ndarray | None = None
        new, source = thickness, "given"
        if isinstance(thickness, Parameter):
            new, source = self._allocated(thickness, "thickness"), "learned"
            if keep == "surface":
                # the bed follows in geometry(), and is not learned beside it
                bed, kept_surface = present_bed, self.surface
        else:
            new = self._checked(thickness, "thickness")
            if (new < 0).any():
                raise self._error(f"negative thickness ({new.min():.4g} m)")
            if keep == "surface":
                bed = self.surface - new
        notes = {**self.provenance, "thickness": source}
        return dataclasses.replace(
            self, bed=bed, thickness=new, kept_surface=kept_surface, provenance=notes
        )

    def _with_bed(self, bed: float | Field, keep: Keep) -> Glacier:
        if keep not in ("surface", "thickness"):
            raise self._error(f"keep={keep!r}: with bed expected 'surface' or 'thickness'")
        new, source = bed, "given"
        if isinstance(bed, Parameter):
            new, source = self._allocated(bed, "bed"), "learned"
        else:
            new = self._checked(bed, "bed")
        _, present_thickness = self._present
        if keep == "thickness":
            # one that follows from a learned bed under a kept surface has no parameter of its own
            follows = self.kept_surface is not None and isinstance(self.bed, Parameter)
            thickness = present_thickness if follows else self.thickness
            return dataclasses.replace(self, bed=new, thickness=thickness, kept_surface=None)
        thickness, kept_surface = present_thickness, None
        if isinstance(new, Parameter):
            kept_surface = self.surface
        else:
            thickness = self.surface - new
            if (thickness < 0).any():
                raise self._error("the new bed rises above the surface that is to be kept")
        notes = {**self.provenance, "thickness": source}
        return dataclasses.replace(
            self, bed=new, thickness=thickness, kept_surface=kept_surface, provenance=notes
        )

    def _allocated(self, parameter: Parameter, label: str) -> Parameter:
        if parameter.per != "cell":
            raise self._error(f"{label}: a learned field needs Parameter(..., per='cell')")
        return parameter.allocated({self.rgi_id: self.grid.shape}, label)

    def _checked(self, field: float | Array, label: str) -> np.ndarray:
        field = np.array(np.broadcast_to(np.asarray(field, float), self.grid.shape))
        missing = ~np.isfinite(field)
        if missing.any():
            raise self._error(f"{label} is not finite in {int(missing.sum())} cells")
        return field

    def _error(self, message: str) -> InputError:
        return InputError(of_glacier(self.rgi_id, message))

    def _repr_html_(self) -> str:
        present, observed = self.without_parameters(), self.observations
        thickness = np.asarray(present.thickness)
        ground = np.asarray(present.surface)[self.mask | (thickness > 0)]
        rows = {
            "grid": self.grid,
            "area": f"{present.area / 1e6:.2f} km²",
            "volume": f"{present.volume / 1e9:.4g} km³, up to {thickness.max():.0f} m thick",
            "altitude": f"{ground.min():.0f} to {ground.max():.0f} m" if ground.size else "no ice",
            "climate": "none" if self.climate is None else self.climate,
            "observed": ", ".join(observed.names) or "nothing",
        }
        title = f"{self.rgi_id} {self.name}".strip()
        return table(title, rows, drawing("glance").beside(self))

    def __str__(self) -> str:
        present = self.without_parameters()
        climate = "none" if self.climate is None else self.climate
        return (
            f"{self.rgi_id} {self.name}: {self.grid}, {present.area / 1e6:.1f} km2, "
            f"{present.volume / 1e9:.3f} km3, climate {climate}"
        )
