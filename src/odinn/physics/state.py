"""What is stepped: a state of declared fields."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import equinox as eqx

from odinn.printing import printed_as_call


@printed_as_call
class State(eqx.Module):
    """What a run is continued from.

    Args:
        time: decimal year. thickness: m, (ny, nx).
        extras: the other fields of the state by name, as the processes declare them
            (:class:`StateField`): "balance" is the balance in force when a run is cut within a
            month, "snow" the snowpack beside the ice (kg m⁻²) of a run with hydrology.
    """

    time: Any
    thickness: Any
    extras: dict[str, Any] = eqx.field(default_factory=dict)


class StateField(NamedTuple):
    """A field of the state that a process declares beside the thickness.

    ``differentiated``: whether gradients pass through it from window to window. ``restart``: what
    a run does that starts from a state without the field: begin with zeros, or evaluate it anew.
    """

    name: str
    unit: str
    long_name: str
    differentiated: bool = True
    restart: Literal["zero", "evaluated"] = "zero"


THICKNESS: Final = StateField("thickness", "m", "ice thickness")
