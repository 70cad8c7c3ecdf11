"""What contexts leave for the coordinator: callbacks and work in their rings, requests in their mailboxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from percpu_emu.lang import context as c
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.machine.services import Services
from percpu_emu.machine.signals import signals

if TYPE_CHECKING:
    from percpu_emu.lang.image import Image
    from percpu_emu.machine.events import EventStream
    from percpu_emu.machine.memory import MachineMemory
    from percpu_emu.machine.rcu import Rcu


class Requests:
    """Empties rings and answers requests. `deliver(function, argument, kind)` takes what a ring held."""

    def __init__(
        self,
        memory: MachineMemory,
        image: Image,
        events: EventStream,
        rcu: Rcu,
        deliver: Callable[[ProgramFunction, int, int], None],
    ) -> None:
        self._memory = memory
        self._image = image
        self._events = events
        self._rcu = rcu
        self._deliver = deliver
        self._services = Services(memory)
        self.requester = memory.coordinator
        """Whose request is being answered: a CPU's, else the coordinator's own."""

    @property
    def refusal(self) -> str:
        """Why the last request for memory was not met, "" if all were."""
        return self._services.refusal

    # --- rings

    def waiting(self) -> int:
        """Entries in all rings."""
        return int((self._memory.blocks[:, c.RING_TAIL] - self._memory.blocks[:, c.RING_HEAD]).sum())

    def drain_rings(self) -> int:
        """Deliver what is in the rings; how many entries there were."""
        waiting = self._memory.blocks[:, c.RING_TAIL] != self._memory.blocks[:, c.RING_HEAD]
        return sum(self.drain_ring(number) for number in waiting.nonzero()[0].tolist())

    def drain_ring(self, number: int) -> int:
        """Deliver what is in one context's ring."""
        block = self._memory.blocks[number]
        head, tail = int(block[c.RING_HEAD]), int(block[c.RING_TAIL])
        for entry in range(head, tail):
            what, argument = block[c.RING + entry % c.RING_ENTRIES * 2 :][:2].tolist()
            self._deliver(self._image.program(what >> 1), argument, what & 1)
        block[c.RING_HEAD] = tail
        return tail - head

    # --- requests

    def answer_requests(self) -> int:
        """Answer every context that asks, or have it wait for RCU; how many there were."""
        asking = (self._memory.blocks[:, c.REQUEST] == c.ASKED).nonzero()[0].tolist()
        for cpu in asking:
            self._answer_request(cpu)
        return len(asking)

    def answer_directly(self, code: int, a: int, b: int, wait_for: Callable[[Callable[[], bool]], None]) -> int:
        """A request of the coordinator's own programs; while it waits for RCU, `wait_for` looks round."""
        if code == c.DRAIN_RING:
            return self.drain_ring(self._memory.coordinator)
        if code in (c.SYNCHRONIZE_RCU, c.RCU_BARRIER):
            over: list[bool] = []
            self._register(code, lambda: over.append(True))
            wait_for(lambda: bool(over))
            return 0
        return self._services.answer(code, a, b)

    def _answer_request(self, cpu: int) -> None:
        self.requester = cpu
        try:
            self._answer(cpu)
        finally:
            self.requester = self._memory.coordinator

    def _answer(self, cpu: int) -> None:
        block = self._memory.blocks[cpu]
        code, a, b = block[c.REQUEST_CODE : c.REQUEST_CODE + 3].tolist()
        if code in (c.SYNCHRONIZE_RCU, c.RCU_BARRIER):
            block[c.REQUEST] = c.TAKEN
            self._register(code, lambda: self._reply(cpu, 0))
        elif code == c.DRAIN_RING:
            self._reply(cpu, self.drain_ring(cpu))
        else:
            self._reply(cpu, self._answer_or_refuse(cpu, code, a, b))

    def _register(self, code: int, over: Callable[[], None]) -> None:
        self.drain_rings()  # callbacks that were queued before count as queued before
        if code == c.SYNCHRONIZE_RCU:
            self._rcu.call(over)
        else:
            self._rcu.barrier(over)

    def _answer_or_refuse(self, cpu: int, code: int, a: int, b: int) -> int:
        try:
            return self._services.answer(code, a, b)
        except ValueError as error:
            self._memory.blocks[cpu, c.FAULT] = c.REFUSED
            self._events.emit("refused", cpu=cpu, reason=str(error))
            return 0

    def _reply(self, cpu: int, answer: int) -> None:
        if self._memory.blocks[cpu, c.REQUEST] != 0:  # else its process died meanwhile, and another one came up
            self._memory.blocks[cpu, c.ANSWER] = answer
            signals().publish(self._memory.block_address(cpu, c.REQUEST), c.ANSWERED)
