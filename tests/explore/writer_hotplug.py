"""Puts CPUs that go off line and tasks that move into every fourth random setting; the others stay as they are."""

from __future__ import annotations

import random
from typing import Final

from .writer_pieces import Piece

HOTPLUG: Final[tuple[Piece, ...]] = (
    ("x = yield takedown_cpu({c})",),
    ("x = yield takedown_cpu({c})",),
    ("x = yield takedown_cpu({c})", "x = yield bringup_cpu({c})"),
    ("x = yield bringup_cpu({c})",),
    ("x = yield migrate_to({c})",),
    ("y = yield smp_processor_id()", "x = yield migrate_to({c})", "yield this_cpu_add(8, 1)", "yield migrate_to(y)"),
    ("x = yield migrate_to({c})", "yield rcu_read_lock()", "x = yield this_cpu_read(8)", "yield rcu_read_unlock()"),
    ("x = yield smp_processor_id()", "x = yield takedown_cpu(x)", "x = yield smp_processor_id()"),
)
MIXED: Final[tuple[Piece, ...]] = (
    ("x = yield irq_work_queue_on(poking, 2, {c})", "x = yield takedown_cpu({c})"),
    ("x = yield takedown_cpu({c})", "x = yield irq_work_queue_on(counting_here, 1, {c})", "yield bringup_cpu({c})"),
    ("x = yield irq_work_queue_on(raising, 1, {c})", "yield migrate_to({c})", "y = yield read_once(FLAG)"),
    ("yield irq_work_queue_on(passing_on, 1, {c})", "x = yield takedown_cpu({c})"),
    ("x = yield takedown_cpu({c})", "p = yield kzalloc(8)", "if not p:", "    x = yield bringup_cpu({c})",
     "yield kfree(p)"),
    ("p = yield kzalloc(8)", "if not p:", "    x = yield irq_work_queue_on(raising, 2, {c})", "yield kfree(p)"),
    ("x = yield call_rcu(callback, 1)", "x = yield takedown_cpu({c})"),
    ("f = yield local_irq_save()", "x = yield irq_work_queue_on(counting_here, 1, {c})", "x = yield this_cpu_read(8)",
     "yield local_irq_restore(f)"),
)  # fmt: skip
"""CPUs that go off line, together with interrupts that are sent and allocations that fail."""
FAULTY: Final[tuple[Piece, ...]] = (
    ("yield preempt_disable()", "x = yield takedown_cpu({c})", "yield preempt_enable()"),
    ("yield rcu_read_lock()", "x = yield migrate_to({c})", "yield rcu_read_unlock()"),
    ("x = yield takedown_cpu({c} + 2)", "x = yield migrate_to({c} - 1)", "x = yield bringup_cpu({c} + 3)"),
)


def has_hotplug(seed: int) -> bool:
    """Whether the setting of a seed has it."""
    return seed % 4 == 2


def is_mixed(seed: int) -> bool:
    """Whether the setting of a seed has it together with sent interrupts and failures."""
    return seed % 8 == 6


def add_hotplug(seed: int, programs: list[list[list[str]]], head: str, cpus: int) -> str:
    """Insert pieces into programs, which are lists of pieces. Gives the head, whose setup may take a CPU off line."""
    chance = random.Random(f"hotplug {seed}")
    pieces = chance.choices(HOTPLUG, k=chance.choice([1, 1, 2])) + chance.choices(FAULTY, k=chance.random() < 0.1)
    pieces += chance.choices(MIXED, k=1) if is_mixed(seed) else []
    for piece in pieces:
        program = chance.choice(programs)
        cpu = str(chance.choice([0, cpus - 1, cpus - 1]))
        program.insert(chance.randint(0, len(program)), [line.replace("{c}", cpu) for line in piece])
    if chance.random() < 0.15:
        return head.replace(
            "    word = yield kzalloc(16)", f"    yield takedown_cpu({cpus - 1})\n    word = yield kzalloc(16)"
        )
    return head
