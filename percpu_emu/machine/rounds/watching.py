"""Watching a round: whether a context has broken a rule, whether the round goes on, and if not, who waits for what."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from percpu_emu.lang import context as c
from percpu_emu.lang.checks import LABELS, Check, check_of
from percpu_emu.lang.tokens import BUSY, STARTED
from percpu_emu.machine.machine import Machine
from percpu_emu.machine.recording import Rings
from percpu_emu.machine.rounds.image import GO, LATE, PROCESS, TOKENS, RoundImage
from percpu_emu.machine.rounds.regions import Regions
from percpu_emu.machine.signals import signals
from percpu_emu.shm import WORD_SIZE
from percpu_emu.shm.awake import AwakeClock

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LOOK_SECONDS: Final = 0.02
STABLE_SECONDS: Final = 0.5
"""So long all contexts are seen blocked, for what does not happen, until that is a deadlock."""


class RoundFailed(Exception):
    """A round did not end: the check of the model that it breaks, "" for none, and what happened."""

    def __init__(self, check: str, detail: str, *, went_on: bool = False, words: Sequence[int] = ()) -> None:
        super().__init__(detail)
        self.check = check
        self.detail = detail
        self.went_on = went_on
        """Whether the coordinator's program went on to its end: warnings may come of what failed."""
        self.words = words
        """The words of the kernel's memory that contexts wait for."""


class Watcher:
    """Looks at a machine of processes as often as its coordinator looks round."""

    def __init__(
        self,
        machine: Machine,
        image: RoundImage,
        rings: Rings,
        names: Mapping[int, str],
        regions: Sequence[Regions],
    ) -> None:
        self._regions = regions
        self._machine = machine
        self._image = image
        self._rings = rings
        self._names = names
        self._awake = AwakeClock()
        self._patience = 0.0
        self._deadline: float | None = None
        self._next = 0.0
        self._seen: Sequence[tuple[int, ...]] = ()
        self._since = 0.0

    @property
    def _blocks(self) -> npt.NDArray[np.int64]:
        return self._machine.memory.blocks

    def begin(self, patience: float) -> None:
        """Watch from now on; a round takes at most so many seconds."""
        self._patience, self._deadline, self._seen = patience, self._awake() + patience, ()

    def end(self) -> None:
        """Watch no more."""
        self._deadline = None

    def attend(self, _now: float) -> None:
        """Raise RoundFailed where a rule is broken, or where nothing goes on."""
        now = self._awake()
        if self._deadline is None:
            return
        for misuse in (part.misuse for part in self._regions if part.misuse is not None):
            raise RoundFailed(misuse.check, f"{self.whereabouts(misuse.requester)}: {misuse}")
        for number in (self._blocks[:, c.BROKEN] != 0).nonzero()[0].tolist():
            raise self._broken(number)
        if now >= self._next:
            self._next = now + LOOK_SECONDS
            self._look_for_a_deadlock(now)
        if now > self._deadline:
            raise self._hung("", self._unfinished())

    # --- who and where

    def whereabouts(self, number: int, word: int = c.AT) -> str:
        """Whose context it is, and where it stands."""
        at = int(self._blocks[number, word])
        where = f" at {self._image.sites[at - 1]}" if at else ", before its first operation"
        return f"{self.name(number)}{where}"

    def name(self, number: int) -> str:
        """By the names of what a process runs."""
        memory, contexts = self._machine.memory, self._image.setting.contexts
        if number == memory.coordinator:
            return "a callback"
        if number > memory.coordinator:
            cpu = number - memory.interrupt(0)
            return " or ".join(contexts[which].name for which in self._image.processes[cpu].interrupts)
        process = self._image.processes[number]
        return ", ".join(contexts[which].name for which in process.contexts or process.interrupts)

    def owners(self, number: int) -> str:
        """Whose updates are in a process's ledger: those of a CPU's interrupts are in its first process's."""
        process, memory = self._image.processes[number], self._machine.memory
        interrupts = number < self._image.setting.cpus and process.interrupts and process.contexts
        return ", ".join([self.name(number), *([self.name(memory.interrupt(number))] if interrupts else [])])

    def ended_by(self, number: int) -> RoundFailed:
        """Why a process was ended by an access."""
        block = self._blocks[number]
        address, where = int(block[c.TRAP_ADDRESS]), self.whereabouts(number, c.TRAP_AT)
        if not block[c.TRAP_SIGNAL]:
            return RoundFailed("", f"the process of {where} was killed from outside")
        found = next((found for part in self._regions if (found := part.describe(address))), None)
        how = signal.Signals(int(block[c.TRAP_SIGNAL])).name
        freed, what = found or (False, "what was never allocated: NULL, near it, or beyond every object")
        check = Check.USE_AFTER_FREE if freed else Check.WILD_ACCESS
        went_on = number == self._machine.memory.coordinator
        return RoundFailed(check.label, f"{where} touched {what} ({how})", went_on=went_on)

    def _broken(self, number: int) -> RoundFailed:
        check = check_of(LABELS[int(self._blocks[number, c.BROKEN])])
        where = self.whereabouts(number, c.BROKEN_AT)
        if place := int(self._blocks[number, c.NO_RESULT]):
            return RoundFailed(check.label, f"{self.name(number)}: {self._image.places[place - 1]}")
        if check == Check.DEADLOCK:
            return RoundFailed(check.label, f"{where} waits for the end of a section of its own")
        went_on = number == self._machine.memory.coordinator
        return RoundFailed(check.label, f"{where}: {check.sentence}", went_on=went_on)

    # --- deadlocks

    def _unfinished(self) -> list[int]:
        """Contexts that have not ended: of tasks, of interrupts, and the coordinator inside of a program."""
        round_number = int(self._rings.words[GO])
        done = self._rings.words[PROCESS::8]
        processes = [number for number in self._image.working if int(done[number]) != round_number]
        processes += [n for n in self._image.working if n not in processes and self._blocks[n, c.IN_INTERRUPT]]
        processes = [self._acting(number) for number in processes]
        return [*processes, self._machine.memory.coordinator] if self._machine.coordinator.depth else processes

    def _acting(self, number: int) -> int:
        """Whose block says what a process of a round does: that of the CPU's interrupts while it runs one."""
        cpu = self._image.processes[number].cpu
        in_interrupt = cpu is not None and self._blocks[number, c.IN_INTERRUPT]
        return self._machine.memory.interrupt(cpu) if cpu is not None and in_interrupt else number

    def _look_for_a_deadlock(self, now: float) -> None:
        unfinished = self._unfinished()
        seen = [(n, *self._blocks[n, [c.OPERATIONS, c.WAITS]].tolist()) for n in unfinished]
        if (
            self._machine.has_more_to_run
            or self._machine.coordinator.depth > 1
            or not all(map(self._is_blocked, unfinished))
        ):
            seen = []
        if any(map(self._may_vanish, unfinished)):
            seen = []
        if seen != self._seen:
            self._seen, self._since = seen, now
        elif seen and now > self._since + STABLE_SECONDS:
            if self._image.interrupted and self._rings.words[LATE] != self._rings.words[GO]:
                signals().publish(self._rings.word(LATE), int(self._rings.words[GO]))
                self._since = now
                return
            raise self._hung(Check.DEADLOCK.label, unfinished)

    def _is_blocked(self, number: int) -> bool:
        """Whether a context waits for what has not happened."""
        block = self._blocks[number]
        what = int(block[c.WAITS])
        if what in (c.FOR_SLEEP, c.FOR_SPIN):
            return self._awaited(number) != int(block[c.WAITS_VALUE])
        if what in (c.FOR_READERS, c.FOR_CALLBACKS):
            return bool(self._machine.rcu.holdouts()) or self._runs_a_callback()
        if what == c.FOR_CPU:
            return self._token(int(block[c.CPU])) == BUSY
        if what == c.FOR_TURNS:
            cpu = self._cpu_taken_down(number)
            return self._token(cpu) == BUSY or self._token(cpu, STARTED) > 0
        return False

    def _may_vanish(self, number: int) -> bool:
        """Whether a context is blocked in the first operation of its turn, on a CPU that is to go off line.

        In the model its turn has not begun then: the CPU goes down, and the context with it. Here it has.
        """
        block = self._blocks[number]
        begun = block[c.OPERATIONS] - block[c.TURN_BEGAN] > 1
        if number > self._machine.memory.coordinator:
            return False  # an interrupt that spins has begun, from its first operation on
        goes_down = {spec.cpu for spec in self._image.setting.contexts if spec.kind == "offline"}
        return int(block[c.CPU]) in goes_down and not begun

    def _runs_a_callback(self) -> bool:
        return bool(self._machine.coordinator.depth and self._blocks[self._machine.memory.coordinator, c.WAITS])

    def _awaited(self, number: int) -> int:
        """The word that a context waits for, as it is now."""
        address = self._machine.memory.word_address(int(self._blocks[number, c.WAITS_FOR]))
        return ctypes.c_int64.from_address(address).value

    def _token(self, cpu: int, offset: int = 0) -> int:
        return int(self._rings.words[TOKENS + cpu * 8 + offset // WORD_SIZE])

    def _cpu_taken_down(self, number: int) -> int:
        [which] = self._image.processes[number].contexts
        cpu = self._image.setting.contexts[which].cpu
        assert cpu is not None
        return cpu

    # --- for people

    def _hung(self, check: str, unfinished: Sequence[int]) -> RoundFailed:
        """Why a round does not end, or did not in time."""
        told = "; ".join(map(self._told, unfinished)) or "a callback is due"
        late = "" if check else f"a round did not end within {self._patience:g} s: "
        waiting = [n for n in unfinished if self._blocks[n, c.WAITS] in (c.FOR_SLEEP, c.FOR_SPIN)]
        return RoundFailed(check, late + told, words=[int(self._blocks[n, c.WAITS_FOR]) for n in waiting])

    def _told(self, number: int) -> str:
        """What a context does that does not end."""
        return f"{self.whereabouts(number)} {''.join(self._waits(number))}"

    def _waits(self, number: int) -> Iterator[str]:
        block = self._blocks[number]
        what = int(block[c.WAITS])
        if what in (c.FOR_SLEEP, c.FOR_SPIN):
            how = "sleeps" if what == c.FOR_SLEEP else "spins"
            name = self._word_name(int(block[c.WAITS_FOR]))
            yield f"{how} until {name} is {block[c.WAITS_VALUE]}, and it is {self._awaited(number)}"
        elif what in (c.FOR_READERS, c.FOR_CALLBACKS):
            holdouts = [self.whereabouts(cpu) for cpu in self._machine.rcu.holdouts()]
            holdouts += [self.whereabouts(self._machine.memory.coordinator)] if self._runs_a_callback() else []
            yield f"waits for {'readers' if what == c.FOR_READERS else 'callbacks'}"
            yield f": {', '.join(holdouts)}" if holdouts else ""
        elif what == c.FOR_CPU:
            yield f"waits for CPU {block[c.CPU]}, on which another task runs"
        elif what == c.FOR_TURNS:
            yield f"waits until no task of CPU {self._cpu_taken_down(number)} is in a turn"
        else:
            yield "still runs"

    def _word_name(self, pointer: int) -> str:
        """A word by its name, one of a CPU's copies by the name of its per-CPU pointer."""
        memory = self._machine.memory
        address = memory.word_address(pointer)
        for cpu in range(self._image.setting.cpus):
            within = (address - memory.context(cpu).unit) // WORD_SIZE
            if 0 <= within < memory.layout.unit_size // WORD_SIZE:
                return f"CPU {cpu}'s {self._names.get(within, f'word {within:#x}')}"
        return self._names.get(pointer, f"word {pointer:#x}")
