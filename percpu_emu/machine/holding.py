"""CPUs held where they are by a person who watches, and all of them briefly while a person looks."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from percpu_emu.machine.cpu_state import cpu_state

if TYPE_CHECKING:
    from percpu_emu.machine.machine import Machine

STOPPING_S: Final = 0.02
"""Seconds that all CPUs get to stop in; one that is not on a processor stops when it next is."""


class Holding:
    """Holds CPUs of an instrumented machine inside read-side sections; attends while the coordinator looks round."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._wanted: set[int] = set()
        self.held: set[int] = set()
        """CPUs that are stopped inside a section."""

    def hold(self, cpu: int) -> None:
        """Stop a CPU the next time that it is found inside a section."""
        self._wanted.add(cpu)

    def let_go(self, cpu: int) -> None:
        """Have it go on."""
        self._wanted.discard(cpu)
        self.held.discard(cpu)
        self._machine.cpus.signal(cpu, signal.SIGCONT)

    def let_all_go(self) -> None:
        """Every CPU that is held, or is to be."""
        for cpu in self._wanted | self.held:
            self.let_go(cpu)

    def attend(self, _now: float) -> None:
        """Stop those that are to be held, and keep them where they are inside a section; a CPU that is gone is not."""
        online = set(self._machine.cpus.online)
        self._wanted &= online
        self.held &= online
        for cpu in self._wanted - self.held:
            if not self._machine.cpus.is_stopped(cpu):
                self._machine.cpus.signal(cpu, signal.SIGSTOP)
            elif self._is_inside(cpu):
                self.held.add(cpu)
            else:
                self._machine.cpus.signal(cpu, signal.SIGCONT)

    def _is_inside(self, cpu: int) -> bool:
        state = cpu_state(self._machine.memory.blocks[cpu])
        return state.in_section and not state.idle and state.site > 0

    @contextmanager
    def still(self) -> Iterator[bool]:
        """No CPU takes a step inside the block; whether all have come to a stop in time."""
        cpus = self._machine.cpus
        stopped = [cpu for cpu in cpus.online if not self._stays_stopped(cpu)]
        for cpu in stopped:
            cpus.signal(cpu, signal.SIGSTOP)
        try:
            deadline = time.monotonic() + STOPPING_S
            while not (still := all(map(cpus.is_stopped, cpus.online))) and time.monotonic() < deadline:
                time.sleep(0.0002)
            yield still
        finally:
            for cpu in stopped:
                cpus.signal(cpu, signal.SIGCONT)

    def _stays_stopped(self, cpu: int) -> bool:
        """Whether something else keeps it stopped: a fault, chaos, or the person who holds it."""
        chaos = self._machine.chaos
        starved = chaos is not None and cpu in chaos.starved
        return cpu in self.held or starved or cpu_state(self._machine.memory.blocks[cpu]).stopped
