"""Physical constants and numerical conventions (metres, years, Pa)."""

from typing import Final

ICE_DENSITY: Final = 900.0  # kg m-3
WATER_DENSITY: Final = 1000.0  # kg m-3
GRAVITY: Final = 9.81  # m s-2
DAYS_PER_YEAR: Final = 365.25
SECONDS_PER_YEAR: Final = DAYS_PER_YEAR * 86400.0
MONTHS_PER_YEAR: Final = 12

SLOPE_EPSILON: Final = 1e-10  # added to |∇S|² inside the root
DEFAULT_LAPSE_RATE: Final = -0.0065  # K m-1, for series without one
LAPSE_RATE_LIMITS: Final = (-0.009, -0.003)  # K m-1, as in OGGM
ACCUMULATION_THRESHOLD: Final = 10.0  # m of ice; thinner ice outside the outline gains nothing
AREA_THRESHOLD: Final = 1.0  # m of ice; thinner ice is not counted as area
