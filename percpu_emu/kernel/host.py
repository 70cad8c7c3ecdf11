"""A host as its kernel shows it in /proc and /sys: possible CPUs, nodes, Percpu and Slab, cgroups that live and die."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from percpu_emu.percpu.layout import KB, spread
from percpu_emu.shm import PAGE_SIZE

_MOST: Final = 16 << 20
"""Bytes read of a file; /proc/zoneinfo of a thousand CPUs has less."""
_PIECE: Final = 1 << 15
"""Bytes at a time: the kernel sets up a buffer of that size for some files."""
_MOST_NUMBERS: Final = 1 << 16
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


class HostError(ValueError):
    """A host that does not say how many CPUs it may have."""


@dataclass(frozen=True)
class CgroupCounts:
    """What one cgroup v2 mount says in its root's cgroup.stat."""

    mount: str
    descendants: int
    dying: int


@dataclass(frozen=True)
class Host:
    """What could be read; `not_read` names the files that could not, and what was assumed instead.

    `cpus_per_node` counts possible CPUs, online or not. `slab_kb_of_nodes` is from /proc/zoneinfo.
    `memory_cgroups` is `num_cgroups` of /proc/cgroups, root and dying ones included.
    """

    release: str
    cpus_per_node: tuple[int, ...]
    online_cpus: int | None
    possible_nodes: int
    percpu_kb: int | None
    slab_kb: int | None
    slab_kb_of_nodes: dict[int, int]
    memory_cgroups: int | None
    cgroups: tuple[CgroupCounts, ...]
    not_read: tuple[str, ...]

    @property
    def possible_cpus(self) -> int:
        """CPUs for which there is a unit in every chunk."""
        return sum(self.cpus_per_node)

    @property
    def dying(self) -> int | None:
        """Dying cgroups of all cgroup v2 mounts; None where there is none."""
        return sum(counts.dying for counts in self.cgroups) if self.cgroups else None


def read_host(root: Path = Path("/")) -> Host:
    """The host whose /proc and /sys lie below `root`. Raises HostError."""
    reader = _Reader(root)
    release = reader.text("proc/sys/kernel/osrelease") or ""
    possible = numbers(reader.text("sys/devices/system/cpu/possible") or "")
    if not possible:
        raise HostError(f"{root / 'sys/devices/system/cpu/possible'}: it does not say how many CPUs there may be")
    online = numbers(reader.text("sys/devices/system/cpu/online") or "")
    meminfo = _fields(reader.text("proc/meminfo") or "")
    return Host(
        release=release.strip() or "unknown",
        cpus_per_node=_cpus_per_node(reader, len(possible)),
        online_cpus=len(online) or None,
        possible_nodes=len(numbers(reader.text("sys/devices/system/node/possible") or "")) or 1,
        percpu_kb=reader.field(meminfo, "Percpu", "proc/meminfo"),
        slab_kb=reader.field(meminfo, "Slab", "proc/meminfo"),
        slab_kb_of_nodes=_slab_of_nodes(reader.text("proc/zoneinfo") or ""),
        memory_cgroups=_memory_cgroups(reader),
        cgroups=tuple(_cgroup_counts(reader)),
        not_read=tuple(dict.fromkeys(reader.not_read)),
    )


class _Reader:
    """Reads files below a root, and remembers those that are not there or not as expected."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.not_read: list[str] = []

    def text(self, path: str) -> str | None:
        try:
            with (self.root / path).open("rb", buffering=_PIECE) as file:
                pieces = list(islice(iter(lambda: file.read(_PIECE), b""), _MOST // _PIECE))
            return b"".join(pieces).decode("utf-8", "replace")
        except OSError as error:
            self.not_read.append(f"/{path}: {error.strerror}")
        return None

    def field(self, fields: dict[str, int], key: str, path: str) -> int | None:
        if fields and key not in fields:
            self.not_read.append(f"/{path} has no {key}")
        return fields.get(key)


def numbers(text: str) -> list[int]:
    """The numbers of a list such as `0-3,8`, as the kernel writes sets of CPUs and nodes; none where it is no list."""
    found: list[int] = []
    for part in filter(None, text.strip().split(",")):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if match is None:
            return []
        first, last = int(match[1]), int(match[2] or match[1])
        if len(found) + last - first >= _MOST_NUMBERS:
            return []
        found += range(first, last + 1)
    return found


def _cpus_per_node(reader: _Reader, possible: int) -> tuple[int, ...]:
    """Possible CPUs by node. A node lists its online ones; the others are spread over the nodes."""
    counts = [
        len(numbers(reader.text(f"sys/devices/system/node/node{node}/cpulist") or ""))
        for node in numbers(reader.text("sys/devices/system/node/online") or "")
    ]
    with_cpus = [count for count in counts if count]
    if not with_cpus or sum(with_cpus) > possible:
        return (possible,)
    if len(counts) > len(with_cpus):
        empty = len(counts) - len(with_cpus)
        reader.not_read.append(f"{empty} node(s) without CPUs: what a cgroup takes for these is not counted")
    more = possible - sum(with_cpus)
    if more:
        reader.not_read.append(f"the node of {more} CPUs that are not online: they are spread over the nodes")
    return tuple(count + extra for count, extra in zip(with_cpus, _spread(more, len(with_cpus)), strict=True))


def _spread(more: int, nodes: int) -> tuple[int, ...]:
    return spread(more, nodes) if more else (0,) * nodes


def _fields(text: str) -> dict[str, int]:
    """Lines of `Name: number kB`."""
    return {match[1]: int(match[2]) for match in re.finditer(r"^(\w+): +(\d{1,15}) kB$", text, re.MULTILINE)}


def _slab_of_nodes(zoneinfo: str) -> dict[int, int]:
    """Slab in kB by node: the pages of `nr_slab_*` in the first section of each."""
    found: dict[int, int] = {}
    node = 0
    for line in zoneinfo.splitlines():
        if match := re.match(r"Node (\d{1,6}), zone", line):
            node = int(match[1])
        elif match := re.fullmatch(r" +nr_slab_(?:un)?reclaimable +(\d{1,15})", line):
            found[node] = found.get(node, 0) + int(match[1]) * PAGE_SIZE // KB
    return found


def _memory_cgroups(reader: _Reader) -> int | None:
    match = re.search(r"^memory\s+\d+\s+(\d{1,9})\s", reader.text("proc/cgroups") or "", re.MULTILINE)
    return int(match[1]) if match else None


def _cgroup_counts(reader: _Reader) -> list[CgroupCounts]:
    """cgroup.stat of each cgroup v2 mount, which a container may not see the root of."""
    found: dict[str, CgroupCounts] = {}
    for line in (reader.text("proc/self/mountinfo") or "").splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or after.split(" ")[0] != "cgroup2" or len(fields) < 5:
            continue
        mount = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        stat = reader.text(f"{mount.lstrip('/')}/cgroup.stat") or ""
        values = dict(re.findall(r"^(nr_descendants|nr_dying_descendants) (\d{1,9})$", stat, re.MULTILINE))
        if len(values) == 2:
            found[mount] = CgroupCounts(mount, int(values["nr_descendants"]), int(values["nr_dying_descendants"]))
    return list(found.values())
