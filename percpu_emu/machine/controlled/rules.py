"""The rules of `lang.setting` on shared words: may a context do its next step, and what follows from what it did.

Plain Python: 0.7 us for a step of a task that none of it concerns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from percpu_emu.machine.controlled import layout as at
from percpu_emu.machine.controlled.control import context_offset, cpu_offset
from percpu_emu.machine.controlled.layout import Kind

if TYPE_CHECKING:
    from percpu_emu.machine.controlled.control import Control

_RUNS_AS_INTERRUPT: Final = (Kind.INTERRUPT, Kind.CALLBACK)
_QUEUED: Final = (Kind.CALLBACK, Kind.WORK)


class NotEnabled(Exception):
    """A step that the rules do not allow now."""


class Rules:
    """Reads and changes the state of contexts and CPUs. A context goes by its number."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._words = control.words
        self._everyone = range(control.setup)
        self._of_setting = len(control.setting.contexts)

    # --- may it be done

    def check_step(self, number: int) -> None:
        """Raise `NotEnabled` if the context may not do a step now (a `wait_until` has a word to say, too)."""
        words, base = self._words, context_offset(number)
        if words[base + at.IS_OVER]:
            raise NotEnabled(f"{self.name(number)} has nothing to do")
        if words[base + at.TO_TAKE_DOWN]:
            self._check_take_down(words[base + at.KIND], words[base + at.TO_TAKE_DOWN] - 1)
            return
        cpu = words[base + at.CPU]
        if cpu >= 0:
            self._check_cpu(number, words[base + at.KIND], cpu)
        if words[base + at.WAITS]:
            raise NotEnabled(f"{self.name(number)} waits for {self.names(words[base + at.WAITS])}")

    def _check_cpu(self, number: int, kind: int, cpu: int) -> None:
        words, on = self._words, cpu_offset(cpu)
        active = words[on + at.ACTIVE]
        if active == number + 1:
            return
        if active:
            raise NotEnabled(f"{self.name(active - 1)} is active on CPU {cpu}")
        if kind in _RUNS_AS_INTERRUPT:
            if words[on + at.IRQS_OFF]:
                raise NotEnabled(f"interrupts are off on CPU {cpu}")
        elif words[on + at.PINNED] not in (0, number + 1):
            raise NotEnabled(f"{self.name(words[on + at.PINNED] - 1)} may not be preempted on CPU {cpu}")

    def _check_take_down(self, kind: int, cpu: int) -> None:
        words = self._words
        if kind == Kind.KILL:
            return
        if words[cpu_offset(cpu) + at.ACTIVE]:
            raise NotEnabled(f"{self.name(words[cpu_offset(cpu) + at.ACTIVE] - 1)} is active on CPU {cpu}")
        for number in range(self._of_setting):
            base = context_offset(number)
            if words[base + at.KIND] == Kind.TASK and words[base + at.CPU] == cpu and self._mid_turn(base):
                raise NotEnabled(f"{self.name(number)} is mid-turn on CPU {cpu}")

    def check_migration(self, number: int, cpu: int) -> None:
        """Raise `NotEnabled` if the context may not move to that CPU now."""
        words, base = self._words, context_offset(number)
        here = words[base + at.CPU]
        if words[base + at.KIND] != Kind.TASK or here < 0 or not words[base + at.MIGRATES]:
            raise NotEnabled(f"{self.name(number)} does not move")
        if not self._mid_turn(base):
            raise NotEnabled(f"{self.name(number)} is not mid-turn")
        if cpu == here or not 0 <= cpu < self._control.setting.cpus or words[cpu_offset(cpu) + at.DOWN]:
            raise NotEnabled(f"{self.name(number)} cannot move to CPU {cpu}")
        if words[cpu_offset(here) + at.ACTIVE]:
            raise NotEnabled(f"{self.name(words[cpu_offset(here) + at.ACTIVE] - 1)} is active on CPU {here}")
        if words[cpu_offset(here) + at.IRQS_OFF] or self._pinned(number, base):
            raise NotEnabled(f"{self.name(number)} may not be preempted")

    # --- what follows

    def start(self, number: int) -> None:
        """It does a step; its first one makes an interrupt active."""
        words, base = self._words, context_offset(number)
        if not words[base + at.STARTED]:
            words[base + at.STARTED] = 1
            cpu = words[base + at.CPU]
            if cpu >= 0 and words[base + at.KIND] in _RUNS_AS_INTERRUPT:
                words[cpu_offset(cpu) + at.ACTIVE] = number + 1
                self.settle(number)

    def end(self, number: int) -> None:
        """It has done its last step: a slot is free, an interrupt not active any more."""
        words, base = self._words, context_offset(number)
        words[base + at.IS_OVER] = 1
        words[base + at.SENT] = 0
        cpu = words[base + at.CPU]
        if cpu >= 0 and words[cpu_offset(cpu) + at.ACTIVE] == number + 1:
            words[cpu_offset(cpu) + at.ACTIVE] = 0
        if number >= self._of_setting:
            self._free_slot(number, base)
        self.settle(number)

    def settle(self, number: int) -> None:
        """See whether it is a reader and pinned now, after anything that can change that."""
        words, base = self._words, context_offset(number)
        cpu, pinned = words[base + at.CPU], self._pinned(number, base)
        reader: bool = pinned
        if cpu >= 0:
            on = cpu_offset(cpu)
            reader = reader or words[on + at.ACTIVE] == number + 1
            if words[base + at.KIND] == Kind.TASK:
                if pinned:
                    words[on + at.PINNED] = number + 1
                elif words[on + at.PINNED] == number + 1:
                    words[on + at.PINNED] = 0
        if reader:
            words[at.READERS] |= 1 << number
        elif words[at.READERS] >> number & 1:
            words[at.READERS] &= ~(1 << number)
            self._awaited_no_more(number, in_barrier=False)

    def _free_slot(self, number: int, base: int) -> None:
        words = self._words
        words[base + at.OWNER] = self._control.coordinator
        words[base + at.RCU_DEPTH] = words[base + at.PREEMPT_DEPTH] = words[base + at.OWN_IRQS_OFF] = 0
        self._awaited_no_more(number, in_barrier=True)

    def wait_for(self, number: int, others: int) -> None:
        """Have it wait for others, given as bits."""
        self._words[context_offset(number) + at.WAITS] = others
        if others:
            self._words[at.WAITERS] |= 1 << number

    def callbacks(self) -> int:
        """The callbacks (not work) that are queued, as bits."""
        words = self._words
        bases = [(slot, context_offset(slot)) for slot in self._control.slots]
        return sum(
            1 << slot for slot, base in bases if not words[base + at.IS_OVER] and words[base + at.KIND] == Kind.CALLBACK
        )

    def migrate(self, number: int, cpu: int) -> None:
        """Move a task; the process of that CPU does its steps from now on."""
        words, base = self._words, context_offset(number)
        words[base + at.CPU] = words[base + at.OWNER] = cpu
        words[base + at.MIGRATES] -= 1

    def take_down(self, cpu: int) -> None:
        """A CPU goes, and what it runs is over; callbacks that have not begun run beside everything else then."""
        words, on = self._words, cpu_offset(cpu)
        there = [number for number in self._everyone if words[context_offset(number) + at.CPU] == cpu]
        words[on + at.DOWN] = 1
        words[on + at.ACTIVE] = words[on + at.IRQS_OFF] = words[on + at.PINNED] = 0
        for number in there:
            base = context_offset(number)
            words[base + at.OWNER] = self._control.coordinator
            if words[base + at.KIND] in _QUEUED and not words[base + at.STARTED]:
                words[base + at.CPU] = -1
                continue
            for field in (at.WAITS, at.REGISTERED, at.RCU_DEPTH, at.PREEMPT_DEPTH):
                words[base + field] = 0
            self.end(number)

    def irqs_flag(self, number: int) -> tuple[int, int]:
        """Where the flag lies by which it keeps interrupts off: its CPU's, or its own; and whether it is its own."""
        base = context_offset(number)
        cpu = self._words[base + at.CPU]
        return (base + at.OWN_IRQS_OFF, True) if cpu < 0 else (cpu_offset(cpu) + at.IRQS_OFF, False)

    def set_irqs_off(self, number: int, off: int) -> int:
        """Set the flag; what it was. Who sets it first is whom it pins."""
        words = self._words
        flag, own = self.irqs_flag(number)
        before = words[flag]
        if not own and not before:
            words[flag - at.IRQS_OFF + at.IRQS_BY] = number
        words[flag] = off
        self.settle(number)
        return before

    def _pinned(self, number: int, base: int) -> bool:
        words = self._words
        if words[base + at.RCU_DEPTH] > 0 or words[base + at.PREEMPT_DEPTH] > 0:
            return True
        flag, own = self.irqs_flag(number)
        return bool(words[flag] and (own or words[flag - at.IRQS_OFF + at.IRQS_BY] == number))

    def _mid_turn(self, base: int) -> bool:
        return bool(self._words[base + at.SENT] or self._words[base + at.REGISTERED])

    def _awaited_no_more(self, number: int, *, in_barrier: bool) -> None:
        """It is no reader any more; or, for those in `rcu_barrier`, its program has ended."""
        words = self._words
        for other in self._everyone if words[at.WAITERS] else ():
            base = context_offset(other)
            if words[at.WAITERS] >> other & 1 and (words[base + at.REGISTERED] == at.IN_BARRIER) == in_barrier:
                words[base + at.WAITS] &= ~(1 << number)
                if not words[base + at.WAITS]:
                    words[at.WAITERS] &= ~(1 << other)

    # --- for people

    def name(self, number: int) -> str:
        """What a context is called."""
        contexts = self._control.setting.contexts
        if number < len(contexts):
            return contexts[number].name
        return f"callback slot {number - len(contexts)}" if number < self._control.setup else "the setup"

    def names(self, bits: int) -> str:
        """What several are called."""
        return ", ".join(self.name(number) for number in self._everyone if bits >> number & 1)
