"""Protocols: who releases a cgroup's slots when. The memory controller's table of callbacks (cgroup_subsys)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from percpu_emu.kernel import original, release, release_2022
from percpu_emu.lang.ops import ProgramFunction


@dataclass(frozen=True)
class Protocol:
    """The callbacks of a protocol, each a program, as in cgroup_subsys."""

    name: str
    summary: str
    css_offline: ProgramFunction
    """`(memcg)`: a grace period after rmdir; updates go on."""
    css_free: ProgramFunction
    """`(memcg)`: a grace period after the last reference is gone; no task updates it any more."""
    cpu_dead: ProgramFunction
    """`(cpu)`: that CPU runs nothing any more; by another context, the hotplug's control CPU."""
    release: ProgramFunction | None = None
    """`(memcg)`: the callback, or work, that flushes and frees the slots of a dying cgroup, where there is one."""
    updates: tuple[tuple[ProgramFunction, ProgramFunction], ...] = ()
    """Programs of the patchset, each with what stands in its place: how counters are updated, where that differs."""

    @property
    def programs(self) -> list[ProgramFunction]:
        """All of them."""
        released = [self.release] if self.release else []
        return [self.css_offline, self.css_free, self.cpu_dead, *released, *(update for _, update in self.updates)]


ORIGINAL: Final = Protocol(
    "original",
    "the slots are kept until the last reference is dropped",
    original.css_offline,
    original.css_free,
    release.memcg_hotplug_cpu_dead,
)
PATCHED: Final = Protocol(
    "patched",
    "the slots are released at offline: swap in the atomics, wait for a grace period, flush, free",
    release.css_offline,
    release.css_free,
    release.memcg_hotplug_cpu_dead,
    release.percpu_rcu_free,
)
PATCH_2022: Final = Protocol(
    "patch-2022",
    "the slots are freed at offline, and later updates go to the parent",
    release_2022.css_offline,
    release.css_free,
    release_2022.memcg_hotplug_cpu_dead,
    release_2022.percpu_stats_free_rwork_fn,
    release_2022.UPDATES,
)
PROTOCOLS: Final = {protocol.name: protocol for protocol in (ORIGINAL, PATCHED, PATCH_2022)}
