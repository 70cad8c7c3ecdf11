"""One process of a controlled run: the programs of one CPU, or of the coordinator, a step at a time as it is granted.

Who has done a step passes the next one on directly. The coordinator's contexts have a process as well, so that the
caller survives an access that traps.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import traceback
from typing import TYPE_CHECKING, Final, NoReturn

from percpu_emu.lang.setting import MIGRATE
from percpu_emu.lang.words import Long, wrap
from percpu_emu.machine.controlled import layout as at
from percpu_emu.machine.controlled.accesses import Violated
from percpu_emu.machine.controlled.compiled import compiled
from percpu_emu.machine.controlled.control import Ended, context_offset, cpu_offset
from percpu_emu.machine.controlled.layout import Kind, Status
from percpu_emu.machine.controlled.operations import Operations
from percpu_emu.machine.controlled.rules import NotEnabled, Rules
from percpu_emu.machine.controlled.turns import Running, Turns, advance
from percpu_emu.shm import OutOfPages, die_with

if TYPE_CHECKING:
    from percpu_emu.lang.operation import Op
    from percpu_emu.machine.controlled.control import Control
    from percpu_emu.machine.controlled.debugger import Debugger
    from percpu_emu.machine.controlled.memory import ControlledMemory
    from percpu_emu.machine.controlled.programs import Programs

_PR_SET_DUMPABLE: Final = 4


class Process:
    """The work of one process; `number` is a CPU's or the coordinator's."""

    def __init__(
        self, number: int, control: Control, memory: ControlledMemory, programs: Programs, debugger: Debugger | None
    ) -> None:
        self._number = number
        self._control = control
        self._words = control.words
        self._programs = programs
        self._debugger = debugger
        self._rules = Rules(control)
        cpu = None if number == control.coordinator else number
        self._operations = Operations(control, memory, programs, self._rules, cpu)
        self._turns = Turns(control, programs, self._rules)
        self._schedule = control.words[at.SCHEDULE : at.SCHEDULE + control.steps].tolist()

    def prepare(self) -> None:
        """Run the setup, if that is this process's, and let the programs compute up to their first operations."""
        setting, words = self._control.setting, self._words
        if self._number == self._control.coordinator and setting.setup is not None:
            self._set_up()
        for number in range(len(setting.contexts)):
            if words[context_offset(number) + at.OWNER] == self._number:
                self._turns.begin(number, 0)
        words[at.READY + self._number] = 1

    def run(self) -> None:
        """Do the steps that are granted, until the end."""
        own, seen, call = self._control.ticket(self._number), 0, compiled()
        ticket = call.await_ticket(own, seen)
        while ticket != at.OVER:
            seen, index = ticket, ticket - 1
            owner = self._number
            while owner == self._number:
                self._step(index)
                index += 1
                self._words[at.DONE] = index
                if index == self._control.steps:
                    raise Ended(Status.FINISHED)
                owner = self._control.owner_of(self._schedule[index])
            ticket = call.hand_over(self._control.ticket(owner), index + 1, own, seen)

    # --- a step

    def _step(self, index: int) -> None:
        try:
            self._do(index, self._schedule[index])
        except NotEnabled as error:
            raise Ended(Status.REFUSED, index=index, reason=str(error)) from None
        except Violated as error:
            guilty = [*error.guilty, index]
            raise Ended(Status.VIOLATED, check=error.check, detail=error.detail, guilty=guilty) from None

    def _do(self, index: int, choice: int) -> None:
        cpu, number = divmod(choice, MIGRATE)
        if not 0 <= number < self._control.setup or choice < 0:
            raise NotEnabled(f"there is no context {number}")
        if cpu:
            self._rules.check_migration(number, cpu - 1)
            self._operations.migrate(index, number, cpu - 1)
            self._turns.leave(number)
            return
        self._rules.check_step(number)
        base = context_offset(number)
        if self._words[base + at.TO_TAKE_DOWN]:
            self._take_down(index, number, base)
            return
        self._perform(index, number, base, self._turns.running(number, index))

    def _perform(self, index: int, number: int, base: int, running: Running) -> None:
        """Do the operation, and let the program compute up to the next one."""
        words = self._words
        if self._debugger is not None:
            self._debugger.stop(self._rules.name(number), index, running.program)
        if not words[base + at.STARTED]:
            self._rules.start(number)
        result = self._operations.perform(index, number, self._programs.site(running.program), running.op)
        if result is None:
            return
        words[self._control.record(index) + at.WAS_SENT] = 1
        words[base + at.SENT] += 1
        try:
            running.op = advance(running.program, Long(result))
        except StopIteration as end:
            if not self._turns.next(number, wrap(end.value or 0), index + 1):
                words[self._control.record(index) + at.WAS_LAST] = 1

    def _take_down(self, index: int, number: int, base: int) -> None:
        """Take a CPU down, and end its process: killed where the CPU is killed."""
        words = self._words
        cpu = words[base + at.TO_TAKE_DOWN] - 1
        was_down = words[cpu_offset(cpu) + at.DOWN]
        self._operations.take_down(index, number, cpu)
        words[base + at.TO_TAKE_DOWN] = 0
        words[base + at.STARTED] = 1
        if not was_down and words[base + at.KIND] == Kind.KILL:
            os.kill(words[cpu_offset(cpu) + at.PID], signal.SIGKILL)
        elif not was_down:
            compiled().grant(self._control.ticket(cpu), at.OVER)
        if not self._turns.has_begun(number):  # its program has no operation
            words[self._control.record(index) + at.WAS_LAST] = 1
            self._rules.end(number)

    # --- the setup

    def _set_up(self) -> None:
        """Run the setup to its end, recording it behind the schedule's steps."""
        assert self._control.setting.setup is not None
        program = self._programs.start(self._control.setting.setup, [])
        with contextlib.suppress(StopIteration):
            op = advance(program, None)
            while True:
                result = self._set_up_by(self._programs.site(program), op)
                self._words[at.SETUP_STEPS] += 1
                op = advance(program, Long(result))
        self._rules.end(self._control.setup)

    def _set_up_by(self, site: int, op: Op) -> int:
        setup, index = self._control.setup, self._control.current()
        try:
            result = self._operations.perform(index, setup, site, op)
            if result is None:  # a wait: nobody else is there to end it
                self._rules.check_step(setup)
                result = self._operations.perform(index, setup, site, op)
        except NotEnabled as error:
            raise Violated("deadlock", str(error)) from None
        return result or 0


def process_main(
    number: int,
    parent: int,
    processor: int,
    control: Control,
    memory: ControlledMemory,
    programs: Programs,
    debugger: Debugger | None,
) -> NoReturn:
    """All of a process. An access that traps kills it, as that signal does, without a core file."""
    die_with(parent)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)
    os.sched_setaffinity(0, {processor})
    for name in (signal.SIGTERM, signal.SIGCHLD, signal.SIGBUS, signal.SIGSEGV, signal.SIGALRM):
        signal.signal(name, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    gc.disable()
    try:
        if number != control.coordinator:
            control.words[cpu_offset(number) + at.PID] = os.getpid()
        process = Process(number, control, memory, programs, debugger)
        process.prepare()
        process.run()
    except Ended as ended:
        control.end(ended)
    except Violated as error:  # before the first step
        control.end(Ended(Status.VIOLATED, check=error.check, detail=error.detail, guilty=[*error.guilty]))
    except OutOfPages as error:
        control.end(Ended(Status.BROKEN, reason=str(error)))
    except BaseException:
        control.end(Ended(Status.BROKEN, reason=traceback.format_exc()))
    os._exit(0)
