"""A trylock in an interrupt on a kernel for one processor, where spinlocks are empty: interrupts are on, or off.

mm/page_alloc.c; "prevent pcp corruption with SMP=n" of 6.19 corrects 574907741599.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    counted,
    local_irq_restore,
    local_irq_save,
    preempt_disable,
    preempt_enable,
    read_once,
    write_once,
)
from percpu_emu.lang.structures import AtomicLong, Struct
from percpu_emu.scenario.decorator import Contexts, scenario


class Pages(Struct):
    """The free pages of the only CPU."""

    count: AtomicLong


pages = Pages()


def spin_lock_up() -> Program[None]:
    """spin_lock of a kernel for one processor: there is no other that could hold it."""
    yield preempt_disable()


def spin_trylock_up() -> Program[int]:
    """spin_trylock of such a kernel always succeeds."""
    yield preempt_disable()
    return 1


def spin_unlock_up() -> Program[None]:
    """spin_unlock of such a kernel."""
    yield preempt_enable()


def free_page() -> Program[None]:
    """Put a page on the list; the caller holds the lock."""
    with counted(pages.count, 1):
        x = yield read_once(pages.count)
        yield write_once(pages.count, x + 1)


def total(address: int) -> Program[int]:
    """How many pages are on the list."""
    return (yield read_once(address))


def free_in_interrupt() -> Program[None]:
    """Put a page on the list, if the lock is free; else on the list of the zone."""
    if (yield from spin_trylock_up()):
        yield from free_page()
        yield from spin_unlock_up()


def free_with_interrupts_on() -> Program[None]:
    """Put a page on the list."""
    yield from spin_lock_up()
    yield from free_page()  # wrong: an interrupt takes the lock, too
    yield from spin_unlock_up()


@scenario(
    cpus=1,
    total=total,
    expect="lost-count",
    missing="turning interrupts off while the lock is held, where locks are empty",
)
def trylock_always_succeeds(m: Contexts) -> None:
    """An interrupt takes a lock that the task it interrupts holds.

    The lists of pages of a CPU are used in interrupts as well. The task leaves interrupts on; an interrupt that finds
    the lock taken, by spin_trylock, uses the list of the zone. On a kernel for one processor spinlocks are empty and
    spin_trylock always succeeds: both change the list (B20).

    The fixed version turns interrupts off there.
    """
    m.task(free_with_interrupts_on, cpu=0, name="free")
    m.interrupt(free_in_interrupt, cpu=0, name="interrupt")


def free_with_interrupts_off() -> Program[None]:
    """Put a page on the list."""
    flags = yield local_irq_save()
    yield from spin_lock_up()
    yield from free_page()
    yield from spin_unlock_up()
    yield local_irq_restore(flags)


@scenario(cpus=1, total=total)
def trylock_always_succeeds_fixed(m: Contexts) -> None:
    """No interrupt comes while the task holds the lock.

    An interrupt finds the list whole.
    """
    m.task(free_with_interrupts_off, cpu=0, name="free")
    m.interrupt(free_in_interrupt, cpu=0, name="interrupt")
