"""What happens before an operation of an instrumented program: it is noted, recorded, and faults strike.

Compiled once, into a C function that all such programs call (`machine.faults`).
"""

from __future__ import annotations

import signal
from typing import Final

from percpu_emu.lang import context as c
from percpu_emu.lang import sections, tokens
from percpu_emu.lang.arithmetic import add, mul
from percpu_emu.lang.context import Context
from percpu_emu.lang.primitives.cpus import nr_cpu_ids, smp_processor_id
from percpu_emu.lang.primitives.interrupts import arrived, context_of
from percpu_emu.lang.primitives.rcu import quiescent_state
from percpu_emu.lang.primitives.waiting import in_section
from percpu_emu.shm import atomics, syscalls
from percpu_emu.shm.compiling import inner

_SIGSTOP: Final = int(signal.SIGSTOP)
_SIGKILL: Final = int(signal.SIGKILL)


@inner
def _record(ring: int, site: int) -> int:
    """Note in this context's ring which operation comes next."""
    count = atomics.read_once(ring + c.RECORD_COUNT * 8)
    entry = ring + (c.RECORD_FIRST + (count % c.RECORD_ENTRIES) * 2) * 8
    context = atomics.read_once(ring + c.RECORD_CONTEXT * 8)
    atomics.write_once(entry + 8, site * c.RECORD_CONTEXTS + context)
    atomics.write_once(ring + c.RECORD_COUNT * 8, count + 1)
    atomics.write_once(entry, atomics.fetch_add(atomics.read_once(ring + c.RECORD_SEQUENCE * 8), 1))
    return 0


@inner
def _draw(ctx: Context) -> int:
    """A random number below CERTAIN."""
    chance = add(mul(atomics.read_once(ctx.block + 8 * c.CHANCE), 6364136223846793005), 1442695040888963407)
    atomics.write_once(ctx.block + 8 * c.CHANCE, chance)
    return (chance >> 33) & (c.CERTAIN - 1)


@inner
def spin(address: int, looks: int) -> int:
    """Keep the processor busy for so many looks at a word."""
    for _ in range(looks):
        atomics.read_once(address)
    return 0


@inner
def _sleep(ctx: Context, microseconds: int) -> int:
    """Sleep, in parts so that the machine's end is noticed."""
    while microseconds > 0 and atomics.read_once(ctx.header + 8 * c.STOP) == 0:
        syscalls.usleep(min(microseconds, 100_000))
        microseconds -= 100_000
    return 0


@inner
def _migrate(ctx: Context) -> int:
    """Go on on another CPU, as soon as it is free; where there is none that is on line, here."""
    here, cpus = smp_processor_id(ctx), nr_cpu_ids(ctx)
    tokens.move(ctx, (here + 1 + _draw(ctx) % (cpus - 1)) % cpus)
    atomics.write_once(ctx.block + 8 * c.MOVES, atomics.read_once(ctx.block + 8 * c.MOVES) - 1)
    return 0


@inner
def _can_strike(ctx: Context, kind: int) -> bool:
    """Whether a fault of that kind can happen to this context here."""
    if kind == c.FREEZE:
        return ctx.unit != c.NO_UNIT  # the coordinator is needed to continue it
    if kind == c.KILL:  # what a CPU does for the coordinator, once, is waited for
        busy = atomics.read_once(ctx.block + 8 * c.COMMAND) != atomics.read_once(ctx.block + 8 * c.DONE)
        return ctx.unit != c.NO_UNIT and not busy
    if kind == c.INTERRUPT_HERE:  # its handler runs on the CPU whose process this is
        interrupts = atomics.read_once(ctx.block + 8 * c.INTERRUPT)
        handler = atomics.read_once(ctx.block + 8 * c.IRQ_HANDLER)
        return handler != 0 and atomics.read_once(interrupts + 8 * c.CPU) == smp_processor_id(ctx)
    if kind in (c.PREEMPT, c.MIGRATE):
        is_coordinator = atomics.read_once(ctx.block + 8 * c.COMMAND) == 0  # a callback, which nothing preempts
        is_atomic = is_coordinator or atomics.read_once(ctx.block + 8 * c.ATOMIC) != 0
        may_move = nr_cpu_ids(ctx) > 1 and atomics.read_once(ctx.block + 8 * c.MOVES) > 0
        return not (is_atomic or in_section(ctx)) and (kind == c.PREEMPT or may_move)
    return True


@inner
def _strike(ctx: Context, kind: int, nanoseconds: int) -> int:
    """Have a fault happen."""
    if kind == c.DELAY:
        spin(ctx.block, nanoseconds * atomics.read_once(ctx.header + 8 * c.LOOPS_PER_MS) // 1_000_000)
    elif kind == c.YIELD:
        syscalls.sched_yield()
    elif kind == c.SLEEP:
        _sleep(ctx, nanoseconds // 1000)
    elif kind == c.FREEZE:
        atomics.write_once(ctx.block + 8 * c.STOPPED_US, max(nanoseconds // 1000, 1))
        syscalls.raise_signal(_SIGSTOP)
    elif kind == c.KILL:
        syscalls.raise_signal(_SIGKILL)
    elif kind == c.PREEMPT:
        tokens.sleep_begins(ctx)
        if nanoseconds == 0:
            syscalls.sched_yield()
        _sleep(ctx, nanoseconds // 1000)
        tokens.sleep_ends(ctx)
    elif kind == c.MIGRATE:
        _migrate(ctx)
    elif kind == c.INTERRUPT_HERE:
        arrived(ctx.block)
    return 0


@inner
def _inject(ctx: Context, faults: int, rule: int) -> int:
    """Go through a site's rules."""
    while rule != 0:
        at = faults + rule * 8
        if atomics.read_once(at + c.FAULT_NTH * 8) != 0:
            due = atomics.fetch_add(at + c.FAULT_PASSES * 8, 1) + 1 == atomics.read_once(at + c.FAULT_NTH * 8)
        else:
            due = _draw(ctx) < atomics.read_once(at + c.FAULT_CHANCE * 8)
        kind = atomics.read_once(at)
        if due and _can_strike(ctx, kind):
            atomics.fetch_add(at + c.FAULT_HITS * 8, 1)
            _strike(ctx, kind, atomics.read_once(at + c.FAULT_AMOUNT * 8))
        rule = atomics.read_once(at + c.FAULT_NEXT * 8)
    return 0


@inner
def reached(block: int, site: int, effect: int) -> int:
    """A context is about to do the operation of a site; see `primitives.reach`."""
    ctx = context_of(block)
    atomics.write_once(block + c.AT * 8, site + 1)
    atomics.write_once(block + c.OPERATIONS * 8, atomics.read_once(block + c.OPERATIONS * 8) + 1)
    if tokens.has_tokens(ctx) and not in_section(ctx):
        quiescent_state(ctx)  # as in the model: between sections no grace period waits for a task
    ring = atomics.read_once(block + c.RECORD * 8)
    if ring != 0:
        _record(ring, site)
    faults = atomics.read_once(block + c.FAULTS * 8)
    if faults != 0:
        rule = atomics.read_once(faults + site * 8)
        if rule != 0:
            _inject(ctx, faults, rule)
    if effect != 0:
        sections.affect(ctx, effect)
    return 0
