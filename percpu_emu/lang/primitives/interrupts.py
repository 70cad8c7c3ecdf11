"""Interrupts: when one begins and ends, and one that comes while they are off (`machine.interrupts`)."""

from __future__ import annotations

from percpu_emu.lang import context as c
from percpu_emu.lang import ops as _table  # noqa: F401 - fills OPERATIONS
from percpu_emu.lang.context import Context
from percpu_emu.lang.service import call, in_block, in_header
from percpu_emu.shm import atomics
from percpu_emu.shm.compiling import inner


@inner
def local_irq_save(ctx: Context) -> int:
    flags = atomics.local_read(in_block(ctx, c.IRQS_OFF))
    atomics.local_write(in_block(ctx, c.IRQS_OFF), 1)
    return flags


@inner
def local_irq_restore(ctx: Context, flags: int) -> int:
    atomics.local_write(in_block(ctx, c.IRQS_OFF), flags)
    if atomics.unlikely(atomics.local_read(in_block(ctx, c.IRQ_PENDING)) != 0) and flags == 0:
        _late_interrupts(ctx)
    return 0


@inner
def _late_interrupts(ctx: Context) -> int:
    """Run what has come while interrupts were off, once, however many there were: a line is up or it is not."""
    while atomics.local_exchange(in_block(ctx, c.IRQ_PENDING), 0) != 0:
        call(atomics.read_once(in_block(ctx, c.IRQ_HANDLER)), ctx.block, 0, 0, 0)
    return 0


@inner
def context_of(block: int) -> Context:
    """The context that a control block belongs to."""
    at = block + c.OWN * 8
    return Context(
        atomics.read_once(at),
        atomics.read_once(at + 8),
        atomics.read_once(block + c.UNIT * 8),
        atomics.read_once(at + 24),
        atomics.read_once(at + 32),
        atomics.read_once(at + 40),
    )


@inner
def irq_enter(ctx: Context, block: int) -> int:
    """An interrupt begins: others wait, and a CPU that was idle is no longer. Whether it was."""
    atomics.local_write(block + c.IRQS_OFF * 8, 1)
    atomics.write_once(block + c.IN_INTERRUPT * 8, 1)
    atomics.local_add(block + c.IRQS * 8, 1)
    if atomics.read_once(block + c.NOTED * 8) > 0:
        atomics.local_add(block + c.IRQS_INSIDE * 8, 1)
    if atomics.read_once(block + c.QUIESCENT * 8) != 0:
        return 0
    atomics.write_once(block + c.QUIESCENT * 8, atomics.load_acquire(in_header(ctx, c.GP_SEQ)))
    atomics.fence()
    return 1


@inner
def irq_exit(block: int, was_idle: int) -> int:
    """It ends."""
    if was_idle:
        atomics.fence()
        atomics.store_release(block + c.QUIESCENT * 8, 0)
    atomics.write_once(block + c.IN_INTERRUPT * 8, 0)
    atomics.local_write(block + c.IRQS_OFF * 8, 0)
    return 0


@inner
def next_turn(ctx: Context) -> int:
    """Count a turn of an interrupt's program; its number."""
    turn = atomics.read_once(in_block(ctx, c.TURN))
    atomics.write_once(in_block(ctx, c.TURN), turn + 1)
    return turn


@inner
def interrupt_block(block: int) -> int:
    """The control block of a CPU's interrupts."""
    return atomics.read_once(block + c.INTERRUPT * 8)


@inner
def interrupt_table(block: int) -> int:
    """The table of cgroups that interrupts update."""
    return atomics.read_once(block + c.IRQ_TABLE * 8)


@inner
def arrived(block: int) -> int:
    """An interrupt has come: run its program now, or when interrupts are on."""
    if atomics.local_read(block + c.IRQS_OFF * 8) != 0:
        atomics.local_add(block + c.IRQ_PENDING * 8, 1)
        atomics.local_add(block + c.IRQS_DEFERRED * 8, 1)
    else:
        call(atomics.read_once(block + c.IRQ_HANDLER * 8), block, 0, 0, 0)
    return 0
