"""A program that calls every helper of the kernel's locks, lists and counts, and two that race inside of one."""

from __future__ import annotations

from percpu_emu.kernel.completion import Completion, complete, wait_for_completion
from percpu_emu.kernel.list import ListHead, init_list_head, list_add, list_add_tail, list_del
from percpu_emu.kernel.llist import LlistHead, LlistNode, llist_add, llist_del_all, llist_del_first
from percpu_emu.kernel.locks import (
    Mutex,
    SpinLock,
    TicketLock,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    spin_lock,
    spin_lock_irqsave,
    spin_trylock,
    spin_unlock,
    spin_unlock_irqrestore,
    ticket_lock,
    ticket_unlock,
)
from percpu_emu.kernel.refcount import (
    Refcount,
    refcount_dec_and_test,
    refcount_inc,
    refcount_inc_not_zero,
    refcount_set,
)
from percpu_emu.kernel.seqlock import SeqLock, read_seqbegin, read_seqretry, write_seqlock, write_sequnlock
from percpu_emu.lang.bits import read_bits, write_bits
from percpu_emu.program import Bits, Contexts, Literal, Program, State, Struct, scenario, warn_on


class Everything(Struct):
    """One of each."""

    spin: SpinLock
    ticket: TicketLock
    mutex: Mutex
    seq: SeqLock
    ref: Refcount
    done: Completion
    pending: LlistHead
    entry: LlistNode
    items: ListHead
    item: ListHead
    other: ListHead
    flag: Bits[Literal[1]]


all_of = Everything()


def wrapped(count: Refcount, references: int) -> Program[None]:
    """A helper of the scenario's own around one of the kernel's."""
    yield from refcount_set(count, references)


def every_call() -> Program[None]:
    """Each helper, in the order of its words."""
    yield from spin_lock(all_of.spin)
    yield from spin_unlock(all_of.spin)
    yield from spin_trylock(all_of.spin)
    yield from spin_unlock(all_of.spin)
    irq = yield from spin_lock_irqsave(all_of.spin)
    yield from spin_unlock_irqrestore(all_of.spin, irq)
    yield from ticket_lock(all_of.ticket)
    yield from ticket_unlock(all_of.ticket)
    yield from mutex_lock(all_of.mutex)
    yield from mutex_unlock(all_of.mutex)
    yield from mutex_trylock(all_of.mutex)
    yield from write_seqlock(all_of.seq)
    yield from write_sequnlock(all_of.seq)
    begun = yield from read_seqbegin(all_of.seq)
    yield from read_seqretry(all_of.seq, begun)
    yield from wrapped(all_of.ref, 1)
    yield from refcount_inc(all_of.ref)
    yield from refcount_inc_not_zero(all_of.ref)
    yield from refcount_dec_and_test(all_of.ref)
    yield from complete(all_of.done)
    yield from wait_for_completion(all_of.done)
    yield from llist_add(all_of.entry, all_of.pending)
    yield from llist_del_first(all_of.pending)
    yield from llist_del_all(all_of.pending)
    yield from init_list_head(all_of.items)
    yield from list_add_tail(all_of.item, all_of.items)
    yield from list_del(all_of.item)
    yield from write_bits(all_of.flag, 1)
    yield from read_bits(all_of.flag)
    yield warn_on(1)


@scenario(cpus=1)
def every_helper(m: Contexts) -> None:
    """Each helper is called."""
    m.task(every_call, cpu=0)


def empty() -> Program[None]:
    """Nothing is on the list."""
    yield from init_list_head(all_of.items)


def add_one() -> Program[None]:
    """Without a lock."""
    yield from list_add(all_of.item, all_of.items)


def add_other() -> Program[None]:
    """Without a lock."""
    yield from list_add(all_of.other, all_of.items)


def both(state: State) -> str | None:
    """Both entries are on the list."""
    at = state.at(all_of).items.next
    entries = 0
    while at and at != state.at(all_of).items and entries < 3:
        at, entries = at.next, entries + 1
    return None if entries == 2 else f"{entries} of 2"


@scenario(cpus=2, setup=empty, final=both)
def list_without_lock(m: Contexts) -> None:
    """Two CPUs add to a list at once."""
    m.task(add_one, cpu=0)
    m.task(add_other, cpu=1)
