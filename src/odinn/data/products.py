"""Names of climate and thickness products, and where files keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# In the order in which a NetCDF file is searched when no climate is named.
CLIMATE: Final = ("w5e5", "era5", "era5land", "cru", "histalp")
CLIMATE_ALIASES: Final = {"era5l": "era5land", "era5-land": "era5land", "era5_land": "era5land"}
# OGGM's file suffixes, daily before monthly.
OGGM_CLIMATE_SUFFIX: Final = {
    "w5e5": ("W5E5",),
    "era5": ("ERA5",),
    "era5land": ("ERA5L", "ERA5-Land"),
    "cru": ("CRU",),
    "histalp": ("HISTALP",),
}
# Negative precipitation is a known value of this product (2011-11), set to 0 under a warning.
CLIP_NEGATIVE_PRECIP: Final = ("histalp",)

# Thickness that was inverted from other data and models, so that a flow model does not keep it as
# it is.
ESTIMATES: Final = ("consensus", "millan", "oggm", "slab")


def note(provenance: Mapping[str, str]) -> str:
    """What to know of the runs of a glacier: what its file's comment says, and that estimated ice
    adjusts; or nothing.
    """
    remarks = [provenance["comment"]] if "comment" in provenance else []
    if provenance.get("thickness") in ESTIMATES:
        remarks.append(
            "The thickness is an estimate: in its first years a run adjusts the ice to the "
            "model's flow."
        )
    return " ".join(remarks)


def climate_name(name: str) -> str:
    """The product's name in lower case, aliases resolved; unknown names pass (a file may hold
    them).
    """
    name = name.strip().lower()
    return CLIMATE_ALIASES.get(name, name)
