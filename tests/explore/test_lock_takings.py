"""How locks are taken in random settings: the plain search and the reduced one against the oracle, every schedule.

Numbers of queued programs are left out: which are free depends on the schedule.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from percpu_emu.explore.lock_order import takings_of
from percpu_emu.explore.model import Checks
from percpu_emu.explore.model import Model as EngineModel
from percpu_emu.explore.room import with_room
from percpu_emu.explore.search import Search
from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import PerCpuAddress
from percpu_emu.lang.setting import MIGRATE, ContextSpec, Setting
from percpu_emu.scenario.programs import execute

from .oracle import Model, TooMany, Violated
from .oracle_context import Context

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search

Fact: TypeAlias = tuple[int, int | None, bool, bool, bool, tuple[int, ...]]
"""Context, lock, whether in an interrupt, with interrupts off, tried; what is held."""
Held: TypeAlias = dict[int, tuple[int, ...]]

SPINS = STATIC, STATIC + 1
TRIED = STATIC + 2
MUTEX = STATIC + 3
TICKETS = STATIC + 4
SHARED = STATIC + 6
HEAD = f"""
from percpu_emu.kernel.locks import *
from percpu_emu.lang.ops import *

SHARED = {SHARED}

def queued(argument):
    yield from spin_lock({SPINS[0]})
    yield from spin_unlock({SPINS[0]})
"""
PIECES = (
    ["yield from spin_lock({spin})", "{inner}", "yield from spin_unlock({spin})"],
    [
        "flags{depth} = yield from spin_lock_irqsave({spin})",
        "{inner}",
        "yield from spin_unlock_irqrestore({spin}, flags{depth})",
    ],
    [
        f"if (yield from spin_trylock({TRIED})):",
        "    {inner}",
        f"    yield from spin_unlock({TRIED})",
    ],
    [f"yield from ticket_lock({TICKETS})", "{inner}", f"yield from ticket_unlock({TICKETS})"],
    [f"yield from mutex_lock({MUTEX})", "{inner}", f"yield from mutex_unlock({MUTEX})"],
    ["flags{depth} = yield local_irq_save()", "{inner}", "yield local_irq_restore(flags{depth})"],
    ["x = yield read_once(SHARED)", "if x:", "    {inner}"],
    ["yield write_once(SHARED, 1)", "{inner}"],
    ["yield call_rcu(queued, 0)", "{inner}"],
    ["yield queue_work(queued, 0)", "{inner}"],
    ["yield irq_work_queue_on(queued, 0, 1)", "{inner}"],
)


def lines(chance: random.Random, depth: int, *, may_sleep: bool) -> list[str]:
    if depth == 3:
        return ["yield smp_mb()"]
    piece = chance.choice([piece for piece in PIECES if may_sleep or "mutex" not in piece[0]])
    sleeps = may_sleep and not ("spin" in piece[0] or "ticket" in piece[0] or "irq" in piece[0])
    spin, found = chance.choice(SPINS), list[str]()
    for line in piece:
        if line.strip() == "{inner}":
            indent = line[: len(line) - len(line.lstrip())]
            found += [indent + inner for inner in lines(chance, depth + 1, may_sleep=sleeps)]
        else:
            found.append(line.format(spin=spin, depth=depth))
    return found


def random_setting(seed: int, folder: Path) -> Setting:
    chance = random.Random(seed)
    kinds = [chance.choice(["task", "task", "interrupt"]) for _ in range(chance.choice([2, 2, 3]))]
    programs = []
    for number, kind in enumerate(kinds):
        body = lines(chance, chance.choice([0, 1]), may_sleep=kind == "task")
        programs.append("\n".join([f"def p{number}():", *(f"    {line}" for line in body)]))
    path = folder / f"locks_{seed}.py"
    path.write_text("\n\n".join([HEAD, *programs]) + "\n")
    module = execute(path)
    contexts = [
        ContextSpec(f"c{number}", getattr(module, f"p{number}"), kind, chance.choice([0, 0, 1]))
        for number, kind in enumerate(kinds)
    ]
    return Setting(2, tuple(contexts))


# --- in the oracle


def address(pointer: Any) -> int:
    assert not isinstance(pointer, PerCpuAddress)
    return int(pointer)


def effect(model: Model, context: Context) -> tuple[str, int]:
    """What the next operation of a context does to a lock, if it is done: by the words that locks have."""
    name, arguments = context.op
    if name == "cmpxchg" and address(arguments[0]) in (*SPINS, TRIED, MUTEX):
        at = address(arguments[0])
        return ("takes" if model.memory.read(at) == int(arguments[1]) else "", at)
    if name == "smp_cond_load_acquire" and address(arguments[0]) == TICKETS + 1:
        return "takes", TICKETS
    if name == "smp_store_release":
        at = address(arguments[0])
        return "releases", TICKETS if at == TICKETS + 1 else at
    if name == "local_irq_restore" and not int(arguments[0]):
        return "turns on", 0
    return "", 0


def irqs_off(model: Model, context: Context) -> bool:
    there = [other for other in model.all() if other.cpu == context.cpu] if context.cpu is not None else [context]
    return any(other.irqs_off for other in there)


def step(model: Model, held: Held, choice: int, facts: set[Fact]) -> Held:
    """One step, with what its context holds afterwards."""
    number = choice % MIGRATE
    context = next(context for context in model.all() if context.number == number)
    begins = model._only_begins(context)
    what, lock = ("", 0) if begins or choice >= MIGRATE else effect(model, context)
    model.step(choice)
    mine, after = held.get(number, ()), dict(held)
    if what == "takes" or (what == "turns on" and mine):
        taken = None if what == "turns on" else lock
        facts.add((number, taken, context.interrupting, irqs_off(model, context), lock == TRIED, mine))
        after[number] = mine if taken is None else (*mine, taken)
    elif what == "releases":
        after[number] = tuple(other for other in mine if other != lock)
    over = {number} if context.over else set()
    return {number: locks for number, locks in after.items() if locks and number not in over}


def in_oracle(setting: Setting, most: int = 3000) -> set[Fact]:
    first = Model(setting)
    facts, known, todo = set[Fact](), set[Any](), [(first, Held())]
    for model, held in todo:
        for choice in model.enabled():
            after = model.copy()
            try:
                holds = step(after, held, choice, facts)
            except Violated:
                continue
            key = after.key(), tuple(sorted(holds.items()))
            if key not in known:
                known.add(key)
                todo.append((after, holds))
        if len(todo) > most:
            raise TooMany
    return facts


def of_any_number(setting: Setting, facts: set[Fact]) -> set[Fact]:
    """The facts, in which all queued programs have one number."""
    return {(min(number, len(setting.contexts)), *fact) for number, *fact in facts}  # type: ignore[misc]


def in_search(setting: Setting, *, reduce: bool) -> set[Fact]:
    def go(model: EngineModel) -> set[Fact]:
        search = Search(model, reduce)
        search._judge_lock_order = lambda: None  # type: ignore[method-assign]  # a schedule that shows it notes more
        search.run(every=True)
        return {
            (t.context, t.lock, t.in_interrupt, t.irqs_off, t.tries, tuple(lock for lock, _ in t.held))
            for t in takings_of(model)
        }

    return with_room(setting, Checks(), go)  # type: ignore[no-any-return]


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_locks_are_taken_as_in_the_oracle(first: int, tmp_path: Path) -> None:
    compared = nested = 0
    for seed in range(first, first + 20):
        setting = random_setting(seed, tmp_path)
        try:
            expected = of_any_number(setting, in_oracle(setting))
        except TooMany:
            continue
        assert of_any_number(setting, in_search(setting, reduce=False)) == expected, seed
        assert of_any_number(setting, in_search(setting, reduce=True)) == expected, seed
        compared += bool(expected)
        nested += any(held for *_, held in expected)
    assert compared > 8
    assert nested > 3
