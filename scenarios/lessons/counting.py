"""Ways to count on several CPUs: one shared word, a slot for each CPU, and slots that are emptied in batches."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    __this_cpu_read,
    __this_cpu_write,
    alloc_percpu,
    atomic_long_add,
    ledger_add,
    ledger_commit,
    local_irq_restore,
    local_irq_save,
    per_cpu,
    read_once,
    this_cpu_add,
    write_once,
)
from percpu_emu.lang.setting import OBJECT_WORDS

NR_CPUS = 2
BATCH = 1  # how much a slot may hold; 32 in the kernel
STATS = STATIC + 0  # where the slots are
TOTAL = STATIC + 1  # what all CPUs share
NAMES = {OBJECT_WORDS: "slot"}


def setup() -> Program[None]:
    """A slot on every CPU."""
    slots = yield alloc_percpu(8, 8)
    yield write_once(STATS, slots)


def count_in_one_word() -> Program[None]:
    """What `total++` is compiled to."""
    yield ledger_add(TOTAL, 1)
    x = yield read_once(TOTAL)
    yield write_once(TOTAL, x + 1)  # wrong: another CPU may have counted since
    yield ledger_commit()


def count_in_a_slot() -> Program[None]:
    """Add to this CPU's own slot, by one instruction."""
    yield ledger_add(TOTAL, 1)
    slots = yield read_once(STATS)
    yield this_cpu_add(slots, 1)
    yield ledger_commit()


def uncount_in_batches() -> Program[None]:
    """Take one off; empty the slot where it holds more than a batch, in either direction."""
    flags = yield local_irq_save()
    yield ledger_add(TOTAL, -1)
    slots = yield read_once(STATS)
    x = yield __this_cpu_read(slots)
    x -= 1
    if abs(x) > BATCH:
        yield atomic_long_add(TOTAL, x)
        x = 0
    yield __this_cpu_write(slots, x)
    yield ledger_commit()
    yield local_irq_restore(flags)


def uncount_without_end() -> Program[None]:
    """The same, but what is below 0 is never more than a batch."""
    flags = yield local_irq_save()
    yield ledger_add(TOTAL, -1)
    slots = yield read_once(STATS)
    x = yield __this_cpu_read(slots)
    x -= 1
    if x > BATCH:  # wrong: a slot can also hold too little
        yield atomic_long_add(TOTAL, x)
        x = 0
    yield __this_cpu_write(slots, x)
    yield ledger_commit()
    yield local_irq_restore(flags)


def in_one_word(counter: int) -> Program[int]:
    """The value of a counter without slots."""
    return (yield read_once(counter))


def with_slots(counter: int) -> Program[int]:
    """The exact value: the shared word and every slot."""
    x = yield read_once(counter)
    slots = yield read_once(STATS)
    for cpu in range(NR_CPUS):
        x += yield read_once(per_cpu(slots, cpu))
    return x
