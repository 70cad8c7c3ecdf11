"""The machine: CPU processes on shared memory, the coordinator, RCU, hotplug, the cgroup tree and the ledgers."""

from percpu_emu.machine.cgroups import Cgroup, CgroupError, CgroupTree, NoMemory, Pin
from percpu_emu.machine.config import MachineConfig
from percpu_emu.machine.cpus import StartFailed
from percpu_emu.machine.deaths import Doubt
from percpu_emu.machine.events import Event, EventStream, Listener
from percpu_emu.machine.ledger import Imbalance, LedgerAudit, Settled
from percpu_emu.machine.machine import CpuDied, Machine, Trapped
from percpu_emu.machine.memory import MachineMemory, Topology

__all__ = [
    "Cgroup",
    "CgroupError",
    "CgroupTree",
    "CpuDied",
    "Doubt",
    "Event",
    "EventStream",
    "Imbalance",
    "LedgerAudit",
    "Listener",
    "Machine",
    "MachineConfig",
    "MachineMemory",
    "NoMemory",
    "Pin",
    "Settled",
    "StartFailed",
    "Topology",
    "Trapped",
]
