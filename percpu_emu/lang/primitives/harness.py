"""The ledger, marks and warnings: what the emulator adds to a program."""

from __future__ import annotations

from percpu_emu.lang import context as c
from percpu_emu.lang import ops as _table  # noqa: F401 - fills OPERATIONS
from percpu_emu.lang.context import Context
from percpu_emu.lang.service import ProgramFault, call, in_block, in_header
from percpu_emu.shm import atomics
from percpu_emu.shm.compiling import inner


@inner
def ledger_add(ctx: Context, counter: int, delta: int) -> int:
    noted = atomics.read_once(in_block(ctx, c.NOTED))
    if noted == c.MAX_NOTES:
        raise ProgramFault
    atomics.write_once(in_block(ctx, c.NOTES + noted * 2), counter)
    atomics.write_once(in_block(ctx, c.NOTES + noted * 2 + 1), delta)
    atomics.store_release(in_block(ctx, c.NOTED), noted + 1)
    return 0


@inner
def _ledger_entry(ctx: Context, counter: int) -> int:
    """Page by page of the kernel's memory, the ledgers of all CPUs lie side by side: a reader finds those in use."""
    stride = atomics.read_once(in_header(ctx, c.LEDGER_STRIDE))
    return ctx.ledger + (counter >> 9) * stride + (counter & 511) * 8


@inner
def ledger_commit(ctx: Context) -> int:
    for note in range(atomics.read_once(in_block(ctx, c.NOTED))):
        counter = atomics.read_once(in_block(ctx, c.NOTES + note * 2))
        delta = atomics.read_once(in_block(ctx, c.NOTES + note * 2 + 1))
        atomics.local_add(_ledger_entry(ctx, counter), delta)
    atomics.store_release(in_block(ctx, c.NOTED), 0)
    atomics.local_add(in_block(ctx, c.UPDATES), 1)
    return 0


@inner
def mark(ctx: Context, number: int) -> int:
    atomics.local_add(in_block(ctx, c.MARKS + number), 1)
    return 0


@inner
def warn_on(ctx: Context, condition: int, site: int) -> int:
    if condition:
        atomics.local_add(in_block(ctx, c.WARNINGS), 1)
        atomics.write_once(in_block(ctx, c.WARN_SITE), site)
    return condition


@inner
def has_no_result(ctx: Context, place: int) -> int:
    """Note which arithmetic it was: the exception that says so does not get out of an interrupt's C function."""
    atomics.write_once(in_block(ctx, c.NO_RESULT), place)
    return 0


@inner
def reach(ctx: Context, site: int, effect: int) -> Context:
    """Note where this context is, and have happen what is to happen here; the operation's context, on its CPU by then.

    `effect`: what the operation does to sections (`lang.sections`). A call of `lang.reaching` through its address:
    compiled into every operation it would make programs compile three times as long.
    """
    call(atomics.read_once(in_block(ctx, c.REACH)), ctx.block, site, effect, 0)
    unit = atomics.read_once(in_block(ctx, c.UNIT))
    return Context(ctx.memory, ctx.percpu, unit, ctx.block, ctx.ledger, ctx.header)
