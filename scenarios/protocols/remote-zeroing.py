"""A slot is emptied into the twin: from another CPU while its own CPU adds to it, or by that CPU in one exchange."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    counted,
    per_cpu,
    read_once,
    this_cpu_add,
    this_cpu_xchg,
    write_once,
)
from percpu_emu.lang.structures import AtomicLong, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 2


class Slots(Struct):
    """What every CPU has of the counter."""

    slot: Word


class Counter(Struct):
    """The atomic twin of the slots."""

    nr_pages: AtomicLong


slots = Slots.static_per_cpu()
counter = Counter()


def charge() -> Program[None]:
    """Count a page."""
    with counted(counter.nr_pages, 1):
        yield this_cpu_add(slots.slot, 1)


def total(address: int) -> Program[int]:
    """The value of the counter: its twin, and its slots."""
    x = yield read_once(address)
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots.slot, cpu))
    return x


def flush(cpu: int) -> Program[None]:
    """Move what that CPU's slot holds to the twin."""
    x = yield read_once(per_cpu(slots.slot, cpu))
    yield write_once(per_cpu(slots.slot, cpu), 0)  # wrong: the CPU may have added to it
    yield atomic_long_add(counter.nr_pages, x)


@scenario(
    cpus=2,
    total=total,
    exclusive=True,
    expect="remote-write",
    missing="having the slot's own CPU take what it holds",
)
def remote_zeroing(m: Contexts) -> None:
    """A flusher reads and zeroes another CPU's slot while that CPU adds to it.

    `this_cpu_add` is safe against whatever happens on its own CPU, and against nothing else: it is not LOCKed. A
    flusher that reads a slot from another CPU and then writes 0 to it destroys what is added in between; even an
    exchange from there could fall between the load and the store of the addition. Remote writes to per-CPU words are
    for CPUs that are dead, or after a grace period.

    In the fixed version a task on the slot's own CPU takes it, by this_cpu_xchg.
    """
    m.task(charge, cpu=1)
    m.task(flush, 1)


def flush_own() -> Program[None]:
    """Move what this CPU's slot holds to the twin."""
    x = yield this_cpu_xchg(slots.slot, 0)
    yield atomic_long_add(counter.nr_pages, x)


@scenario(cpus=2, total=total, exclusive=True)
def remote_zeroing_fixed(m: Contexts) -> None:
    """Each CPU's slot is taken by that CPU itself, in one exchange.

    Only the CPU itself writes its slot: additions and the exchange that empties it come one after the other there.
    """
    m.task(charge, cpu=1)
    m.task(flush_own, cpu=1, name="flush")
