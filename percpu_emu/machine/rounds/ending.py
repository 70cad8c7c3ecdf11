"""What a round has left behind, for a scenario's own check of the end."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from percpu_emu.kernel.layout import BOOT, STATIC, STATIC_WORDS
from percpu_emu.lang.setting import OBJECT_WORDS
from percpu_emu.lang.state import State
from percpu_emu.machine.memory import MachineMemory
from percpu_emu.machine.rounds.regions import Regions
from percpu_emu.shm import WORD_SIZE


@dataclass(frozen=True)
class EndState(State):
    """The end of a round."""

    memory: MachineMemory
    areas: Regions
    objects: Regions
    ledgers: Mapping[int, int]
    results: Sequence[int]

    @property
    def cpus(self) -> int:
        """How many CPUs there are."""
        return self.memory.topology.cpus

    def word(self, address: int) -> int:
        """A word of the kernel's memory."""
        there = BOOT <= address < STATIC + STATIC_WORDS or self.objects.holds(address)
        return _word_at(self.memory.word_address(address)) if there else 0

    def slot(self, pointer: int, cpu: int) -> int:
        """A CPU's copy of a per-CPU word."""
        there = 0 <= pointer < OBJECT_WORDS or self.areas.holds(pointer)
        return _word_at(self.memory.context(cpu).unit + pointer * WORD_SIZE) if there else 0

    def ledger(self, counter: int) -> int:
        """What was added to a counter in all, as far as it is entered."""
        return self.ledgers.get(counter, 0)

    def result(self, number: int) -> int:
        """What the last turn of a context gave."""
        return self.results[number]


def _word_at(address: int) -> int:
    return ctypes.c_int64.from_address(address).value
