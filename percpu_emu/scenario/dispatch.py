"""Running a scenario as what it is: a torture, steps, or, where it has neither, stress of its table `explore`."""

from __future__ import annotations

from typing import TypeAlias

from percpu_emu.machine import EventStream
from percpu_emu.scenario.actions import Orders
from percpu_emu.scenario.load import Loaded
from percpu_emu.scenario.protocol_runs import RunResult, Watch, run_scenario
from percpu_emu.scenario.stress import StressResult, stress_scenario
from percpu_emu.scenario.torture import run_torture

AnyResult: TypeAlias = RunResult | StressResult


def run_loaded(
    loaded: Loaded,
    events: EventStream,
    watch: Watch | None = None,
    orders: Orders | None = None,
    *,
    record: bool = False,
) -> AnyResult:
    """Run it. `watch` and `orders` are for scenarios with steps, `record` for those that are stressed."""
    if loaded.scenario.torture:
        return run_torture(loaded, events)
    if loaded.scenario.steps:
        return run_scenario(loaded, events, watch, orders)
    return stress_scenario(loaded, events, record=record)
