"""Replays a plan, step by step, on real CPU processes: the caller's side, which hosts no context itself."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from percpu_emu.lang.setting import MAX_CPUS
from percpu_emu.lang.trace import Step, Violation
from percpu_emu.replay import layout as at
from percpu_emu.replay.compiled import compiled
from percpu_emu.replay.control import Control, Ended
from percpu_emu.replay.crew import Crew, ReplayFailed
from percpu_emu.replay.debugger import Debugger
from percpu_emu.replay.layout import Status
from percpu_emu.replay.memory import ReplayedMemory
from percpu_emu.replay.orders import Order, orders_of
from percpu_emu.replay.plan import Difference
from percpu_emu.replay.programs import Programs
from percpu_emu.replay.records import ledgers_of, step_of, where
from percpu_emu.shm import OutOfPages, SignalsHeld

if TYPE_CHECKING:
    from percpu_emu.lang.setting import Setting
    from percpu_emu.replay.plan import Plan


@dataclass
class Replayed:
    """The result of a plan."""

    steps: list[Step]
    violation: Violation | None
    difference: Difference | None
    """Where a process found another step than planned, and went no further."""
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


def replay(setting: Setting, plan: Plan, *, debug: bool = False) -> Replayed:
    """Do the steps of a plan, each by the process of its CPU; up to the end, to a violation, or to a difference.

    Raises `ReplayFailed` where a process dies, `Refused` for a program that is not in the language, KeyError for a plan
    of other programs. `debug`: stop in pdb before each step, on this terminal. Signals that raise are held back except
    while it waits, so that what was begun is cleaned up.
    """
    if not 0 < setting.cpus <= MAX_CPUS:
        raise ValueError(f"a setting has 1 to {MAX_CPUS} CPUs")
    outcome = _outcome(setting, plan, debug)
    if isinstance(outcome, Exception):
        raise outcome  # from here: a traceback through what it was found with would keep that mapped
    return outcome


def _outcome(setting: Setting, plan: Plan, debug: bool) -> Replayed | ReplayFailed:
    compiled()
    programs = Programs(setting)
    with SignalsHeld(), contextlib.ExitStack() as stack:
        try:
            control = Control(setting, plan)
            stack.callback(control.close)
            orders = orders_of(control, programs)
            memory = ReplayedMemory(control)
            stack.callback(memory.close)
            crew = Crew(control, memory, programs, orders, Debugger(control) if debug else None)
            stack.callback(crew.end)
            crew.start()
            initial = memory.words()
            _run(control, orders, crew)
            return _Reading(control, memory, programs, crew.trapped).outcome(initial)
        except (OSError, OutOfPages) as error:
            raise ReplayFailed(f"the operating system refused what a replay needs: {error}") from error


def _run(control: Control, orders: list[Order], crew: Crew) -> None:
    """Grant the first step, and wait for what comes of it."""
    control.words[at.BEGAN] = control.words[at.ENDED] = time.monotonic_ns()
    if crew.trapped or control.status != Status.RUNNING:
        return
    if orders:
        compiled().grant(control.ticket(orders[0].process), 1)
    else:
        control.end(Ended(Status.FINISHED))
    crew.wait()
    if crew.trapped:
        control.words[at.ENDED] = time.monotonic_ns()


class _Reading:
    """Reads back what happened, when all is still."""

    def __init__(self, control: Control, memory: ReplayedMemory, programs: Programs, trapped: bool) -> None:
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

    def outcome(self, initial: dict[int, int]) -> Replayed | ReplayFailed:
        """The whole, or the error that the run ended with."""
        control, told = self._control, self._told
        if control.status == Status.BROKEN:
            return ReplayFailed(told["reason"])
        of_setup = control.records(control.steps, control.words[at.SETUP_STEPS])
        planned = zip(self._rows, control.plan.steps, strict=False)
        contexts = range(len(control.setting.contexts))
        return Replayed(
            steps=[step_of(row, step, self._programs) for row, step in planned],
            violation=self._violation(),
            difference=self._difference(),
            initial=initial,
            results=tuple(control.words[control.layout.context(number) + at.RESULT] for number in contexts),
            words=self._memory.words(),
            ledgers=ledgers_of([*of_setup, *self._rows]),
            seconds=(control.words[at.ENDED] - control.words[at.BEGAN]) / 1e9,
        )

    def _difference(self) -> Difference | None:
        if self._control.status != Status.DIFFERS:
            return None
        index = self._told["index"]
        return Difference(index, str(self._control.plan.steps[index]), self._told["found"])

    def _violation(self) -> Violation | None:
        """What was found, with the steps to blame; those of the setup are none of the schedule's."""
        row = self._control.records(self._last, 1)[0]
        if self._trapped:
            gone = self._memory.gone(row[at.ADDRESS])
            check, detail, guilty = gone.check, gone.detail, [*gone.guilty, self._last]
        elif self._control.status == Status.VIOLATED:
            check, detail, guilty = self._told["check"], self._told["detail"], self._told["guilty"]
        else:
            return None
        steps = tuple(step for step in guilty if 0 <= step < self._control.steps)
        return Violation(check, where(row, self._programs) + detail, steps)
