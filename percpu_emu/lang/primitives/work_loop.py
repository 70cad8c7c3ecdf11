"""The loop of a worker (`lang.image`): its command, its table of cgroups, and giving way."""

from __future__ import annotations

from percpu_emu.lang import context as c
from percpu_emu.lang import ops as _table  # noqa: F401 - fills OPERATIONS
from percpu_emu.lang.context import Context
from percpu_emu.lang.primitives.cpus import smp_processor_id
from percpu_emu.lang.service import at, in_block, in_header
from percpu_emu.shm import atomics, syscalls
from percpu_emu.shm.compiling import inner


@inner
def commanded(ctx: Context) -> int:
    """The number of the command that stands in this CPU's block."""
    return atomics.load_acquire(in_block(ctx, c.COMMAND))


@inner
def give_way(ctx: Context) -> int:
    """Every so many turns: while a grace period is in progress, make room for the CPUs that it still waits for.

    It does what need_resched does for a kernel's force-quiescent-state. With 8 CPU processes on 2 processors the median
    grace period took 14 ms without it, as long as the operating system lets a busy process run. Giving way at every
    turn would have CPUs preempted between updates, never inside one, and that is where the races are.
    """
    sequence = atomics.read_once(in_header(ctx, c.GP_SEQ))
    if sequence != atomics.read_once(in_header(ctx, c.GP_DONE)):
        syscalls.sched_yield()
    return 0


@inner
def nth_of_table(ctx: Context, table: int, turn: int) -> int:
    """An entry of a table of pointers (its size stands first), another one every 64 turns, NULL while it is empty.

    A CPU stays with a cgroup for a while, as its tasks do; with another one each turn, every CPU had a page of ledger
    for each of 5000 cgroups, and 256 of them ran out of 24 GB.
    """
    size = atomics.read_once(at(ctx, table))
    return atomics.load_acquire(at(ctx, table + 1 + (turn // 64 + smp_processor_id(ctx)) % size))
