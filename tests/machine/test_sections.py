"""Sections, natively: random programs in every kind of context, against the rules written out once more."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import pytest

from percpu_emu.kernel.layout import STATIC
from percpu_emu.kernel.profile import load_profile
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.machine import EventStream
from percpu_emu.machine.faults import parse_fault
from percpu_emu.machine.rounds import RoundFailed, RoundImage, Rounds
from percpu_emu.scenario.programs import execute

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)  # the first run compiles the programs

PROGRAMS: Final = 6
ROLE: Final = STATIC + 1
CASE: Final = STATIC + 2
ROLES: Final = ("task", "coordinator's", "interrupt", "callback", "work", "offline")
MAY_NOT_SLEEP: Final = ("interrupt", "callback")
ENTERS: Final = {"rcu_read_lock()": "rcu", "preempt_disable()": "preempt", "local_irq_save()": "irq"}
LEAVES: Final = {"rcu_read_unlock()": "rcu", "preempt_enable()": "preempt"}
SLEEPS: Final = ("wait_until(STATIC, 0)", "rcu_barrier()")
WAITS: Final = "synchronize_rcu()"
IRQS: Final = {"local_irq_restore(0)": False, "local_irq_restore(1)": True}
OTHERS: Final = ("smp_cond_load_acquire(STATIC, 0)", "cpu_relax()", "write_once(STATIC + 9, 1)")
ALL: Final = (*ENTERS, *LEAVES, *IRQS, *SLEEPS, WAITS, *OTHERS)


def cases() -> list[list[str]]:
    """Each operation that matters by itself, in each kind of section; then random ones."""
    chance = random.Random(1)
    found = [[operation] for operation in (*ENTERS, *LEAVES, *IRQS, *SLEEPS, WAITS)]
    closing = {"rcu": "rcu_read_unlock()", "preempt": "preempt_enable()", "irq": "local_irq_restore(0)"}
    found += [[enter, wait, closing[kind]] for enter, kind in ENTERS.items() for wait in (SLEEPS[0], WAITS, OTHERS[0])]
    found += [["rcu_read_lock()", "preempt_enable()", "rcu_read_unlock()"]]
    found += [["rcu_read_lock()"] * 2 + ["rcu_read_unlock()"] * 2, ["rcu_read_lock()"] * 256]
    found += [[chance.choice(ALL) for _ in range(chance.randint(2, 6))] for _ in range(PROGRAMS)]
    return found


CASES: Final = cases()


def expected(operations: list[str], role: str) -> str:
    """Which check the operations break, "" for none."""
    depth = dict.fromkeys(("rcu", "preempt", "irq"), 0)
    for operation in operations:
        if kind := ENTERS.get(operation):
            depth[kind] = 1 if kind == "irq" else depth[kind] + 1
        elif kind := LEAVES.get(operation):
            depth[kind] -= 1
        elif operation in IRQS:
            depth["irq"] = int(IRQS[operation])
        elif operation in (*SLEEPS, WAITS) and role in MAY_NOT_SLEEP:
            return "sleep-in-atomic"
        elif operation in (*SLEEPS, WAITS) and any(depth.values()):
            return "deadlock" if operation == WAITS else "sleep-in-atomic"
        if not all(0 <= count <= 255 for count in depth.values()):
            return "unbalanced-section"
    return "unbalanced-section" if any(depth.values()) else ""


def module_text() -> str:
    lines = ["from __future__ import annotations", "from percpu_emu.kernel.layout import STATIC"]
    lines += ["from percpu_emu.lang.ops import *", "", "", "def cases():"]
    lines += [f"    case = yield read_once({CASE})"]
    for number, operations in enumerate(CASES):
        lines += [f"    if case == {number}:"]
        if len(set(operations)) == 1 and len(operations) > 10:
            lines += [f"        for i in range({len(operations)}):", f"            yield {operations[0]}"]
        else:
            lines += [f"        yield {operation}" for operation in operations]
    for number, role in enumerate(ROLES):
        parameter = "argument" if role in ("callback", "work") else ""
        lines += ["", "", f"def role_{number}({parameter}):", f"    role = yield read_once({ROLE})"]
        lines += [f"    if role == {number}:", "        yield from cases()"]
        if role == "coordinator's":
            for queue, queued in (("call_rcu", "callback"), ("queue_work", "work")):
                which = ROLES.index(queued)
                lines += [f"    if role == {which}:", f"        yield {queue}(role_{which}, 0)"]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> RoundImage:
    path: Path = tmp_path_factory.mktemp("sections") / "sections.py"
    path.write_text(module_text())
    module: Any = execute(path)
    contexts = (
        ContextSpec("task", module.role_0, "task", 0),
        ContextSpec("coordinator's", module.role_1),
        ContextSpec("interrupt", module.role_2, "interrupt", 1),
        ContextSpec("offline", module.role_5, "offline", 2),
    )
    return RoundImage(Setting(3, contexts), None)


@pytest.mark.parametrize("role", ROLES)
def test_a_section_that_is_broken_is_found_where_it_is(image: RoundImage, role: str) -> None:
    seen = {number: broken(image, role, number) for number in range(len(CASES))}
    wrong = {
        (number, *operations[:6]): (seen[number], expected(operations, role))
        for number, operations in enumerate(CASES)
        if seen[number] != expected(operations, role)
    }
    assert wrong == {}


def broken(image: RoundImage, role: str, case: int) -> str:
    """Which check a round of that case breaks."""
    profile, faults = load_profile("linux-5.0-mmotm"), [parse_fault("all=preempt@1%")]
    with Rounds(image, profile, 1, EventStream(), faults, patience=5.0) as rounds:
        rounds.begin(case, [0] * len(image.working))
        rounds.machine.memory.words[[ROLE, CASE]] = [ROLES.index(role), case]
        try:
            rounds.run(record=False, disturb=False)
        except RoundFailed as failed:
            return failed.check or failed.detail
        return ""
