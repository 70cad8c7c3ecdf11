"""The records of raw BTF (Documentation/bpf/btf.rst of the kernel): where each type begins, and its strings."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

MAGIC: Final = 0xEB9F
_HEADER: Final = 24
_COMMON: Final = 12
_LONGEST_NAME: Final = 128
"""Characters of a name that is kept; kernels have longer ones only of functions, which are not looked at."""
_MOST_TYPES: Final = 1_000_000
"""Kernels have some 130,000."""


class BtfError(ValueError):
    """A file that holds no BTF which can be used: what is wrong, in one sentence."""


class Kind(IntEnum):
    """What a record is."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


_FIXED: Final = {Kind.INT: 4, Kind.ARRAY: 12, Kind.VAR: 4, Kind.DECL_TAG: 4}
"""Bytes behind the common part."""
_FOR_EACH: Final = {
    Kind.STRUCT: 12,
    Kind.UNION: 12,
    Kind.ENUM: 8,
    Kind.FUNC_PROTO: 8,
    Kind.DATASEC: 12,
    Kind.ENUM64: 12,
}
"""Bytes behind the common part for each member, value, parameter or variable."""


class Record(NamedTuple):
    """The common part of a type. `rest` is the size in bytes or the number of another type; `at`, where more begins."""

    name: int
    kind: Kind
    flag: bool
    entries: int
    rest: int
    at: int


_VOID: Final = Record(0, Kind.VOID, False, 0, 0, 0)


class Table:
    """The types of raw BTF by number. Raises BtfError for all that is not BTF, or is cut short."""

    def __init__(self, data: bytes) -> None:
        """`data` begins with the header; nothing outside the two sections that it names is looked at."""
        if len(data) < _HEADER:
            raise BtfError(f"the BTF is cut short: {len(data)} bytes, where the header alone has {_HEADER}")
        self._order = "<" if data[:2] == MAGIC.to_bytes(2, "little") else ">"
        magic, version, _flags, header = struct.unpack_from(self._order + "HBBI", data)
        if magic != MAGIC:
            raise BtfError("there is no BTF: it would begin with the bytes 9f eb")
        if version != 1 or header < _HEADER:
            raise BtfError(
                f"the BTF has version {version} and a header of {header} bytes, where only version 1 is known"
            )
        type_off, type_len, str_off, str_len = struct.unpack_from(self._order + "4I", data, 8)
        self._types = self._section(data, header + type_off, type_len, "types")
        self._strings = self._section(data, header + str_off, str_len, "strings")
        self._starts = self._index()

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, number: int) -> Record:
        """The type of that number; 0 is void. Raises BtfError where there is none."""
        if number == 0:
            return _VOID
        if not 0 < number < len(self._starts):
            raise BtfError(
                f"the BTF names type {number} of {len(self._starts) - 1}: it is damaged, or that of a module, "
                "which does not stand by itself"
            )
        return self._record(self._starts[number])

    def string(self, offset: int) -> str:
        """The name at an offset into the strings, cut to a length that no structure or member reaches."""
        if offset >= len(self._strings):
            raise BtfError(f"the BTF has a name at byte {offset} of its strings, which end at {len(self._strings)}")
        return self._strings[offset : offset + _LONGEST_NAME].partition(b"\0")[0].decode("ascii", "replace")

    def numbers(self, record: Record, each: int, index: int = 0, layout: str = "I") -> tuple[int, ...]:
        """The numbers of entry `index` behind a record, whose entries take `each` 32-bit words."""
        return struct.unpack_from(f"{self._order}{each}{layout}", self._types, record.at + 4 * each * index)

    def _record(self, start: int) -> Record:
        name, info, rest = struct.unpack_from(self._order + "3I", self._types, start)
        return Record(name, Kind(info >> 24 & 0x1F), bool(info >> 31), info & 0xFFFF, rest, start + _COMMON)

    def _index(self) -> list[int]:
        behind = [(_FIXED.get(kind, 0), _FOR_EACH.get(kind, 0)) for kind in Kind]
        starts, at, end = [0], 0, len(self._types)
        while at < end:
            if at + _COMMON > end:
                raise BtfError(f"the BTF is cut short: type {len(starts)} ends behind the section of types")
            starts.append(at)
            if len(starts) > _MOST_TYPES:
                raise BtfError(f"the BTF has more than {_MOST_TYPES} types")
            (info,) = struct.unpack_from(self._order + "I", self._types, at + 4)
            kind = info >> 24 & 0x1F
            if not 0 < kind < len(behind):
                known = f"1 to {len(behind) - 1} are known"
                raise BtfError(f"type {len(starts) - 1} of the BTF has kind {kind}, where {known}")
            fixed, each = behind[kind]
            at += _COMMON + fixed + each * (info & 0xFFFF)
        if at > end:
            raise BtfError(f"the BTF is cut short: type {len(starts) - 1} ends behind the section of types")
        return starts

    @staticmethod
    def _section(data: bytes, start: int, length: int, what: str) -> bytes:
        if start + length > len(data):
            raise BtfError(f"the BTF is cut short: its {what} end at byte {start + length} of {len(data)}")
        return data[start : start + length]
