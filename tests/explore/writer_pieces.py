"""What random programs are made of: a head that they share, and pieces by what they are about.

In a piece `{w}` is a number of a word, `{n}` a small number (or `t`, the program's argument), `{o}` the number of a
word in an object, `{s}` a size in bytes, `{cpus}` how many CPUs there are, `{inner}` another piece.
"""

from __future__ import annotations

from typing import Final, TypeAlias

Piece: TypeAlias = tuple[str, ...]

HEAD: Final = """\
from percpu_emu.kernel.layout import CPU_ONLINE_MASK, CPU_POSSIBLE_MASK, STATIC
from percpu_emu.lang.ops import *
from percpu_emu.lang.ops import __this_cpu_read, __this_cpu_write

AREA = STATIC  # a pointer to a per-CPU area of 12 bytes
OBJECT = STATIC + 4  # a pointer to an object of 16 bytes
SMALL = STATIC + 6  # a pointer to an object of 8 or 12 bytes
COUNTER = STATIC + 5
SLOT = 16  # the counter's, in the static per-CPU area
FLAG = STATIC + 7
LOCK = STATIC + 8
OTHER = STATIC + 9  # another lock


def setup():
    area = yield alloc_percpu(12, 8)
    yield write_once(AREA, area)
    word = yield kzalloc(16)
    yield write_once(OBJECT, word)
    word = yield kzalloc({small})
    yield write_once(SMALL, word)


def total(counter):
    x = yield read_once(counter)
    for cpu in range({cpus}):
        x += yield read_once(per_cpu(SLOT, cpu))
    return x


def callback(argument):
    x = yield read_once(STATIC + 1)
    yield write_once(STATIC + 2, x + argument)


def counting(argument):
    yield ledger_add(COUNTER, argument)
    yield atomic_long_add(COUNTER, argument)
    yield ledger_commit()


def again(argument):
    if argument:
        yield call_rcu(again, argument - 1)
    yield atomic_long_add(STATIC + 1, 1)


def raising(argument):
    yield write_once(FLAG, argument)


def passing_on(argument):
    yield queue_work(raising, argument)


def counting_here(argument):
    yield ledger_add(COUNTER, argument)
    yield this_cpu_add(SLOT, argument)
    yield ledger_commit()


def poking(argument):
    x = yield this_cpu_read(8)
    yield this_cpu_write(8, x + argument)
    yield atomic_long_add(STATIC + 1, x)


def calling_on(argument):
    yield call_rcu(callback, argument)
    yield irq_work_queue_on(poking, argument, {cpus} - 1)


def letting_go(word):
    yield smp_store_release(word, 0)


def spinning(argument):
    yield smp_cond_load_acquire(FLAG, argument)
    yield write_once(STATIC + 1, argument)


def working(argument):
    yield wait_until(FLAG, argument)
    yield write_once(STATIC + 1, argument)


def reading(argument):
    yield rcu_read_lock()
    p = yield rcu_dereference(OBJECT)
    if p:
        yield read_once(p + argument)
    yield rcu_read_unlock()


def sleeping(argument):
    yield wait_until(STATIC + 1, argument)


def left_open(argument):
    yield rcu_read_lock()
    if argument:
        yield rcu_read_unlock()


def retire(area):
    x = 0
    for cpu in range({cpus}):
        x += yield read_once(per_cpu(area, cpu))
    yield atomic_long_add(STATIC + 3, x)
    yield free_percpu(area)


def discard(word):
    yield write_once(word, 3)
    yield kfree(word)


def discard_it(word):
    yield kfree(word)


def work(argument):
    yield write_once(STATIC + 1, argument)


def down(cpu):
    x = yield read_once(per_cpu(8, cpu))
    yield atomic_long_add(STATIC + 3, x)


def lock(word):
    while (yield xchg(word, 1)):
        yield cpu_relax()


def unlock(word):
    yield smp_store_release(word, 0)


def lock_asleep(word):
    while (yield cmpxchg(word, 0, 1)):
        yield wait_until(word, 0)
"""

PLAIN: Final = "x = yield read_once(STATIC + {w})"

WORDS: Final[tuple[Piece, ...]] = (
    ("x = yield read_once(STATIC + {w})",),
    ("yield write_once(STATIC + {w}, x + {n})",),
    ("yield atomic_long_add(STATIC + {w}, {n})",),
    ("x = yield atomic_long_add_return(STATIC + {w}, {n})",),
    ("x = yield atomic_long_fetch_add(STATIC + {w}, {n})",),
    ("x = yield xchg(STATIC + {w}, {n})",),
    ("x = yield xchg_relaxed(STATIC + {w}, {n})",),
    ("x = yield atomic_long_read_acquire(STATIC + {w})",),
    ("yield smp_wmb()",),
    ("yield smp_rmb()",),
    ("x = yield cmpxchg(STATIC + {w}, 0, {n})",),
    ("x = yield smp_load_acquire(STATIC + {w})",),
    ("yield smp_store_release(STATIC + {w}, {n})", "yield smp_mb()"),
    ("x = (yield read_once(STATIC + {w})) + (yield read_once(STATIC + {w}))",),
)
OWN: Final[tuple[Piece, ...]] = (
    ("x = yield this_cpu_read(8 + {w})",),
    ("yield this_cpu_write(8 + {w}, x + {n})",),
    ("yield this_cpu_add(8 + {w}, {n})",),
    ("yield this_cpu_sub(8 + {w}, {n})",),
    ("yield this_cpu_inc(8)",),
    ("yield this_cpu_dec(8)",),
    ("x = yield this_cpu_add_return(8 + {w}, {n})",),
    ("x = yield this_cpu_xchg(8 + {w}, {n})",),
    ("x = yield this_cpu_cmpxchg(8 + {w}, {n}, x)",),
    ("yield this_cpu_or(8 + {w}, {n})", "yield this_cpu_and(8 + {w}, x)"),
    ("x = yield __this_cpu_read(8)", "yield __this_cpu_write(8, x + {n})"),
)
REMOTE: Final[tuple[Piece, ...]] = (
    ("x = yield read_once(per_cpu(8, {n} % {cpus}))",),
    ("yield write_once(per_cpu(8, {n} % {cpus}), x)",),
    ("x = yield xchg(per_cpu(8 + {w}, {n} % {cpus}), 0)",),
    ("yield atomic_long_add(per_cpu(8 + {w}, {n} % {cpus}), 1)",),
    ("x = yield atomic_long_fetch_add(per_cpu(8 + {w}, {n} % {cpus}), 1)",),
    ("x = yield cmpxchg(per_cpu(8 + {w}, {n} % {cpus}), {n}, 2)",),
)
RCU: Final[tuple[Piece, ...]] = (
    ("yield rcu_read_lock()", "{inner}", "yield rcu_read_unlock()"),
    ("yield rcu_read_lock()", "p = yield rcu_dereference(AREA)", "if p:", "    yield this_cpu_add(p, {n})",
     "yield rcu_read_unlock()"),
    ("yield rcu_read_lock()", "p = yield rcu_dereference(AREA)", "if p:", "    x = yield this_cpu_read(p + {o})",
     "yield rcu_read_unlock()"),
    ("yield rcu_read_lock()", "p = yield rcu_dereference(OBJECT)", "if p:", "    x = yield read_once(p + {o})",
     "yield rcu_read_unlock()"),
    ("yield rcu_read_lock()", "p = yield rcu_dereference(SMALL)", "{inner}", "if p:", "    x = yield read_once(p)",
     "yield rcu_read_unlock()"),
    ("p = yield xchg(AREA, 0)", "if p:", "    yield call_rcu(retire, p)"),
    ("p = yield xchg(AREA, 0)", "if p:", "    yield synchronize_rcu()", "    yield from retire(p)"),
    ("p = yield xchg(OBJECT, 0)", "if p:", "    yield call_rcu(discard, p)"),
    ("p = yield xchg(SMALL, 0)", "yield synchronize_rcu()", "yield kfree(p)"),
    ("yield synchronize_rcu()",),
    ("yield rcu_barrier()",),
    ("yield quiescent_state()",),
)  # fmt: skip
MEMORY: Final[tuple[Piece, ...]] = (
    ("p = yield kzalloc({s})", "yield write_once(p, {n})", "yield kfree(p)"),
    ("p = yield kzalloc(16)", "yield write_once(p + {o}, {n})", "p = yield xchg(OBJECT, p)", "{inner}",
     "yield call_rcu(discard, p)"),
    ("p = yield kzalloc({s})", "yield rcu_assign_pointer(SMALL, p)"),
    ("p = yield alloc_percpu({s}, 8)", "x = yield cmpxchg(AREA, 0, p)", "if x:", "    yield free_percpu(p)"),
    ("p = yield read_once(SMALL)", "if p:", "    yield write_once(p, {n})"),
    ("p = yield read_once(AREA)", "if p:", "    x = yield read_once(per_cpu(p + {o}, {n} % {cpus}))"),
)  # fmt: skip
SECTIONS: Final[tuple[Piece, ...]] = (
    ("yield preempt_disable()", "{inner}", "yield preempt_enable()"),
    ("f = yield local_irq_save()", "{inner}", "yield local_irq_restore(f)"),
    ("f = yield local_irq_save()", "g = yield local_irq_save()", "yield local_irq_restore(g)", "{inner}",
     "yield local_irq_restore(f)"),
    ("g = yield local_irq_save()", "yield rcu_read_lock()", "{inner}", "yield local_irq_restore(g)", "{inner}",
     "yield rcu_read_unlock()"),
    ("yield preempt_disable()", "yield rcu_read_lock()", "{inner}", "yield preempt_enable()", "{inner}",
     "yield rcu_read_unlock()"),
    ("yield local_irq_restore(1)", "{inner}", "yield local_irq_restore(0)"),
    ("yield rcu_read_lock()", "yield rcu_read_lock()", "yield rcu_read_unlock()", "{inner}",
     "yield rcu_read_unlock()"),
)  # fmt: skip
CALLBACKS: Final[tuple[Piece, ...]] = (
    ("yield call_rcu(callback, {n})",),
    ("yield call_rcu(counting, {n})",),
    ("yield call_rcu(again, {n} & 1)",),
    ("yield call_rcu(passing_on, {n})",),
    ("yield call_rcu(reading, {o})",),
    ("yield rcu_read_lock()", "yield call_rcu(callback, {n})", "{inner}", "yield rcu_read_unlock()"),
    ("yield call_rcu(callback, {n})", "yield rcu_barrier()"),
    ("yield queue_work(work, {n})",),
    ("yield queue_work(counting, 1)",),
    ("yield queue_work(passing_on, {n})",),
)
SENT: Final[tuple[Piece, ...]] = (
    ("yield irq_work_queue_on(callback, {n}, {n} % {cpus})",),
    ("yield irq_work_queue_on(counting_here, {n}, ({n} + 1) % {cpus})",),
    ("x = yield irq_work_queue_on(poking, {w}, {n} % {cpus})",),
    ("yield irq_work_queue_on(poking, {n}, 0)", "yield irq_work_queue_on(raising, {n}, 0)"),
    ("yield irq_work_queue_on(reading, {o}, {n} % {cpus})", "{inner}"),
    ("yield irq_work_queue_on(passing_on, {n}, {n} % {cpus})",),
    ("yield irq_work_queue_on(calling_on, {n}, 0)",),
    (
        "yield write_once(LOCK, 1)",
        "x = yield irq_work_queue_on(letting_go, LOCK, {n} % {cpus})",
        "if x:",
        "    yield smp_cond_load_acquire(LOCK, 0)",
    ),
    (
        "f = yield local_irq_save()",
        "yield irq_work_queue_on(poking, {w}, {n} % {cpus})",
        "{inner}",
        "yield local_irq_restore(f)",
    ),
)  # fmt: skip
LEDGER: Final[tuple[Piece, ...]] = (
    ("yield ledger_add(COUNTER, 1)", "yield this_cpu_add(SLOT, 1)", "yield ledger_commit()"),
    ("yield ledger_add(COUNTER, {n})", "yield atomic_long_add(COUNTER, {n})", "yield ledger_commit()"),
    ("yield ledger_add(COUNTER, 1)", "f = yield local_irq_save()", "x = yield __this_cpu_read(SLOT)",
     "yield __this_cpu_write(SLOT, x + 1)", "yield local_irq_restore(f)", "yield ledger_commit()"),
    ("x = yield this_cpu_xchg(SLOT, 0)", "yield atomic_long_add(COUNTER, x)"),
)  # fmt: skip
MACHINE: Final[tuple[Piece, ...]] = (
    ("x = yield smp_processor_id()",),
    ("x = yield nr_cpu_ids()",),
    ("x = yield nr_node_ids()",),
    ("x = yield cpumask_next({n} - 1, CPU_ONLINE_MASK)",),
    ("x = yield cpumask_next(-1, CPU_POSSIBLE_MASK)",),
    ('yield mark("m{w}")',),
    ("if x > {n}:", "    {inner}"),
    ("for i in range(2):", "    {inner}"),
    ("while x > 1:", "    x = yield atomic_long_add_return(STATIC + {w}, -1)"),
    ("x = yield smp_load_acquire(STATIC + {w})", "yield warn_on(x > 4)"),
)
ARITHMETIC: Final[tuple[Piece, ...]] = (
    ("x = yield read_once(STATIC + {w})", "x = (x << (x & 3)) + (1 >> (x & 1))"),
    ("x = yield read_once(STATIC + {w})", "x = 7 // (x & 3 | 4) + 7 % (x & 3 | 4)"),
    ("x = yield read_once(STATIC + {w})", "for i in range(0, 2, 1 + (x & 1)):", "    yield cpu_relax()"),
    ("x = yield read_once(STATIC + {w})", "yield write_once(STATIC + {w}, (x ^ {n}) & ~1)"),
)
WAITS: Final[tuple[Piece, ...]] = (
    ("yield wait_until(FLAG, 0)",),
    ("yield wait_until(per_cpu(9, {n} % {cpus}), 0)",),
    ("yield smp_cond_load_acquire(FLAG, 0)",),
    ("x = yield smp_cond_load_acquire(FLAG, 0)", "{inner}"),
    ("yield from lock(LOCK)", "{inner}", "yield from unlock(LOCK)"),
)
FAILING: Final[tuple[Piece, ...]] = (
    ("p = yield kzalloc(8)", "if p:", "    yield write_once(p, 1)", "    yield kfree(p)", "else:",
     "    yield write_once(STATIC + 1, 2)"),
    ("p = yield alloc_percpu(8, 8)", "if not p:", "    x = yield atomic_long_add_return(STATIC + 2, 1)",
     "yield free_percpu(p)"),
    ("p = yield kzalloc(8)", "if not p:", "    x = yield read_once(STATIC + 1)", "    yield write_once(FLAG, x)"),
    ("yield rcu_read_lock()", "p = yield kzalloc(8)", "x = yield read_once(STATIC + 2)", "yield rcu_read_unlock()",
     "yield kfree(p)"),
    ("p = yield kzalloc(8)", "p = yield xchg(OBJECT, p)", "yield call_rcu(discard_it, p)"),
)  # fmt: skip
"""Where allocations may fail."""
FAULTY: Final[tuple[Piece, ...]] = (
    ("yield rcu_read_lock()",),
    ("yield rcu_read_unlock()",),
    ("yield preempt_enable()",),
    ("yield rcu_read_lock()", "yield preempt_enable()"),
    ("f = yield local_irq_save()", "if x:", "    yield local_irq_restore(f)"),
    ("f = yield local_irq_save()", "yield local_irq_restore(1)"),
    ("yield local_irq_restore(x)",),
    ("yield rcu_read_lock()", "yield wait_until(FLAG, 0)", "yield rcu_read_unlock()"),
    ("yield preempt_disable()", "yield rcu_barrier()", "yield preempt_enable()"),
    ("yield rcu_read_lock()", "yield synchronize_rcu()", "yield rcu_read_unlock()"),
    ("yield wait_until(STATIC + {w}, {n})",),
    ("yield smp_cond_load_acquire(STATIC + {w}, {n})",),
    ("while not (yield read_once(STATIC + {w})):", "    yield cpu_relax()"),
    ("yield call_rcu(sleeping, {n})",),
    ("yield call_rcu(left_open, {n})",),
    ("yield call_rcu(spinning, {n})",),
    ("yield queue_work(working, {n})",),
    ("yield irq_work_queue_on(sleeping, {n}, 0)",),
    ("yield irq_work_queue_on(left_open, {n} & 1, {n} % {cpus})",),
    ("yield irq_work_queue_on(spinning, {n}, {n} % {cpus})",),
    ("yield irq_work_queue_on(poking, {w}, {n})",),
    ("p = yield xchg(OBJECT, 0)", "if p:", "    yield irq_work_queue_on(discard, p, {n} % {cpus})"),
    ("yield queue_work(left_open, 0)",),
    ("p = yield read_once(SMALL)", "x = yield read_once(p + 1)"),
    ("p = yield read_once(SMALL)", "yield kfree(p)"),
    ("p = yield read_once(OBJECT)", "yield write_once(OBJECT, 0)", "yield synchronize_rcu()", "yield kfree(p)"),
    ("p = yield read_once(AREA)", "yield this_cpu_add(p + {n} + 1, 1)"),
    ("p = yield read_once(AREA)", "yield write_once(per_cpu(p + 2, 0), 1)"),
    ("p = yield xchg(OBJECT, 0)", "yield kfree(p)"),
    ("p = yield xchg(OBJECT, 0)", "if p:", "    yield queue_work(discard, p)"),
    ("p = yield xchg(AREA, 0)", "yield free_percpu(p + {n})"),
    ("p = yield kzalloc({n} * 2048)", "yield write_once(p + 511, 1)"),
    ("p = yield alloc_percpu({n} * 4096, 8)",),
    ("p = yield kzalloc(8)",),
    ("x = yield read_once(STATIC + {w})", "x = x << (x - 1)"),
    ("x = yield read_once(STATIC + {w})", "x = 9 >> (x * 32)"),
    ("x = yield read_once(STATIC + {w})", "x = 6 // (x - {n})"),
    ("x = yield read_once(STATIC + {w})", "x = 6 % (x - 1)"),
    ("x = yield read_once(STATIC + {w})", "for i in range(0, 2, x):", "    yield smp_mb()"),
    ("yield write_once(x, 1)",),
    ("yield write_once(STATIC + 512, 1)",),
    ("yield this_cpu_inc(x - 1)",),
    ("x = yield read_once(per_cpu(8, {n}))",),
    ("yield warn_on(x > 1)",),
    ("yield ledger_add(COUNTER, 1)", "x = yield __this_cpu_read(SLOT)", "yield __this_cpu_write(SLOT, x + 1)",
     "yield ledger_commit()"),
    ("yield ledger_add(COUNTER, 1)", "yield this_cpu_inc(SLOT)", "yield this_cpu_inc(SLOT)", "yield ledger_commit()"),
    ("yield ledger_add(COUNTER, 0)", "yield atomic_long_add(COUNTER, -1)", "yield ledger_commit()"),
    ("yield ledger_add(COUNTER, 2147483648)", "yield atomic_long_add(COUNTER, 2147483648)", "yield ledger_commit()"),
    ("yield ledger_add(COUNTER, 0)", "yield ledger_add(COUNTER, 0)", "yield ledger_add(COUNTER, 0)",
     "yield ledger_add(COUNTER, {n})", "yield ledger_commit()"),
)  # fmt: skip
"""What mostly violates a check."""

SHARES: Final[tuple[tuple[tuple[Piece, ...], float], ...]] = (
    (WORDS, 5),
    (OWN, 4),
    (REMOTE, 1.5),
    (RCU, 3),
    (MEMORY, 1.5),
    (SECTIONS, 2.5),
    (CALLBACKS, 2),
    (SENT, 1.5),
    (LEDGER, 2.5),
    (MACHINE, 2),
    (ARITHMETIC, 1),
    (WAITS, 1),
    (FAULTY, 1.2),
)
"""How often a piece of each sort is taken."""
