"""Any explicit Runge–Kutta method of diffrax as a stepper, for tight reference runs."""

from __future__ import annotations

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from odinn.errors import InputError, positive
from odinn.stepping.controller import ErrorController
from odinn.stepping.interface import (
    AbstractScheme,
    AbstractStepper,
    Method,
    RightHandSide,
    Scalar,
    Step,
    TransposeByJax,
    Trial,
)


class DiffraxScheme(AbstractScheme):
    """A step of a diffrax solver; all of its stages count as one."""

    solver: diffrax.AbstractERK

    @property
    def reuses_end(self) -> bool:
        """See :class:`AbstractScheme`."""
        return False

    def stages(self, dt: Scalar, stiffness: Scalar) -> jax.Array:
        """See :class:`AbstractScheme`."""
        return jnp.int32(1)

    def step(
        self, f: RightHandSide, y: PyTree, rate: PyTree, step: Step, bound: int | None
    ) -> Trial:
        """See :class:`AbstractScheme`."""

        def tendency(t: Scalar, y: PyTree, args: None) -> PyTree:
            return f(t, y).change

        term = diffrax.ODETerm(tendency)
        start, end = step.t, step.t + step.dt
        state = self.solver.init(term, start, end, y, None)
        # As if something had jumped before: settling moves y, so no rate is carried over.
        y1, error, _, _, _ = self.solver.step(term, start, end, y, None, state, made_jump=True)
        return Trial(y1, error)


class Diffrax(AbstractStepper):
    """Adaptive steps with a method of diffrax; windows, settling, recording and replay as with
    every stepper.

    Args:
        solver: an explicit solver with an error estimate, such as ``diffrax.Bosh3()`` (default) or
            ``Tsit5()``.
        atol, rtol: absolute (m) and relative tolerance of the local error, root mean square over
            ice.
    """

    solver: diffrax.AbstractERK = eqx.field(default_factory=diffrax.Bosh3)
    atol: float = 1e-6
    rtol: float = 0.0

    def __check_init__(self) -> None:
        if not isinstance(self.solver, diffrax.AbstractERK):
            name = type(self.solver).__name__
            raise InputError(
                f"Diffrax(solver={name}): expected an explicit Runge-Kutta method with an error "
                "estimate, such as diffrax.Bosh3() or diffrax.Tsit5()"
            )
        positive("atol", self.atol, "tolerance, m", of="Diffrax")
        if not self.rtol >= 0:
            raise InputError(f"Diffrax(rtol={self.rtol}): expected a tolerance of at least 0")

    @property
    def method(self) -> Method:
        """See :class:`AbstractStepper`: the error alone sets the step, from a first guess at the
        CFL condition of Euler. An order of 2 is a cautious exponent for every embedded pair.
        """
        scheme = DiffraxScheme(self.solver)
        controller = ErrorController(self.atol, order=2, rtol=self.rtol, first_reach=2.0)
        return Method(scheme, controller, TransposeByJax(scheme))
