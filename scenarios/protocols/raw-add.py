"""Counting in a slot by a read and a write, `__this_cpu_add`: what may come in between, and what keeps it out."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    counted,
    per_cpu,
    preempt_disable,
    preempt_enable,
    read_once,
    this_cpu_add,
)
from percpu_emu.lang.raw import __this_cpu_add
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 2


class Slots(Struct):
    """What every CPU has of the counter."""

    slot: Word


class Counter(Struct):
    """The counter, which the ledger knows by this word; all of it is in the slots."""

    nr_pages: Word


slots = Slots.static_per_cpu()
counter = Counter()


def charge() -> Program[None]:
    """Count a page by one instruction."""
    with counted(counter.nr_pages, 1):
        yield this_cpu_add(slots.slot, 1)


def total(address: int) -> Program[int]:
    """The value of the counter: the sum of its slots."""
    x = yield read_once(address)
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots.slot, cpu))
    return x


def raw_charge() -> Program[None]:
    """Count a page by a read and a write."""
    with counted(counter.nr_pages, 1):
        yield from __this_cpu_add(slots.slot, 1)  # wrong: interrupts and preemption are on


@scenario(
    cpus=1,
    constants={"NR_CPUS": 1},
    total=total,
    expect="lost-count",
    missing="keeping interrupts off between the read and the write",
)
def raw_add_interrupt(m: Contexts) -> None:
    """A task adds to a slot in a read and a write, and an interrupt adds in between.

    `__this_cpu_add` may be compiled to a load, an addition and a store. Its caller has to keep interrupts off when
    an interrupt handler touches the same word: what the handler adds between the load and the store is overwritten.

    The fixed version uses `this_cpu_add`, which no interrupt of this CPU can come into. Interrupts off around the whole
    would do, too: so the kernel's mod_memcg_state does it.
    """
    m.task(raw_charge, cpu=0, name="charge")
    m.interrupt(charge, cpu=0, name="charge_in_interrupt")


@scenario(cpus=1, constants={"NR_CPUS": 1}, total=total)
def raw_add_interrupt_fixed(m: Contexts) -> None:
    """A task adds to a slot by one instruction, which no interrupt can come into.

    `this_cpu_add` is one instruction on x86-64, and elsewhere done with interrupts off. An interrupt comes before it or
    after it.
    """
    m.task(charge, cpu=0)
    m.interrupt(charge, cpu=0, name="charge_in_interrupt")


@scenario(
    cpus=2,
    total=total,
    expect="lost-count",
    missing="keeping preemption off between the read and the write",
)
def raw_add_migration(m: Contexts) -> None:
    """A task moves to another CPU between reading its slot and writing it.

    `__this_cpu_add` may be compiled to a load, an addition and a store. With preemption on, the task may be moved to
    another CPU in between: it stores there what it has read here, and overwrites what the other CPU has counted.

    The fixed version switches preemption off around it. `this_cpu_add`, one instruction, would do, too.
    """
    m.task(raw_charge, cpu=0, name="moving_charge", migrates=1)
    m.task(charge, cpu=1)


def pinned_charge() -> Program[None]:
    """Count a page by a read and a write, on one CPU."""
    with counted(counter.nr_pages, 1):
        yield preempt_disable()
        yield from __this_cpu_add(slots.slot, 1)
        yield preempt_enable()


@scenario(cpus=2, total=total)
def raw_add_migration_fixed(m: Contexts) -> None:
    """A task that adds to a slot in a read and a write stays on its CPU meanwhile.

    With preemption off the task stays where it is from the load to the store.
    """
    m.task(pinned_charge, cpu=0, name="moving_charge", migrates=1)
    m.task(charge, cpu=1)
