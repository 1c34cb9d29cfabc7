"""From a model and a glacier to the system that is stepped, and the state in which it starts."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
from jaxtyping import PyTree

from odinn.constants import WATER_DENSITY
from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.model.binding import GlacierArrays
from odinn.model.model import Model
from odinn.physics.balance.base import AbstractMassBalance, Rates
from odinn.physics.balance.odinn import OdinnBalance
from odinn.physics.domain import domain_of
from odinn.physics.processes.balance import (
    BalanceInForce,
    BalanceSoFar,
    Detail,
    HeldBalance,
    MonthEndBalance,
    StageBalance,
)
from odinn.physics.processes.base import AbstractProcess
from odinn.physics.processes.border import IceFreeBorder, SignedThickness
from odinn.physics.processes.flow import IceFlow
from odinn.physics.processes.odinn import OdinnMonthEnd
from odinn.physics.processes.snow import Snowpack
from odinn.physics.processes.system import System, initial_state
from odinn.physics.state import State
from odinn.run.plan import Plan
from odinn.run.settings import Coupling


def system_of(
    model: Model,
    site: Glacier | GlacierArrays,
    coupling: Coupling = "source",
    *,
    reports: bool = True,
    water: bool = False,
    balance_so_far: bool = False,
    carried: bool = True,
) -> System:
    """The system of one glacier (or site) under one model, with the model's numbers as fields on
    its grid.

    Args:
        reports: windows report thickness, balance and budget. water: and snow, rain and snowpack.
        balance_so_far: the state keeps the balance since the start.
        carried: some window starts while a balance is in force.
    """
    processes: list[AbstractProcess] = []
    if model.flow is not None:
        processes.append(IceFlow(model.flow.on(site)))
    if model.mass_balance is not None:
        detail: Detail = "water" if water else "totals" if reports else "rate"
        balance = model.mass_balance.on(site)
        # balances are in m w.e., the state is ice
        to_ice = WATER_DENSITY / model.ice_density
        processes.append(_balance_process(balance, to_ice, coupling, detail, carried))
    if water:
        processes.append(Snowpack())
    if balance_so_far:
        processes.append(BalanceSoFar())
    signed = isinstance(model.mass_balance, OdinnBalance)
    edge = SignedThickness() if signed else IceFreeBorder()
    return System(domain_of(site), tuple(processes), edge, reports)


def _balance_process(
    balance: AbstractMassBalance,
    water_to_ice: float,
    coupling: Coupling,
    detail: Detail,
    carried: bool,
) -> AbstractProcess:
    if isinstance(balance, OdinnBalance):
        return OdinnMonthEnd(balance)
    if balance.frequency == "state":
        return StageBalance(balance, water_to_ice)
    if balance.frequency == "monthly" and coupling == "jump":
        return MonthEndBalance(balance, water_to_ice, detail)
    return HeldBalance(balance, water_to_ice, detail, carried)


def start_of(
    system: System, glacier: Glacier, plan: Plan, initial: State | None
) -> tuple[State, Plan]:
    """The state in which a run starts, and the plan with a balance that is evaluated there if none
    is brought along.
    """
    given: dict[str, PyTree] = {} if initial is None else dict(initial.extras)
    ice = glacier.thickness if initial is None else initial.thickness
    held = [p for p in system.processes if isinstance(p, HeldBalance)]
    if held and "balance" in given:
        renewed = bool(plan.windows.evaluate[0])
        given["balance"] = _in_force(given["balance"], held[0].detail, renewed, glacier)
    elif held:
        plan = plan.evaluated_at_start()
    first = jax.tree.map(lambda column: column[0], plan.windows)
    start = np.asarray(plan.starts[0])
    return initial_state(system, start, np.asarray(ice, float), given, first), plan


def _in_force(
    balance: BalanceInForce, detail: Detail, renewed: bool, glacier: Glacier
) -> BalanceInForce:
    """The balance in force of an earlier run's state, with snow and rain if this run records water,
    else without.

    Args:
        renewed: the balance is evaluated before it is used.
    """
    if detail != "water":
        # the program's form is fixed: what is not recorded may not be carried either
        return dataclasses.replace(balance, rates=None)
    if balance.rates is not None:
        return balance
    if not renewed:
        text = (
            "hydrology=True: the initial state lies within a month and comes from a run without "
            "hydrology, so the month's snow and rain are not known; continue from the start of a "
            "month"
        )
        raise InputError(of_glacier(glacier.rgi_id, text))
    zero = np.zeros_like(balance.rate)
    return dataclasses.replace(balance, rates=Rates(zero, zero, zero))
