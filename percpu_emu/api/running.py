"""`percpu_emu.run`: a scenario on real processes, at native speed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from percpu_emu.api.calls import call
from percpu_emu.api.result import Result, result_of
from percpu_emu.api.scenarios import Scenario, loaded
from percpu_emu.machine import EventStream
from percpu_emu.report.run_report import report_of
from percpu_emu.scenario.dispatch import run_loaded
from percpu_emu.scenario.stress import StressResult


def run(
    scenario: Scenario,
    *,
    cpus: int | None = None,
    nodes: int | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    kernel: str | None = None,
    protocols: Sequence[str] = (),
    inject: Sequence[str] = (),
    guard: bool = False,
    chaos: bool = False,
) -> Result:
    """Run a scenario as `percpu-emu run` does; print nothing and leave no process behind.

    Args:
        scenario: The name of one that ships, the path of a file, or what `@scenario` declares.
        cpus: Possible CPUs, each a process, instead of the scenario's.
        nodes: NUMA nodes.
        seconds: How long a timed step runs.
        seed: Seed of all random choices.
        kernel: Kernel profile, by name or path.
        protocols: Run under these protocols only.
        inject: Faults at injection points, such as "mod_memcg_state:4=sleep:1ms@25%".
        guard: Whether any access to freed per-CPU memory traps.
        chaos: Whether to starve CPUs at random.

    Raises:
        WrongInput: The scenario, one of its programs or an option is wrong.
        WrongEnvironment: The operating system refuses what is needed.
        RunFailed: A CPU died or trapped.
    """
    overrides = {
        "machine.cpus": cpus,
        "machine.nodes": nodes,
        "machine.kernel": kernel,
        "machine.guard": guard or None,
        "seconds": seconds,
        "seed": seed,
        "protocols": list(protocols) or None,
        "faults.inject": list(inject) or None,
        "faults.chaos": chaos or None,
    }
    with call():
        start = time.monotonic()
        ran = run_loaded(loaded(scenario, overrides), EventStream())
        report = report_of(ran, time.monotonic() - start)
        return result_of(report, ran.counterexample if isinstance(ran, StressResult) else None)
