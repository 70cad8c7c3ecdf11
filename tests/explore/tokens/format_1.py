"""Programs that tokens of format 1 are kept of (`tests/explore/test_old_tokens.py`). They do not change."""

from __future__ import annotations

from percpu_emu.program import (
    AtomicLong,
    Contexts,
    PerCpu,
    Program,
    State,
    Struct,
    Word,
    alloc_percpu,
    atomic_long_add,
    call_rcu,
    counted,
    free_percpu,
    per_cpu,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    scenario,
    sizeof,
    this_cpu_add,
    xchg,
)


class Slots(Struct):
    """On every CPU."""

    slot: Word


class Counter(Struct):
    """Slots, and the atomic twin."""

    slots: PerCpu[Slots]
    total: AtomicLong


counter = Counter()


def setup() -> Program[None]:
    slots = yield alloc_percpu(sizeof(Slots), 8)
    yield rcu_assign_pointer(counter.slots, slots)


def update(times: int) -> Program[None]:
    for _ in range(times):
        yield rcu_read_lock()
        slots = yield rcu_dereference(counter.slots)
        with counted(counter.total, 1):
            if slots:
                yield this_cpu_add(slots.slot, 1)
            else:
                yield atomic_long_add(counter.total, 1)
        yield rcu_read_unlock()


def release() -> Program[None]:
    slots = yield read_once(counter.slots)
    for cpu in range(2):
        x = yield xchg(per_cpu(slots.slot, cpu), 0)
        yield atomic_long_add(counter.total, x)
    yield rcu_assign_pointer(counter.slots, 0)
    yield call_rcu(free, slots)


def free(slots: Slots) -> Program[None]:
    yield free_percpu(slots)


def all_counted(state: State) -> str | None:
    seen, added = state.at(counter).total, state.ledger(counter.total)
    return None if seen == added else f"{seen} of {added}"


@scenario(cpus=2, setup=setup, final=all_counted)
def format_1(m: Contexts) -> None:
    """Updates that move to another CPU, an interrupt, and a release that flushes too early."""
    m.task(update, 6, cpu="all", turns=2, migrates=1)
    m.interrupt(update, 2, cpu=0)
    m.task(release)
