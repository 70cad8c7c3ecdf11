"""`percpu_emu.footprint`: what dying cgroups cost on a machine."""

from __future__ import annotations

import time
from collections.abc import Sequence

from percpu_emu.api.calls import call
from percpu_emu.api.result import Result, result_of
from percpu_emu.report.footprint_report import report_of
from percpu_emu.scenario.footprint import Plan, kernel_named, protocols_named
from percpu_emu.scenario.sweep import parse_sweep


def footprint(
    kernel: str = "linux-6.1",
    *,
    cpus: int = 32,
    nodes: int = 1,
    cgroups: int = 1000,
    lag: int = 1,
    protocols: Sequence[str] = (),
    sweep: str | None = None,
) -> Result:
    """Count what dying cgroups take of slab and per-CPU memory, as `percpu-emu footprint` does; print nothing.

    Sizes are kB under `figures`: a dictionary for each protocol, and the rows of `sweep`, or of `depends_on`.

    Args:
        kernel: Kernel profile, by name ("6.1", "linux-6.1") or path.
        cpus: Possible CPUs, 1 to 8192: those that hot-plug may add count, too.
        nodes: NUMA nodes, at most one for each CPU.
        cgroups: Dying cgroups, 1 to 1,000,000.
        lag: Removed cgroups that wait for their grace period at a time.
        protocols: "original", "patched", "patch-2022"; all of them by default.
        sweep: "cpus=8..512" in doublings, "cpus=8..512:8" in steps; also nodes, cgroups, lag.

    Raises:
        WrongInput: There is no such kernel, protocol or machine.
    """
    with call():
        start = time.monotonic()
        plan = Plan(kernel_named(kernel), cpus, nodes, cgroups, lag)
        report = report_of(plan, protocols_named(protocols), parse_sweep(sweep) if sweep else None, 0.0)
        report.seconds = round(time.monotonic() - start, 3)
        return result_of(report, None)
