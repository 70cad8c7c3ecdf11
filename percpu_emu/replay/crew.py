"""The processes of a replay, as the caller sees them: started, watched, found dead, ended."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from multiprocessing import connection
from typing import TYPE_CHECKING, Any, Final

import multiprocess

from percpu_emu.replay import layout as at
from percpu_emu.replay.control import one_processor
from percpu_emu.replay.layout import Status, cpu_offset
from percpu_emu.replay.process import process_main
from percpu_emu.shm import SignalsLetThrough
from percpu_emu.shm.awake import AwakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from percpu_emu.replay.control import Control
    from percpu_emu.replay.debugger import Debugger
    from percpu_emu.replay.memory import ReplayedMemory
    from percpu_emu.replay.orders import Order
    from percpu_emu.replay.programs import Programs

_FORK: Final = multiprocess.get_context("fork")
LOOK_SECONDS: Final = 1.0
STANDSTILL_SECONDS: Final = 20.0
"""A step takes microseconds: after so long without one, a program computes for ever, or a process is stopped."""
_TRAPS: Final = (signal.SIGBUS, signal.SIGSEGV)


class ReplayFailed(RuntimeError):
    """The replay itself failed: a process died, or the machine refused something."""


class Crew:
    """One process for each CPU, and the coordinator's. Signals that raise are let through only while it waits."""

    def __init__(
        self,
        control: Control,
        memory: ReplayedMemory,
        programs: Programs,
        orders: Sequence[Order],
        debugger: Debugger | None,
    ) -> None:
        self._control = control
        self._arguments = control, memory, programs, orders, debugger
        self._unhurried = debugger is not None
        self._processes: dict[int, Any] = {}
        self._alive: dict[Any, int] = {}
        """By sentinel, those whose end was not seen yet: one may have ended before it is watched."""
        self.trapped = False
        """Whether a process has died of the access that it was doing."""

    def start(self) -> None:
        """Fork them all, and wait until each waits for its first step."""
        processor = one_processor()
        gc.freeze()  # what a process inherits it never collects
        try:
            for number in range(self._control.coordinator + 1):
                arguments = (number, os.getpid(), processor, *self._arguments)
                process = _FORK.Process(target=process_main, args=arguments, name=self._name(number), daemon=True)
                process.start()
                self._processes[number] = process
                self._alive[process.sentinel] = number
        finally:
            gc.unfreeze()
        self._watch(until_ready=True)

    def wait(self) -> None:
        """Wait until all have ended, or one of them by a trap."""
        self._watch(until_ready=False)

    def end(self) -> None:
        """Leave no process."""
        for process in self._processes.values():
            if process.exitcode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            process.join()
            process.close()

    def _watch(self, *, until_ready: bool) -> None:
        awake = AwakeClock(gap=2 * LOOK_SECONDS)
        words, done, since = self._control.words, -1, awake()
        while self._alive and not self.trapped and not (until_ready and self._ready()):
            with SignalsLetThrough():
                ended = connection.wait(list(self._alive), 0.001 if until_ready else LOOK_SECONDS)
            for sentinel in ended:
                self._bury(self._alive.pop(sentinel))
            if words[at.DONE] != done:
                done, since = words[at.DONE], awake()
            elif awake() - since > STANDSTILL_SECONDS and not self._unhurried:
                raise ReplayFailed(f"step {done} was not done within {STANDSTILL_SECONDS:.0f} s")

    def _ready(self) -> bool:
        words = self._control.words
        return self._control.status != Status.RUNNING or all(words[at.READY + number] for number in self._processes)

    def _bury(self, number: int) -> None:
        """A process has ended: as it was told, by a trap, or by a signal from outside."""
        process, control = self._processes[number], self._control
        process.join()
        is_down = number < control.coordinator and control.words[cpu_offset(number) + at.DOWN]
        if control.status != Status.RUNNING or is_down:
            return
        row = control.records(control.current(), 1)[0]
        if -process.exitcode in _TRAPS and row[at.CODE] and row[at.ADDRESS] != at.NOTHING:
            self.trapped = True
            return
        how = f"was ended by signal {-process.exitcode}" if process.exitcode < 0 else "ended by itself"
        raise ReplayFailed(f"the process of {self._name(number)} {how} at step {control.words[at.DONE]}")

    def _name(self, number: int) -> str:
        return f"CPU {number}" if number < self._control.coordinator else "the coordinator"
