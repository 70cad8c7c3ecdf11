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
import linecache
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from types import CodeType, FrameType
from typing import Any, Final, Generic, Self, TypeVar, get_args, get_origin, get_type_hints

from percpu_emu.lang.setting import OBJECT_WORDS, STATIC, STATIC_WORDS
from percpu_emu.lang.words import BITS
from percpu_emu.shm import WORD_SIZE

FIRST_STATIC_PER_CPU: Final = 8
"""Where static per-CPU data begins in the static area, which begins with NULL."""

SHIFT_AT: Final = 48
"""A bit field is known by one number: the address of its word, from this bit on where in the word it begins ..."""
WIDTH_AT: Final = 54
"""... and from this one on how many bits it has."""

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


class Bits(int, Generic[Size]):
    """`Bits[Literal[4]]`: a bit field of 4 bits, for `read_bits` and `write_bits`. Those in a row share a word."""


class StructError(TypeError):
    """A structure that cannot be laid out."""


class Struct(int):
    """A structure: its annotations are its fields. An instance is static data; as a type, a pointer to one."""

    def __new__(cls) -> Self:
        """Static data of the module at whose top it stands: the next static words of the kernel."""
        return int.__new__(cls, _next_words(cls, "__static__", STATIC, STATIC_WORDS))

    @classmethod
    def static_per_cpu(cls) -> Self:
        """Static data that every CPU has a copy of (DEFINE_PER_CPU): a per-CPU pointer to the static area."""
        words = OBJECT_WORDS - FIRST_STATIC_PER_CPU
        return int.__new__(cls, _next_words(cls, "__static_per_cpu__", FIRST_STATIC_PER_CPU, words))

    @classmethod
    def at(cls, address: int) -> Self:
        """The kernel's own data, at a place that `kernel.layout` gives it: an address, or a per-CPU pointer."""
        return int.__new__(cls, address)

    def __getattr__(self, name: str) -> int:
        """The address of a field."""
        member = members(type(self)).get(name)
        if member is None:
            raise AttributeError(f"{type(self).__name__} has no field {name}")
        return int(self) + member.place


def _next_words(struct: Any, kept: str, first: int, most: int) -> int:
    """The next words of a kind, for the module that makes a static object; its variable `kept` lists what it has."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    if frame is None or frame.f_locals is not frame.f_globals:
        raise StructError(f"{struct.__name__}: static data stands at the top of a module")
    given: list[_Static] = frame.f_globals.setdefault(kept, [])
    words, variable = words_of(struct), _variable_at(frame)
    for one in given:
        if variable and (one.variable, one.words) == (variable, words) and one.code is not frame.f_code:
            one.code = frame.f_code
            return one.pointer
    end = sum(one.words for one in given) + words
    if end > most:
        raise StructError(f"{struct.__name__}: {end} static words, allowed: at most {most}")
    given.append(_Static(variable, words, first + end - words, frame.f_code))
    return given[-1].pointer


@dataclass
class _Static:
    """A static object of a module. A cell that runs again makes the same object of the same variable."""

    variable: str
    words: int
    pointer: int
    code: CodeType
    """What made it last."""


def _variable_at(frame: FrameType) -> str:
    """The variable to which the line assigns, "" where it does something else or is not known."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals)
    assignment = re.match(r"\s*(\w+)\s*(:[^=]*)?=(?!=)", line)
    return assignment[1] if assignment else ""


@dataclass(frozen=True)
class Member:
    """A field: its first word in the structure, and its type; of a bit field, where in the word it begins."""

    offset: int
    type: Any
    shift: int = 0

    @property
    def place(self) -> int:
        """What is added to the structure's address; for a bit field, with its place in the word and its width."""
        return self.offset + (self.shift << SHIFT_AT) + (width_of(self.type) << WIDTH_AT)


def members(struct: Any) -> dict[str, Member]:
    """The fields of a structure, by name, in order. Raises StructError for a type that is none of a field."""
    found, offset = dict[str, Member](), 0
    try:
        hints = get_type_hints(struct)
    except (NameError, TypeError, SyntaxError) as error:
        raise StructError(f"{struct.__name__}: {error}") from error
    shift = 0
    for name, kind in hints.items():
        if hasattr(int, name):
            raise StructError(f"{struct.__name__}.{name}: the name of a method of Python's int")
        width = width_of(kind, f"{struct.__name__}.{name}")
        if shift and not 0 < width <= BITS - shift:  # the word of the bit fields before it ends here
            offset, shift = offset + 1, 0
        found[name] = Member(offset, kind, shift)
        shift += width
        offset += 0 if width else words_of(kind, f"{struct.__name__}.{name}")
    if not found:
        raise StructError(f"{struct.__name__}: a structure has one field at least")
    return found


def words_of(kind: Any, name: str = "") -> int:
    """How many words a type takes. Raises StructError."""
    if is_struct(kind):
        name = kind.__name__
        try:
            fields = members(kind)
            last, member = list(fields.items())[-1]
            words = member.offset + (1 if is_bits(member.type) else words_of(member.type, f"{name}.{last}"))
        except RecursionError as error:
            raise StructError(f"{name}: it contains itself; a Ptr[{name}] leads to another") from error
    elif kind in (Word, AtomicLong) or (get_origin(kind) in (Ptr, PerCpu) and not is_bits(target_of(kind))):
        words = 1
    elif get_origin(kind) is Array:
        element, number = element_of(kind, name)
        words = number * words_of(element, name)
    else:
        allowed = "Word, AtomicLong, Ptr[T], PerCpu[T], Array[T, Literal[n]], Bits[Literal[n]], or a structure"
        if is_bits(kind) or is_bits(target_of(kind)):
            allowed = "no array of bit fields and no pointer to one: a bit field stands in a structure"
        raise StructError(f"{name}: found {getattr(kind, '__name__', kind)}, allowed: {allowed}")
    if words > OBJECT_WORDS:
        raise StructError(f"{name}: {words} words, allowed: at most {OBJECT_WORDS}")
    return words


def width_of(kind: Any, name: str = "") -> int:
    """How many bits a bit field has, 0 for any other type. Raises StructError."""
    if not is_bits(kind):
        return 0
    values = get_args(get_args(kind)[0]) if get_args(kind) else ()
    if len(values) != 1 or type(values[0]) is not int or not 0 < values[0] < BITS:
        raise StructError(f"{name}: the width of a bit field is written Bits[Literal[4]], allowed: 1 to {BITS - 1}")
    return values[0]


def is_bits(kind: Any) -> bool:
    """Whether it is the type of a bit field."""
    return get_origin(kind) is Bits or kind is Bits


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
    """The words of a type: the path of each, "inner.count", "items[2]" or, of bit fields, "dirty/busy"; its offset."""
    if is_struct(kind):
        for offset, fields in groupby(members(kind).items(), key=lambda item: item[1].offset):
            names, first = zip(*fields, strict=True)
            for path, inner in [("", 0)] if is_bits(first[0].type) else leaves(first[0].type):
                yield _joined("/".join(names), path), offset + inner
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
