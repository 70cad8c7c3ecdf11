"""Sections of instrumented programs: counted by their kind, closed by the end of a turn, and not slept in.

What breaks these rules is noted in the control block with its site (`context.BROKEN`). The context then stays where
it is, so that nothing that comes of it is taken for the cause; the coordinator, which has to go on, goes on.
"""

from __future__ import annotations

from typing import Final

from percpu_emu.lang import context as c
from percpu_emu.lang.checks import Check
from percpu_emu.lang.context import Context
from percpu_emu.lang.primitives.rcu import ring_doorbell
from percpu_emu.lang.primitives.waiting import in_section
from percpu_emu.lang.service import in_block, stops
from percpu_emu.lang.tokens import has_tokens
from percpu_emu.shm import atomics, syscalls
from percpu_emu.shm.compiling import inner

_UNBALANCED: Final = int(Check.UNBALANCED_SECTION)
_ASLEEP: Final = int(Check.SLEEP_IN_ATOMIC)
_DEADLOCK: Final = int(Check.DEADLOCK)


@inner
def breaks(ctx: Context, check: int) -> int:
    """The context breaks a check where it is."""
    if not has_tokens(ctx):
        return 0
    if atomics.read_once(in_block(ctx, c.BROKEN)) == 0:
        atomics.write_once(in_block(ctx, c.BROKEN_AT), atomics.read_once(in_block(ctx, c.AT)))
        atomics.store_release(in_block(ctx, c.BROKEN), check)
    ring_doorbell(ctx)
    is_coordinator = atomics.read_once(in_block(ctx, c.COMMAND)) == 0
    while not is_coordinator and not stops(ctx):
        syscalls.usleep(1000)
    return 0


@inner
def _change(ctx: Context, word: int, by: int) -> int:
    """Enter or leave a section of the kind that is counted in that word."""
    depth = atomics.read_once(in_block(ctx, word)) + by
    if depth < 0 or depth > c.DEEPEST:
        return breaks(ctx, _UNBALANCED)
    atomics.write_once(in_block(ctx, word), depth)
    return 0


@inner
def affect(ctx: Context, effect: int) -> int:
    """An operation with that effect on sections comes next."""
    if effect in (c.ENTERS_RCU, c.LEAVES_RCU):
        return _change(ctx, c.RCU_DEPTH, 1 if effect == c.ENTERS_RCU else -1)
    if effect in (c.STOPS_PREEMPTION, c.ALLOWS_PREEMPTION):
        return _change(ctx, c.PREEMPT_DEPTH, 1 if effect == c.STOPS_PREEMPTION else -1)
    if atomics.read_once(in_block(ctx, c.ATOMIC)) != 0:
        return breaks(ctx, _ASLEEP)
    if in_section(ctx):
        return breaks(ctx, _DEADLOCK if effect == c.WAITS_FOR_READERS else _ASLEEP)
    return 0


@inner
def turn_begins(ctx: Context) -> int:
    """No section is open where a program begins."""
    atomics.write_once(in_block(ctx, c.RCU_DEPTH), 0)
    atomics.write_once(in_block(ctx, c.PREEMPT_DEPTH), 0)
    atomics.local_write(in_block(ctx, c.IRQS_OFF), 0)
    return 0


@inner
def turn_ends(ctx: Context) -> int:
    """None may be where it ends."""
    return breaks(ctx, _UNBALANCED) if in_section(ctx) else 0
