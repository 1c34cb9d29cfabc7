"""A glacier: grid, bed, ice, outline, climate and what was observed."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from odinn.climate import Climate
from odinn.constants import AREA_THRESHOLD
from odinn.errors import InputError, where
from odinn.grid import Grid
from odinn.numbers.parameter import SMALLEST_THICKNESS, Parameter, for_glacier


def geometry(site: Any) -> tuple[Any, Any]:
    """(bed, thickness), m, of a glacier or site, learned parts at their present values.

    A learned thickness acts inside the outline and where the first guess is > 0, and is exactly 0
    elsewhere. Where ``kept_surface`` is set, the part that is not learned follows from it.
    """
    bed, thickness = site.bed, site.thickness
    if isinstance(thickness, Parameter):
        guess = jnp.asarray(for_glacier(thickness.initial, site.rgi_id, "thickness"))
        thickness = jnp.where(
            site.mask | (guess > SMALLEST_THICKNESS), thickness.physical(site.rgi_id), 0.0
        )
    if isinstance(bed, Parameter):
        bed = bed.physical(site.rgi_id)
    if site.kept_surface is not None:
        if isinstance(site.bed, Parameter):
            thickness = jnp.where(site.mask, jnp.maximum(site.kept_surface - bed, 0.0), 0.0)
            bed = jnp.where(site.mask, bed, site.kept_surface)
        else:
            bed = site.kept_surface - thickness
    return jnp.asarray(bed, float), jnp.asarray(thickness, float)


class MassBalanceRecord(eqx.Module):
    """Glacier-wide measured balance by hydrological year (labelled by its end), m w.e. yr⁻¹; NaN
    where not measured.
    """

    years: np.ndarray
    annual: np.ndarray
    winter: np.ndarray | None = None
    summer: np.ndarray | None = None


class PointThickness(eqx.Module):
    """Thickness measured at points: projected x, y (m) and thickness (m)."""

    x: np.ndarray
    y: np.ndarray
    thickness: np.ndarray


class Observations(eqx.Module):
    """What was measured on a glacier; None where nothing was.

    Fields are (ny, nx), or (K, ny, nx) for K dates or intervals, with NaN where not measured.

    Args:
        thickness: m. speed: surface speed, m yr⁻¹. vx, vy: surface velocity along projected x and
            y, m yr⁻¹.
        elevation_change: m yr⁻¹. mass_balance_field: m w.e. yr⁻¹.
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
    mass_balance_field: Float[np.ndarray, "... ny nx"] | None = None
    mass_balance: MassBalanceRecord | None = None
    geodetic: tuple[float, float, float] | None = None
    points: PointThickness | None = None
    dates: dict[str, Any] = eqx.field(default_factory=dict)
    errors: dict[str, Any] = eqx.field(default_factory=dict)

    FIELDS: ClassVar[tuple[str, ...]] = (
        "thickness",
        "speed",
        "vx",
        "vy",
        "elevation_change",
        "mass_balance_field",
    )

    def coarsened(self, k: int) -> Observations:
        """Fields averaged over the measured cells of k x k blocks."""

        def mean(field: Any) -> Any:
            if np.ndim(field) < 2:  # None, or one number for all cells
                return field
            if np.ndim(field) > 2:
                return np.stack([mean(one) for one in field])
            measured = np.isfinite(field)
            ny, nx = field.shape
            pad = ((0, -ny % k), (0, -nx % k))
            blocks = lambda a: (
                np.pad(a, pad).reshape((ny + pad[0][1]) // k, k, -1, k).sum(axis=(1, 3))
            )
            count = blocks(measured.astype(float))
            total = blocks(np.where(measured, field, 0.0))
            return np.where(count > 0, total / np.maximum(count, 1), np.nan)

        averaged = {name: mean(getattr(self, name)) for name in self.FIELDS}
        averaged |= {
            "errors": {name: mean(error) for name, error in self.errors.items()}
        }  # of one cell: errors go together
        rest = {
            name: getattr(self, name) for name in ("mass_balance", "geodetic", "points", "dates")
        }
        return Observations(**averaged, **rest)


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
    >>> g = Glacier("example", "Example", grid, bed=np.full((4, 5), 2000.0), thickness=ice, mask=ice > 0)
    >>> float(g.surface.max()), g.volume
    (2050.0, 1000000.0)
    """

    rgi_id: str = eqx.field(static=True)
    name: str = eqx.field(static=True)
    grid: Grid
    bed: Any
    thickness: Any
    mask: Bool[np.ndarray, "ny nx"]
    climate: Climate | None = None
    observations: Observations = eqx.field(default_factory=Observations)
    provenance: dict[str, str] = eqx.field(static=True, default_factory=dict)
    kept_surface: Any = None

    def __check_init__(self) -> None:
        for label, field in (("bed", self.bed), ("thickness", self.thickness), ("mask", self.mask)):
            if not isinstance(field, Parameter) and np.shape(field) != self.grid.shape:
                raise InputError(
                    where(
                        self.rgi_id,
                        f"{label} has shape {np.shape(field)}, expected {self.grid.shape} (ny, nx)",
                    )
                )
            if isinstance(field, np.ndarray) and not np.isfinite(field).all():
                missing = int((~np.isfinite(field)).sum())
                raise InputError(
                    where(self.rgi_id, f"{label} is not finite in {missing} cells; fill them")
                )

    @property
    def surface(self) -> Float[np.ndarray, "ny nx"]:
        """Surface altitude, m: bed plus thickness, learned parts at their present values."""
        if isinstance(self.bed, Parameter) or isinstance(self.thickness, Parameter):
            bed, thickness = geometry(self)
            return np.asarray(bed + thickness)
        return self.bed + self.thickness

    @property
    def volume(self) -> float:
        """Ice volume, m³; like ``area``, of a learned thickness at its present values."""
        return float(np.sum(self._ice) * self.grid.cell_area)

    @property
    def area(self) -> float:
        """Area with at least 1 m of ice, m²."""
        return float(np.sum(self._ice >= AREA_THRESHOLD) * self.grid.cell_area)

    @property
    def _ice(self) -> np.ndarray:
        is_learned = isinstance(self.bed, Parameter) or isinstance(self.thickness, Parameter)
        return np.asarray(geometry(self)[1] if is_learned else self.thickness)

    def replace(
        self,
        *,
        bed: Any = None,
        thickness: Any = None,
        climate: Climate | None = None,
        observations: Observations | None = None,
        keep: Literal["bed", "surface", "thickness"] | None = None,
    ) -> Glacier:
        """A glacier with another thickness, bed, climate or observations.

        Args:
            climate: such as ``g.climate.constant((1995, 2015)).shift(temp=2.0)``; the provenance
                says which. Here as everywhere, None keeps what is there.
            thickness: m, with ``keep="bed"`` (default; the surface follows) or ``keep="surface"``
                (the bed does).
            bed: m, with ``keep="surface"`` (default; the thickness follows) or
                ``keep="thickness"``.
        """
        if isinstance(thickness, Parameter) or isinstance(bed, Parameter):
            return self._learning(thickness, bed, keep, climate, observations)
        if thickness is not None and bed is not None:
            raise InputError(
                where(
                    self.rgi_id,
                    "replace takes thickness or bed, not both: the other follows from keep",
                )
            )
        new_bed, new_thickness = self.bed, self.thickness
        if thickness is not None:
            new_thickness = self._checked(thickness, "thickness")
            if (new_thickness < 0).any():
                raise InputError(
                    where(self.rgi_id, f"negative thickness ({new_thickness.min():.4g} m)")
                )
            match keep or "bed":
                case "surface":
                    new_bed = self.surface - new_thickness
                case "bed":
                    pass
                case other:
                    raise InputError(
                        where(
                            self.rgi_id,
                            f"keep={other!r}: with thickness expected 'bed' or 'surface'",
                        )
                    )
        elif bed is not None:
            new_bed = self._checked(bed, "bed")
            match keep or "surface":
                case "surface":
                    new_thickness = self.surface - new_bed
                    if (new_thickness < 0).any():
                        raise InputError(
                            where(
                                self.rgi_id,
                                "the new bed rises above the surface that is to be kept",
                            )
                        )
                case "thickness":
                    pass
                case other:
                    raise InputError(
                        where(
                            self.rgi_id,
                            f"keep={other!r}: with bed expected 'surface' or 'thickness'",
                        )
                    )
        elif keep is not None:
            raise InputError(where(self.rgi_id, "keep= needs thickness= or bed="))
        return Glacier(
            self.rgi_id,
            self.name,
            self.grid,
            new_bed,
            new_thickness,
            self.mask,
            self.climate if climate is None else climate,
            self.observations if observations is None else observations,
            self._noted(climate, "given" if new_thickness is not self.thickness else None),
        )

    def _learning(
        self, thickness: Any, bed: Any, keep: Any, climate: Any, observations: Any
    ) -> Glacier:
        """A glacier whose thickness or bed is learned: parameters per cell, allocated on this
        grid.
        """
        if thickness is not None and bed is not None:
            raise InputError(
                where(
                    self.rgi_id,
                    "replace takes thickness or bed, not both: the other follows from keep",
                )
            )
        name, learned = ("thickness", thickness) if bed is None else ("bed", bed)
        keep = keep or ("bed" if name == "thickness" else "surface")
        if keep not in (("bed", "surface") if name == "thickness" else ("surface", "thickness")):
            raise InputError(
                where(self.rgi_id, f"keep={keep!r}: with {name} expected the other or 'surface'")
            )
        if learned.per != "cell":
            raise InputError(
                where(self.rgi_id, f"{name}: a learned field needs Parameter(..., per='cell')")
            )
        learned = learned.allocated({self.rgi_id: self.grid.shape}, name)
        return Glacier(
            self.rgi_id,
            self.name,
            self.grid,
            bed if name == "bed" else self.bed,
            thickness if name == "thickness" else self.thickness,
            self.mask,
            self.climate if climate is None else climate,
            self.observations if observations is None else observations,
            self._noted(climate, "learned" if name == "thickness" or keep == "surface" else None),
            self.surface if keep == "surface" else None,
        ).with_parameter(name, learned)

    def _noted(self, climate: Climate | None, thickness: str | None) -> dict[str, str]:
        """The provenance with where another climate and thickness come from."""
        notes = self.provenance if climate is None else self.provenance | {"climate": str(climate)}
        return notes if thickness is None else notes | {"thickness": thickness}

    def with_parameter(self, name: str, parameter: Parameter) -> Glacier:
        """The glacier with another parameter in place of its thickness or bed."""
        return eqx.tree_at(
            lambda g: getattr(g, name), self, parameter, is_leaf=lambda x: isinstance(x, Parameter)
        )

    def settled(self) -> Glacier:
        """The glacier with learned parts at their present values, as plain fields."""
        bed, thickness = (np.asarray(f) for f in geometry(self))
        return Glacier(
            self.rgi_id,
            self.name,
            self.grid,
            bed,
            thickness,
            self.mask,
            self.climate,
            self.observations,
            self.provenance,
        )

    def _checked(self, field: Any, label: str) -> np.ndarray:
        field = np.array(np.broadcast_to(np.asarray(field, float), self.grid.shape))
        if not np.isfinite(field).all():
            raise InputError(
                where(
                    self.rgi_id,
                    f"{label} is not finite in {int((~np.isfinite(field)).sum())} cells",
                )
            )
        return field

    def __str__(self) -> str:
        return (
            f"{self.rgi_id} {self.name}: {self.grid}, {self.area / 1e6:.1f} km2, "
            f"{self.volume / 1e9:.3f} km3, "
            f"climate {self.climate if self.climate is not None else 'none'}"
        )
