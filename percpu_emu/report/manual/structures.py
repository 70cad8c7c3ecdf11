"""The page of structures: fields, `counted`, states in checks, histories; texts are the functions' own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from percpu_emu.lang import bits, locking, ops, state, structures
from percpu_emu.report.manual.markdown import code, page, table
from percpu_emu.scenario import decorator, linearizable

_FIELDS: Final = {
    "Word": structures.Word,
    "AtomicLong": structures.AtomicLong,
    "Ptr[T]": structures.Ptr,
    "PerCpu[T]": structures.PerCpu,
    "Array[T, Literal[n]]": structures.Array,
    "Bits[Literal[n]]": structures.Bits,
}
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "sizeof(T)": structures.sizeof,
    "T()": structures.Struct.__new__,
    "T.static_per_cpu()": structures.Struct.static_per_cpu,
    "yield from read_bits(page.dirty)": bits.read_bits,
    "yield from write_bits(page.dirty, value)": bits.write_bits,
    "with counted(counter, change):": ops.counted,
}
_STATES: Final[dict[str, Callable[..., Any]]] = {
    "state.at(object)": state.State.at,
    "state.word(address)": state.State.word,
    "state.slot(pointer, cpu)": state.State.slot,
    "state.ledger(counter)": state.State.ledger,
    "state.result(number)": state.State.result,
    "object.on(cpu)": state.View.on,
    "linearizable(history, initial, specification)": linearizable.linearizable,
    "yield from called(history, code, argument)": linearizable.called,
    "yield from returned(history, call, result)": linearizable.returned,
}
_LOCKS: Final[dict[str, Callable[..., Any]]] = {
    "takes(program, by=operation)": locking.takes,
    "releases(program, by=operation)": locking.releases,
}
_CONTEXTS: Final[dict[str, Callable[..., Any]]] = {
    "m.task(program, *args)": decorator.Contexts.task,
    "m.interrupt(program, *args, cpu=...)": decorator.Contexts.interrupt,
    "m.offline(program, *args, cpu=...)": decorator.Contexts.offline,
    "m.kill(program, *args, cpu=...)": decorator.Contexts.kill,
}
_RULES: Final = (
    "A structure is a class of `Struct`, whose annotations are its fields. In a program `counter.total` is the address "
    "of that word, as `&counter.total` in C; `items[i]` is an element, whose index is held against the size only where "
    "it is a number. `from percpu_emu.program import *` brings all names."
)
_POINTS: Final = (
    "Which structure a local variable points to follows from its annotation, `node: Node = yield ...`, or from what is "
    "assigned to it: an allocation of `sizeof(T)`, a load from a field `Ptr[T]` or `PerCpu[T]`, another such variable. "
    "A parameter is annotated: `def flush(slots: Slots)`. Columns and stories call words by their fields."
)
_NARROW: Final = (
    "A field has 64 bits, and one operation reads or writes all of them. What a 32-bit machine does in two steps is "
    "two fields, as in the scenario `u64-torn`. Bit fields in a row share a word until it is full or another field "
    "follows: to write one writes the whole word, as in the scenario `bit-fields-two-locks`. A state shows a bit field "
    "alone."
)


def structures_page() -> str:
    """The rules of structures."""
    return page(
        "Structures, scenarios in Python, and checks of one's own",
        _RULES,
        _POINTS,
        "## Fields",
        _listed("field", _FIELDS),
        _NARROW,
        "## Memory",
        _listed("Python", _FUNCTIONS),
        "## A scenario",
        "A function under `@scenario(...)` declares one, with the keys of `help scenario` and `help explore-table`: "
        f"{', '.join(map(code, decorator.Keys.__annotations__))}. Its name and documentation are the scenario's name, "
        "summary and description. `percpu-emu show NAME --as python` and `--as toml` print the one form or the other.",
        _listed("in its body", _CONTEXTS),
        "## Checks of one's own",
        "`final` and `invariant` name Python functions of a state, which give a sentence about what is wrong, or None. "
        "`after` has one for each step that it names, and shows it the state in which the step leaves the machine: "
        '`after={"release:3": unpublished}`. A step is an injection point (PROGRAM:NUMBER, as reports print '
        "it), all operations of one name in a program (PROGRAM:OPERATION), or a mark. A name that fits no step is "
        "refused; where the step is never taken, the check is not judged.",
        _listed("Python", _STATES),
        "## Locks of one's own",
        "The check `circular-wait` knows the locks of `percpu_emu.kernel.locks`. One's own are declared behind their "
        "functions, after `from percpu_emu.lang.locking import releases, takes`; a lock is known by its address.",
        _listed("Python", _LOCKS),
    )


def _listed(header: str, known: dict[str, Any]) -> str:
    return table([header, "meaning"], [[code(name), _meaning(thing)] for name, thing in known.items()])


def _meaning(thing: Any) -> str:
    """The first paragraph of its documentation."""
    return (inspect.getdoc(thing) or "").partition("\n\n")[0]
