"""The shared control words of one replay: made before its processes are forked, and seen by all of them."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from percpu_emu.replay import layout as at
from percpu_emu.replay.compiled import compiled
from percpu_emu.replay.layout import Layout, Status
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE, Segment

if TYPE_CHECKING:
    from percpu_emu.lang.setting import Setting
    from percpu_emu.replay.plan import Plan


class Ended(Exception):
    """The run is over, in this process."""

    def __init__(self, status: Status, **told: Any) -> None:
        super().__init__(status.name)
        self.status = status
        self.told = told


class Control:
    """Words by `layout`. Python reads and writes them through a memoryview: 40 ns, where numpy's indexing takes 100."""

    def __init__(self, setting: Setting, plan: Plan) -> None:
        self.setting = setting
        self.plan = plan
        self.steps = len(plan.steps)
        self.coordinator = setting.cpus
        """Number of the coordinator's process; those of the CPUs have the CPU's number."""
        numbers = [number for step in plan.distinct for number in (step.context, step.queued)]
        self.setup = max(len(setting.contexts), 1 + max(numbers, default=-1))
        """Number by which the setup goes: the first that no context and no callback has."""
        self.layout = Layout(plan.areas, plan.objects, self.setup, self.steps)
        self._segment = Segment("replay", -(-self.layout.words * WORD_SIZE // PAGE_SIZE) * PAGE_SIZE)
        self.words: memoryview[int] = memoryview(self._segment.words)  # type: ignore[arg-type]

    @property
    def status(self) -> Status:
        """How far the run is."""
        return Status(self.words[at.STATUS])

    @property
    def told(self) -> dict[str, Any]:
        """What was said as the run ended."""
        text = bytes(self.words[at.TEXT : at.TEXT + at.TEXT_WORDS]).rstrip(b"\0").decode(errors="replace")
        told: dict[str, Any] = json.loads(text) if text else {}
        return told

    def process_of(self, cpu: int | None) -> int:
        """The process that does what a CPU does, or the coordinator."""
        return self.coordinator if cpu is None else cpu

    def name(self, number: int) -> str:
        """What a context is called."""
        contexts = self.setting.contexts
        if number < len(contexts):
            return contexts[number].name
        return f"callback {number - len(contexts)}" if number < self.setup else "the setup"

    def address(self, word: int) -> int:
        """Where a word lies, for compiled code."""
        return self._segment.address + word * WORD_SIZE

    def current(self) -> int:
        """The index of the record that is being written: a step's, or one of the setup's."""
        if self.words[at.READY + self.coordinator]:
            return self.words[at.DONE]
        return self.steps + self.words[at.SETUP_STEPS]

    def records(self, first: int, count: int) -> list[list[int]]:
        """Records as rows."""
        begin = self.layout.record(first)
        rows: list[list[int]] = (
            self._segment.words[begin : begin + count * at.RECORD_WORDS].reshape(count, at.RECORD_WORDS).tolist()
        )
        return rows

    def ticket(self, process: int) -> int:
        """Address of a process's ticket."""
        return self.address(at.TICKETS + process * at.TICKET_WORDS)

    def end(self, ended: Ended) -> None:
        """Say how the run ended, and have every process end. The first to say it is heard."""
        if self.status == Status.RUNNING:
            self.words[at.ENDED] = time.monotonic_ns()
            self.words[at.TEXT : at.TEXT + at.TEXT_WORDS] = memoryview(_text(ended.told)).cast("l")
            self.words[at.STATUS] = ended.status
        for process in range(self.setting.cpus + 1):
            compiled().grant(self.ticket(process), at.OVER)

    def close(self) -> None:
        """Give the memory back."""
        self.words.release()
        self._segment.close()


def _text(told: dict[str, Any]) -> bytes:
    """As JSON that has room: of what is too long, the end is kept."""
    room = at.TEXT_WORDS * WORD_SIZE
    longest = room // 8
    kept = {name: value[-longest:] if isinstance(value, str) else value for name, value in told.items()}
    return json.dumps(kept).encode().ljust(room, b"\0")


def one_processor() -> int:
    """The processor that all processes of a run share, since only one of them runs at a time.

    A hand-off inside one processor is 5 to 8 times cheaper than one that wakes another. Several runs spread.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[os.getpid() % len(allowed)]
