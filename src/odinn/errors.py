"""Errors a user can act on: they name the glacier, the thing, what was found and what to do."""


class OdinnError(Exception):
    """Base of every error that odinn raises on purpose."""


class InputError(OdinnError, ValueError):
    """Input that cannot be used: the message says which, what was found, and what to do."""


class ClimateError(InputError):
    """The climate series is unusable or does not cover the time asked for."""


class SolverError(OdinnError, RuntimeError):
    """A run that could not be completed: steps ran out, or a value stopped being finite."""


class CalibrationError(OdinnError, RuntimeError):
    """No value of the calibrated number meets the target."""


def where(rgi_id: str, message: str) -> str:
    """The message with the glacier it is about in front of it."""
    return f"{rgi_id}: {message}"
