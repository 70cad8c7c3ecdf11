"""Every operation of the table is performed on real processes, and comes to what the model says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from percpu_emu.lang import instructions as i
from percpu_emu.lang.operation import OPERATIONS, Operation
from percpu_emu.lang.setting import HALF, ContextSpec, Setting, unit_word
from percpu_emu.lang.trace import Access
from percpu_emu.lang.words import LONG_MAX, LONG_MIN
from percpu_emu.replay import Replayed, replay
from percpu_emu.replay.operations import Operations
from percpu_emu.scenario.programs import execute
from percpu_emu.scenario.replaying import plan_of
from tests.replay import programs as p
from tests.replay.schedules import taken

if TYPE_CHECKING:
    from pathlib import Path

    from percpu_emu.explore.tracing import Stepper

TEXT = """
from percpu_emu.lang.ops import *
from percpu_emu.lang.ops import __this_cpu_read, __this_cpu_write
from percpu_emu.kernel.layout import CPU_ONLINE_MASK, STATIC


def later(word):
    yield write_once(word, 1)


def setup():
    yield write_once(STATIC, {before})
    yield write_once(per_cpu(3, 0), {before})
    yield write_once(per_cpu(3, 1), {before})


def do():
    {prelude}
    result = yield {name}({arguments})
    {end}
    return result
"""
ARGUMENTS = {
    "function": "later",
    "argument": "STATIC + 1",
    "name": '"here"',
    "condition": "0",
    "flags": "0",
    "size": "20",
    "align": "8",
    "counter": "STATIC",
    "delta": "3",
    "cpu": "0",
    "mask": "CPU_ONLINE_MASK",
}
PRELUDES = {
    i.FREE_PERCPU: "memory = yield alloc_percpu(8, 8)",
    i.KFREE: "memory = yield kzalloc(8)",
    i.LEDGER_COMMIT: "yield ledger_add(STATIC, 2)",
    i.RCU_READ_UNLOCK: "yield rcu_read_lock()",
    i.PREEMPT_ENABLE: "yield preempt_disable()",
    i.LOCAL_IRQ_RESTORE: "yield local_irq_save()",
}
ENDS = {
    i.RCU_READ_LOCK: "yield rcu_read_unlock()",
    i.PREEMPT_DISABLE: "yield preempt_enable()",
    i.LOCAL_IRQ_SAVE: "yield local_irq_restore(0)",
}
SPLIT = [name for name, operation in OPERATIONS.items() if operation.is_split]


def setting_of(folder: Path, operation: Operation, cpu: int | None, values: dict[str, Any], *others: Any) -> Setting:
    """A program of that one operation, and what it takes to do it."""
    memory = "memory" if operation.opcode in (i.KFREE, i.FREE_PERCPU) else "3" if operation.own else "STATIC"
    named = {**ARGUMENTS, "pointer": memory, "value": "7", "old": "7", "new": "9", "before": "7", **values}
    text = TEXT.format(
        name=operation.name,
        before=named["before"],
        prelude=PRELUDES.get(operation.opcode, "pass"),
        arguments=", ".join(str(named[name]) for name, _ in operation.parameters),
        end=ENDS.get(operation.opcode, "pass"),
    )
    path = folder / f"{operation.name.strip('_')}.py"
    path.write_text(text)
    module = execute(path)
    return Setting(2, (ContextSpec("it", module.do, cpu=cpu), *others), module.setup)


def agreed(setting: Setting, schedule: list[int] | None = None) -> tuple[Replayed, Stepper]:
    """A schedule, or all that can be done, on real processes and in the model, where both come to the same."""
    stepper = taken(setting, schedule or [])
    while schedule is None and (choices := stepper.choices()):
        stepper.take(choices[0])
    done = replay(setting, plan_of(stepper))
    assert done.difference is None
    assert done.violation is None
    assert stepper.violated == ""
    assert done.steps == stepper.steps
    assert done.words == stepper.model.words(stepper.state[: stepper.model.size])
    assert done.results == stepper.model.results(stepper.state)
    assert done.ledgers == stepper.ledgers()
    return done, stepper


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_comes_to_what_the_model_says(name: str, tmp_path: Path) -> None:
    done, _ = agreed(setting_of(tmp_path, OPERATIONS[name], 1, {}))
    assert name in [step.op for step in done.steps]


@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items() if not operation.own])
def test_each_operation_comes_to_what_the_model_says_on_no_cpu(name: str, tmp_path: Path) -> None:
    done, _ = agreed(setting_of(tmp_path, OPERATIONS[name], None, {}))
    assert {step.cpu for step in done.steps if step.context == 0} == {None}


@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.parametrize(("before", "value"), [(7, -3), (LONG_MAX, 1), (LONG_MIN, -LONG_MAX), (5, LONG_MAX)])
def test_a_load_and_a_store_come_to_what_the_whole_comes_to(name: str, before: int, value: int, tmp_path: Path) -> None:
    setting = setting_of(tmp_path, OPERATIONS[name], 1, {"before": before, "value": value})
    whole, _ = agreed(setting, [0])
    halves, _ = agreed(setting, [HALF, 0])
    assert [step.half for step in halves.steps] == ["load", "store"]
    assert (whole.words, whole.results) == (halves.words, halves.results)
    word = unit_word(1, 3)
    assert halves.steps[0].accesses == (Access(word, before, before),)
    assert halves.steps[1].accesses == (replace(whole.steps[0].accesses[0], write=True),)
    assert halves.steps[1].result == whole.steps[0].result


@pytest.mark.parametrize("name", SPLIT)
def test_what_is_stored_follows_from_what_was_loaded(name: str, tmp_path: Path) -> None:
    meanwhile = ContextSpec("other", p.clear_slot, cpu=0)
    setting = setting_of(tmp_path, OPERATIONS[name], 1, {"value": "3"}, meanwhile)
    done, _ = agreed(setting, [HALF, 1, 0])
    after = {"sub": 4, "inc": 8, "dec": 6, "and": 3, "or": 7, "xchg": 3, "cmpxchg": 9}
    assert done.words.get(unit_word(1, 3)) == after.get(name.removeprefix("this_cpu_"), 10)
    assert done.steps[2].accesses[0].old == 0
    assert done.results[1] == 7


def test_a_compare_and_swap_that_fails_stores_what_it_has_loaded(tmp_path: Path) -> None:
    meanwhile = ContextSpec("other", p.clear_slot, cpu=0)
    done, _ = agreed(setting_of(tmp_path, OPERATIONS["this_cpu_cmpxchg"], 1, {"old": 6}, meanwhile), [HALF, 1, 0])
    assert done.steps[2].accesses == (Access(unit_word(1, 3), 0, 7, write=True),)
    assert done.results == (7, 7)


def test_a_cpu_that_is_killed_does_not_store(tmp_path: Path) -> None:
    setting = setting_of(tmp_path, OPERATIONS["this_cpu_inc"], 1, {}, ContextSpec("end", p.set_flag, "kill", 1))
    done, _ = agreed(setting, [HALF, 1, 1])
    assert done.words[unit_word(1, 3)] == 7


def test_an_operation_that_replay_does_not_know_raises() -> None:
    operations = object.__new__(Operations)
    operations._machine = {}
    with pytest.raises(KeyError):
        operations._way(replace(OPERATIONS["smp_mb"], opcode=max(o.opcode for o in OPERATIONS.values()) + 1))
