"""Replays a schedule, step by step, on real CPU processes: the caller's side, which hosts no context itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from percpu_emu.lang.setting import MAX_CONTEXTS, MAX_CPUS
from percpu_emu.lang.trace import Step, Violation
from percpu_emu.machine.controlled import layout as at
from percpu_emu.machine.controlled.compiled import compiled
from percpu_emu.machine.controlled.control import Control, Ended, context_offset
from percpu_emu.machine.controlled.crew import Crew, ReplayFailed
from percpu_emu.machine.controlled.debugger import Debugger
from percpu_emu.machine.controlled.layout import Status
from percpu_emu.machine.controlled.memory import ControlledMemory
from percpu_emu.machine.controlled.programs import Programs
from percpu_emu.machine.controlled.records import ledgers_of, step_of
from percpu_emu.shm import OutOfPages, SignalsHeld

if TYPE_CHECKING:
    from percpu_emu.lang.setting import Setting


class ScheduleError(ValueError):
    """The schedule asks for a step that the rules do not allow at that point."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"step {index}: {reason}")
        self.index = index
        self.reason = reason


@dataclass
class Replayed:
    """What a schedule came to."""

    steps: list[Step]
    violation: Violation | None
    initial: dict[int, int]
    """Words that are not 0 after the setup, by address."""
    results: tuple[int, ...]
    """For each context of the setting: of its last whole turn."""
    words: dict[int, int]
    """Words that are not 0 at the end."""
    ledgers: dict[int, int]
    """What was entered, by counter."""
    seconds: float
    """For the granted steps, without starting and ending."""


def replay(setting: Setting, schedule: Sequence[int], *, debug: bool = False) -> Replayed:
    """Do the steps of a schedule, each by the process of its CPU; up to the end, or to a violation.

    Raises `ScheduleError` for a choice that is not possible, `ReplayFailed` where a process dies, `Refused` for a
    program that is not in the language. `debug`: stop in pdb before each step, on this terminal. Signals that raise are
    held back except while it waits, so that what was begun is cleaned up.
    """
    if not 0 < setting.cpus <= MAX_CPUS or len(setting.contexts) > MAX_CONTEXTS:
        raise ValueError(f"a setting has 1 to {MAX_CPUS} CPUs and at most {MAX_CONTEXTS} contexts")
    outcome = _outcome(setting, schedule, debug)
    if isinstance(outcome, Exception):
        raise outcome  # from here: a traceback through what it was found with would keep that mapped
    return outcome


def _outcome(setting: Setting, schedule: Sequence[int], debug: bool) -> Replayed | ScheduleError | ReplayFailed:
    compiled()
    programs = Programs(setting)
    with SignalsHeld(), contextlib.ExitStack() as stack:
        try:
            control = Control(setting, schedule)
            stack.callback(control.close)
            memory = ControlledMemory(control)
            stack.callback(memory.close)
            crew = Crew(control, memory, programs, Debugger(control) if debug else None)
            stack.callback(crew.end)
            crew.start()
            initial = memory.words()
            _run(control, crew)
            return _Reading(control, memory, programs, crew.trapped).outcome(initial)
        except (OSError, OutOfPages) as error:
            raise ReplayFailed(f"the operating system refused what a replay needs: {error}") from error


def _run(control: Control, crew: Crew) -> None:
    """Grant the first step, and wait for what comes of it."""
    control.words[at.BEGAN] = control.words[at.ENDED] = time.monotonic_ns()
    if crew.trapped or control.status != Status.RUNNING:
        return
    if control.steps == 0:
        control.end(Ended(Status.FINISHED))
    else:
        compiled().grant(control.ticket(control.owner_of(control.words[at.SCHEDULE])), 1)
    crew.wait()
    if crew.trapped:
        control.words[at.ENDED] = time.monotonic_ns()


class _Reading:
    """Reads back what happened, when all is still."""

    def __init__(self, control: Control, memory: ControlledMemory, programs: Programs, trapped: bool) -> None:
        self._control = control
        self._memory = memory
        self._programs = programs
        self._trapped = trapped
        self._told = control.told
        self._rows = control.records(0, control.words[at.DONE])
        if trapped or control.status == Status.VIOLATED:
            self._rows += [row for row in control.records(self._last, 1) if row[at.CODE] and self._last < control.steps]

    @property
    def _last(self) -> int:
        return self._control.current()

    def outcome(self, initial: dict[int, int]) -> Replayed | ScheduleError | ReplayFailed:
        """The whole, or the error that the run ended with."""
        control, told = self._control, self._told
        if control.status == Status.REFUSED:
            return ScheduleError(told["index"], told["reason"])
        if control.status == Status.BROKEN:
            return ReplayFailed(told["reason"])
        of_setup = control.records(control.steps, control.words[at.SETUP_STEPS])
        contexts = range(len(control.setting.contexts))
        return Replayed(
            steps=[step_of(row, self._programs) for row in self._rows],
            violation=self._violation(),
            initial=initial,
            results=tuple(control.words[context_offset(number) + at.RESULT] for number in contexts),
            words=self._memory.words(),
            ledgers=ledgers_of([*of_setup, *self._rows]),
            seconds=(control.words[at.ENDED] - control.words[at.BEGAN]) / 1e9,
        )

    def _violation(self) -> Violation | None:
        """What was found, with the step it was found in; the setup's steps are nobody's to blame."""
        row = self._control.records(self._last, 1)[0]
        if self._trapped:
            gone = self._memory.gone(row[at.ADDRESS])
            check, detail, guilty = gone.check, gone.detail, [gone.freed_at, self._last]
        elif self._control.status == Status.VIOLATED:
            check, detail, guilty = self._told["check"], self._told["detail"], self._told["guilty"]
        else:
            return None
        steps = tuple(step for step in guilty if 0 <= step < self._control.steps)
        return Violation(check, self._where(row) + detail, steps)

    def _where(self, row: list[int]) -> str:
        if not row[at.CODE]:
            return ""
        step = step_of(row, self._programs)
        who = "the coordinator" if step.cpu is None else f"CPU {step.cpu}"
        return f"{step.op} by {who} at {step.site}: "
