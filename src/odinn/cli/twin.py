"""The twin experiment of the demonstration: a law learned from the speeds that a known law made."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

import odinn
from odinn.glacier import Glacier
from odinn.learning.driver import Inversion
from odinn.physics.laws.base import AbstractLaw
from odinn.physics.laws.samples import samples

START: Final = 2000.25  # 1 April, when the southern balance year starts
COLDER: Final = -10.0  # K: above 0 °C the textbook's A does not change
NOISE: Final = 0.05  # of the speeds


class Twin(NamedTuple):
    """An inversion whose truth is known."""

    fit: Inversion
    truth: AbstractLaw
    before: AbstractLaw
    glaciers: list[Glacier]

    @property
    def law(self) -> AbstractLaw:
        """What was learned."""
        law: AbstractLaw = self.fit.model.flow.A
        return law

    def errors(self) -> np.ndarray:
        """|law / truth − 1| at every corner with ice."""
        inputs = np.concatenate([samples(self.law.inputs, g)[0] for g in self.glaciers])
        return np.abs(np.asarray(self.law(inputs)) / np.asarray(self.truth(inputs)) - 1)


def learn(steps: int = 40, count: int = 2) -> Twin:
    """A(T) as a network of 13 weights, learned from noisy surface speeds that the textbook's law
    made.

    Args:
        count: of the embedded glaciers, the largest first.
    """
    cold = []
    for glacier in odinn.demo_glaciers(coarsen=4)[:count]:
        assert glacier.climate is not None
        cold.append(glacier.replace(climate=glacier.climate.shift(temp=COLDER)))
    temperature = odinn.inputs.LongTermTemperature(per="cell")
    truth = odinn.laws.CuffeyPaterson((temperature,))
    period = (START, START + 1)
    glaciers = odinn.synthetic_observations(
        odinn.Model(odinn.SIA2D(A=truth), None),
        cold,
        period,
        of=("velocity",),
        noise={"velocity": NOISE},
        stepper=odinn.SSPRK3(),  # not that of the inversion, which is not to know the truth's steps
    )
    law = odinn.laws.Neural([temperature], bounds=(2e-18, 4e-16), hidden=(4,), activation="tanh")
    model = odinn.bind(odinn.Model(odinn.SIA2D(A=law), None), glaciers)
    # mypy misses equinox's defaults
    loss = odinn.losses.Velocity("log", error=NOISE)  # type: ignore[call-arg, arg-type]
    method = odinn.optimizers.gauss_newton(steps)
    fit = odinn.invert(model, glaciers, loss, period, optimizer=method, progress=False)
    return Twin(fit, truth, model.flow.A, glaciers)
