"""Pairs of pieces that meet: what one context does, and what another one does about it.

Besides what `writer_pieces` knows, `{c}` is the CPU of the other context.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from .writer_pieces import Piece

Pairs: TypeAlias = tuple[tuple[Piece, Piece], ...]

WAITING: Final[Pairs] = (
    (("yield wait_until(FLAG, 1)",), ("yield write_once(FLAG, 1)",)),
    (("yield wait_until(FLAG, 1)",), ("yield write_once(FLAG, 1)", "yield write_once(FLAG, 0)")),
    (("yield wait_until(FLAG, 1)", "yield write_once(FLAG, 0)"),
     ("yield write_once(FLAG, 1)", "yield wait_until(FLAG, 0)")),
    (("x = yield smp_cond_load_acquire(FLAG, 1)",), ("yield smp_store_release(FLAG, 1)",)),
    (("yield preempt_disable()", "yield smp_cond_load_acquire(FLAG, 1)", "yield preempt_enable()"),
     ("yield write_once(FLAG, 1)",)),
    (("while not (yield read_once(FLAG)):", "    yield cpu_relax()"), ("yield write_once(FLAG, 1)",)),
    (("yield rcu_read_lock()", "while not (yield read_once(FLAG)):", "    yield cpu_relax()",
      "yield rcu_read_unlock()"),
     ("yield write_once(FLAG, 1)", "yield synchronize_rcu()")),
    (("yield wait_until(FLAG, 1)",), ("yield call_rcu(raising, 1)",)),
    (("yield wait_until(FLAG, 1)",), ("yield queue_work(raising, 1)",)),
    (("yield wait_until(FLAG, 1)",), ("yield call_rcu(passing_on, 1)",)),
    (("yield call_rcu(spinning, 1)",), ("yield write_once(FLAG, 1)",)),
    (("yield queue_work(working, 1)",), ("yield write_once(FLAG, 1)", "{inner}")),
)  # fmt: skip
LOCKING: Final[Pairs] = (
    (("yield from lock(LOCK)", "{inner}", "yield from unlock(LOCK)"),
     ("yield from lock(LOCK)", "{inner}", "yield from unlock(LOCK)")),
    (("yield from lock_asleep(LOCK)", "{inner}", "yield from unlock(LOCK)"),
     ("yield from lock_asleep(LOCK)", "{inner}", "yield from unlock(LOCK)")),
    (("yield from lock(LOCK)", "yield from lock(OTHER)", "yield from unlock(OTHER)", "yield from unlock(LOCK)"),
     ("yield from lock(OTHER)", "yield from lock(LOCK)", "yield from unlock(LOCK)", "yield from unlock(OTHER)")),
    (("yield from lock_asleep(LOCK)", "yield from lock_asleep(OTHER)", "yield from unlock(OTHER)",
      "yield from unlock(LOCK)"),
     ("yield from lock_asleep(OTHER)", "yield from lock_asleep(LOCK)", "yield from unlock(LOCK)",
      "yield from unlock(OTHER)")),
)  # fmt: skip
REMOTE: Final[Pairs] = (
    (("yield ledger_add(COUNTER, 1)", "yield this_cpu_inc(SLOT)", "yield ledger_commit()"),
     ("x = yield xchg(per_cpu(SLOT, {c}), 0)", "yield atomic_long_add(COUNTER, x)")),
    (("yield ledger_add(COUNTER, 1)", "yield this_cpu_inc(SLOT)", "yield ledger_commit()"),
     ("x = yield read_once(per_cpu(SLOT, {c}))", "yield write_once(per_cpu(SLOT, {c}), 0)",
      "yield atomic_long_add(COUNTER, x)")),
    (("x = yield this_cpu_add_return(8, 1)",), ("yield atomic_long_add(per_cpu(8, {c}), 2)",)),
    (("x = yield this_cpu_cmpxchg(8, 0, 1)",), ("x = yield cmpxchg(per_cpu(8, {c}), 0, 2)",)),
    (("yield this_cpu_or(8, 1)", "x = yield this_cpu_xchg(8, 4)"), ("yield write_once(per_cpu(8, {c}), 2)",)),
    (("yield this_cpu_sub(SLOT, 1)", "x = yield this_cpu_read(SLOT)"), ("yield xchg(per_cpu(SLOT, {c}), 5)",)),
    (("yield this_cpu_dec(8)",), ("yield atomic_long_add(per_cpu(8, {c}), 3)", "yield write_once(FLAG, 1)")),
    (("yield preempt_disable()", "yield this_cpu_add(8, 1)", "x = yield this_cpu_read(8)", "yield preempt_enable()"),
     ("x = yield atomic_long_add_return(per_cpu(8, {c}), 2)",)),
    (("p = yield read_once(AREA)", "yield this_cpu_and(p + 1, 1)"),
     ("p = yield read_once(AREA)", "yield smp_store_release(per_cpu(p + 1, {c}), 3)")),
)  # fmt: skip
FREEING: Final[Pairs] = (
    (("yield rcu_read_lock()", "p = yield rcu_dereference(OBJECT)", "{inner}", "if p:",
      "    x = yield read_once(p + {o})",
      "yield rcu_read_unlock()"),
     ("p = yield xchg(OBJECT, 0)", "yield synchronize_rcu()", "yield kfree(p)")),
    (("yield rcu_read_lock()", "p = yield rcu_dereference(OBJECT)", "yield rcu_read_unlock()"),
     ("p = yield xchg(OBJECT, 0)", "yield kfree(p)")),
    (("yield preempt_disable()", "p = yield rcu_dereference(AREA)", "if p:", "    yield this_cpu_inc(p + {o})",
      "yield preempt_enable()"),
     ("p = yield xchg(AREA, 0)", "if p:", "    yield call_rcu(retire, p)")),
    (("p = yield read_once(OBJECT)", "if p:", "    x = yield read_once(p)"),
     ("p = yield xchg(OBJECT, 0)", "yield synchronize_rcu()", "yield kfree(p)")),
    (("yield rcu_read_lock()", "p = yield rcu_dereference(AREA)", "yield rcu_read_unlock()", "if p:",
      "    x = yield read_once(per_cpu(p, 0))"),
     ("p = yield xchg(AREA, 0)", "if p:", "    yield call_rcu(retire, p)")),
    (("p = yield read_once(SMALL)", "yield write_once(SMALL, 0)", "yield kfree(p)"),
     ("p = yield read_once(SMALL)", "yield write_once(SMALL, 0)", "yield kfree(p)")),
    (("yield ledger_add(COUNTER, 1)", "yield this_cpu_inc(SLOT)", "yield ledger_commit()",
      "x = yield this_cpu_xchg(SLOT, 0)", "yield atomic_long_add(COUNTER, x)"),
     ("yield call_rcu(callback, {n})",)),
)  # fmt: skip
SENDING: Final[Pairs] = (
    (("yield wait_until(FLAG, 1)",), ("yield irq_work_queue_on(raising, 1, {c})",)),
    (("f = yield local_irq_save()", "yield smp_cond_load_acquire(FLAG, 1)", "yield local_irq_restore(f)"),
     ("yield irq_work_queue_on(raising, 1, {c})",)),
    (("f = yield local_irq_save()", "x = yield read_once(FLAG)", "yield local_irq_restore(f)"),
     ("yield irq_work_queue_on(raising, 1, {c})", "yield write_once(FLAG, 2)")),
    (("f = yield local_irq_save()", "x = yield __this_cpu_read(8)", "yield __this_cpu_write(8, x + 1)",
      "yield local_irq_restore(f)"),
     ("yield irq_work_queue_on(poking, 2, {c})", "{inner}")),
    (("x = yield __this_cpu_read(8)", "yield __this_cpu_write(8, x + 1)"),
     ("yield irq_work_queue_on(poking, 2, {c})", "yield irq_work_queue_on(poking, 3, {c})")),
    (("yield ledger_add(COUNTER, 1)", "x = yield __this_cpu_read(SLOT)", "yield __this_cpu_write(SLOT, x + 1)",
      "yield ledger_commit()"),
     ("yield irq_work_queue_on(counting_here, 1, {c})",)),
    (("yield irq_work_queue_on(raising, 1, {c})", "{inner}"),
     ("yield irq_work_queue_on(raising, 2, {c})", "x = yield read_once(FLAG)")),
    (("yield irq_work_queue_on(raising, 1, 0)", "yield irq_work_queue_on(callback, {n}, 0)"),
     ("yield irq_work_queue_on(raising, 2, 0)",)),
    (("yield write_once(LOCK, 1)", "yield irq_work_queue_on(letting_go, LOCK, {c})",
      "yield smp_cond_load_acquire(LOCK, 0)"),
     ("f = yield local_irq_save()", "yield write_once(OTHER, 1)", "yield irq_work_queue_on(letting_go, OTHER, {c})",
      "yield smp_cond_load_acquire(OTHER, 0)", "yield local_irq_restore(f)")),
    (("f = yield local_irq_save()", "yield from lock(LOCK)", "yield from unlock(LOCK)", "yield local_irq_restore(f)"),
     ("yield from lock(LOCK)", "yield irq_work_queue_on(letting_go, LOCK, {c})", "{inner}")),
    (("yield rcu_read_lock()", "p = yield rcu_dereference(OBJECT)", "if p:", "    x = yield read_once(p)",
      "yield rcu_read_unlock()"),
     ("p = yield xchg(OBJECT, 0)", "if p:", "    yield irq_work_queue_on(discard, p, {c})")),
    (("yield irq_work_queue_on(reading, 0, {c})",), ("p = yield xchg(OBJECT, 0)", "yield synchronize_rcu()",
      "yield kfree(p)")),
    (("yield irq_work_queue_on(calling_on, 2, {c})",), ("yield rcu_read_lock()", "{inner}", "yield rcu_read_unlock()")),
)  # fmt: skip
SORTS: Final = (WAITING, LOCKING, REMOTE, FREEING, SENDING)
