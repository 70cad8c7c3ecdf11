"""What a CPU process does: idle until it is given a program, run it, say that it is done."""

from __future__ import annotations

import os
import signal
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NoReturn

from percpu_emu.kernel.layout import CGROUP_TABLE
from percpu_emu.lang import context as c
from percpu_emu.lang.reference import Reference
from percpu_emu.lang.service import ProgramFault, Stopped
from percpu_emu.machine.interrupts import CpuInterrupts, Interrupts
from percpu_emu.machine.signals import signals
from percpu_emu.machine.traps import TrapHandler, leave_no_core
from percpu_emu.shm import die_with

if TYPE_CHECKING:
    from percpu_emu.lang.image import Image
    from percpu_emu.machine.memory import MachineMemory

NICE: Final = 5
"""CPU processes give way to the coordinator, which with 16 of them on each processor would hardly ever run."""
IDLE_LOOK_US: Final = 1_000_000


class Command(IntEnum):
    """What the coordinator can tell a CPU, with the command's arguments."""

    END = 0
    """End the process."""
    RUN = 1
    """Program number, then up to five arguments: run it once; the result goes to RESULT."""
    WORK = 2
    """Worker's index, its table, turns at a stretch, microseconds of rest between two: until told otherwise."""
    REST = 3
    """Stop working; idle."""


class Ending(IntEnum):
    """How a command ended, in RESULT + 1."""

    DONE = 0
    REFUSED = 1
    STOPPED = 2
    FAULTY = 3
    """Arithmetic without a result; RESULT is the place, one of the image's `places`."""


class Cpu:
    """One CPU, inside its process."""

    def __init__(self, number: int, memory: MachineMemory, image: Image, interrupts: Interrupts | None) -> None:
        self.number = number
        self._block = memory.blocks[number]
        self._interrupt_block = memory.blocks[memory.interrupt(number)]
        self._address = memory.block_address(number)
        self._image = image
        ctx = memory.context(number)
        self._bases = ctx.bases()
        self._reference = Reference(ctx, image)
        self._call = signals()
        self._work: tuple[Any, int, int, int] | None = None
        for context in (number, memory.interrupt(number)):
            memory.blocks[context, c.SERVICE] = self._call.mailbox.address
        memory.blocks[number, [c.TRAP_SIGNAL, c.TRAP_ADDRESS]] = 0
        self._traps = TrapHandler(memory.block_address(number))
        self._interrupts: CpuInterrupts | None = None
        if interrupts:
            handler = image.interrupt(interrupts.program)
            self._interrupts = CpuInterrupts(memory, number, CGROUP_TABLE, interrupts, handler)

    def run(self) -> None:
        """Do commands until the one to end. Between them, and while resting, no grace period waits for this CPU."""
        done = int(self._block[c.DONE])
        while True:
            command = int(self._block[c.COMMAND])
            if command != done:
                if self._block[c.COMMAND_KIND] == Command.END:
                    return
                self._do(command)
                done = command
            elif self._work is None:
                self._call.wait(self._word(c.COMMAND), command, IDLE_LOOK_US)
            else:
                self._stretch(command, *self._work)

    def _do(self, command: int) -> None:
        kind, arguments = self._block[c.COMMAND_KIND], self._block[c.COMMAND_ARGS :].tolist()
        result, ending = 0, Ending.DONE
        if kind == Command.RUN:
            result, ending = self._run_program(arguments)
        elif kind == Command.WORK:
            worker, table, stretch, rest = arguments[:4]
            self._work = (self._image.loop(self._image.workers[worker]), table, stretch, rest)
            if self._interrupts:
                self._interrupts.on()
        else:
            self._work = None
            if self._interrupts:
                self._interrupts.off()
        self._block[c.RESULT] = result
        self._block[c.RESULT + 1] = ending
        self._interrupt_block[c.DONE] = command
        self._call.publish(self._word(c.DONE), command)
        self._call.ring_doorbell(self._bases)

    def _run_program(self, arguments: list[int]) -> tuple[int, Ending]:
        function = self._image.program(arguments[0])
        words = arguments[1 : 1 + function.__code__.co_argcount]
        compiled = self._image.compiled(function)  # which may have to be loaded: no grace period waits for that
        self._call.idle_exit(self._bases)
        try:
            return (compiled(self._bases, *words) if compiled else self._reference.run(function, *words)), Ending.DONE
        except ProgramFault:
            return 0, Ending.REFUSED
        except Stopped:
            return 0, Ending.STOPPED
        except (ArithmeticError, ValueError) as error:
            if str(error) not in self._image.places:
                raise
            return self._image.places.index(str(error)), Ending.FAULTY
        finally:
            self._block[c.FAULT] = 0
            self._call.idle_enter(self._bases)

    def _stretch(self, command: int, loop: Any, table: int, stretch: int, rest: int) -> None:
        turn = int(self._block[c.TURN])
        self._call.idle_exit(self._bases)
        try:
            self._block[c.TURN] = loop(self._bases, table, command, turn, turn + stretch)
        except (ProgramFault, Stopped):
            self._work = None
        finally:
            self._call.idle_enter(self._bases)
        if place := int(self._interrupt_block[c.NO_RESULT]):
            raise ArithmeticError(self._image.places[place - 1])  # as a worker's own
        if rest or self._block[c.TURN] == turn:
            self._call.wait(self._word(c.COMMAND), command, rest or 1000)

    def _word(self, word: int) -> int:
        return self._address + word * 8


def cpu_main(number: int, parent: int, memory: MachineMemory, image: Image, interrupts: Interrupts | None) -> NoReturn:
    """The process of CPU `number`: it dies with its parent, and Ctrl-C is the parent's business."""
    die_with(parent)
    leave_no_core()
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # which the coordinator held while it forked
    Cpu(number, memory, image, interrupts).run()
    os._exit(0)
