"""A wait inside of a section: refused where every path leads through the section, and nowhere else."""

from __future__ import annotations

import linecache
import random
from typing import Any, Final

import pytest

from percpu_emu.lang.asleep import refuse_sleep_in_section
from percpu_emu.lang.image import Image
from percpu_emu.lang.source import Refused

HEAD: Final = "from percpu_emu.lang.ops import *\n\ndef inside():\n    yield wait_until(1, 1)\n\n\n"
LOCK: Final = "yield rcu_read_lock()"
UNLOCK: Final = "yield rcu_read_unlock()"
WAIT: Final = "yield wait_until(1, 1)"

CERTAIN: Final = {
    "at once": [LOCK, WAIT, UNLOCK],
    "called": [LOCK, "yield from inside()", UNLOCK],
    "in a branch": [LOCK, "if x:", f"    {WAIT}", UNLOCK],
    "after both branches": ["if x:", f"    {LOCK}", "else:", "    yield preempt_disable()", f"    {LOCK}", WAIT],
    "in a loop": [LOCK, "while (yield read_once(2)):", f"    {WAIT}", UNLOCK],
    "preemption off": ["yield preempt_disable()", LOCK, UNLOCK, "yield synchronize_rcu()"],
    "interrupts off": ["f = yield local_irq_save()", "yield rcu_barrier()"],
    "nested": [LOCK, LOCK, UNLOCK, WAIT, UNLOCK],
    "after a break": ["while 1:", f"    {LOCK}", "    break", WAIT],
}
NOT_CERTAIN: Final = {
    "outside": [LOCK, UNLOCK, WAIT],
    "in one branch": ["if x:", f"    {LOCK}", WAIT],
    "left in a branch": [LOCK, "if x:", f"    {UNLOCK}", WAIT],
    "left in a loop": [LOCK, "for i in range(x):", f"    {UNLOCK}", WAIT],
    "after a return": [LOCK, "if x:", "    return", UNLOCK, WAIT],
    "a spin": [LOCK, "yield smp_cond_load_acquire(1, 1)", UNLOCK],
    "another kind is left": ["yield preempt_disable()", "yield preempt_enable()", WAIT],
    "maybe entered in an expression": ["x and (yield rcu_read_lock())", WAIT],
    "never reached": ["return", LOCK, WAIT],
    "a loop that may leave": [LOCK, "while x:", f"    {UNLOCK}", "    if x:", "        continue", f"    {LOCK}", WAIT],
}


def program(lines: list[str]) -> Any:
    text = HEAD + "def p(x):\n    yield smp_mb()\n" + "".join(f"    {line}\n" for line in lines)
    file = f"<sections {hash(text)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    names: dict[str, Any] = {}
    exec(compile(text, file, "exec"), names)
    return names["p"]


@pytest.mark.parametrize("name", CERTAIN)
def test_a_wait_that_is_always_in_a_section_is_refused_with_its_line(name: str) -> None:
    with pytest.raises(Refused, match=r":\d+: \w+ sleeps inside of a section \([a-z ]+\) on every path"):
        Image([program(CERTAIN[name])])
    Image([program(CERTAIN[name])], instrumented=True)  # which finds it as it runs


@pytest.mark.parametrize("name", NOT_CERTAIN)
def test_what_is_not_certain_is_not_refused(name: str) -> None:
    Image([program(NOT_CERTAIN[name])])


def test_random_straight_programs_are_refused_where_their_depth_says_so() -> None:
    chance = random.Random(1)
    for _ in range(200):
        lines = [chance.choice([LOCK, UNLOCK, WAIT]) for _ in range(6)]
        depth, asleep = 0, False
        for line in lines:
            depth = max(depth + (line == LOCK) - (line == UNLOCK), 0)
            asleep |= line == WAIT and depth > 0
        if asleep:
            with pytest.raises(Refused):
                refuse_sleep_in_section(program(lines))
        else:
            refuse_sleep_in_section(program(lines))
