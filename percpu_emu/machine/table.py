"""The table of cgroups that workers update, turn after turn: what tasks in them would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from percpu_emu.kernel import css
from percpu_emu.kernel.layout import CGROUP_TABLE, CGROUP_TABLE_ENTRIES, CSS_REFCNT
from percpu_emu.kernel.percpu_ref import percpu_ref_get_remote

if TYPE_CHECKING:
    from percpu_emu.machine.cgroups import Cgroup
    from percpu_emu.machine.machine import Machine


class CgroupTable:
    """Entries hold a reference; one that is taken out drops it a grace period later, when no turn uses it any more.

    That is the moment at which its counters are final for now: `on_leave` is called with it, to hold them against the
    ledgers.
    """

    pointer = CGROUP_TABLE
    """For `Machine.set_working`."""

    def __init__(self, machine: Machine, on_leave: Callable[[int], None]) -> None:
        self._machine = machine
        self._on_leave = on_leave
        self._entries: list[Cgroup | None] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._entries)

    def resize(self, entries: int) -> None:
        """Give the table room for so many; before workers start."""
        if not 0 < entries <= CGROUP_TABLE_ENTRIES:
            raise ValueError(f"a table has 1 to {CGROUP_TABLE_ENTRIES} entries, not {entries}")
        self._entries = [None] * entries
        self._machine.memory.words[CGROUP_TABLE] = entries

    def entry(self, index: int) -> Cgroup | None:
        """Which cgroup stands there."""
        return self._entries[index]

    def put(self, index: int, cgroup: Cgroup | None) -> None:
        """Have workers update `cgroup` in that entry, instead of whichever stood there."""
        old, self._entries[index] = self._entries[index], cgroup
        if cgroup:
            self._machine.execute(percpu_ref_get_remote, cgroup.memcg + CSS_REFCNT)
        self._machine.memory.words[CGROUP_TABLE + 1 + index] = cgroup.memcg if cgroup else 0
        if old:
            memcg = old.memcg
            self._machine.rcu.call(lambda: self._drop(memcg))

    def add(self, cgroup: Cgroup) -> None:
        """Put it into the entry after the last one added to, round and round."""
        self.put(self._next, cgroup)
        self._next = (self._next + 1) % len(self._entries)

    def clear(self) -> None:
        """Take every cgroup out."""
        for index, cgroup in enumerate(self._entries):
            if cgroup:
                self.put(index, None)

    def _drop(self, memcg: int) -> None:
        self._on_leave(memcg)
        self._machine.execute(css.css_put_remote, memcg)
