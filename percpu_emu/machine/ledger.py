"""The ledgers against the counters: nothing lost, nothing doubled, item by item."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from percpu_emu.machine.counters import PAGE_WORDS, CounterArray, counter_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from percpu_emu.machine.deaths import Doubt
    from percpu_emu.machine.memory import MachineMemory


@dataclass(frozen=True)
class Imbalance:
    """A counter that is not what the CPUs know they added."""

    memcg: int
    name: str
    counted: int
    added: int

    def __str__(self) -> str:
        what = "lost" if self.counted < self.added else "too many"
        return f"{self.name} is {self.counted}, {self.added} were added: {abs(self.counted - self.added)} {what}"


@dataclass(frozen=True)
class Settled:
    """An update that was in doubt, and what became of it."""

    doubt: Doubt
    ahead: int

    def __str__(self) -> str:
        doubt = self.doubt
        if self.ahead == 0:
            return f"{doubt}: not done, or done and entered"
        if self.ahead == doubt.delta:
            return f"{doubt}: done, not entered"
        return f"{doubt}: its batch of {self.ahead} was moved, the slot not yet emptied; corrected"


class LedgerAudit:
    """Compares, for cgroups that no task updates at the moment. A dead CPU's update in flight is settled here."""

    def __init__(self, memory: MachineMemory, doubts: Sequence[Doubt]) -> None:
        self._memory = memory
        self._doubts = doubts
        self.imbalances: list[Imbalance] = []
        self.settled: list[Settled] = []
        self.checked = 0
        """Counters compared so far."""

    def check(self, memcg: int) -> None:
        """Compare every counter of a memory cgroup with its ledgers."""
        for array in counter_arrays(self._memory, memcg):
            self._check_array(array)

    def forget(self, memcg: int) -> None:
        """The memory cgroup is about to be freed: clear its ledgers."""
        for array in counter_arrays(self._memory, memcg):
            array.clear_ledger(self._memory)

    def _check_array(self, array: CounterArray) -> None:
        counted, added = array.values(self._memory), array.ledger(self._memory)
        self.checked += array.count
        for index in (counted != added).nonzero()[0].tolist():
            ahead = int(counted[index] - added[index])
            if not self._settle(array.twins + index, ahead):
                imbalance = Imbalance(array.memcg, array.name(index), int(counted[index]), int(added[index]))
                self.imbalances.append(imbalance)

    def _settle(self, address: int, ahead: int) -> bool:
        """Whether deaths explain the difference. If so, the counter and the ledger are made to agree from now on."""
        open_doubts = [doubt for doubt in self._doubts if doubt.address == address and not self._is_settled(doubt)]
        for outcomes in itertools.product(*[doubt.outcomes for doubt in open_doubts]):
            if open_doubts and sum(outcomes) == ahead:
                for doubt, outcome in zip(open_doubts, outcomes, strict=True):
                    over = doubt.over(outcome)
                    self._memory.words[address] -= over
                    self._memory.ledger_page(doubt.cpu, address // PAGE_WORDS)[address % PAGE_WORDS] += outcome - over
                    self.settled.append(Settled(doubt, outcome))
                return True
        return False

    def _is_settled(self, doubt: Doubt) -> bool:
        return any(settled.doubt is doubt for settled in self.settled)
