"""Chaos: processes stopped and let go on at random, for long and for short (rr's chaos mode, O'Callahan 2016).

Some bugs want a process kept from running for a second, some for a millisecond at the right moment. So, now and then,
the CPUs that have been dealt a low priority do not run at all for a time from 1 ms to 2 s in powers of two; that is at
most a fifth of the time.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from typing import TYPE_CHECKING, Final

from percpu_emu.lang import context as c

if TYPE_CHECKING:
    from percpu_emu.machine.cpus import CpuProcesses
    from percpu_emu.machine.memory import MachineMemory

LOW_CHANCE: Final = 0.1
LOW_NICE: Final = 19
SHORTEST: Final = 0.001
DOUBLINGS: Final = 11
STARVED: Final = 0.2
DEAL_AGAIN: Final = 2.0
"""Seconds after which priorities are dealt anew."""


class Stops:
    """Continues the CPUs that a fault has stopped, when their time is over."""

    def __init__(self, memory: MachineMemory, cpus: CpuProcesses, chaos: Chaos | None = None) -> None:
        self._memory = memory
        self._cpus = cpus
        self._chaos = chaos
        self._until: dict[int, float] = {}
        self.count = 0

    def attend(self, now: float) -> None:
        """Do what is due."""
        wanted = self._memory.blocks[: self._memory.topology.cpus, c.STOPPED_US]
        self._until = {cpu: until for cpu, until in self._until.items() if wanted[cpu]}  # else its process is new
        for cpu in (wanted != 0).nonzero()[0].tolist():  # numpy refuses to search words that change meanwhile
            if cpu not in self._until:
                self._until[cpu] = now + int(wanted[cpu]) / 1e6
                self.count += 1
        for cpu in [cpu for cpu, until in self._until.items() if now >= until]:
            if self._has_stopped_itself(cpu):  # continued before that, it would stay so for ever
                del self._until[cpu]
                wanted[cpu] = 0
                self._cpus.signal(cpu, signal.SIGCONT)

    def _has_stopped_itself(self, cpu: int) -> bool:
        starved = self._chaos is not None and cpu in self._chaos.starved
        return self._cpus.is_stopped(cpu) and not starved


class Chaos:
    """Deals priorities and starves whom it dealt a low one."""

    def __init__(self, cpus: CpuProcesses, seed: int) -> None:
        self._cpus = cpus
        self._random = random.Random(seed)
        self._low: set[int] = set()
        self.starved: set[int] = set()
        """The CPUs that it has stopped at the moment."""
        self._deal_at = self._change_at = 0.0
        self.intervals = 0
        """How many times CPUs were starved."""

    def attend(self, now: float) -> None:
        """Begin or end an interval of starvation, deal anew, where that is due."""
        if self.starved:
            if now >= self._change_at:
                self._let_go(now)
            return
        if now >= self._deal_at:
            self._deal(now)
        elif now >= self._change_at and self._low:
            self._starve(now)

    def end(self) -> None:
        """Let everyone go."""
        for cpu in self.starved:
            self._cpus.signal(cpu, signal.SIGCONT)
        self.starved = set()

    def _deal(self, now: float) -> None:
        online = self._cpus.online
        self._low = {cpu for cpu in online if self._random.random() < LOW_CHANCE}
        if online and not self._low:
            self._low = {self._random.choice(online)}
        for cpu in online:
            with contextlib.suppress(PermissionError, ProcessLookupError):  # who is not root may only give way more
                os.setpriority(os.PRIO_PROCESS, self._cpus.pid(cpu), LOW_NICE if cpu in self._low else self._cpus.nice)
        self._deal_at = now + DEAL_AGAIN

    def _starve(self, now: float) -> None:
        self._length = SHORTEST * 2 ** self._random.randrange(DOUBLINGS)
        self.starved = {cpu for cpu in self._low if self._cpus.signal(cpu, signal.SIGSTOP)}
        self.intervals += 1
        self._change_at = now + self._length

    def _let_go(self, now: float) -> None:
        self.end()
        self._change_at = now + self._length * (1 / STARVED - 1) * self._random.uniform(1, 2)
