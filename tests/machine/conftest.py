from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeAlias

import pytest

from percpu_emu.kernel.profile import load_profile
from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.machine import CgroupTree, Event, EventStream, Machine, MachineConfig, Topology
from tests.machine import programs

MakeMachine: TypeAlias = Callable[..., "Rig"]


class Rig:
    """A machine with its tree, and every event it emitted."""

    def __init__(self, machine: Machine, seen: list[Event]) -> None:
        self.machine = machine
        self.tree = CgroupTree(machine)
        self.tree.table.resize(4)
        self._seen = seen

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event.fields for event in self._seen if event.kind == kind]

    def run(self, program: Any, *arguments: int, cpu: int = 0) -> int:
        return self.machine.run_on(cpu, program, *arguments)

    def work(self, worker: Any) -> None:
        """Have every online CPU do turns of a worker."""
        index = list(self.machine.image.workers).index(worker)
        for cpu in self.machine.cpus.online:
            self.machine.set_working(cpu, index, self.tree.table.pointer, 100, 0)


@pytest.fixture
def make_machine() -> Iterator[MakeMachine]:
    with ExitStack() as stack:

        def make(
            cpus: int = 2, nodes: int = 1, protocol: Any = "patched", stall_seconds: float = 21.0, **more: Any
        ) -> Rig:
            seen: list[Event] = []
            events = EventStream()
            events.listen(seen.append)
            chosen = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
            profile = more.pop("profile", None) or load_profile("linux-5.0-mmotm")
            topology = Topology.spread(cpus, nodes)
            config = MachineConfig(
                topology,
                profile,
                chosen,
                more.pop("workers", programs.WORKERS),
                stall_seconds,
                programs.PROGRAMS,
                **more,
            )
            return Rig(stack.enter_context(Machine(config, events)), seen)

        yield make
