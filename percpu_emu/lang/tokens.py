"""Which task runs on a CPU, where several do: each is a process of its own, and the CPU's token goes round among them.

A task holds the token throughout its turn, unless it sleeps, or is preempted: at an injected fault, or where it spins
with preemption on. A line of words for each CPU says who may run. Without tokens (`context.TOKENS` is 0) a CPU is one
process, and nothing here does anything.
"""

from __future__ import annotations

from typing import Final

from percpu_emu.lang import context as c
from percpu_emu.lang.context import Context
from percpu_emu.lang.service import in_block, in_header, stops
from percpu_emu.shm import atomics, syscalls
from percpu_emu.shm.compiling import inner

FREE: Final = 0
"""No task runs on the CPU."""
BUSY: Final = 1
GONE: Final = 2
"""The CPU is off line."""
STARTED: Final = 8
"""Bytes behind the token: how many of the CPU's tasks are in the middle of a turn, ..."""
WANTED: Final = 16
"""... and how many processes wait for the token."""
LOOKS_AWAKE: Final = 200
HANDING_OVER: Final = 50
"""Times that a preempted spinner looks whether the CPU was taken before it goes on itself."""


@inner
def idle_enter(ctx: Context) -> int:
    """Begin an extended quiescent state."""
    atomics.fence()
    atomics.store_release(in_block(ctx, c.QUIESCENT), 0)
    return 0


@inner
def idle_exit(ctx: Context) -> int:
    """End it: a grace period that looks from now on waits for this CPU, and it sees what was published before."""
    atomics.write_once(in_block(ctx, c.QUIESCENT), atomics.load_acquire(in_header(ctx, c.GP_SEQ)))
    atomics.fence()
    return 0


@inner
def has_tokens(ctx: Context) -> bool:
    """Whether tasks share CPUs on this machine, and each CPU says who runs."""
    return atomics.read_once(in_header(ctx, c.TOKENS)) != 0


@inner
def _token(ctx: Context, cpu: int) -> int:
    return atomics.read_once(in_header(ctx, c.TOKENS)) + cpu * 64


@inner
def here(ctx: Context) -> int:
    """The CPU that a task runs on."""
    return atomics.read_once(in_block(ctx, c.CPU))


@inner
def holds_token(ctx: Context) -> bool:
    """Whether this is a task's context that runs on a CPU and may let others run there."""
    is_task = ctx.unit != c.NO_UNIT and atomics.read_once(in_block(ctx, c.ATOMIC)) == 0
    return is_task and atomics.read_once(in_block(ctx, c.COMMAND)) != 0 and has_tokens(ctx)


@inner
def waits_for(ctx: Context, what: int) -> int:
    """Note what the context waits for; what it waited for before."""
    before = atomics.read_once(in_block(ctx, c.WAITS))
    atomics.write_once(in_block(ctx, c.WAITS), what)
    return before


@inner
def pause(looks: int) -> int:
    """Between two looks at a token: awake at first."""
    return syscalls.sched_yield() if looks < LOOKS_AWAKE else syscalls.usleep(50)


@inner
def take(ctx: Context, cpu: int) -> int:
    """Be the task that runs on a CPU, as soon as no other does; 0 where it is gone, or the machine stops.

    A task that waits is in no section, and no grace period waits for it: the task that runs there may wait for one.
    """
    token = _token(ctx, cpu)
    seen = atomics.compare_exchange(token, FREE, BUSY)
    if seen == BUSY:
        idle_enter(ctx)
        before = waits_for(ctx, c.FOR_CPU)
        atomics.fetch_add(token + WANTED, 1)
        looks = 0
        while seen == BUSY and not stops(ctx):
            pause(looks)
            looks += 1
            seen = atomics.compare_exchange(token, FREE, BUSY)
        atomics.fetch_add(token + WANTED, -1)
        waits_for(ctx, before)
        idle_exit(ctx)
    return 1 if seen == FREE else 0


@inner
def try_to_take(ctx: Context) -> int:
    """Be the task that runs on its CPU if no other does; what the token was, FREE if that worked."""
    return atomics.compare_exchange(_token(ctx, here(ctx)), FREE, BUSY)


@inner
def drop(ctx: Context, cpu: int) -> int:
    """Let another task run there."""
    atomics.store_release(_token(ctx, cpu), FREE)
    return 0


@inner
def note_turn(ctx: Context) -> int:
    """A turn begins: its first operation is the next one."""
    atomics.write_once(in_block(ctx, c.TURN_BEGAN), atomics.read_once(in_block(ctx, c.OPERATIONS)))
    return 0


@inner
def begin_turn(ctx: Context) -> int:
    """A task begins a turn on its CPU; 0 where that is gone."""
    if take(ctx, here(ctx)) == 0:
        return 0
    note_turn(ctx)
    atomics.fetch_add(_token(ctx, here(ctx)) + STARTED, 1)
    return 1


@inner
def end_turn(ctx: Context) -> int:
    """It ends the turn, on the CPU on which it is by now."""
    atomics.fetch_add(_token(ctx, here(ctx)) + STARTED, -1)
    return drop(ctx, here(ctx))


@inner
def move(ctx: Context, there: int) -> int:
    """Go on on another CPU as soon as that is free; where it is off line, here. 1 if it has moved."""
    before = here(ctx)
    drop(ctx, before)
    if take(ctx, there) == 0:
        take(ctx, before)  # which cannot be gone: this turn has begun there
        return 0
    atomics.fetch_add(_token(ctx, there) + STARTED, 1)
    atomics.fetch_add(_token(ctx, before) + STARTED, -1)
    atomics.write_once(in_block(ctx, c.CPU), there)
    unit = ctx.percpu + atomics.read_once(in_header(ctx, c.UNIT_OFFSETS + there)) * 8
    atomics.write_once(in_block(ctx, c.UNIT), unit)
    return 1


@inner
def take_down(ctx: Context, cpu: int) -> int:
    """Have no task run on a CPU any more, as soon as none is in a turn; 0 where the CPU is gone already."""
    token = _token(ctx, cpu)
    seen, looks = BUSY, 0
    before = waits_for(ctx, c.FOR_TURNS)
    idle_enter(ctx)
    while seen == BUSY and not stops(ctx):
        seen = atomics.compare_exchange(token, FREE, BUSY)
        if seen == FREE and atomics.read_once(token + STARTED) != 0:
            seen = BUSY
            drop(ctx, cpu)
        if seen == BUSY:
            pause(looks)
            looks += 1
    if seen == FREE:
        atomics.store_release(token, GONE)
    idle_exit(ctx)
    waits_for(ctx, before)
    return 1 if seen == FREE else 0


@inner
def sleep_begins(ctx: Context) -> int:
    """Let the CPU's other tasks run while this one sleeps; no grace period waits for it."""
    idle_enter(ctx)
    return drop(ctx, here(ctx)) if holds_token(ctx) else 0


@inner
def sleep_ends(ctx: Context) -> int:
    """Go on, as soon as no other task runs there."""
    idle_exit(ctx)
    return take(ctx, here(ctx)) if holds_token(ctx) else 0


@inner
def hand_over(ctx: Context) -> int:
    """Have another task of this CPU run, if one wants to: a timer tick. Only where this one holds the token."""
    token = _token(ctx, here(ctx))
    if atomics.read_once(token + WANTED) == 0:
        return 0
    idle_enter(ctx)
    drop(ctx, here(ctx))
    looks = 0
    while looks < HANDING_OVER and atomics.read_once(token) == FREE:
        syscalls.usleep(20)
        looks += 1
    idle_exit(ctx)
    return take(ctx, here(ctx))
