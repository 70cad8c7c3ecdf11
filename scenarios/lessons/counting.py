"""Ways to count on several CPUs: one shared word, a slot for each CPU, and slots that are emptied in batches."""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    __this_cpu_read,
    __this_cpu_write,
    alloc_percpu,
    atomic_long_add,
    counted,
    local_irq_restore,
    local_irq_save,
    per_cpu,
    read_once,
    this_cpu_add,
    write_once,
)
from percpu_emu.lang.structures import AtomicLong, PerCpu, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 2
BATCH = 1  # how much a slot may hold; 32 in the kernel


class Slots(Struct):
    """What every CPU has of the counter."""

    slot: Word


class Counter(Struct):
    """Where the slots are, and what all CPUs share."""

    stats: PerCpu[Slots]
    total: AtomicLong


counter = Counter()


def setup() -> Program[None]:
    """A slot on every CPU."""
    slots = yield alloc_percpu(sizeof(Slots), 8)
    yield write_once(counter.stats, slots)


def count_in_one_word() -> Program[None]:
    """What `total++` is compiled to."""
    with counted(counter.total, 1):
        x = yield read_once(counter.total)
        yield write_once(counter.total, x + 1)  # wrong: another CPU may have counted since


def count_in_a_slot() -> Program[None]:
    """Add to this CPU's own slot, by one instruction."""
    with counted(counter.total, 1):
        slots = yield read_once(counter.stats)
        yield this_cpu_add(slots.slot, 1)


def uncount_in_batches() -> Program[None]:
    """Take one off; empty the slot where it holds more than a batch, in either direction."""
    flags = yield local_irq_save()
    with counted(counter.total, -1):
        slots = yield read_once(counter.stats)
        x = yield __this_cpu_read(slots.slot)
        x -= 1
        if abs(x) > BATCH:
            yield atomic_long_add(counter.total, x)
            x = 0
        yield __this_cpu_write(slots.slot, x)
    yield local_irq_restore(flags)


def uncount_without_end() -> Program[None]:
    """The same, but what is below 0 is never more than a batch."""
    flags = yield local_irq_save()
    with counted(counter.total, -1):
        slots = yield read_once(counter.stats)
        x = yield __this_cpu_read(slots.slot)
        x -= 1
        if x > BATCH:  # wrong: a slot can also hold too little
            yield atomic_long_add(counter.total, x)
            x = 0
        yield __this_cpu_write(slots.slot, x)
    yield local_irq_restore(flags)


def in_one_word(address: int) -> Program[int]:
    """The value of a counter without slots."""
    return (yield read_once(address))


def with_slots(address: int) -> Program[int]:
    """The exact value: the shared word and every slot."""
    x = yield read_once(address)
    slots = yield read_once(counter.stats)
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots.slot, cpu))
    return x


@scenario(cpus=2, total=in_one_word, expect="lost-count", missing="a slot for each CPU, or one atomic addition")
def one_word(m: Contexts) -> None:
    """All CPUs count in one word, by a read and a write: a count is lost.

    `total++` reads the word, adds 1, and writes it back. Two CPUs that both read before either has written
    write the same number. One atomic instruction would not lose the count, but all CPUs would wait for each
    other at that one word, update after update (`percpu-emu run count-atomic`). per-cpu-slots has each CPU
    count by itself.
    """
    m.task(count_in_one_word, cpu="all")


@scenario(cpus=2, setup=setup, total=with_slots)
def per_cpu_slots(m: Contexts) -> None:
    """Every CPU counts in a slot of its own; the counter is the sum of the slots.

    No CPU touches another one's slot, so there is nothing to lose and nothing to wait for. A reader that wants
    the value adds all slots up.
    """
    m.task(count_in_a_slot, cpu="all", turns=2)


@scenario(
    cpus=2,
    setup=setup,
    total=with_slots,
    bound=1,
    expect="error-bound",
    missing="the absolute value in the comparison with the batch",
)
def batch_one_sided(m: Contexts) -> None:
    """A slot is emptied when it holds more than a batch, but not when it holds less than minus one.

    A reader of the atomic twin alone does not see what the slots hold. That is as it should be, while a slot
    holds a batch at most: the error is then a batch for each CPU. Here the test has no `abs`: a counter that
    goes down stays in the slots for ever, and the twin is off by more and more. batch-both-sides has the test
    of the kernel.
    """
    m.task(uncount_without_end, cpu="all", turns=3)


@scenario(cpus=2, setup=setup, total=with_slots, bound=1)
def batch_both_sides(m: Contexts) -> None:
    """A slot that holds more than a batch, in either direction, is emptied into the atomic twin.

    Every state of every order is looked at: the twin is never further from the truth than a batch for each CPU,
    and with the slots it is exact.
    """
    m.task(uncount_in_batches, cpu="all", turns=3)
