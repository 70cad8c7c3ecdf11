"""A drain of all CPUs is skipped if another began meanwhile: the generation is read before the page is added, or after.

lru_add_drain_all in mm/swap.c; of 2020, in place of eef1a429f234.
"""

from __future__ import annotations

from percpu_emu.kernel.locks import Mutex, mutex_lock, mutex_unlock
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    per_cpu,
    read_once,
    smp_load_acquire,
    smp_mb,
    this_cpu_inc,
    this_cpu_read,
    warn_on,
    write_once,
    xchg,
)
from percpu_emu.lang.structures import AtomicLong, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 2


class Batch(Struct):
    """Pages that a CPU has not put on the list yet."""

    nr_batched: Word


class Lru(Struct):
    """The list, the number of drains that have begun, and their mutex."""

    nr_pages: AtomicLong
    generation: Word
    mutex: Mutex


batches = Batch.static_per_cpu()
lru = Lru()


def drain_if_still(generation: int) -> Program[None]:
    """Drain every CPU, unless a drain has begun since that generation."""
    yield from mutex_lock(lru.mutex)
    if (yield read_once(lru.generation)) == generation:
        yield write_once(lru.generation, generation + 1)
        for cpu in range(NR_CPUS):
            pages = yield xchg(per_cpu(batches.nr_batched, cpu), 0)
            yield atomic_long_add(lru.nr_pages, pages)
    yield from mutex_unlock(lru.mutex)


def drain_all() -> Program[None]:
    """Put all pages that are in a batch by now on the list."""
    yield smp_mb()
    generation = yield smp_load_acquire(lru.generation)
    yield from drain_if_still(generation)


def batch_is_empty() -> Program[None]:
    """What this CPU put into its batch before the drain is on the list."""
    pages = yield this_cpu_read(batches.nr_batched)
    yield warn_on(pages)


def add_and_drain_early() -> Program[None]:
    """Add a page, and have all pages on the list."""
    generation = yield smp_load_acquire(lru.generation)
    yield this_cpu_inc(batches.nr_batched)  # wrong: a drain may have begun, and found the batch empty
    yield from drain_if_still(generation)
    yield from batch_is_empty()


@scenario(
    cpus=2,
    expect="warning",
    missing="a full barrier between adding the page and reading the generation",
)
def drain_generation_read_early(m: Contexts) -> None:
    """A task skips its drain because of another drain, which did not see its page.

    A task that waited for the mutex skips its drain if another drain began after it read the generation: that drain
    found its page. This holds only if the page was in the batch before the task read the generation. Without a full
    barrier a processor may read the generation first; here the program does (B22).

    The fixed version reads the generation behind the page.
    """
    m.task(add_and_drain_early, cpu=0, name="add_and_drain")
    m.task(drain_all, cpu=1)


def add_and_drain() -> Program[None]:
    """Add a page, and have all pages on the list."""
    yield this_cpu_inc(batches.nr_batched)
    yield from drain_all()
    yield from batch_is_empty()


@scenario(cpus=3)
def drain_generation_read_early_fixed(m: Contexts) -> None:
    """A task skips its drain only for a drain that began after its page was in the batch.

    Such a drain looks at every batch after it has begun.
    """
    m.task(add_and_drain, cpu=0)
    m.task(drain_all, cpu=[1, 2])
