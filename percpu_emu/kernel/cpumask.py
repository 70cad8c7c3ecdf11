"""Loops over the CPUs of a mask, for one slot of a per-CPU structure."""

from __future__ import annotations

from percpu_emu.lang.ops import Program, cpumask_next, nr_cpu_ids, per_cpu, read_once, write_once


def percpu_sum(slots: int, slot: int, cpumask: int) -> Program[int]:
    """The sum of the slot over the mask; reads only."""
    x = 0
    nr_cpus = yield nr_cpu_ids()
    cpu = yield cpumask_next(-1, cpumask)
    while cpu < nr_cpus:
        x += yield read_once(per_cpu(slots + slot, cpu))
        cpu = yield cpumask_next(cpu, cpumask)
    return x


def percpu_take(slots: int, slot: int, cpumask: int) -> Program[int]:
    """The sum of the slot over the mask, leaving zeroes behind; no other context writes those slots any more."""
    x = 0
    nr_cpus = yield nr_cpu_ids()
    cpu = yield cpumask_next(-1, cpumask)
    while cpu < nr_cpus:
        held = yield read_once(per_cpu(slots + slot, cpu))
        if held:
            yield write_once(per_cpu(slots + slot, cpu), 0)
        x += held
        cpu = yield cpumask_next(cpu, cpumask)
    return x
