"""What the types of a kernel are: sizes of structures, where their members lie, what pointers lead to, constants."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from percpu_emu.kernel.btf.table import BtfError, Kind, Record, Table

_DEEPEST: Final = 64
"""Types within types; compilers nest a dozen."""
_LARGEST_ALIGNMENT: Final = 4096
_MOST_MEMBERS: Final = 100_000
"""Members looked at in all; a profile needs a few thousand."""
_SAME_AS: Final = frozenset({Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
_SIZED: Final = frozenset({Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.FLOAT, Kind.DATASEC, Kind.ENUM64})
_NAMED: Final = frozenset({Kind.INT, Kind.STRUCT, Kind.DATASEC})


@dataclass(frozen=True)
class Structure:
    """A structure: its size in bytes, and of each member the offset in bytes and the number of its type.

    Members of unnamed structures and unions inside count as its own. A bit field has the offset of its first byte.
    """

    name: str
    size: int
    members: dict[str, tuple[int, int]]


class Btf:
    """The types of one kernel. Raises BtfError for whatever does not hold together, when it is looked at."""

    def __init__(self, data: bytes) -> None:
        self._table = Table(data)
        self._alignments: dict[int, int] = {}
        self._members = 0

    @cached_property
    def pointer_size(self) -> int:
        """Bytes of a pointer: those of `long`."""
        for name in ("long unsigned int", "unsigned long"):
            for number in self._by_name[Kind.INT, name]:
                return self._table[number].rest
        raise BtfError("the BTF has no type long, so it is not that of a kernel")

    def structure(self, name: str) -> Structure | None:
        """The structure of that name; None where there is none. Raises BtfError where there are several that differ."""
        found = [self._structure(number, name) for number in self._by_name[Kind.STRUCT, name]]
        sizes = sorted({one.size for one in found})
        if len(sizes) > 1:
            raise BtfError(f"the BTF has several structures {name}, of {' and '.join(map(str, sizes))} bytes")
        return found[0] if found else None

    def number(self, name: str) -> int | None:
        """The number of the structure of that name; None where there is none."""
        return next(iter(self._by_name[Kind.STRUCT, name]), None)

    def section_size(self, name: str) -> int | None:
        """Bytes of the variables in a section, up to the end of the last one; None where BTF does not list it."""
        ends = [
            offset + size
            for number in self._by_name[Kind.DATASEC, name]
            for index in range(self._table[number].entries)
            for _, offset, size in [self._table.numbers(self._table[number], 3, index)]
        ]
        return max(ends, default=None)

    def constant(self, name: str) -> int | None:
        """The value of an enumerator; None where no enum has it."""
        return self._constants.get(name)

    def target(self, number: int) -> int | None:
        """What a pointer points to; None for a type that is no pointer, and for a pointer to what has no size."""
        record = self._table[self.plain(number)]
        if record.kind is not Kind.PTR:
            return None
        target = self.plain(record.rest)
        if self._table[target].kind is Kind.FWD:  # its file knows no more of it; another one does
            return self.number(self._table.string(self._table[target].name))
        return target if self.size(target) else None

    def plain(self, number: int) -> int:
        """The type behind typedefs and qualifiers."""
        for _ in range(_DEEPEST):
            record = self._table[number]
            if record.kind not in _SAME_AS:
                return number
            number = record.rest
        raise BtfError(f"type {number} of the BTF is a name of a name without an end")

    def size(self, number: int) -> int:
        """Bytes of a type; 0 for void and functions."""
        total = 1
        for _ in range(_DEEPEST):
            record = self._table[number := self.plain(number)]
            if record.kind is not Kind.ARRAY:
                return total * self._own_size(record)
            number, _, count = self._table.numbers(record, 3)
            total *= count
        raise BtfError(f"type {number} of the BTF is an array of arrays without an end")

    def length(self, number: int) -> int | None:
        """How many elements an array has; None for a type that is no array."""
        record = self._table[self.plain(number)]
        return self._table.numbers(record, 3)[2] if record.kind is Kind.ARRAY else None

    def alignment(self, number: int, depth: int = 0) -> int:
        """The alignment that a type has by its members, and by the padding at its end.

        BTF does not tell of attributes that ask for more.
        """
        if depth > _DEEPEST:
            raise BtfError(f"type {number} of the BTF lies deeper than {_DEEPEST} types within each other")
        number = self.plain(number)
        if number not in self._alignments:
            self._alignments[number] = self._alignment(self._table[number], depth)
        return self._alignments[number]

    def _alignment(self, record: Record, depth: int) -> int:
        if record.kind is Kind.ARRAY:
            return self.alignment(self._table.numbers(record, 3)[0], depth + 1)
        if record.kind not in (Kind.STRUCT, Kind.UNION):
            return max(self._own_size(record), 1)
        natural, end = 1, 0
        for index in range(record.entries):
            _, member, offset = self._table.numbers(record, 3, index)
            natural = max(natural, self.alignment(member, depth + 1))
            end = max(end, (offset & 0xFFFFFF if record.flag else offset) // 8 + self.size(member))
        padded = natural
        while padded < _LARGEST_ALIGNMENT and -(-end // padded) * padded < record.rest:
            padded *= 2
        return padded if -(-end // padded) * padded == record.rest else natural

    def _own_size(self, record: Record) -> int:
        if record.kind is Kind.PTR:
            return self.pointer_size
        return record.rest if record.kind in _SIZED else 0

    def _structure(self, number: int, name: str) -> Structure:
        members: dict[str, tuple[int, int]] = {}
        self._collect(number, 0, members, 0)
        return Structure(name, self._table[number].rest, members)

    def _collect(self, number: int, start: int, members: dict[str, tuple[int, int]], depth: int) -> None:
        record = self._table[number]
        if depth > _DEEPEST:
            raise BtfError(f"type {number} of the BTF lies deeper than {_DEEPEST} types within each other")
        self._members += record.entries
        if self._members > _MOST_MEMBERS:
            raise BtfError(f"the structures of the BTF have more than {_MOST_MEMBERS} members")
        for index in range(record.entries):
            name, member, offset = self._table.numbers(record, 3, index)
            at = start + (offset & 0xFFFFFF if record.flag else offset) // 8
            if name:
                members.setdefault(self._table.string(name), (at, member))
            elif self._table[self.plain(member)].kind in (Kind.STRUCT, Kind.UNION):
                self._collect(self.plain(member), at, members, depth + 1)

    @cached_property
    def _by_name(self) -> defaultdict[tuple[Kind, str], list[int]]:
        found = defaultdict[tuple[Kind, str], list[int]](list)
        for number in range(1, len(self._table)):
            record = self._table[number]
            if record.name and record.kind in _NAMED:
                found[record.kind, self._table.string(record.name)].append(number)
        return found

    @cached_property
    def _constants(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for number in range(1, len(self._table)):
            record = self._table[number]
            if record.kind is Kind.ENUM:
                if len(found) > _MOST_MEMBERS:
                    raise BtfError(f"the enums of the BTF have more than {_MOST_MEMBERS} values")
                for index in range(record.entries):
                    name, value = self._table.numbers(record, 2, index)
                    signed = value - (1 << 32) if record.flag and value >> 31 else value
                    found.setdefault(self._table.string(name), signed)
        return found
