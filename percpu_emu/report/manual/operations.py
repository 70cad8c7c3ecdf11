"""The operations: an overview by family, and a page for each, from the table of `lang.ops`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Final

from percpu_emu.lang import instructions as i
from percpu_emu.lang.operation import OPERATIONS, Kind, Operation, Order, Section
from percpu_emu.report.manual.markdown import code, page, table, upper_first

_MEMORY: Final = frozenset({i.ALLOC_PERCPU, i.FREE_PERCPU, i.KZALLOC, i.KFREE})
_HOTPLUG: Final = frozenset({i.CPU_DOWN, i.CPU_UP, i.MOVE_TO})
_NOTES: Final = frozenset({i.LEDGER_ADD, i.LEDGER_COMMIT, i.MARK, i.WARN_ON})
FAMILIES: Final[dict[str, Callable[[Operation], bool]]] = {
    "This CPU's copy": lambda o: o.own,
    "Sections": lambda o: o.enters is not None or o.leaves is not None,
    "Published pointers": lambda o: o.dereference or o.publishes,
    "CPU hotplug": lambda o: o.opcode in _HOTPLUG,
    "Waiting": lambda o: bool(o.wait) or o.opcode == i.CPU_RELAX,
    "What runs later": lambda o: o.queues,
    "Memory": lambda o: o.opcode in _MEMORY,
    "Ledger, marks and warnings": lambda o: o.opcode in _NOTES,
    "Barriers": lambda o: not o.is_access and o.order != "none",
    "Words": lambda o: o.is_access and o.opcode != i.CPUMASK_NEXT,
    "The machine": lambda _: True,
}
"""An operation belongs to the first family that takes it."""
ORDERS: Final[dict[Order, str]] = {
    "none": "none of its own",
    "relaxed": "relaxed: the access itself, and no order with other words",
    "acquire": "acquire: what follows is not done before it",
    "release": "release: what came before is done by then",
    "full": "full: what came before is done before it, what follows after it",
    "read barrier": "reads before it are done before reads behind it",
    "write barrier": "writes before it are done before writes behind it",
}
SECTIONS: Final[dict[Section, str]] = {
    "rcu": "a read-side section",
    "preempt": "a section with preemption off, which is a read-side section, too",
    "irq": "a section with interrupts off, which is a read-side section, too",
}
KINDS: Final[dict[Kind, str]] = {
    "pointer": "a pointer, or `per_cpu(pointer, cpu)`",
    "word": "a number",
    "program": "a program",
    "name": "a text that is written out",
}
_WAITS: Final = {
    "": "no",
    "sleeps": "it sleeps: other tasks of its CPU run meanwhile; not allowed in a section, an interrupt or a callback",
    "spins": "it spins: the context keeps its CPU and its sections",
}
_MODEL: Final = (
    "The order is the one that an operation has with accesses to other words, at the least; sections and grace periods "
    "order more. In `explore` memory is sequentially consistent: each load and each store takes effect at once."
)


def family_of(operation: Operation) -> str:
    """The family that an operation belongs to."""
    return next(name for name, takes in FAMILIES.items() if takes(operation))


def overview() -> str:
    """All operations, in a table for each family."""
    parts = ["A program yields operations: `x = yield this_cpu_read(stats)`. " + _MODEL]
    for family in FAMILIES:
        rows = [_row(operation) for operation in OPERATIONS.values() if family_of(operation) == family]
        parts += [f"## {family}", table(["operation", "what it does", "order", "other CPUs see"], rows)]
    return page("Operations", *parts, "`percpu-emu help OPERATION` says more of one.")


def operation_page(name: str) -> str:
    """One operation. Raises KeyError for a name that is none."""
    operation = OPERATIONS[name]
    return page(code(signature(operation)), meaning(operation), _facts(operation))


def all_operations() -> str:
    """The overview, and every operation behind it, as the page of the docs has them."""
    parts = [overview().rstrip(), "## Each operation"]
    for operation in OPERATIONS.values():
        parts += [f"### {code(operation.name)}", code(signature(operation)), meaning(operation), _facts(operation)]
    return "\n\n".join(parts) + "\n"


def signature(operation: Operation) -> str:
    """The call, with the names of its parameters."""
    return f"{operation.name}({', '.join(name for name, _ in operation.parameters)})"


def meaning(operation: Operation) -> str:
    """What it does: the documentation of its function."""
    return " ".join((inspect.getdoc(operation.function) or "").split())


def _row(operation: Operation) -> list[str]:
    return [code(signature(operation)), meaning(operation), operation.order, _seen(operation)]


def _seen(operation: Operation) -> str:
    if not operation.is_access:
        if operation.opcode in (i.CPU_DOWN, i.CPU_UP):
            return "one step"
        return "all the memory at once" if operation.opcode in _MEMORY else "no word changes"
    if operation.is_split:
        return "a load and a store"
    return "a load" if operation.reads_only else "a store" if operation.opcode == i.WRITE else "one step"


def _facts(operation: Operation) -> str:
    named = code(operation.kernel_name) if operation.kernel_name else "none: it is the machine's own"
    rows = [
        ["parameters", "; ".join(_parameter(operation, *parameter) for parameter in operation.parameters) or "none"],
        ["the kernel's name", named],
        ["order", ORDERS[operation.order]],
        ["other CPUs see", _seen_in_full(operation)],
        ["sections", _sections(operation)],
        ["waits", _waits(operation)],
        ["queues", "the program, which runs later" if operation.queues else "nothing"],
    ]
    if not operation.native:
        rows.append(["in `run`", "refused: `explore` and `replay` have it"])
    return table(["property", "value"], rows)


def _parameter(operation: Operation, name: str, kind: Kind) -> str:
    own = operation.own and name == operation.parameters[operation.address_at][0]
    return f"{code(name)}: {'a per-CPU pointer' if own else KINDS[kind]}"


def _seen_in_full(operation: Operation) -> str:
    seen = _seen(operation)
    if operation.is_split:
        return f"{seen}: their accesses to this copy can come in between. For its own CPU it is one step"
    return f"{seen}: no access of another CPU comes in between" if seen == "one step" else seen


def _sections(operation: Operation) -> str:
    if operation.enters:
        return f"enters {SECTIONS[operation.enters]}"
    return f"leaves {SECTIONS[operation.leaves]}" if operation.leaves else "enters and leaves none"


def _waits(operation: Operation) -> str:
    asked = "the CPU asks the coordinator and waits for its answer" if operation.asks and not operation.wait else ""
    return asked or _waits_of(operation)


def _waits_of(operation: Operation) -> str:
    return upper_first(_WAITS[operation.wait]) if operation.wait else _WAITS[operation.wait]
