"""What each operation gives and leaves behind, in both engines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from percpu_emu.lang import context as c
from percpu_emu.lang import ops
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.words import LONG_MAX, LONG_MIN

from . import operations
from .rig import FIRST_OBJECT, UNIT_WORDS, Rig, Words, programs_of

if TYPE_CHECKING:
    from collections.abc import Iterator

P: Final = 100
"""A word of the kernel's memory, of which 7 is the value; the next one's is -3."""
SLOT: Final = 40
"""A per-CPU word: 5 on this CPU, 9 on the next."""
MASK: Final = 104
"""A mask of the CPUs 0 and 2."""
BEFORE: Final[Words] = {
    ("memory", P): 7,
    ("memory", P + 1): -3,
    ("memory", MASK): 0b101,
    ("percpu", UNIT_WORDS + SLOT): 5,
    ("percpu", 2 * UNIT_WORDS + SLOT): 9,
}


def word(value: int) -> Words:
    return {("memory", P): value}


def slot(value: int) -> Words:
    return {("percpu", UNIT_WORDS + SLOT): value}


def block(values: dict[int, int]) -> Words:
    return {("control", c.block_offset(0) + at): value for at, value in values.items()}


def queued(kind: int, argument: int) -> Words:
    ring = {c.RING_TAIL: 1, c.RING: CALLBACK_NUMBER * 2 + kind, c.RING + 1: argument}
    return {("control", c.DOORBELL): 1, **block(ring)}


CALLBACK_NUMBER: Final = 1  # it stands first in `operations`


@dataclass(frozen=True)
class Row:
    operation: str
    arguments: tuple[int, ...]
    result: int
    changes: Words = field(default_factory=dict)
    served: list[tuple[int, int, int]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.operation}{self.arguments}"


ROWS: Final = [
    Row("read_once", (P,), 7),
    Row("read_once", (P + 1,), -3),
    Row("per_cpu", (SLOT, 1), 5, slot(99)),
    Row("per_cpu", (SLOT, 2), 9, {("percpu", 2 * UNIT_WORDS + SLOT): 99}),
    Row("per_cpu", (SLOT, 0), 0, {("percpu", SLOT): 99}),
    Row("write_once", (P, -1), 0, word(-1)),
    Row("smp_load_acquire", (P,), 7),
    Row("smp_store_release", (P, 1 << 40), 0, word(1 << 40)),
    Row("smp_mb", (), 0),
    Row("smp_rmb", (), 0),
    Row("smp_wmb", (), 0),
    Row("atomic_long_read_acquire", (P,), 7),
    Row("atomic_long_add", (P, -9), 0, word(-2)),
    Row("atomic_long_add", (P, LONG_MAX), 0, word(LONG_MIN + 6)),
    Row("atomic_long_add_return", (P, 4), 11, word(11)),
    Row("atomic_long_add_return", (P, LONG_MAX), LONG_MIN + 6, word(LONG_MIN + 6)),
    Row("atomic_long_fetch_add", (P, 4), 7, word(11)),
    Row("xchg", (P, 8), 7, word(8)),
    Row("xchg_relaxed", (P, 8), 7, word(8)),
    Row("cmpxchg", (P, 7, 8), 7, word(8)),
    Row("cmpxchg", (P, 6, 8), 7),
    Row("this_cpu_read", (SLOT,), 5),
    Row("this_cpu_write", (SLOT, -5), 0, slot(-5)),
    Row("this_cpu_add", (SLOT, 3), 0, slot(8)),
    Row("this_cpu_add", (SLOT, 1 << 40), 0, slot((1 << 40) + 5)),
    Row("this_cpu_sub", (SLOT, 6), 0, slot(-1)),
    Row("this_cpu_sub", (SLOT, LONG_MIN), 0, slot(LONG_MIN + 5)),
    Row("this_cpu_inc", (SLOT,), 0, slot(6)),
    Row("this_cpu_dec", (SLOT,), 0, slot(4)),
    Row("this_cpu_and", (SLOT, 4), 0, slot(4)),
    Row("this_cpu_or", (SLOT, 8), 0, slot(13)),
    Row("this_cpu_add_return", (SLOT, -6), -1, slot(-1)),
    Row("this_cpu_xchg", (SLOT, 6), 5, slot(6)),
    Row("this_cpu_cmpxchg", (SLOT, 5, 6), 5, slot(6)),
    Row("this_cpu_cmpxchg", (SLOT, 4, 6), 5),
    Row("__this_cpu_read", (SLOT,), 5),
    Row("__this_cpu_write", (SLOT, 6), 0, slot(6)),
    Row("rcu_read_lock", (), 0),
    Row("rcu_read_unlock", (), 0),
    Row("rcu_dereference", (P,), 7),
    Row("rcu_assign_pointer", (P, 12), 0, word(12)),
    Row("call_rcu", (P,), 0, queued(c.CALLBACK, P)),
    Row("synchronize_rcu", (), 0, block({c.QUIESCENT: 1}), [(c.SYNCHRONIZE_RCU, 0, 0)]),
    Row("rcu_barrier", (), 0, block({c.QUIESCENT: 1}), [(c.RCU_BARRIER, 0, 0)]),
    Row("queue_work", (-1,), 0, queued(c.WORK, -1)),
    Row("quiescent_state", (), 0, block({c.QUIESCENT: 1})),
    Row("preempt_disable", (), 0),
    Row("preempt_enable", (), 0),
    Row("local_irq_save", (), 1, block({c.IRQS_OFF: 1})),
    Row("local_irq_restore", (0,), 0),
    Row("local_irq_restore", (1,), 0, block({c.IRQS_OFF: 1})),
    Row("alloc_percpu", (24, 8), 3, {}, [(c.ALLOC_PERCPU, 24, 8)] * 2),
    Row("free_percpu", (520,), 0, {}, [(c.FREE_PERCPU, 520, 0)]),
    Row("kzalloc", (64,), FIRST_OBJECT, {}, [(c.KZALLOC, 64, 0)]),
    Row("kfree", (2048,), 0, {}, [(c.KFREE, 2048, 0)]),
    Row("wait_until", (P, 7), 0, block({c.QUIESCENT: 1})),
    Row("smp_cond_load_acquire", (P, 7), 7),
    Row("cpu_relax", (), 0, {}, [(c.LOOK, 0, 0)]),
    Row("smp_processor_id", (), 1),
    Row("nr_cpu_ids", (), 3),
    Row("nr_node_ids", (), 2),
    Row("cpumask_next", (-1, MASK), 0),
    Row("cpumask_next", (0, MASK), 2),
    Row("cpumask_next", (2, MASK), 3),
    Row("cpumask_next", (3, MASK), 3),
    Row("ledger_add", (P, -4), 0, block({c.NOTED: 1, c.NOTES: P, c.NOTES + 1: -4})),
    Row(
        "ledger_commit",
        (P, -4),
        0,
        {("ledger", P): -4, ("ledger", P + 1): 4}
        | block({c.UPDATES: 1, c.NOTES: P, c.NOTES + 1: -4, c.NOTES + 2: P + 1, c.NOTES + 3: 4}),
    ),
    Row("ledger_commit", (515, 2), 0, {("ledger", 515): 2, ("ledger", 516): -2}
        | block({c.UPDATES: 1, c.NOTES: 515, c.NOTES + 1: 2, c.NOTES + 2: 516, c.NOTES + 3: -2})),
    Row("mark", (), 0, block({c.MARKS: 1, c.MARKS + 1: 2})),
    Row("warn_on", (0,), 0),
    Row("warn_on", (-2,), -2, block({c.WARNINGS: 1})),
]  # fmt: skip


@pytest.fixture(scope="module")
def operations_rig() -> Iterator[Rig]:
    rig = Rig(before=dict(BEFORE))
    rig.prepare(programs_of(operations))
    yield rig
    rig.close()


def program(name: str) -> Any:
    return getattr(operations, f"do_{name}")


def test_every_operation_is_in_the_table() -> None:
    native = {name for name, operation in OPERATIONS.items() if operation.native}
    operations_there = native | {name for name, value in vars(ops).items() if value is ops.per_cpu}
    assert {row.operation for row in ROWS} == operations_there


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_an_operation_does_the_same_in_both_engines(operations_rig: Rig, row: Row) -> None:
    outcome = operations_rig.both(program(row.operation), *row.arguments)
    assert outcome.result == row.result
    assert outcome.words == {at: value for at, value in (BEFORE | row.changes).items() if value}
    assert outcome.served == row.served


def test_marks_and_warnings_are_named_alike_in_both_engines(operations_rig: Rig) -> None:
    image = operations_rig.image(operations.do_mark)
    assert image.marks == ["first", "second"]
    assert [str(site) for site in image.warnings] == [
        f"do_warn_on:1 (line {operations.do_warn_on.__code__.co_firstlineno + 1}: warn_on(condition))"
    ]


@pytest.mark.parametrize(
    ("name", "arguments"), [("wait_until", (P, 8)), ("smp_cond_load_acquire", (P, 8)), ("cpu_relax", ())]
)
def test_who_blocks_or_polls_notices_the_end_of_the_machine(
    operations_rig: Rig, name: str, arguments: tuple[int, ...]
) -> None:
    operations_rig.before |= {("control", c.STOP): 1}
    try:
        assert operations_rig.both(program(name), *arguments).result == "Stopped"
    finally:
        del operations_rig.before["control", c.STOP]


@pytest.mark.parametrize("name", ["alloc_percpu", "free_percpu", "kzalloc", "kfree", "synchronize_rcu", "rcu_barrier"])
def test_a_refused_request_ends_the_program(operations_rig: Rig, name: str) -> None:
    operations_rig.refuses = True
    try:
        arguments = range(program(name).__code__.co_argcount)
        assert operations_rig.both(program(name), *arguments).result == "ProgramFault"
    finally:
        operations_rig.refuses = False


def test_a_grace_period_that_began_is_reported_once(operations_rig: Rig) -> None:
    operations_rig.before |= {("control", c.GP_SEQ): 5, ("control", c.block_offset(0) + c.QUIESCENT): 5}
    try:
        outcome = operations_rig.both(operations.do_quiescent_state)
        assert outcome.words["control", c.block_offset(0) + c.QUIESCENT] == 5
        operations_rig.before |= {("control", c.GP_SEQ): 6}
        outcome = operations_rig.both(operations.do_quiescent_state)
        assert outcome.words["control", c.block_offset(0) + c.QUIESCENT] == 6
    finally:
        operations_rig.before = dict(BEFORE)
