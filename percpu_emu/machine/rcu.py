"""Quiescent-state based RCU, the coordinator's side: grace periods, callbacks in batches, stall warnings."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from percpu_emu.lang import context as c
from percpu_emu.machine.events import EventStream
from percpu_emu.machine.signals import signals
from percpu_emu.shm.awake import AwakeClock

if TYPE_CHECKING:
    from percpu_emu.machine.memory import MachineMemory

Callback: TypeAlias = Callable[[], None]

BATCH: Final = 10  # blimit: callbacks run in one go, so that requests of CPUs are answered in between
KEPT: Final = 100_000  # of grace periods, for their median
NO_LIMIT_ABOVE: Final = 10_000  # qhimark: with more than so many ready, all are run


class Rcu:
    """At most one grace period at a time; what is queued meanwhile waits for the next one."""

    def __init__(
        self, memory: MachineMemory, events: EventStream, stall_seconds: float, whereabouts: Callable[[int], str]
    ) -> None:
        self._memory = memory
        self._events = events
        self._stall_seconds = stall_seconds
        self._whereabouts = whereabouts
        self._queued: list[Callback] = []
        self._waiting: list[Callback] = []
        self._ready: deque[Callback] = deque()
        self._sequence = 0  # of the grace period in progress, 0 for none
        self._began = 0.0
        self._awake = AwakeClock()
        self._warn_at = 0.0
        """By that clock."""
        self.latencies: deque[float] = deque(maxlen=KEPT)
        """Seconds that each of the last grace periods took."""
        self.ended = 0
        """How many there were."""
        self.longest = 0.0

    @property
    def done(self) -> int:
        """Number of the last grace period that is over."""
        return int(self._memory.header[c.GP_DONE])

    @property
    def in_progress(self) -> bool:
        """Whether a grace period is being waited for."""
        return self._sequence != 0

    @property
    def idle(self) -> bool:
        """Whether no callback is left, nor a grace period in progress."""
        return not (self._queued or self._waiting or self._ready or self._sequence)

    @property
    def due(self) -> bool:
        """Whether callbacks are to be run whose grace period is over."""
        return bool(self._ready)

    def call(self, callback: Callback) -> None:
        """call_rcu: run `callback` after a grace period that begins from now on."""
        self._queued.append(callback)

    def barrier(self, callback: Callback) -> None:
        """rcu_barrier: run `callback` behind every callback that is queued by now."""
        if self._queued:
            self._queued.append(callback)
        elif self._waiting:
            self._waiting.append(callback)
        else:
            self._ready.append(callback)

    def advance(self, looks: int = 1) -> bool:
        """Begin or end a grace period where that is due; whether anything changed."""
        if self._sequence:
            if self._awaited(looks):
                self._warn_if_stalled()
                return False
            self._end()
            return True
        if self._queued:
            self._begin()
            return True
        return False

    def run_ready(self) -> int:
        """Run a batch of callbacks whose grace period is over; how many."""
        count = len(self._ready) if len(self._ready) > NO_LIMIT_ABOVE else min(BATCH, len(self._ready))
        for _ in range(count):
            self._ready.popleft()()
        return count

    def holdouts(self) -> list[int]:
        """CPUs that the grace period in progress still waits for."""
        seen = self._memory.blocks[: self._memory.topology.cpus, c.QUIESCENT]
        return [cpu for cpu, value in enumerate(seen.tolist()) if value != 0 and value < self._sequence]

    def _awaited(self, looks: int) -> bool:
        """Whether the grace period in progress still waits for a CPU."""
        cpus = self._memory.topology.cpus
        return bool(signals().awaited_cpu(self._memory.header_address, cpus, self._sequence, looks) >= 0)

    def _begin(self) -> None:
        self._waiting, self._queued = self._queued, []
        self._began = time.monotonic()
        self._warn_at = self._awake() + self._stall_seconds
        self._sequence = signals().begin_grace_period(self._memory.header_address)

    def _end(self) -> None:
        took = time.monotonic() - self._began
        self.latencies.append(took)
        self.longest = max(self.longest, took)
        self.ended += 1
        signals().end_grace_period(self._memory.header_address, self._sequence)
        self._ready.extend(self._waiting)
        self._waiting = []
        self._sequence = 0

    def _warn_if_stalled(self) -> None:
        now = self._awake()
        if now < self._warn_at:
            return
        self._warn_at = now + 3 * self._stall_seconds  # the kernel repeats after three times the time, too
        cpus = self.holdouts()
        where = [self._whereabouts(cpu) for cpu in cpus]
        self._events.emit(
            "rcu_stall", cpus=cpus, waited=self._awake.looked - self._began, grace_period=self._sequence, where=where
        )


class NoGracePeriod(Rcu):
    """Broken on purpose: its grace periods wait for no reader. A check of RCU that lets it pass checks nothing."""

    def _awaited(self, looks: int) -> bool:  # noqa: ARG002
        return False
