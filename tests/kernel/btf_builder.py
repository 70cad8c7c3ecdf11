"""Writes BTF, an ELF file around it, a bzImage around that: the counterpart of the reader, from the formats alone."""

from __future__ import annotations

import struct
from typing import Self


class BtfBuilder:
    """Types are numbered from 1 in the order in which they are added."""

    def __init__(self, order: str = "<") -> None:
        self.order = order
        self.types: list[bytes] = []
        self.strings = b"\0"
        self.long = self.integer("long unsigned int", 8)
        self.int = self.integer("int", 4)

    def add(self, kind: int, name: str = "", rest: int = 0, tail: bytes = b"", entries: int = 0, flag: int = 0) -> int:
        self.types.append(self.pack("3I", self.name(name), flag << 31 | kind << 24 | entries, rest) + tail)
        return len(self.types)

    def pack(self, layout: str, *values: int) -> bytes:
        return struct.pack(self.order + layout, *values)

    def name(self, text: str) -> int:
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def integer(self, name: str, size: int) -> int:
        return self.add(1, name, size, self.pack("I", size * 8))

    def pointer(self, to: int) -> int:
        return self.add(2, rest=to)

    def array(self, of: int, length: int) -> int:
        return self.add(3, tail=self.pack("3I", of, self.int, length))

    def structure(self, name: str, size: int, members: list[tuple[str, int, int]], kind: int = 4, flag: int = 0) -> int:
        """Members: name, type, offset in bytes."""
        tail = b"".join(self.pack("3I", self.name(member), number, 8 * at) for member, number, at in members)
        return self.add(kind, name, size, tail, len(members), flag)

    def enum(self, name: str, values: dict[str, int]) -> int:
        tail = b"".join(self.pack("Ii", self.name(key), value) for key, value in values.items())
        return self.add(6, name, 4, tail, len(values))

    def section(self, name: str, variables: list[tuple[int, int]]) -> int:
        """Variables: offset and size."""
        tail = b"".join(self.pack("3I", self.long, offset, size) for offset, size in variables)
        return self.add(15, name, 0, tail, len(variables))

    def build(self) -> bytes:
        types = b"".join(self.types)
        header = self.pack("HBBI4I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self.strings))
        return header + types + self.strings


class KernelBuilder(BtfBuilder):
    """The types of a small kernel with memory cgroups, as v6.1 has them; all counters are longs."""

    def __init__(self, order: str = "<", stats: int = 5, events: int = 3) -> None:
        super().__init__(order)
        percpu = 2 * 8 * (stats + events)
        state, event = self.array(self.long, stats), self.array(self.long, events)
        parts = [("state", state, 0), ("events", event, 8 * stats)]
        vmstats_percpu = self.structure("memcg_vmstats_percpu", percpu, parts)
        lruvec = self.structure("lruvec_stats_percpu", 16 * stats, [("state", state, 0)])
        rstat = self.structure("cgroup_rstat_cpu", 64, [("updated_next", self.pointer(0), 0)])
        vmstats = self.structure("memcg_vmstats", 1040, [("state", state, 0)])
        css = self.structure("cgroup_subsys_state", 200, [("refcnt", self.long, 0)])
        self.structure("cgroup", 1792, [("self", css, 0), ("rstat_cpu", self.pointer(rstat), 200)])
        members = [("css", css, 0), ("vmstats", self.pointer(vmstats), 200)]
        self.structure("mem_cgroup", 2176, [*members, ("vmstats_percpu", self.pointer(vmstats_percpu), 208)])
        self.structure("mem_cgroup_per_node", 2560, [("lruvec_stats_percpu", self.pointer(lruvec), 0)])

    def with_percpu(self, size: int) -> Self:
        """With static per-CPU variables that end at `size` bytes."""
        self.section(".data..percpu", [(0, 8), (size - 8, 8)])
        return self


def elf(sections: dict[str, bytes], *, nobits: str = "", relocatable: bool = False) -> bytes:
    """A 64-bit little-endian ELF file of these sections."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in sections) + b".shstrtab\0"
    body, rows, at = b"", [struct.pack("<IIQQQQIIQQ", *[0] * 10)], 64
    for name, data in {**sections, ".shstrtab": names}.items():
        kind = 8 if name == nobits else 1
        where = names.index(b"\0" + name.encode() + b"\0") + 1
        rows.append(struct.pack("<IIQQQQIIQQ", where, kind, 0, 0, at + len(body), len(data), 0, 0, 1, 0))
        body += data
    ident = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header = (1 if relocatable else 2, 62, 1, 0, 0, at + len(body), 0, 64, 0, 0, 64, len(rows), len(rows) - 1)
    return ident + struct.pack("<HHIQQQIHHHHHH", *header) + body + b"".join(rows)


def bzimage(payload: bytes, version: int = 0x20F) -> bytes:
    """A bzImage whose boot sectors (one, and the boot sector itself) are followed by the payload."""
    start = bytearray(2 * 512)
    start[0x1F1] = 1
    start[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", start, 0x206, version)
    struct.pack_into("<II", start, 0x248, 16, len(payload))
    return bytes(start) + bytes(16) + payload + b"what follows"
