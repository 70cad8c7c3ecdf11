"""Random programs: text in the language, made of every construct it has, that always comes to an end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from percpu_emu.lang.words import LONG_MAX, LONG_MIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

PROLOGUE: Final = """\
import enum
from percpu_emu.lang.ops import *
from percpu_emu.lang.ops import __this_cpu_read, __this_cpu_write
from percpu_emu.lang import words
from percpu_emu.lang.words import LONG_MIN

class Number(enum.IntEnum):
    SEVEN = 7

WORDS = 100
SLOTS = 40
"""

CONSTANTS: Final = [
    "0", "1", "2", "-1", "3", "7", "31", "33", "63", "64", "65", "True", "False", str(LONG_MAX), str(LONG_MIN),
    str(1 << 32), "LONG_MIN", "words.LONG_MAX", "words.ULONG_MAX", "Number.SEVEN", "WORDS",
]  # fmt: skip
BINARY: Final = ["+", "-", "*", "//", "%", "<<", ">>", "&", "|", "^"]
COMPARISONS: Final = ["==", "!=", "<", "<=", ">", ">="]

WORD_OPERATIONS: Final = {
    "read_once": 0, "write_once": 1, "smp_load_acquire": 0, "smp_store_release": 1, "atomic_long_add": 1,
    "atomic_long_add_return": 1, "atomic_long_fetch_add": 1, "xchg": 1, "cmpxchg": 2, "rcu_dereference": 0,
    "rcu_assign_pointer": 1,
}  # fmt: skip
"""What they take besides the pointer, which may be `per_cpu(...)`."""
OWN_OPERATIONS: Final = {
    "this_cpu_read": 0, "this_cpu_write": 1, "this_cpu_add": 1, "this_cpu_sub": 1, "this_cpu_inc": 0,
    "this_cpu_dec": 0, "this_cpu_and": 1, "this_cpu_or": 1, "this_cpu_add_return": 1, "this_cpu_xchg": 1,
    "this_cpu_cmpxchg": 2, "__this_cpu_read": 0, "__this_cpu_write": 1,
}  # fmt: skip
OTHER_OPERATIONS: Final = [
    "smp_mb()", "rcu_read_lock()", "rcu_read_unlock()", "quiescent_state()", "preempt_disable()", "preempt_enable()",
    "local_irq_save()", "local_irq_restore({})", "kzalloc({} & 63)", "alloc_percpu({} & 63, 8)", "kfree({})",
    "free_percpu({})", "smp_processor_id()", "nr_cpu_ids()", "nr_node_ids()", "cpumask_next({} & 3, WORDS)",
    "ledger_add(WORDS + ({} & 7), {})", "ledger_commit()", "mark('one')", "mark('two')", "warn_on({})",
    "call_rcu(callback, {})", "queue_work(callback, {})", "synchronize_rcu()", "rcu_barrier()", "cpu_relax()",
]  # fmt: skip
RAW_PROGRAMS: Final = {
    "__this_cpu_add": 1, "__this_cpu_sub": 1, "__this_cpu_inc": 0, "__this_cpu_dec": 0, "__this_cpu_and": 1,
    "__this_cpu_or": 1, "__this_cpu_add_return": 1, "__this_cpu_xchg": 1, "__this_cpu_cmpxchg": 2,
}  # fmt: skip
MOST_STEPS: Final = 1500
"""About as many operations as a program may perform."""


@dataclass
class Writer:
    """Writes one program after another; a program may call those before it."""

    random: Random
    lines: list[str] = field(default_factory=list)
    costs: dict[str, tuple[int, int]] = field(default_factory=dict)
    """For each program so far: how many parameters it has, and about how many operations it performs."""

    def __post_init__(self) -> None:
        self.lines += [f"from percpu_emu.lang.raw import {', '.join(RAW_PROGRAMS)}", PROLOGUE]
        self.lines += ["def callback(argument):", "    yield write_once(argument, 1)", ""]

    def text(self) -> str:
        """The module, with `main(which, a, b, c)`, which calls one of the programs."""
        main = ["", "def main(which, a, b, c):", "    yield smp_mb()"]
        for number, (name, (parameters, _)) in enumerate(self.costs.items()):
            main += [
                f"    if which == {number}:",
                f"        return (yield from {name}({', '.join('abc'[:parameters])}))",
            ]
        return "\n".join([*self.lines, *main, ""])

    def program(self) -> None:
        parameters = ["a", "b", "c"][: self._number(0, 3)]
        name = f"p{len(self.costs)}"
        self._cost = 1
        self._repeated = 1
        self._loops: list[str] = []
        self._serial = 0
        self.lines += ["", f"def {name}({', '.join(parameters)}):"]
        if self._chance(3):
            self.lines.append("    '''What it says of itself.'''")
        self.lines.append("    yield smp_mb()")
        assigned = self._block(frozenset(parameters), depth=3, indent="    ")
        if assigned is not None and self._chance(80):
            self.lines.append(f"    return {self._expression(assigned, 2)}")
        self.costs[name] = (len(parameters), self._cost)

    # --- statements

    def _block(self, assigned: frozenset[str], depth: int, indent: str) -> frozenset[str] | None:
        """Some statements; which variables have a value after them, None where nothing comes after them."""
        for _ in range(self._number(1, 4)):
            after = self._statement(assigned, depth, indent)
            if after is None:
                return None
            assigned = after
        return assigned

    def _statement(self, assigned: frozenset[str], depth: int, indent: str) -> frozenset[str] | None:
        kinds = ["assign"] * 4 + ["augment"] * 2 + ["yield"] * 4
        kinds += ["if"] * 3 + ["for", "for_from", "while", "while_true"] if depth else []
        kinds += ["break", "continue"] if self._loops else []
        kind = self._one_of([*kinds, "return", "pass"])
        write: Callable[[frozenset[str], int, str], frozenset[str] | None] = getattr(self, f"_write_{kind}")
        return write(assigned, depth, indent)

    def _write_assign(self, assigned: frozenset[str], _depth: int, indent: str) -> frozenset[str]:
        names = self._one_of([["x"], ["y"], ["z"], ["x", "y"], ["ops"], ["ctx"], ["a"]])
        annotation = ": int" if len(names) == 1 and self._chance(20) else ""
        self.lines.append(f"{indent}{' = '.join(names)}{annotation} = {self._expression(assigned, 3)}")
        return assigned | set(names)

    def _write_augment(self, assigned: frozenset[str], depth: int, indent: str) -> frozenset[str]:
        usable = sorted(assigned - set(self._loops))
        if not usable:
            return self._write_assign(assigned, depth, indent)
        symbol = self._one_of(BINARY)
        self.lines.append(f"{indent}{self._one_of(usable)} {symbol}= {self._operand(symbol, assigned, 2)}")
        return assigned

    def _write_yield(self, assigned: frozenset[str], _depth: int, indent: str) -> frozenset[str]:
        text = self._yield(assigned, 2)
        self.lines.append(f"{indent}{text[1:-1] if text.startswith('(yield') else text}")
        return assigned

    def _write_if(self, assigned: frozenset[str], depth: int, indent: str) -> frozenset[str] | None:
        self.lines.append(f"{indent}if {self._expression(assigned, 2)}:")
        ends = [self._block(assigned, depth - 1, indent + "    ")]
        if self._chance(30):
            self.lines.append(f"{indent}elif {self._expression(assigned, 2)}:")
            ends.append(self._block(assigned, depth - 1, indent + "    "))
        if self._chance(60):
            self.lines.append(f"{indent}else:")
            ends.append(self._block(assigned, depth - 1, indent + "    "))
        else:
            ends.append(assigned)
        reached = [end for end in ends if end is not None]
        return frozenset.intersection(*reached) if reached else None

    def _write_for(self, assigned: frozenset[str], depth: int, indent: str) -> frozenset[str]:
        variable = self._one_of(["i", "j", "x"])
        bound = self._one_of(["4", "{} & 3", "min({}, 3)", "-1"]).format(self._expression(assigned, 1))
        self.lines.append(f"{indent}for {variable} in range({bound}):")
        self._body(assigned | {variable}, depth, indent, 4)
        return assigned

    def _write_for_from(self, assigned: frozenset[str], depth: int, indent: str) -> frozenset[str]:
        """Over any range at all, left after four turns."""
        variable, turns = self._one_of(["i", "j", "x"]), self._fresh()
        bounds = ", ".join(self._expression(assigned, 1) for _ in range(2))
        if self._chance(60):
            bounds += f", {self._expression(assigned, 1)}{' | 1' if self._chance(80) else ''}"
        self.lines += [
            f"{indent}{turns} = 0",
            f"{indent}for {variable} in range({bounds}):",
            f"{indent}    {turns} += 1",
            f"{indent}    if {turns} > 4:",
            f"{indent}        break",
        ]
        self._body(assigned | {variable, turns}, depth, indent, 4, turns)
        return assigned | {turns}

    def _write_while(self, assigned: frozenset[str], depth: int, indent: str) -> frozenset[str]:
        turns = self._fresh()
        self.lines += [
            f"{indent}{turns} = 0",
            f"{indent}while {turns} < 4 and {self._expression(assigned, 2)}:",
            f"{indent}    {turns} += 1",
        ]
        self._body(assigned | {turns}, depth, indent, 4, turns)
        return assigned | {turns}

    def _write_while_true(self, assigned: frozenset[str], depth: int, indent: str) -> frozenset[str]:
        turns = self._fresh()
        self.lines += [
            f"{indent}{turns} = 0",
            f"{indent}while {self._one_of(['True', '1', 'Number.SEVEN'])}:",
            f"{indent}    if {turns} >= 4:",
            f"{indent}        break",
            f"{indent}    {turns} += 1",
        ]
        self._body(assigned | {turns}, depth, indent, 4, turns)
        return assigned | {turns}

    def _body(self, assigned: frozenset[str], depth: int, indent: str, times: int, counter: str = "") -> None:
        self._loops.append(counter)
        self._repeated *= times
        self._block(assigned, depth - 1, indent + "    ")
        self._repeated //= times
        self._loops.pop()

    def _write_break(self, _assigned: frozenset[str], _depth: int, indent: str) -> None:
        self.lines.append(f"{indent}break")

    def _write_continue(self, _assigned: frozenset[str], _depth: int, indent: str) -> None:
        self.lines.append(f"{indent}continue")

    def _write_return(self, assigned: frozenset[str], _depth: int, indent: str) -> frozenset[str] | None:
        if not self._chance(20):
            return self._write_pass(assigned, 0, indent)
        self.lines.append(f"{indent}return {self._expression(assigned, 2) if self._chance(80) else ''}".rstrip())
        return None

    def _write_pass(self, assigned: frozenset[str], _depth: int, indent: str) -> frozenset[str]:
        self.lines.append(f"{indent}pass")
        return assigned

    # --- expressions

    def _expression(self, assigned: frozenset[str], depth: int) -> str:
        kinds = ["constant", "local", "local"]
        if depth > 0:
            kinds += ["binary"] * 4 + ["unary", "compare", "chain", "logic", "not", "choice", "pure", "yield"]
        write: Callable[[frozenset[str], int], str] = getattr(self, f"_{self._one_of(kinds)}")
        return write(assigned, depth - 1)

    def _constant(self, _assigned: frozenset[str], _depth: int) -> str:
        return str(self._one_of(CONSTANTS))

    def _local(self, assigned: frozenset[str], depth: int) -> str:
        return str(self._one_of(sorted(assigned))) if assigned else self._constant(assigned, depth)

    def _binary(self, assigned: frozenset[str], depth: int) -> str:
        left, symbol = self._expression(assigned, depth), self._one_of(BINARY)
        right = self._operand(symbol, assigned, depth)
        return f"({left} {symbol} {right})"

    def _operand(self, symbol: str, assigned: frozenset[str], depth: int) -> str:
        """What stands right of it: seldom what has no result, which ends a program; never a shift that is refused."""
        right = self._expression(assigned, depth)
        if symbol in ("//", "%") and self._chance(90):
            return f"({right} | 1)"
        if symbol not in ("<<", ">>"):
            return right
        return self._local(assigned, depth) if assigned and self._chance(5) else f"({right} & 63)"

    def _compare(self, assigned: frozenset[str], depth: int) -> str:
        return self._joined(assigned, depth, COMPARISONS, 2)

    def _chain(self, assigned: frozenset[str], depth: int) -> str:
        return self._joined(assigned, depth, COMPARISONS, 3)

    def _logic(self, assigned: frozenset[str], depth: int) -> str:
        return self._joined(assigned, depth, ["and", "or"], self._number(2, 3))

    def _joined(self, assigned: frozenset[str], depth: int, operators: list[str], operands: int) -> str:
        text = self._expression(assigned, depth)
        for _ in range(operands - 1):
            text += f" {self._one_of(operators)} {self._expression(assigned, depth)}"
        return f"({text})"

    def _unary(self, assigned: frozenset[str], depth: int) -> str:
        return f"({self._one_of(['-', '+', '~'])}{self._expression(assigned, depth)})"

    def _not(self, assigned: frozenset[str], depth: int) -> str:
        return f"(not {self._expression(assigned, depth)})"

    def _choice(self, assigned: frozenset[str], depth: int) -> str:
        yes, condition, no = (self._expression(assigned, depth) for _ in range(3))
        return f"({yes} if {condition} else {no})"

    def _pure(self, assigned: frozenset[str], depth: int) -> str:
        name, arguments = self._one_of([("abs", 1), ("int", 1), ("min", 2), ("max", 2), ("min", 3), ("max", 3)])
        return f"{name}({', '.join(self._expression(assigned, depth) for _ in range(arguments))})"

    def _yield(self, assigned: frozenset[str], depth: int) -> str:
        depth = max(depth, 0)
        kind = self._one_of(["word"] * 4 + ["own"] * 4 + ["other"] * 2 + ["raw", "program", "program"])
        callable_now = [
            name for name, (_, cost) in self.costs.items() if self._cost + cost * self._repeated <= MOST_STEPS
        ]
        if kind == "program" and callable_now:
            name = self._one_of(callable_now)
            parameters, cost = self.costs[name]
            self._cost += cost * self._repeated
            return f"(yield from {name}({self._arguments(assigned, depth, parameters)}))"
        self._cost += 2 * self._repeated
        if kind == "raw":
            name = self._one_of(sorted(RAW_PROGRAMS))
            arguments = self._arguments(assigned, depth, RAW_PROGRAMS[name], self._pointer(assigned, depth, "SLOTS"))
            return f"(yield from {name}({arguments}))"
        if kind == "own":
            name = self._one_of(sorted(OWN_OPERATIONS))
            arguments = self._arguments(assigned, depth, OWN_OPERATIONS[name], self._pointer(assigned, depth, "SLOTS"))
            return f"(yield {name}({arguments}))"
        if kind == "other":
            text = self._one_of(OTHER_OPERATIONS)
            return f"(yield {text.format(*[self._expression(assigned, depth) for _ in range(text.count('{}'))])})"
        name = self._one_of(sorted(WORD_OPERATIONS))
        pointer = self._pointer(assigned, depth, "WORDS")
        if self._chance(40):
            cpu = self._one_of(["0", "1", "2", f"({self._expression(assigned, depth)} & 1)"])
            pointer = f"per_cpu({self._pointer(assigned, depth, 'SLOTS')}, {cpu})"
        return f"(yield {name}({self._arguments(assigned, depth, WORD_OPERATIONS[name], pointer)}))"

    def _pointer(self, assigned: frozenset[str], depth: int, base: str) -> str:
        return str(self._one_of([base, f"{base} + 1", f"{base} + ({self._expression(assigned, depth)} & 3)"]))

    def _arguments(self, assigned: frozenset[str], depth: int, count: int, *before: str) -> str:
        return ", ".join([*before, *(self._expression(assigned, depth) for _ in range(count))])

    # --- chance

    def _number(self, least: int, most: int) -> int:
        return self.random.randint(least, most)

    def _chance(self, percent: int) -> bool:
        return self.random.random() * 100 < percent

    def _one_of(self, choices: list[Any]) -> Any:
        return self.random.choice(choices)

    def _fresh(self) -> str:
        self._serial += 1
        return f"turns{self._serial}"


def module_text(random: Random, programs: int) -> str:
    """The text of a module with that many programs."""
    writer = Writer(random)
    for _ in range(programs):
        writer.program()
    return writer.text()
