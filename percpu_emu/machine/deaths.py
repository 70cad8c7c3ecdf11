"""A CPU killed inside an update leaves that one update in doubt: which one, and how far it can have gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from percpu_emu.lang import context as c
from percpu_emu.machine.counters import find_counter

if TYPE_CHECKING:
    from percpu_emu.machine.memory import MachineMemory


@dataclass(frozen=True)
class Doubt:
    """CPU `cpu` died while it added `delta` to the counter at `address`; its slot held `held` then.

    The counter can be ahead of the ledgers by nothing (not done, or done and entered), by `delta` (done, not
    entered), or by `held + delta`: the batch was moved to the twin and its slot not yet emptied.
    """

    cpu: int
    address: int
    name: str
    delta: int
    held: int

    @property
    def outcomes(self) -> tuple[int, ...]:
        """By how much the counter can be ahead of the ledgers because of this death."""
        return (0, self.delta, self.held + self.delta)

    def over(self, ahead: int) -> int:
        """By how much the counter is too high: the batch that was moved to the twin and flushed once more."""
        return self.held if ahead not in (0, self.delta) else 0

    def __str__(self) -> str:
        return f"CPU {self.cpu}: {self.delta:+d} to {self.name}"


def doubts_of(memory: MachineMemory, cpu: int) -> list[Doubt]:
    """What a dead CPU, or an interrupt on it, had noted and not entered. Call before its slots are folded."""
    doubts = []
    for block in (memory.blocks[cpu], memory.blocks[memory.interrupt(cpu)]):
        for note in range(int(block[c.NOTED])):
            address, delta = block[c.NOTES + note * 2 : c.NOTES + note * 2 + 2].tolist()
            if found := find_counter(memory, address):
                array, index = found
                held = int(memory.slots(array.slots + index, 1)[cpu, 0]) if array.slots else 0
                doubts.append(Doubt(cpu, address, array.name(index), delta, held))
    return doubts
