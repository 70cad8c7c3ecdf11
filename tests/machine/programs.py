"""Programs for the tests of the machine, the broken ones among them. CPUs run all but the workers by reference."""

from __future__ import annotations

from percpu_emu.kernel.layout import MEMCG_LIST, MEMCG_NEXT, STAT, VMSTATS, VMSTATS_PERCPU, Item
from percpu_emu.kernel.memcg import memcg_page_state, memcg_page_state_exact, mod_memcg_state
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    call_rcu,
    cpu_relax,
    free_percpu,
    kfree,
    kzalloc,
    ledger_add,
    ledger_commit,
    per_cpu,
    rcu_barrier,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_processor_id,
    synchronize_rcu,
    this_cpu_read,
    this_cpu_write,
    warn_on,
    write_once,
)


def charge(memcg: int, turn: int) -> Program[None]:  # noqa: ARG001
    """A right worker."""
    yield from mod_memcg_state(memcg, Item.MEMCG_CACHE, 1)


def forgetful(memcg: int, turn: int) -> Program[None]:  # noqa: ARG001
    """A broken worker: it notes what it does not do."""
    yield ledger_add(memcg + VMSTATS + Item.MEMCG_RSS, 1)
    yield ledger_commit()


def answer(a: int, b: int) -> Program[int]:
    """The CPU's number and two words, so that one sees who ran it."""
    cpu = yield smp_processor_id()
    return cpu * 10000 + a * 100 + b


def add_cache(memcg: int, pages: int) -> Program[None]:
    yield from mod_memcg_state(memcg, Item.MEMCG_CACHE, pages)


def start_update_and_stop(memcg: int, flag: int) -> Program[None]:
    """An update that holds in the middle, its slot read and not yet written, until the flag is set."""
    yield ledger_add(memcg + VMSTATS + Item.MEMCG_CACHE, 1)
    yield rcu_read_lock()
    slots = yield rcu_dereference(memcg + VMSTATS_PERCPU)
    x = yield this_cpu_read(slots + Item.MEMCG_CACHE)
    while (yield read_once(flag)) == 0:
        yield cpu_relax()
    yield this_cpu_write(slots + Item.MEMCG_CACHE, x + 1)
    yield rcu_read_unlock()
    yield ledger_commit()


def set_word(word: int, value: int) -> Program[None]:
    yield write_once(word, value)


def queue_set_word(word: int) -> Program[None]:
    yield call_rcu(raise_word, word)


def raise_word(word: int) -> Program[None]:
    x = yield read_once(word)
    yield write_once(word, x + 1)


def queue_and_wait(word: int) -> Program[int]:
    """A callback has run by the time rcu_barrier returns."""
    yield call_rcu(raise_word, word)
    yield rcu_barrier()
    return (yield read_once(word))


def wait_for_readers() -> Program[int]:
    yield synchronize_rcu()
    return 1


def free_twice(size: int) -> Program[None]:
    """Broken."""
    area = yield alloc_percpu(size, 8)
    yield free_percpu(area)
    yield free_percpu(area)


def allocate_often(times: int) -> Program[None]:
    """Many calls of the coordinator from compiled code."""
    for _ in range(times):
        area = yield kzalloc(64)
        yield kfree(area)


def warn(condition: int) -> Program[None]:
    """Broken where the condition holds."""
    yield warn_on(condition)


def shown_state(memcg: int) -> Program[int]:
    return (yield from memcg_page_state(memcg, Item.MEMCG_CACHE))


def exact_state(memcg: int) -> Program[int]:
    return (yield from memcg_page_state_exact(memcg, Item.MEMCG_CACHE))


def keep_slots_free(memcg: int) -> Program[None]:
    """Broken: at offline the slots are freed, and the pointer to them stays."""
    yield free_percpu((yield read_once(memcg + VMSTATS_PERCPU)))


def nothing(memcg: int) -> Program[None]:
    """What a broken protocol does where a right one does something."""
    yield read_once(memcg)


def read_own_slot(pointer: int) -> Program[int]:
    return (yield this_cpu_read(pointer))


def write_own_slot(pointer: int, value: int) -> Program[None]:
    yield this_cpu_write(pointer, value)


def allocate(size: int) -> Program[int]:
    return (yield alloc_percpu(size, 8))


def free(pointer: int) -> Program[None]:
    yield free_percpu(pointer)


def read_and_free_slots(memcg: int) -> Program[None]:
    """Broken where the slots are freed already: they are read, and freed once more."""
    slots = yield read_once(memcg + VMSTATS_PERCPU)
    yield read_once(per_cpu(slots, 0))
    yield free_percpu(slots)


def look(memcg: int, turn: int) -> Program[None]:  # noqa: ARG001
    """A worker that touches no slot."""
    yield read_once(memcg)


def double_fold(cpu: int) -> Program[None]:
    """Broken: a dead CPU's slots are added to the twins and stay where they are."""
    memcg = yield rcu_dereference(MEMCG_LIST)
    while memcg:
        slots = yield rcu_dereference(memcg + VMSTATS_PERCPU)
        if slots:
            x = yield read_once(per_cpu(slots + STAT + Item.MEMCG_CACHE, cpu))
            yield atomic_long_add(memcg + VMSTATS + Item.MEMCG_CACHE, x)
        memcg = yield rcu_dereference(memcg + MEMCG_NEXT)


def touch_nobodys(memcg: int, turn: int) -> Program[None]:  # noqa: ARG001
    """A broken worker: no process can map that address."""
    yield this_cpu_write(1 << 55, 1)


def write_null(memcg: int, turn: int) -> Program[None]:  # noqa: ARG001
    """A broken worker: it writes where NULL points to."""
    yield write_once(0, 1)


def read_field_of_null(memcg: int, turn: int) -> Program[None]:  # noqa: ARG001
    """A broken worker: it reads a field of NULL."""
    yield read_once(VMSTATS_PERCPU)


WORKERS = (charge, forgetful)
PROGRAMS = (
    answer,
    add_cache,
    start_update_and_stop,
    set_word,
    queue_set_word,
    raise_word,
    queue_and_wait,
    wait_for_readers,
    free_twice,
    allocate_often,
    warn,
    shown_state,
    exact_state,
    read_own_slot,
    write_own_slot,
    allocate,
    free,
    read_and_free_slots,
)
