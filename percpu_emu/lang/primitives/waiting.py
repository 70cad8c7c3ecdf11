"""Waiting for a word, asleep or spinning, and what has to be done meanwhile."""

from __future__ import annotations

from typing import Final

from percpu_emu.lang import context as c
from percpu_emu.lang import ops as _table  # noqa: F401 - fills OPERATIONS
from percpu_emu.lang.context import Context
from percpu_emu.lang.primitives.cpus import smp_processor_id
from percpu_emu.lang.primitives.interrupts import arrived
from percpu_emu.lang.primitives.rcu import quiescent_state
from percpu_emu.lang.service import Stopped, at, in_block, service, stops
from percpu_emu.lang.tokens import (
    FREE,
    drop,
    hand_over,
    has_tokens,
    holds_token,
    sleep_begins,
    sleep_ends,
    try_to_take,
    waits_for,
)
from percpu_emu.shm import atomics
from percpu_emu.shm.compiling import inner

LOOKS_AN_INTERRUPT: Final = 16
"""Looks of a context that waits between two times at which an interrupt may come."""


@inner
def _awaits(ctx: Context, what: int, pointer: int, value: int) -> int:
    """Note which word the context waits for, and the value."""
    atomics.write_once(in_block(ctx, c.WAITS_FOR), pointer)
    atomics.write_once(in_block(ctx, c.WAITS_VALUE), value)
    return waits_for(ctx, what)


@inner
def wait_until(ctx: Context, pointer: int, value: int) -> int:
    """Sleep between looks, longer and longer up to a millisecond; the machine's end is noticed."""
    sleep_begins(ctx)
    if atomics.load_acquire(at(ctx, pointer)) != value:
        _awaits(ctx, c.FOR_SLEEP, pointer, value)
        microseconds = 20
        while atomics.load_acquire(at(ctx, pointer)) != value:
            _look_round(ctx, microseconds)
            microseconds = min(microseconds * 2, 1000)
        waits_for(ctx, 0)
    sleep_ends(ctx)
    return 0


@inner
def smp_cond_load_acquire(ctx: Context, pointer: int, value: int) -> int:
    """Look again and again, giving the processor away between looks; the machine's end is noticed."""
    if atomics.load_acquire(at(ctx, pointer)) != value:
        _awaits(ctx, c.FOR_SPIN, pointer, value)
        while atomics.load_acquire(at(ctx, pointer)) != value:
            cpu_relax(ctx)
        waits_for(ctx, 0)
    return value


@inner
def cpu_relax(ctx: Context) -> int:
    _look_round(ctx, 0)
    if has_tokens(ctx) and not in_section(ctx):
        quiescent_state(ctx)
        if holds_token(ctx):
            hand_over(ctx)
    return 0


@inner
def _look_round(ctx: Context, microseconds: int) -> int:
    """Once in a loop that waits or spins: what else has to be done is done, then the processor is given away."""
    if stops(ctx):
        raise Stopped
    service(ctx, c.LOOK, microseconds, 0)
    if has_tokens(ctx):
        looks = atomics.read_once(in_block(ctx, c.LOOKS)) + 1
        atomics.write_once(in_block(ctx, c.LOOKS), looks)
        if looks % LOOKS_AN_INTERRUPT == 0:
            _let_interrupts_come(ctx, microseconds > 0)
    return 0


@inner
def _let_interrupts_come(ctx: Context, asleep: bool) -> int:
    """What a task waits for may be an interrupt of its own CPU: those that have not come yet come now."""
    interrupts = atomics.read_once(in_block(ctx, c.INTERRUPT))
    if atomics.read_once(in_block(ctx, c.IRQ_HANDLER)) == 0 or not holds_token(ctx):
        return 0
    if atomics.read_once(interrupts + 8 * c.CPU) != smp_processor_id(ctx):
        return 0
    if not asleep:
        return arrived(ctx.block)
    if try_to_take(ctx) == FREE:
        arrived(ctx.block)
        drop(ctx, smp_processor_id(ctx))
    return 0


@inner
def in_section(ctx: Context) -> bool:
    """Whether an instrumented program is inside of a section of its own, of whichever kind."""
    inside = atomics.read_once(in_block(ctx, c.RCU_DEPTH)) | atomics.read_once(in_block(ctx, c.PREEMPT_DEPTH))
    return (inside | atomics.local_read(in_block(ctx, c.IRQS_OFF))) != 0
