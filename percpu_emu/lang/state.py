"""A state as a user's check sees it: words by address, or by the fields of structures.

    def final(state: State) -> str | None:
        seen = state.at(counter)
        if seen.total + sum(seen.stats.on(cpu).slot for cpu in range(2)) != 2:
            return f"a count is lost: {seen}"
        return None

The search shows states of its model so, and a run on real processes the end of a round.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, get_origin

from percpu_emu.lang.setting import OBJECT_WORDS
from percpu_emu.lang.structures import (
    Array,
    PerCpu,
    Struct,
    element_of,
    is_struct,
    members,
    target_of,
    width_of,
    words_of,
)


class State(ABC):
    """The memory of a machine at one moment. A word that is not there is 0."""

    @property
    @abstractmethod
    def cpus(self) -> int:
        """How many CPUs there are."""

    @abstractmethod
    def word(self, address: int) -> int:
        """A word of the kernel's memory."""

    @abstractmethod
    def slot(self, pointer: int, cpu: int) -> int:
        """A CPU's copy of a per-CPU word."""

    @abstractmethod
    def ledger(self, counter: int) -> int:
        """What was added to a counter in all, as far as it is entered."""

    @abstractmethod
    def result(self, number: int) -> int:
        """What the last turn of a context gave."""

    def at(self, static: Struct) -> View:
        """A static object; of one that every CPU has a copy of, `on(cpu)` gives a copy."""
        return View(self, type(static), int(static), static < OBJECT_WORDS)


@dataclass(frozen=True, eq=False, repr=False)
class View:
    """An object in a state. Its fields are numbers; a pointer leads to another object, and is false if it is NULL."""

    _state: State
    _kind: Any
    _pointer: int
    _per_cpu: bool = False
    _cpu: int | None = None
    """Of a per-CPU object: whose copy."""

    def on(self, cpu: int) -> View:
        """The copy of a CPU. Raises AttributeError where it is no per-CPU object, NULL, or there is no such CPU."""
        if not self._per_cpu or self._pointer == 0:
            raise AttributeError(f"on({cpu}): {'the pointer is NULL' if self._per_cpu else 'it is no per-CPU object'}")
        if not 0 <= cpu < self._state.cpus:
            raise AttributeError(f"on({cpu}): there is no such CPU")
        return View(self._state, self._kind, self._pointer, True, cpu)

    def __getattr__(self, name: str) -> Any:
        """A field's value. Raises AttributeError for a field that is not there, also as the object is not."""
        member = members(self._kind).get(name) if is_struct(self._kind) else None
        if member is None:
            raise AttributeError(f"{getattr(self._kind, '__name__', self._kind)} has no field {name}")
        value = self._value(name, member.type, member.offset)
        width = width_of(member.type)
        return value >> member.shift & (1 << width) - 1 if width else value

    def __getitem__(self, index: int) -> Any:
        """An element of an array. Raises IndexError."""
        element, number = element_of(self._kind)
        if not 0 <= index < number:
            raise IndexError(f"[{index}]: the array has {number} elements")
        return self._value(f"[{index}]", element, index * words_of(element))

    def _value(self, name: str, kind: Any, offset: int) -> Any:
        if self._pointer == 0 and not self._per_cpu:
            raise AttributeError(f"{name}: the pointer is NULL")
        if self._per_cpu and self._cpu is None:
            raise AttributeError(f"{name}: on(cpu) says which CPU's copy")
        address = self._pointer + offset
        if is_struct(kind) or get_origin(kind) is Array:
            return View(self._state, kind, address, self._per_cpu, self._cpu)
        value = self._state.word(address) if self._cpu is None else self._state.slot(address, self._cpu)
        target = target_of(kind)
        return value if target is None else View(self._state, target, value, get_origin(kind) is PerCpu)

    def __int__(self) -> int:
        return self._pointer

    def __bool__(self) -> bool:
        return self._pointer != 0

    def __eq__(self, other: object) -> bool:
        return int(other) == self._pointer if isinstance(other, View | int) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._pointer)

    def __repr__(self) -> str:
        """With the values of its fields: what a message shows."""
        if not self:
            return "NULL"
        if self._per_cpu and self._cpu is None:
            return f"[{', '.join(repr(self.on(cpu)) for cpu in range(self._state.cpus))}]"
        if get_origin(self._kind) is Array:
            element, number = element_of(self._kind)
            return f"[{', '.join(_shown(element, self[index]) for index in range(number))}]"
        if not is_struct(self._kind):
            return hex(self._pointer)
        fields = (f"{name}={_shown(member.type, getattr(self, name))}" for name, member in members(self._kind).items())
        return f"{self._kind.__name__}({', '.join(fields)})"


def _shown(kind: Any, value: Any) -> str:
    """A pointer leads to objects that may lead back: it is shown as a number."""
    return repr(value) if target_of(kind) is None or not value else hex(int(value))
