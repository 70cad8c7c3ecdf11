"""The shared control words of one controlled run: made before its processes are forked, and seen by all of them."""

from __future__ import annotations

import array
import json
import os
import time
from collections.abc import Sequence
from typing import Any, Final

from percpu_emu.lang.setting import CALLBACKS, MIGRATE, Setting
from percpu_emu.machine.controlled import layout as at
from percpu_emu.machine.controlled.compiled import compiled
from percpu_emu.machine.controlled.layout import Kind, Status
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE, Segment

_KINDS: Final = {"task": Kind.TASK, "interrupt": Kind.INTERRUPT, "offline": Kind.OFFLINE, "kill": Kind.KILL}


class Ended(Exception):
    """The run is over, in this process."""

    def __init__(self, status: Status, **told: Any) -> None:
        super().__init__(status.name)
        self.status = status
        self.told = told


class Control:
    """Words by `layout`. Python reads and writes them through a memoryview: 40 ns, where numpy's indexing takes 100."""

    def __init__(self, setting: Setting, schedule: Sequence[int]) -> None:
        self.setting = setting
        self.steps = len(schedule)
        self.coordinator = setting.cpus
        """Number of the coordinator's process; those of the CPUs have the CPU's number."""
        choices = array.array("l", schedule)
        size = at.words_in_all(self.steps) * WORD_SIZE
        self._segment = Segment("controlled", -(-size // PAGE_SIZE) * PAGE_SIZE)
        self.words: memoryview[int] = memoryview(self._segment.words)  # type: ignore[arg-type]
        self.words[at.SCHEDULE : at.SCHEDULE + self.steps] = memoryview(choices)
        for number, spec in enumerate(setting.contexts):
            base = context_offset(number)
            self.words[base + at.OWNER] = self.coordinator if spec.home is None else spec.home
            self.words[base + at.CPU] = -1 if spec.home is None else spec.home
            self.words[base + at.KIND] = _KINDS[spec.kind]
            self.words[base + at.MIGRATES] = spec.migrates
            if spec.kind in ("offline", "kill"):
                self.words[base + at.TO_TAKE_DOWN] = (spec.cpu or 0) + 1
        for number in range(len(setting.contexts), self.setup + 1):
            base = context_offset(number)
            self.words[base + at.OWNER] = self.coordinator
            self.words[base + at.CPU] = -1
            self.words[base + at.IS_OVER] = number != self.setup

    @property
    def slots(self) -> range:
        """Numbers of the callback slots."""
        first = len(self.setting.contexts)
        return range(first, first + CALLBACKS)

    @property
    def setup(self) -> int:
        """Number by which the setup goes."""
        return len(self.setting.contexts) + CALLBACKS

    @property
    def status(self) -> Status:
        """How far the run is."""
        return Status(self.words[at.STATUS])

    @property
    def told(self) -> dict[str, Any]:
        """What was said as the run ended."""
        text = bytes(self.words[at.TEXT : at.TEXT + at.TEXT_WORDS]).rstrip(b"\0").decode()
        told: dict[str, Any] = json.loads(text) if text else {}
        return told

    def address(self, word: int) -> int:
        """Where a word lies, for compiled code."""
        return self._segment.address + word * WORD_SIZE

    def record(self, index: int) -> int:
        """Where a record begins."""
        return at.record_offset(self.steps, index)

    def current(self) -> int:
        """The index of the record that is being written: a step's, or one of the setup's."""
        if self.words[at.READY + self.coordinator]:
            return self.words[at.DONE]
        return self.steps + self.words[at.SETUP_STEPS]

    def records(self, first: int, count: int) -> list[list[int]]:
        """Records as rows."""
        begin = self.record(first)
        rows: list[list[int]] = (
            self._segment.words[begin : begin + count * at.RECORD_WORDS].reshape(count, at.RECORD_WORDS).tolist()
        )
        return rows

    def owner_of(self, choice: int) -> int:
        """The process that does a step. What cannot be done at all is the coordinator's, which says so."""
        number = choice % MIGRATE
        return self.words[context_offset(number) + at.OWNER] if 0 <= number < self.setup else self.coordinator

    def ticket(self, process: int) -> int:
        """Address of a process's ticket."""
        return self.address(at.TICKETS + process * at.TICKET_WORDS)

    def end(self, ended: Ended) -> None:
        """Say how the run ended, and have every process end. The first to say it is heard."""
        if self.status == Status.RUNNING:
            self.words[at.ENDED] = time.monotonic_ns()
            text = json.dumps(ended.told).encode()
            text = text[: at.TEXT_WORDS * WORD_SIZE].ljust(at.TEXT_WORDS * WORD_SIZE, b"\0")
            self.words[at.TEXT : at.TEXT + at.TEXT_WORDS] = memoryview(text).cast("l")
            self.words[at.STATUS] = ended.status
        for process in range(self.setting.cpus + 1):
            compiled().grant(self.ticket(process), at.OVER)

    def close(self) -> None:
        """Give the memory back."""
        self.words.release()
        self._segment.close()


def context_offset(number: int) -> int:
    """Where the words of a context begin."""
    return at.CONTEXTS + number * at.CONTEXT_WORDS


def cpu_offset(cpu: int) -> int:
    """Where the words of a CPU begin."""
    return at.CPUS + cpu * at.CPU_WORDS


def one_processor() -> int:
    """The processor that all processes of a run share, since only one of them runs at a time.

    A hand-off inside one processor is 5 to 8 times cheaper than one that wakes another. Several runs spread.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[os.getpid() % len(allowed)]
