"""One process of a replay: the programs of one CPU, or of the coordinator, a step at a time as it is granted.

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

from percpu_emu.lang import instructions as i
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.words import Long, wrap
from percpu_emu.replay import layout as at
from percpu_emu.replay.accesses import Otherwise
from percpu_emu.replay.compiled import compiled
from percpu_emu.replay.control import Ended
from percpu_emu.replay.layout import Event, Status, cpu_offset
from percpu_emu.replay.memory import Violated
from percpu_emu.replay.operations import Operations
from percpu_emu.replay.orders import Order, code_of
from percpu_emu.replay.plan import Part
from percpu_emu.replay.turns import Turns, advance
from percpu_emu.shm import OutOfPages, die_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from percpu_emu.replay.control import Control
    from percpu_emu.replay.debugger import Debugger
    from percpu_emu.replay.memory import ReplayedMemory
    from percpu_emu.replay.programs import Programs

_PR_SET_DUMPABLE: Final = 4


class Process:
    """The work of one process; `number` is a CPU's or the coordinator's."""

    def __init__(
        self,
        number: int,
        control: Control,
        memory: ReplayedMemory,
        programs: Programs,
        orders: Sequence[Order],
        debugger: Debugger | None,
    ) -> None:
        self._number = number
        self._control = control
        self._words = control.words
        self._programs = programs
        self._orders = orders
        self._debugger = debugger
        cpu = None if number == control.coordinator else number
        self._operations = Operations(control, memory, programs, cpu)
        self._turns = Turns(control, programs)

    def prepare(self) -> None:
        """Run the setup, if that is this process's, and let the programs compute up to their first operations."""
        if self._number == self._control.coordinator:
            self._set_up()
        for number, spec in enumerate(self._control.setting.contexts):
            here = self._control.process_of(spec.home) == self._number
            if here and spec.kind in ("task", "interrupt"):  # what takes a CPU down begins when that is down
                self._turns.begin(number, 0)
        self._words[at.READY + self._number] = 1

    def run(self) -> None:
        """Do the steps that are granted, until the end."""
        own, seen, call = self._control.ticket(self._number), 0, compiled()
        ticket = call.await_ticket(own, seen)
        while ticket != at.OVER:
            seen, index = ticket, ticket - 1
            process = self._number
            while process == self._number:
                self._step(index)
                index += 1
                self._words[at.DONE] = index
                if index == self._control.steps:
                    raise Ended(Status.FINISHED)
                process = self._orders[index].process
            ticket = call.hand_over(self._control.ticket(process), index + 1, own, seen)

    # --- a step

    def _step(self, index: int) -> None:
        order = self._orders[index]
        try:
            if order.part == Part.MIGRATE:
                self._operations.migrate(index, order)
                self._turns.leave(order.context)
            elif order.part == Part.TAKE_DOWN:
                self._take_down(index, order)
            else:
                self._perform(index, order)
            self._check_end(index, order)
        except Otherwise as error:
            raise Ended(Status.DIFFERS, index=index, found=str(error)) from None
        except Violated as error:
            guilty = [*error.guilty, index]
            raise Ended(Status.VIOLATED, check=error.check, detail=error.detail, guilty=guilty) from None

    def _perform(self, index: int, order: Order) -> None:
        """Do the operation, and let the program compute up to the next one."""
        words, number = self._words, order.context
        running = self._turns.running(number, index)
        if running is None:
            raise Otherwise("nothing: the program is over")
        if self._debugger is not None:
            self._debugger.stop(self._control.name(number), index, running.program)
        site = self._programs.site(running.program)
        if site != order.site or code_of(running.op.name) != order.code:
            raise Otherwise(f"{running.op.name} at {self._programs.site_by_number(site)}")
        moves = OPERATIONS[running.op.name].opcode == i.MOVE_TO
        result = self._operations.perform(index, order, running.op)
        if result is None:
            return
        record = self._control.layout.record(index)
        words[record + at.WAS_SENT] = 1
        try:
            running.op = advance(running.program, Long(result))
        except StopIteration as end:
            if not self._turns.next(number, wrap(end.value or 0), index + 1):
                words[record + at.WAS_LAST] = 1
        if moves:
            self._turns.leave(number)

    def _take_down(self, index: int, order: Order) -> None:
        """Take a CPU down, and end its process: killed where the CPU is killed. The context's program follows.

        A CPU that `bringup_cpu` brings back, and that takes steps then, keeps its process.
        """
        words, cpu = self._words, order.target
        was_down = words[cpu_offset(cpu) + at.DOWN]
        comes_back = any(later.process == cpu for later in self._orders[index + 1 :])
        words[cpu_offset(cpu) + at.DOWN] = was_down or not comes_back
        self._operations.take_down(index, order)
        words[cpu_offset(cpu) + at.OFF_LINE] = 1
        ends = not was_down and not comes_back
        if ends and order.code == Event.KILL:
            os.kill(words[cpu_offset(cpu) + at.PID], signal.SIGKILL)
        elif ends:
            compiled().grant(self._control.ticket(cpu), at.OVER)
        if not self._turns.begin(order.context, index + 1):
            words[self._control.layout.record(index) + at.WAS_LAST] = 1

    def _check_end(self, index: int, order: Order) -> None:
        """Raise `Otherwise` if the step was a last one where the plan has none, or the other way round."""
        ended = bool(self._words[self._control.layout.record(index) + at.WAS_LAST])
        if ended != order.ended and not self._control.plan.last_violates(index):
            raise Otherwise("the context's last step" if ended else "a step with more to come")

    # --- the setup

    def _set_up(self) -> None:
        """Run the setup to its end, recording it behind the schedule's steps."""
        setup, number = self._control.setting.setup, self._control.setup
        if setup is None:
            return
        program = self._programs.start(self._programs.number(setup), [])
        with contextlib.suppress(StopIteration):
            op = advance(program, None)
            while True:
                index, site = self._control.current(), self._programs.site(program)
                order = Order(self._number, number, Part.WHOLE, code_of(op.name), site, -1, -1, False)
                result = self._operations.perform(index, order, op)
                self._words[at.SETUP_STEPS] += 1
                if OPERATIONS[op.name].opcode == i.MOVE_TO and not result:
                    self._operations.stand_for(int(op.args[0]))
                op = advance(program, Long(result or 0))
        self._operations.stand_for(self._control.coordinator)


def process_main(
    number: int,
    parent: int,
    processor: int,
    control: Control,
    memory: ReplayedMemory,
    programs: Programs,
    orders: Sequence[Order],
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
        process = Process(number, control, memory, programs, orders, debugger)
        process.prepare()
        process.run()
    except Ended as ended:
        control.end(ended)
    except Violated as error:  # before the first step
        control.end(Ended(Status.VIOLATED, check=error.check, detail=error.detail, guilty=[*error.guilty]))
    except (OutOfPages, Otherwise) as error:
        control.end(Ended(Status.BROKEN, reason=str(error)))
    except BaseException:
        control.end(Ended(Status.BROKEN, reason=traceback.format_exc()))
    os._exit(0)
