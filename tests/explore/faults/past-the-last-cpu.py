"""The next CPU of a mask behind the last one."""

from __future__ import annotations

from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang.ops import Program, cpumask_next, warn_on


def looks() -> Program[None]:
    cpu = yield cpumask_next(1, CPU_ONLINE_MASK)
    yield warn_on(cpu == 2)
