"""Writes settings that are large in one way and small in all others: many marks, counters or contexts.

Most contexts wait for their turn, a word that each passes on to the next, so that only a few states are possible. Two
take the same turn and race; behind them everything is as before.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from .writer import Written

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD: Final = """\
from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import *

TURN = STATIC
WORD = STATIC + 1
FLAG = STATIC + 2
OBJECT = STATIC + 3
OTHER = STATIC + 4
COUNTERS = STATIC + 64  # and behind it: one for each number


def setup():
    word = yield kzalloc(8)
    yield write_once(OBJECT, word)


def total(counter):
    return (yield read_once(counter))


def saving(argument):
    f = yield local_irq_save()
    yield atomic_long_add(WORD, argument)
    yield atomic_long_add(WORD, argument)
    yield local_irq_restore(f)


def passing(turn):
    yield write_once(TURN, turn)


def passing_after_section(turn):
    f = yield local_irq_save()
    yield local_irq_restore(f)
    yield write_once(TURN, turn)


def discard(word):
    yield kfree(word)


def queued(argument):
    yield ledger_add(COUNTERS + argument, 1)
    yield atomic_long_add(COUNTERS + argument, 1)
    yield ledger_commit()
"""

PASS: Final = "yield write_once(TURN, {next})"
CHAINED: Final[tuple[tuple[str, ...], ...]] = (
    ("yield atomic_long_add(OTHER, 1)", PASS),
    ("yield ledger_add(COUNTERS + {k}, 1)", "yield atomic_long_add(COUNTERS + {k}, 1)", "yield ledger_commit()", PASS),
    ('yield mark("m{k}")', PASS),
    ("yield queue_work(passing, {next})",),
    ("yield queue_work(passing_after_section, {next})",),
    ("yield call_rcu(passing, {next})",),
    ("yield rcu_read_lock()", "p = yield rcu_dereference(OBJECT)", "yield rcu_read_unlock()", PASS),
    ("yield synchronize_rcu()", PASS),
)
READER: Final = (
    *("yield rcu_read_lock()", "p = yield rcu_dereference(OBJECT)", "if p:", "    yield read_once(p)"),
    "yield rcu_read_unlock()",
)
LOSING: Final = (
    *("yield ledger_add(COUNTERS + {k}, 1)", "x = yield read_once(COUNTERS + {k})"),
    *("yield write_once(COUNTERS + {k}, x + 1)", "yield ledger_commit()"),
)
RACES: Final[tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = (
    (("x = yield read_once(WORD)", "yield write_once(WORD, x + 1)"), ("yield queue_work(saving, {k})",)),
    (("yield call_rcu(queued, {k})",), ("yield call_rcu(queued, {k})",)),
    (READER, ("p = yield xchg(OBJECT, 0)", "yield synchronize_rcu()", "yield kfree(p)")),
    (READER, ("p = yield xchg(OBJECT, 0)", "yield kfree(p)")),
    (READER, ("p = yield xchg(OBJECT, 0)", "yield queue_work(discard, p)")),
    (READER, ("p = yield xchg(OBJECT, 0)", "yield call_rcu(discard, p)")),
    (("f = yield local_irq_save()", "yield write_once(WORD, 5)", "yield local_irq_restore(f)"), LOSING),
)


def write_many(seed: int) -> Written:
    """The setting of that seed, of one of the three kinds in turn."""
    kinds: tuple[Callable[[random.Random], Written], ...] = (_many_contexts, _many_marks, _many_counters)
    return kinds[seed % len(kinds)](random.Random(seed))


def _many_contexts(chance: random.Random) -> Written:
    """40 and more contexts; the last two of them race, and may queue what takes numbers behind theirs."""
    count = chance.randint(40, 46)
    programs = [_chained(turn, chance.choice(CHAINED)) for turn in range(count - 2)]
    programs += [_racing(count - 2, number, piece) for number, piece in enumerate(chance.choice(RACES))]
    contexts = [_context(chance, number) for number in range(count)]
    if chance.random() < 0.5:  # an interrupt of a CPU sees what work on no CPU does with interrupts off
        programs.append(_program(["x = yield read_once(WORD)", "yield write_once(FLAG, x)"]))
        contexts.append({"program": f"p{count}", "cpu": 0, "kind": "interrupt"})
        programs[-2] = _racing(count - 2, 0, ("yield queue_work(saving, 2)",))
    return _written(programs, contexts)


def _many_marks(chance: random.Random) -> Written:
    """More than 64 marks, of which the last are behind a race: one may never be reached."""
    marks = [f'yield mark("m{number}")' for number in range(64 + chance.randint(0, 3))]
    looks = ["x = yield read_once(WORD)", f"if x == {chance.choice([1, 2])}:", '    yield mark("late")']
    writes = ["yield write_once(WORD, 1)", 'yield mark("written")']
    programs = [_program([*marks, "yield write_once(TURN, 1)"]), _program(["yield wait_until(TURN, 1)", *looks])]
    programs.append(_program(["yield wait_until(TURN, 1)", *writes]))
    return _written(programs, [_context(chance, number) for number in range(3)])


def _many_counters(chance: random.Random) -> Written:
    """More than 64 counters, of which the last may lose a count."""
    count = 65 + chance.randint(0, 5)
    every = [
        line
        for number in range(count)
        for line in (f"yield ledger_add(COUNTERS + {number}, 1)", f"yield atomic_long_add(COUNTERS + {number}, 1)",
                     "yield ledger_commit()")
    ]  # fmt: skip
    update = LOSING if chance.random() < 0.5 else CHAINED[1][:-1]
    programs = [_program([*every, "yield write_once(TURN, 1)"])]
    programs += [_racing(1, 0, update, counter=count - 1) for _ in range(2)]
    return _written(programs, [_context(chance, number) for number in range(3)])


def _written(programs: list[str], contexts: list[dict[str, Any]]) -> Written:
    named = [f"def p{number}():\n    x = 0\n{program}" for number, program in enumerate(programs)]
    return Written("\n\n".join([HEAD, *named]), tuple(contexts), {"total": "total"}, cpus=2)


def _context(chance: random.Random, number: int) -> dict[str, Any]:
    return {"program": f"p{number}", "cpu": chance.choice([0, 1, None])}


def _chained(turn: int, piece: tuple[str, ...]) -> str:
    return _program([f"yield wait_until(TURN, {turn})", *_filled(piece, turn)])


def _racing(turn: int, number: int, piece: tuple[str, ...], counter: int | None = None) -> str:
    return _program([f"yield wait_until(TURN, {turn})", *_filled(piece, turn + number if counter is None else counter)])


def _filled(piece: tuple[str, ...], number: int) -> list[str]:
    return [line.replace("{k}", str(number)).replace("{next}", str(number + 1)) for line in piece]


def _program(body: list[str]) -> str:
    return "\n".join(f"    {line}" for line in [*body, "return x"])
