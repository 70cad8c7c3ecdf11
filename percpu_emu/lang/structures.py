"""Structures: named fields for the words that programs work on.

    class Slots(Struct):
        slot: Word

    class Counter(Struct):
        stats: PerCpu[Slots]      # a word that holds a pointer to a `Slots` on every CPU
        total: AtomicLong

    counter = Counter()           # static data of this module

In a program `counter.total` is the address of that word, as `&counter.total` in C. A local variable that holds a
pointer has a structure, too, where its annotation or what is assigned to it says which (`lang.lowering`). All engines
compute with addresses: a structure is a way to write them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, Self, TypeVar, get_args, get_origin, get_type_hints

from percpu_emu.lang.setting import OBJECT_WORDS, STATIC, STATIC_WORDS
from percpu_emu.shm import WORD_SIZE

FIRST_STATIC_PER_CPU: Final = 8
"""Where static per-CPU data begins in the static area, which begins with NULL."""

Target = TypeVar("Target")
Size = TypeVar("Size", bound=int)


class Word(int):
    """A field of 64 bits."""


class AtomicLong(int):
    """A field that the `atomic_long_*` operations change: atomic_long_t."""


class Ptr(int, Generic[Target]):
    """A field that holds a pointer to an object of that type, or NULL."""


class PerCpu(int, Generic[Target]):
    """A field that holds a per-CPU pointer to that type, or NULL."""


class Array(int, Generic[Target, Size]):
    """`Array[Word, Literal[4]]`: so many elements, one behind the other; in a program, `field[i]` is one of them."""

    def __getitem__(self, index: int) -> Target:
        """The address of an element, whose index is a number."""
        raise TypeError("an element has an address only in a program")


class StructError(TypeError):
    """A structure that cannot be laid out."""


class Struct(int):
    """A structure: its annotations are its fields. An instance is static data; as a type, a pointer to one."""

    def __new__(cls) -> Self:
        """Static data of the module at whose top it stands: the next static words of the kernel."""
        return int.__new__(cls, _next_words(cls, "__static_words__", STATIC, STATIC_WORDS))

    @classmethod
    def static_per_cpu(cls) -> Self:
        """Static data that every CPU has a copy of (DEFINE_PER_CPU): a per-CPU pointer to the static area."""
        words = OBJECT_WORDS - FIRST_STATIC_PER_CPU
        return int.__new__(cls, _next_words(cls, "__static_per_cpu_words__", FIRST_STATIC_PER_CPU, words))

    @classmethod
    def at(cls, address: int) -> Self:
        """The kernel's own data, at a place that `kernel.layout` gives it: an address, or a per-CPU pointer."""
        return int.__new__(cls, address)

    def __getattr__(self, name: str) -> int:
        """The address of a field."""
        member = members(type(self)).get(name)
        if member is None:
            raise AttributeError(f"{type(self).__name__} has no field {name}")
        return int(self) + member.offset


def _next_words(struct: Any, kept: str, first: int, most: int) -> int:
    """The next words of a kind, for the module that makes a static object; its variable `kept` says how many it has."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    if frame is None or frame.f_code.co_name != "<module>":
        raise StructError(f"{struct.__name__}: static data stands at the top of a module")
    taken = frame.f_globals.get(kept, 0)
    end = frame.f_globals[kept] = taken + words_of(struct)
    if end > most:
        raise StructError(f"{struct.__name__}: {end} static words, allowed: at most {most}")
    return int(first + taken)


@dataclass(frozen=True)
class Member:
    """A field: its first word in the structure, and its type."""

    offset: int
    type: Any


def members(struct: Any) -> dict[str, Member]:
    """The fields of a structure, by name, in order. Raises StructError for a type that is none of a field."""
    found, offset = dict[str, Member](), 0
    try:
        hints = get_type_hints(struct)
    except (NameError, TypeError, SyntaxError) as error:
        raise StructError(f"{struct.__name__}: {error}") from error
    for name, kind in hints.items():
        if hasattr(int, name):
            raise StructError(f"{struct.__name__}.{name}: the name of a method of Python's int")
        found[name] = Member(offset, kind)
        offset += words_of(kind, f"{struct.__name__}.{name}")
    if not found:
        raise StructError(f"{struct.__name__}: a structure has one field at least")
    return found


def words_of(kind: Any, name: str = "") -> int:
    """How many words a type takes. Raises StructError."""
    if is_struct(kind):
        name = kind.__name__
        try:
            words = sum(words_of(member.type, f"{name}.{field}") for field, member in members(kind).items())
        except RecursionError as error:
            raise StructError(f"{name}: it contains itself; a Ptr[{name}] leads to another") from error
    elif kind in (Word, AtomicLong) or get_origin(kind) in (Ptr, PerCpu):
        words = 1
    elif get_origin(kind) is Array:
        element, number = element_of(kind, name)
        words = number * words_of(element, name)
    else:
        allowed = "Word, AtomicLong, Ptr[T], PerCpu[T], Array[T, Literal[n]], or a structure"
        raise StructError(f"{name}: found {getattr(kind, '__name__', kind)}, allowed: {allowed}")
    if words > OBJECT_WORDS:
        raise StructError(f"{name}: {words} words, allowed: at most {OBJECT_WORDS}")
    return words


def element_of(array: Any, name: str = "") -> tuple[Any, int]:
    """The type of an array's elements, and their number. Raises StructError."""
    element, size = get_args(array)
    values = get_args(size)
    if len(values) != 1 or type(values[0]) is not int or values[0] < 1:
        raise StructError(f"{name}: the size of an array is written Array[T, Literal[4]]")
    return element, values[0]


def is_struct(kind: Any) -> bool:
    """Whether it is a structure's class."""
    return isinstance(kind, type) and issubclass(kind, Struct)


def target_of(kind: Any) -> Any:
    """What a field of that type points to, None if it holds no pointer."""
    return get_args(kind)[0] if get_origin(kind) in (Ptr, PerCpu) else None


def sizeof(kind: Any) -> int:
    """Bytes of a type, for `alloc_percpu` and `kzalloc`: what they give then points to that type."""
    return words_of(kind, str(kind)) * WORD_SIZE


# --- names for people


def leaves(kind: Any) -> Iterator[tuple[str, int]]:
    """The words of a type: the path of each, "inner.count" or "items[2]", and its offset."""
    if is_struct(kind):
        for name, member in members(kind).items():
            for path, offset in leaves(member.type):
                yield _joined(name, path), member.offset + offset
    elif get_origin(kind) is Array:
        element, number = element_of(kind)
        for index in range(number):
            for path, offset in leaves(element):
                yield _joined(f"[{index}]", path), index * words_of(element) + offset
    else:
        yield "", 0


def _joined(name: str, path: str) -> str:
    return name + (f".{path}" if path and not path.startswith("[") else path)


def spelled(struct: Any) -> str:
    """What an object of that type is called in a sentence: `PerNode` is "per node"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", getattr(struct, "__name__", "object")).lower()


def names_of_static(objects: dict[str, Struct]) -> dict[int, str]:
    """Names of the words of static objects, which have names: by their fields alone where there is one object."""
    return {
        value + offset: path if len(set(objects.values())) == 1 else _joined(name, path)
        for name, value in objects.items()
        for path, offset in leaves(type(value))
    }


def names_of_allocated(kind: Any, pointer: int, number: int | None) -> dict[int, str]:
    """Names of the words of an allocation: `slot`, `next of the node`, `next of node 2` where there are several."""
    paths = list(leaves(kind))
    per_cpu = pointer < STATIC
    if per_cpu and len(paths) == 1 and number is None:
        return {pointer: paths[0][0] or "slot"}
    whole = f"the {spelled(kind)}" if number is None else f"{spelled(kind)} {number}"
    return {pointer + offset: f"{path or 'word'} of {whole}" for path, offset in paths}
