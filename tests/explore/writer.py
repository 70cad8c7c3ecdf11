"""Writes random small settings: programs of a few operations that race for a few words, as the text of a module."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from percpu_emu.lang.setting import ContextSpec, Setting

if TYPE_CHECKING:
    from types import ModuleType

HEAD: Final = """\
from percpu_emu.kernel.layout import CPU_ONLINE_MASK, STATIC
from percpu_emu.lang.ops import *
from percpu_emu.lang.ops import __this_cpu_read, __this_cpu_write

COUNTER = STATIC + 5
SLOT = 16  # the counter's, in the static per-CPU area
OBJECT = STATIC + 4  # a pointer to an object


def setup():
    slots = yield alloc_percpu(8, 8)
    yield write_once(STATIC, slots)
    word = yield kzalloc(16)
    yield write_once(OBJECT, word)


def total(counter):
    x = yield read_once(counter)
    for cpu in range(2):
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


def retire(slots):
    x = 0
    for cpu in range(2):
        x += yield read_once(per_cpu(slots, cpu))
    yield atomic_long_add(STATIC + 3, x)
    yield free_percpu(slots)


def discard(word):
    yield write_once(word + 1, 3)
    yield kfree(word)


def work(argument):
    yield write_once(STATIC + 1, argument)


def down(cpu):
    x = yield read_once(per_cpu(8, cpu))
    yield atomic_long_add(STATIC + 3, x)
"""

PIECES: Final[list[tuple[str, ...]]] = [
    ("x = yield read_once(STATIC + {w})",),
    ("yield write_once(STATIC + {w}, x + {n})",),
    ("yield atomic_long_add(STATIC + {w}, {n})",),
    ("x = yield atomic_long_add_return(STATIC + {w}, {n})",),
    ("x = yield atomic_long_fetch_add(STATIC + {w}, {n})",),
    ("x = yield cmpxchg(STATIC + {w}, 0, {n})",),
    ("x = yield this_cpu_read(8 + {w})",),
    ("yield this_cpu_add(8 + {w}, {n})",),
    ("x = yield this_cpu_xchg(8 + {w}, {n})",),
    ("x = yield this_cpu_cmpxchg(8 + {w}, {n}, x)",),
    ("yield this_cpu_or(8 + {w}, {n})", "yield this_cpu_and(8 + {w}, x)"),
    ("x = yield __this_cpu_read(8)", "yield __this_cpu_write(8, x + {n})"),
    ("x = yield read_once(per_cpu(8, {n} % 2))",),
    ("yield write_once(per_cpu(8, {n} % 2), x)",),
    ("yield rcu_read_lock()", "{inner}", "yield rcu_read_unlock()"),
    ("yield rcu_read_lock()", "{inner}", "{inner}", "yield rcu_read_unlock()"),
    ("yield rcu_read_lock()", "p = yield rcu_dereference(STATIC)", "if p:", "    yield this_cpu_add(p, {n})",
     "yield rcu_read_unlock()"),
    ("yield rcu_read_lock()", "p = yield rcu_dereference(OBJECT)", "if p:", "    x = yield read_once(p + {n} % 2)",
     "yield rcu_read_unlock()"),
    ("p = yield read_once(STATIC)", "yield rcu_assign_pointer(STATIC, 0)", "if p:", "    yield call_rcu(retire, p)"),
    ("p = yield xchg(STATIC, 0)", "if p:", "    yield synchronize_rcu()", "    yield from retire(p)"),
    ("p = yield xchg(OBJECT, 0)", "if p:", "    yield call_rcu(discard, p)"),
    ("p = yield xchg(OBJECT, 0)", "if p:", "    yield queue_work(discard, p)"),
    ("p = yield read_once(OBJECT)", "yield write_once(OBJECT, 0)", "yield synchronize_rcu()", "yield kfree(p)"),
    ("p = yield kzalloc(16)", "yield write_once(p, {n})", "p = yield xchg(OBJECT, p)", "yield kfree(p)"),
    ("p = yield kzalloc(16)", "{inner}", "yield kfree(p)"),
    ("p = yield alloc_percpu(8, 8)", "p = yield cmpxchg(STATIC, 0, p)"),
    ("yield preempt_disable()", "{inner}", "yield preempt_enable()"),
    ("f = yield local_irq_save()", "{inner}", "yield local_irq_restore(f)"),
    ("g = yield local_irq_save()", "yield rcu_read_lock()", "{inner}", "yield local_irq_restore(g)", "{inner}",
     "yield rcu_read_unlock()"),
    ("yield preempt_disable()", "yield rcu_read_lock()", "{inner}", "yield preempt_enable()", "{inner}",
     "yield rcu_read_unlock()"),
    ("yield call_rcu(callback, {n})",),
    ("yield call_rcu(counting, {n})",),
    ("yield call_rcu(again, {n} & 1)",),
    ("yield queue_work(work, {n})",),
    ("yield queue_work(counting, 1)",),
    ("yield synchronize_rcu()",),
    ("yield rcu_barrier()",),
    ("yield wait_until(STATIC + {w}, {n})",),
    ("yield rcu_read_lock()", "yield wait_until(STATIC + {w}, {n})", "yield rcu_read_unlock()"),
    ("yield wait_until(per_cpu(9, {n} % 2), 0)",),
    ("if x > {n}:", "    {inner}"),
    ("for i in range(2):", "    {inner}"),
    ("x = yield smp_processor_id()",),
    ("x = yield cpumask_next(-1 + {n}, CPU_ONLINE_MASK)",),
    ("x = x // ({n} - 3)",),
    ("yield warn_on(x > 3)",),
    ("yield ledger_add(COUNTER, 1)", "yield this_cpu_add(SLOT, 1)", "yield ledger_commit()"),
    ("yield ledger_add(COUNTER, 1)", "yield atomic_long_add(COUNTER, 1)", "yield ledger_commit()"),
    ("yield ledger_add(COUNTER, 1)", "x = yield __this_cpu_read(SLOT)", "yield __this_cpu_write(SLOT, x + 1)",
     "yield ledger_commit()"),
    ("yield ledger_add(COUNTER, 1)", "f = yield local_irq_save()", "x = yield __this_cpu_read(SLOT)",
     "yield __this_cpu_write(SLOT, x + 1)", "yield local_irq_restore(f)", "yield ledger_commit()"),
    ("x = yield this_cpu_xchg(SLOT, 0)", "yield atomic_long_add(COUNTER, x)"),
]  # fmt: skip
PLAIN: Final = "x = yield read_once(STATIC + {w})"


@dataclass(frozen=True)
class Written:
    """A random setting, before its module is made."""

    text: str
    contexts: tuple[dict[str, Any], ...]
    checks: dict[str, Any]
    """Besides what is always checked: `total`, `left`, `bound`, `exclusive`."""

    def setting(self, module: ModuleType) -> Setting:
        """The setting, with the programs of the module."""
        contexts = [dict(context) for context in self.contexts]
        specs = [ContextSpec(f"c{n}", getattr(module, c.pop("program")), **c) for n, c in enumerate(contexts)]
        return Setting(2, tuple(specs), module.setup)

    def checked(self, module: ModuleType) -> dict[str, Any]:
        """What is checked, as arguments of `oracle.reachable` and of `Checks`."""
        return self.checks | ({"total": module.total} if "total" in self.checks else {})


def write(seed: int) -> Written:
    """The setting of that seed."""
    chance = random.Random(seed)
    count = chance.choice([2, 2, 3])
    sizes = [chance.choice([2, 3, 3] if count == 2 else [1, 1, 2]) for _ in range(count)]
    contexts = [_context(chance, number) for number in range(count)]
    programs = [_program(chance, contexts[number], number, size) for number, size in enumerate(sizes)]
    checks: dict[str, Any] = {}
    if chance.random() < 0.4:
        checks["total"] = "total"
    if chance.random() < 0.15:
        checks["left"] = chance.choice([1, 2, 3])
    if chance.random() < 0.15:
        checks["bound"] = chance.choice([0, 1])
    if chance.random() < 0.15:
        checks["exclusive"] = True
    return Written("\n\n".join([HEAD, *programs]), tuple(contexts), checks)


def _context(chance: random.Random, number: int) -> dict[str, Any]:
    cpu = chance.choice([0, 0, 1, 1, None])
    spec: dict[str, Any] = {"program": f"p{number}", "cpu": cpu, "arguments": (chance.choice(["cpu", "turn", 1, 2]),)}
    roll = chance.random()
    if cpu is not None and roll < 0.15:
        spec["kind"] = "interrupt"
    elif cpu is not None and roll < 0.27:
        spec |= {"kind": chance.choice(["offline", "kill"]), "arguments": (cpu,)}
        spec["program"] = chance.choice(["down", "down", f"p{number}"])
    elif cpu is not None and roll < 0.35:
        spec["migrates"] = 1
    elif roll < 0.5:
        spec["turns"] = 2
    return spec


def _program(chance: random.Random, context: dict[str, Any], number: int, size: int) -> str:
    own = context["cpu"] is not None or chance.random() < 0.1  # what runs on no CPU has no copy of its own
    pieces = [piece for piece in PIECES if own or not any("this_cpu" in line for line in piece)]
    body = [line for _ in range(size) for line in _piece(chance, pieces, depth=0)]
    lines = [f"def p{number}(t):", "    x = 0", *[f"    {line}" for line in body], "    yield smp_mb()", "    return x"]
    return "\n".join(lines)


def _piece(chance: random.Random, pieces: list[tuple[str, ...]], depth: int) -> list[str]:
    lines = []
    for template in chance.choice(pieces):
        if template.strip() == "{inner}":
            indent = template[: len(template) - len(template.lstrip())]
            inner = _piece(chance, pieces, depth + 1) if depth < 2 else [_fill(chance, PLAIN)]
            lines += [indent + line for line in inner]
        else:
            lines.append(_fill(chance, template))
    return lines


def _fill(chance: random.Random, template: str) -> str:
    word, number = chance.choice(["1", "1", "2", "3"]), chance.choice(["0", "0", "1", "1", "2", "2", "t"])
    return template.replace("{w}", word).replace("{n}", number)
