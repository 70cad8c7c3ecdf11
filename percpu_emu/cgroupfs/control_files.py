"""A control file of a cgroup: who has it, how it is read and written; and how numbers are spelled in them."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from percpu_emu.cgroupfs.errors import refusal
from percpu_emu.cgroupfs.memory import UNLIMITED
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.branch import Caller
    from percpu_emu.cgroupfs.hierarchy import Group
    from percpu_emu.cgroupfs.system import System

Reader: TypeAlias = "Callable[[System, Group], str]"
Writer: TypeAlias = "Callable[[System, Group, str, Caller], None]"

_SUFFIXES: Final = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}


@dataclass(frozen=True)
class ControlFile:
    """One; `news` counts the changes that poll(2) reports."""

    read: Reader | None
    write: Writer | None = None
    on_root: bool = False
    of_memory: bool = False
    news: Callable[[System, Group], int] | None = None

    @property
    def mode(self) -> int:
        """Its permissions."""
        return (0o444 if self.read else 0) | (0o200 if self.write else 0)

    def belongs_to(self, group: Group) -> bool:
        """Whether that cgroup has it."""
        return (self.on_root or group.parent is not None) and (not self.of_memory or group.memory is not None)


def number(text: str) -> int:
    """A whole number, as kstrtoint takes it. Raises EINVAL."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise refusal(errno.EINVAL)
    return int(text)


def pages(text: str) -> int:
    """`max`, or bytes with a suffix that memparse knows, in whole pages. Raises EINVAL."""
    if text == "max":
        return UNLIMITED
    return min(size_in_bytes(text) // PAGE_SIZE, UNLIMITED)


def size_in_bytes(text: str) -> int:
    """Bytes: 4096, 4k, 1G. Raises EINVAL."""
    match = re.fullmatch(r"([0-9]+|0x[0-9a-fA-F]+)([kmgtpeKMGTPE]?)", text)
    if not match:
        raise refusal(errno.EINVAL)
    return int(match[1], 0 if match[1].startswith("0x") else 10) << _SUFFIXES[match[2].lower()]


def spelled(count: int) -> str:
    """A number of pages as a limit's file says it."""
    return "max\n" if count == UNLIMITED else f"{count * PAGE_SIZE}\n"


def flag(text: str) -> bool:
    """`0` or `1`. Raises EINVAL for what is no number, ERANGE for another one."""
    value = number(text)
    if value not in (0, 1):
        raise refusal(errno.ERANGE)
    return bool(value)


def keyed(values: dict[str, int]) -> str:
    """A flat keyed file."""
    return "".join(f"{key} {value}\n" for key, value in values.items())
