"""The CPU processes, as the coordinator sees them: started, given commands, found dead, ended."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import multiprocess

from percpu_emu.lang import context as c
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.machine.cpu import NICE, Command, cpu_main
from percpu_emu.machine.deaths import doubts_of
from percpu_emu.machine.interrupts import Interrupts, queue_signal
from percpu_emu.machine.signals import signals
from percpu_emu.shm import SignalsHeld
from percpu_emu.shm.awake import AwakeClock

if TYPE_CHECKING:
    from percpu_emu.lang.image import Image
    from percpu_emu.machine.memory import MachineMemory

_FORK: Final = multiprocess.get_context("fork")
"""Forked, a CPU has the compiled programs and the mappings at once: 3 ms each, where a spawned one needs a second."""
END_SECONDS: Final = 2.0
LEAVE_SECONDS: Final = 30.0
"""A CPU that goes off line ends its turn first; injected delays, and others on its processor, make that long."""
_OF_A_LIFE: Final = [
    c.IRQS_OFF, c.IRQ_PENDING, c.IRQ_HANDLER, c.QUIESCENT, c.NOTED, c.FAULT, c.REQUEST, c.AT, c.RCU_DEPTH,
    c.PREEMPT_DEPTH, c.STOPPED_US, c.WAITS, c.BROKEN, c.NO_RESULT, c.IN_INTERRUPT,
]  # fmt: skip
"""Words of a control block that begin anew with every process."""


class StartFailed(RuntimeError):
    """The operating system refused a CPU process."""


@dataclass(frozen=True)
class Dead:
    """A CPU whose process has ended: with which exit code, and where it was."""

    cpu: int
    exitcode: int
    where: str


class CpuProcesses:
    """One process for each online CPU."""

    nice = NICE

    def __init__(self, memory: MachineMemory, image: Image, interrupts: Sequence[Interrupts] = ()) -> None:
        self._memory = memory
        self._image = image
        self._interrupts = {cpu: source for source in interrupts for cpu in source.cpus}
        self._processes: dict[int, Any] = {}
        self._leaving: set[int] = set()
        self._look = False

    @property
    def online(self) -> list[int]:
        """CPUs that have a process, in order."""
        return sorted(self._processes)

    def pid(self, cpu: int) -> int:
        """The process of a CPU."""
        return int(self._processes[cpu].pid)

    def start(self, cpu: int) -> None:
        """Start the process of a CPU; it is idle at first."""
        for number in (cpu, self._memory.interrupt(cpu)):
            block = self._memory.blocks[number]
            block[_OF_A_LIFE] = 0
            block[c.DONE] = block[c.COMMAND]
        self._memory.blocks[self._memory.interrupt(cpu), c.ATOMIC] = 1
        arguments = (cpu, os.getpid(), self._memory, self._image, self._interrupts.get(cpu))
        process = _FORK.Process(target=cpu_main, args=arguments, name=f"cpu{cpu}", daemon=True)
        gc.freeze()  # what a CPU inherits it never collects: collecting would copy every page of it
        try:
            with SignalsHeld():  # in the new process, too, until it has no handlers of this one's any more
                process.start()
                self._processes[cpu] = process
        except OSError as error:
            raise StartFailed(f"CPU {cpu}'s process could not be started: {error.strerror}") from error
        finally:
            gc.unfreeze()
        self._look = True  # starting one reaps those that have ended: none is left to reap then

    def command(self, cpu: int, kind: Command, *arguments: int) -> int:
        """Tell a CPU what to do next; the command's number."""
        block = self._memory.blocks[cpu]
        block[c.COMMAND_KIND] = kind
        block[c.COMMAND_ARGS : c.COMMAND_ARGS + len(arguments)] = arguments
        number = int(block[c.COMMAND]) + 1
        self._memory.blocks[self._memory.interrupt(cpu), c.COMMAND] = number  # a fault in a handler looks there
        signals().publish(self._memory.block_address(cpu, c.COMMAND), number)
        return number

    def run(self, cpu: int, function: ProgramFunction, *arguments: int) -> int:
        """Have a CPU run a program once; the command's number. Raises ValueError for a program CPUs do not have."""
        if not self._image.knows(function):
            raise ValueError(f"{function.__name__} is not in this machine's image: a CPU could not find it")
        return self.command(cpu, Command.RUN, self._image.number(function), *arguments)

    def is_ready(self, cpu: int) -> bool:
        """Whether a CPU has taken its last command: another one would take that one's place, in part or as a whole."""
        block = self._memory.blocks[cpu]
        return bool(block[c.DONE] == block[c.COMMAND])

    def done(self, cpu: int, number: int) -> bool:
        """Whether a CPU has finished that command."""
        return int(self._memory.blocks[cpu, c.DONE]) >= number

    def task(self, cpu: int) -> str:
        """What a CPU was told to do, for people."""
        block = self._memory.blocks[cpu]
        if block[c.COMMAND] != block[c.DONE] and block[c.COMMAND_KIND] == Command.RUN:
            return f"running {self._image.program(int(block[c.COMMAND_ARGS])).__name__}"
        if block[c.COMMAND_KIND] == Command.WORK:
            return f"turn {block[c.TURN]} of {self._image.workers[int(block[c.COMMAND_ARGS])].__name__}"
        return "idle"

    def whereabouts(self, cpu: int) -> str:
        """What a CPU is doing, for people: its program, and the update that it is inside of."""
        what, at = self.task(cpu), int(self._memory.blocks[cpu, c.AT])
        what += f", at {self._image.sites[at - 1]}" if at else ""
        what += self._interrupt(cpu)
        doubts = ", ".join(map(str, doubts_of(self._memory, cpu)))
        return f"CPU {cpu}, process {self.pid(cpu)}: {what}" + (f", inside {doubts}" if doubts else "")

    def _interrupt(self, cpu: int) -> str:
        """Where a CPU's interrupt is, or was last: they are off while one is handled, and where the task says so."""
        at = int(self._memory.blocks[self._memory.interrupt(cpu), c.AT])
        if cpu not in self._interrupts or not at or not self._memory.blocks[cpu, c.IRQS_OFF]:
            return ""
        return f", interrupts off or in one, {self._interrupts[cpu].program.__name__} at {self._image.sites[at - 1]}"

    def reap(self) -> list[Dead]:
        """CPUs whose process has ended by itself; they are not online any more."""
        with contextlib.suppress(ChildProcessError):
            if not self._look and os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return []  # one system call, where asking each of 256 processes takes 3 ms
        self._look = False
        ended = [
            Dead(cpu, process.exitcode, self.whereabouts(cpu))
            for cpu, process in self._processes.items()
            if cpu not in self._leaving and process.exitcode is not None
        ]
        for dead in ended:
            self._forget(dead.cpu)
        return ended

    def signal(self, cpu: int, number: int) -> bool:
        """Send a CPU's process a Unix signal; whether it has one."""
        process = self._processes.get(cpu)
        if process is None:
            return False
        with contextlib.suppress(ProcessLookupError):  # to ask whether it lives would bury it, behind `reap`'s back
            os.kill(process.pid, number)
        return True

    def is_stopped(self, cpu: int) -> bool:
        """Whether a CPU's process has been stopped and not yet continued."""
        process = self._processes.get(cpu)
        if process is None:
            return False
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
        return False

    def queue_signal(self, cpu: int, number: int, value: int) -> None:
        """Send it one that carries a value, if it has a process."""
        process = self._processes.get(cpu)
        if process is not None:
            queue_signal(process.pid, number, value)

    def leave(self, cpu: int, wait_for: Callable[[Callable[[], bool]], None]) -> Dead:
        """End a CPU's process between two programs, `wait_for` looking round meanwhile: it may ask for something.

        Its exit code is 0, unless something kills it first.
        """
        process = self._processes[cpu]
        self._leaving.add(cpu)
        try:
            self.command(cpu, Command.END)
            self.signal(cpu, signal.SIGCONT)
            awake = AwakeClock()
            wait_for(lambda: process.exitcode is not None or awake() > LEAVE_SECONDS)
        finally:
            self._leaving.discard(cpu)
        where = self.whereabouts(cpu) if process.exitcode != 0 else ""
        return Dead(cpu, self.end([cpu])[cpu], where)

    def end(self, cpus: Iterable[int]) -> dict[int, int]:
        """End the processes of these CPUs: by command, by SIGKILL where that does not help. Their exit codes."""
        cpus = list(cpus)
        exitcodes = {}
        for cpu in cpus:
            self.command(cpu, Command.END)
            self.signal(cpu, signal.SIGCONT)
        awake = AwakeClock()
        for cpu in cpus:
            process = self._processes[cpu]
            while process.exitcode is None and awake() < END_SECONDS:
                process.join(0.1)
            if process.exitcode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                process.join()
            exitcodes[cpu] = process.exitcode
            self._forget(cpu)
        return exitcodes

    def _forget(self, cpu: int) -> None:
        process = self._processes.pop(cpu)
        process.join()
        process.close()
        self._memory.blocks[cpu, c.QUIESCENT] = 0  # a CPU without a process is in an extended quiescent state
