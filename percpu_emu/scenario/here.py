"""This host: the profile of its own kernel, and what the account says beside what its /proc and /sys say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from percpu_emu.kernel.btf import read_image
from percpu_emu.kernel.derive import Derived, derive
from percpu_emu.kernel.footprint import footprint
from percpu_emu.kernel.host import Host, read_host
from percpu_emu.scenario.footprint import LIMITS, Plan

BTF: Final = Path("sys/kernel/btf/vmlinux")
"""Where a kernel that was built with CONFIG_DEBUG_INFO_BTF shows its types."""
COMMON: Final = 1000
"""Cgroups asked for where none is dying."""


@dataclass(frozen=True)
class Here:
    """A host and the profile of the kernel that runs on it."""

    host: Host
    derived: Derived

    def plan(self, cgroups: int | None, lag: int) -> Plan:
        """The host as a machine with so many dying cgroups; None: as many as there are, or 1000. Raises WrongPlan."""
        host = self.host
        return Plan(
            self.derived.profile, host.possible_cpus, len(host.cpus_per_node), cgroups or host.dying or COMMON, lag
        )

    def figures(self) -> dict[str, Any]:
        """What the host says, and what its memory cgroups take by the account, in kB."""
        host = self.host
        return {
            "release": host.release,
            "possible_cpus": host.possible_cpus,
            "online_cpus": host.online_cpus,
            "cpus_per_node": list(host.cpus_per_node),
            "percpu_kb": host.percpu_kb,
            "slab_kb": host.slab_kb,
            "slab_kb_of_nodes": {str(node): size for node, size in host.slab_kb_of_nodes.items()},
            "memory_cgroups": host.memory_cgroups,
            "dying": {counts.mount: counts.dying for counts in host.cgroups},
            "counted": self._counted(),
            "not_read": list(host.not_read),
        }

    def notes(self) -> list[str]:
        """The same for people."""
        host = self.host
        by_node = ", ".join(f"node {node} {size}" for node, size in host.slab_kb_of_nodes.items()) or "nodes not known"
        cpus = f"{host.possible_cpus} possible CPUs, {_known(host.online_cpus)} online"
        sizes = f"Percpu {_known(host.percpu_kb)} kB, Slab {_known(host.slab_kb)} kB ({by_node})"
        notes = [f"this host, Linux {host.release}: {cpus}; {sizes}"]
        notes += [f"{one.mount}/cgroup.stat: {one.descendants} cgroups, {one.dying} dying" for one in host.cgroups]
        if counted := self._counted():
            notes.append(self._said(counted))
        return [*notes, *(f"not read: {what}" for what in host.not_read)]

    def _said(self, counted: dict[str, int]) -> str:
        host = self.host
        said = (
            f"the {host.memory_cgroups} memory cgroups of /proc/cgroups, dying ones included, take at most "
            f"{counted['percpu_kb']} kB of Percpu and {counted['slab_kb']} kB of Slab"
        )
        if host.percpu_kb is not None and counted["percpu_kb"] > host.percpu_kb:
            said += "; that is more than there is, so some are without it, or the profile does not fit this kernel"
        return said

    def _counted(self) -> dict[str, int] | None:
        """What as many cgroups as /proc/cgroups has take; None where that is not known, or is beyond the limits."""
        number = self.host.memory_cgroups
        if number is None or not 0 < number <= LIMITS["cgroups"]:
            return None
        found = footprint(self.derived.profile, self.host.cpus_per_node, number)
        return {
            "percpu_kb": found.after.percpu_kb - found.before.percpu_kb,
            "slab_kb": found.after.slab_kb - found.before.slab_kb,
        }


def read_here(root: Path = Path("/")) -> Here:
    """The host whose /proc and /sys lie below `root`. Raises HostError, BtfError, ProfileError, OSError."""
    host = read_host(root)
    what = f"Linux {host.release}, as it runs"
    return Here(host, derive(read_image(root / BTF), "here", f"The kernel of this host, {what}", f"BTF of {what}"))


def _known(value: int | None) -> str:
    return "an unknown number of" if value is None else str(value)
