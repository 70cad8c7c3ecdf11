"""What the words, values and contexts of a trace are called, for people."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from percpu_emu.kernel.layout import BOOT, STATIC, STATIC_WORDS, WORD_NAMES
from percpu_emu.lang import instructions as i
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, UNIT_SHIFT

if TYPE_CHECKING:
    from percpu_emu.lang.operation import Operation
    from percpu_emu.lang.trace import Step, Trace

EVENTS: Final = frozenset({"offline", "kill", "migrate"})
MOVES: Final = frozenset({"migrate", "migrate_to"})
"""After these a task is on another CPU."""
"""Steps of the machine, which are no operation of a program."""
ALLOCATES: Final = frozenset({i.ALLOC_PERCPU, i.KZALLOC})
FREES: Final = frozenset({i.FREE_PERCPU, i.KFREE})
_DECIMAL: Final = 1 << 40
"""Numbers from here on are shown in hexadecimal: no count is that large, a poison is."""


def definition(step: Step) -> Operation | None:
    """The definition of a step's operation, None for an event of the machine. Raises KeyError for an unknown one."""
    return None if step.op in EVENTS else OPERATIONS[step.op]


def opcode(step: Step) -> int | None:
    """The effect of a step's operation, None for an event of the machine."""
    operation = definition(step)
    return operation.opcode if operation else None


def split_address(address: int) -> tuple[int | None, int]:
    """The CPU whose copy it is, None for a kernel word; and the per-CPU pointer, or the kernel word."""
    unit = address >> UNIT_SHIFT
    return (unit - 1, address & ((1 << UNIT_SHIFT) - 1)) if unit > 0 else (None, address)


def allocation_of(address: int) -> int | None:
    """The pointer to the per-CPU region or object that the word is part of; None for static memory."""
    cpu, pointer = split_address(address)
    if cpu is None and pointer < FIRST_OBJECT:
        return None
    base = pointer - pointer % OBJECT_WORDS
    return base or None


def is_percpu(pointer: int) -> bool:
    """Whether a pointer, not an address, is a per-CPU one: the kernel's memory begins above them."""
    return 0 <= pointer < BOOT


def is_static(value: int) -> bool:
    """Whether it is the address of a static word of the kernel."""
    return STATIC <= value < STATIC + STATIC_WORDS


class Labels:
    """Names for one trace. An actor is an index into `trace.contexts`, as callbacks share their numbers."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.actors: list[int] = _actors(trace)
        """Who took each step."""
        self._bases = _bases(trace)
        self._pointers = _pointer_words(trace, self._bases)
        self._migrating = {step.context for step in trace.steps if step.op in MOVES}

    # --- words

    def is_named(self, address: int) -> bool:
        """Whether the scenario's author gave it a name."""
        cpu, pointer = split_address(address)
        return address in self._trace.names or (cpu is not None and pointer in self._trace.names)

    def word(self, address: int) -> str:
        """`stats`, `slot of CPU 1`, `word 3 of object 2`."""
        if address in self._trace.names:
            return self._trace.names[address]
        cpu, pointer = split_address(address)
        if cpu is not None:
            return self._percpu_word(cpu, pointer)
        base = allocation_of(address)
        return WORD_NAMES.get(address, f"word {address}") if base is None else self._part(base, address - base)

    def _percpu_word(self, cpu: int, pointer: int) -> str:
        names = self._trace.names
        if pointer in names:
            return f"{names[pointer]} of CPU {cpu}"
        base = pointer - pointer % OBJECT_WORDS
        if base and base in names:
            return f"{names[base]}[{pointer - base}] of CPU {cpu}"
        return f"{self._part(base, pointer - base)}, CPU {cpu}"

    def _part(self, base: int, offset: int) -> str:
        return f"word {offset} of {self.allocation(base)}"

    def allocation(self, base: int) -> str:
        """What a per-CPU region or an object is called: as its words are, or by its number (`lang.setting`).

        An object whose words are called `delta of the entry` and `next of the entry` is `the entry`.
        """
        if base == 0:
            return "the static per-CPU area"
        named = [name for word, name in self._trace.names.items() if base <= word < base + OBJECT_WORDS]
        wholes = {name.partition(" of ")[2] for name in named}
        if len(wholes) == 1 and "" not in wholes:
            return wholes.pop()
        if base in self._trace.names and (is_percpu(base) or len(named) == 1):
            return self._trace.names[base]
        if base >= FIRST_OBJECT:
            return f"object {(base - FIRST_OBJECT) // OBJECT_WORDS}"
        return f"per-CPU region {base // OBJECT_WORDS - 1}"

    def place(self, address: int, cpu: int | None) -> str:
        """The word inside a sentence about a step on `cpu`: `its slot`, `the slot of CPU 1`, `counter`."""
        word = self.word(address)
        owner, _ = split_address(address)
        if owner is None or not self.is_named(address):
            return word
        own = f" of CPU {owner}"
        return f"its {word.removesuffix(own)}" if owner == cpu and word.endswith(own) else f"the {word}"

    # --- values

    def is_pointer(self, address: int) -> bool:
        """Whether the word holds a pointer, as far as the trace shows."""
        return address in self._pointers

    def value(self, address: int, value: int) -> str:
        """A value of that word: a number, `NULL`, `&slot`."""
        return self.pointer(value) if address in self._pointers else number(value)

    def pointer(self, value: int) -> str:
        """A pointer: `NULL`, `&slot`, `&object 2`; a number where it leads to nothing that is known."""
        if value == 0:
            return "NULL"
        if value in self._bases:
            return f"&{self.allocation(value)}"
        return f"&{self.word(value)}" if is_static(value) else number(value)

    def target(self, pointer: int) -> str:
        """What a pointer leads to, inside a sentence: `the slots`, `object 2`."""
        if pointer not in self._bases:
            return self.pointer(pointer).removeprefix("&")
        name = self.allocation(pointer)
        if not self.is_named(pointer) or name.startswith("the ") or name[-1].isdigit():
            return name  # one of several has a number: it takes no article
        return f"the {name}s" if is_percpu(pointer) and not name.endswith("s") else f"the {name}"

    @property
    def bases(self) -> list[int]:
        """Pointers to everything that was allocated, as far as the trace shows."""
        return sorted(self._bases)

    # --- contexts

    def who(self, actor: int) -> str:
        """`CPU 1`, `the coordinator`, `the interrupt on CPU 0`, `the RCU callback percpu_rcu_free`."""
        context = self._trace.contexts[actor]
        if context.kind == "task":
            return self._task(actor)
        return {
            "interrupt": f"the interrupt on CPU {context.cpu}",
            "callback": f"the RCU callback {context.program}",
            "work": f"the work {context.program}",
            "sent": f"the interrupt {context.program}",
            "offline": f"the hotplug code for CPU {context.cpu}",
            "kill": f"the kill of CPU {context.cpu}",
        }.get(context.kind, context.name)

    def name(self, actor: int) -> str:
        """A context's own name, without what else is said of it: kind and CPU."""
        context = self._trace.contexts[actor]
        return context.name.removeprefix(f"{context.kind} ").removesuffix(f" on CPU {context.cpu}")

    def _task(self, actor: int) -> str:
        context = self._trace.contexts[actor]
        if context.number in self._migrating:
            return f"the task {self.name(actor)}"
        beside = sum(other.kind == "task" and other.cpu == context.cpu for other in self._trace.contexts)
        if context.cpu is None:
            return "the coordinator" if beside == 1 else f"the coordinator's {self.name(actor)}"
        return f"CPU {context.cpu}" if beside == 1 else f"{self.name(actor)} on CPU {context.cpu}"

    def actor_of(self, number: int, step: int) -> int | None:
        """The actor a context's number means at a step: the next to act under it, else the last; None if none is."""
        steps = self._trace.steps
        for index in chain(range(step, len(steps)), range(step - 1, -1, -1)):
            if steps[index].context == number:
                return self.actors[index]
        numbers = [context.number for context in self._trace.contexts]
        return numbers.index(number) if number in numbers else None


def number(value: int) -> str:
    """A plain number."""
    return str(value) if abs(value) < _DECIMAL else hex(value & (1 << 64) - 1)


def sentence(text: str) -> str:
    """With a capital letter, if it begins with a word and not with a name of the source, and a full stop."""
    begin = text[:1].upper() if text.partition(" ")[0].strip(",:").isalpha() else text[:1]
    return f"{begin}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")


def _actors(trace: Trace) -> list[int]:
    """For each step the index of its context; a slot's next program begins where the last one has ended."""
    listed: dict[int, list[int]] = {}
    for actor, context in enumerate(trace.contexts):
        listed.setdefault(context.number, []).append(actor)
    ended: dict[int, int] = {}
    actors = []
    for step in trace.steps:
        candidates = listed[step.context]
        actors.append(candidates[min(ended.get(step.context, 0), len(candidates) - 1)])
        ended[step.context] = ended.get(step.context, 0) + step.ended
    return actors


def _bases(trace: Trace) -> set[int]:
    bases = {pointer for pointer in trace.names if is_percpu(pointer) and pointer and pointer % OBJECT_WORDS == 0}
    addresses = [*trace.initial, *(access.address for step in trace.steps for access in step.accesses)]
    bases.update(base for address in addresses if (base := allocation_of(address)) is not None)
    for step in trace.steps:
        if opcode(step) in ALLOCATES:
            bases.add(step.result)
        elif opcode(step) in FREES:
            bases.add(step.args[0])
    return bases - {0}


def _pointer_words(trace: Trace, bases: set[int]) -> set[int]:
    """Words that RCU handles as pointers, and words that never hold anything but NULL and pointers."""
    values: dict[int, set[int]] = {address: {value} for address, value in trace.initial.items()}
    pointers = set()
    for step in trace.steps:
        for access in step.accesses:
            values.setdefault(access.address, set()).update((access.old, access.new))
            operation = definition(step)
            if operation and (operation.dereference or operation.publishes):
                pointers.add(access.address)
    return pointers | {address for address, held in values.items() if held - {0} and _are_pointers(held - {0}, bases)}


def _are_pointers(held: set[int], bases: set[int]) -> bool:
    return all(value in bases or is_static(value) for value in held)
