"""Interrupts: Unix signals that cut into a CPU's task between two machine instructions and run a program there.

The handler is compiled code; Python never sees the signal. It finds the CPU's control block in the value that the
signal carries. While the task has interrupts off the handler only notes that it came, and `local_irq_restore` runs the
program then, as the kernel does on machines whose interrupts are masked by software.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from percpu_emu.lang import context as c
from percpu_emu.lang.modules import load_compiled
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.machine.traps import SigAction

if TYPE_CHECKING:
    from percpu_emu.machine.cpus import CpuProcesses
    from percpu_emu.machine.memory import MachineMemory

SIGNAL: Final = signal.SIGRTMIN + 1
"""Of the real-time signals, which carry a value; the C library keeps the first ones for itself."""
MOST_AT_ONCE: Final = 8
"""Signals that the coordinator sends a CPU at most when it looks round: what is late beyond that is dropped."""

INTERRUPTS_TEXT: Final = '''
from percpu_emu.shm import atomics


@callback(types.void(types.int32, WORD, WORD))
def on_signal(number, info, context):
    """si_value of siginfo_t is its fourth word, for timers and for sigqueue alike."""
    ops.arrived(atomics.read_once(info + 24))
'''

_libc = ctypes.CDLL(None, use_errno=True)
_librt = ctypes.CDLL("librt.so.1", use_errno=True)
_SA_SIGINFO: Final = 4
_SA_RESTART: Final = 0x10000000
_CLOCK_MONOTONIC: Final = 1
_SIGEV_SIGNAL: Final = 0


@dataclass(frozen=True)
class Interrupts:
    """Which program interrupts which CPUs, how often a second each, and who sends the signal."""

    program: ProgramFunction
    cpus: Sequence[int]
    rate: float
    by: Literal["timer", "coordinator"] = "timer"


class _SigEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_uint64 * 6),
    )


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", ctypes.c_int64 * 2), ("value", ctypes.c_int64 * 2))


class CpuInterrupts:
    """A CPU process's own side: interrupts come while it works."""

    def __init__(self, memory: MachineMemory, cpu: int, table: int, of: Interrupts, handler: int) -> None:
        self._timer = ctypes.c_void_p()
        self._of = of
        self._handler = handler
        self._block = memory.blocks[cpu]
        self._block[c.IRQ_TABLE] = table
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})
        action = SigAction(handler=_on_signal(), flags=_SA_SIGINFO | _SA_RESTART)
        _check(_libc.sigaction(SIGNAL, ctypes.byref(action), None))
        if of.by == "timer":
            event = _SigEvent(value=memory.block_address(cpu), signo=SIGNAL, notify=_SIGEV_SIGNAL)
            _check(_librt.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)))

    def on(self) -> None:
        """Let them come."""
        self._block[c.IRQ_HANDLER] = self._handler
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {SIGNAL})
        self._arm(round(1e9 / self._of.rate))

    def off(self) -> None:
        """Let none come."""
        self._arm(0)
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})
        self._block[c.IRQ_HANDLER] = 0  # by which the coordinator knows to send none: they would queue up

    def _arm(self, nanoseconds: int) -> None:
        if self._of.by == "timer":
            every = (ctypes.c_int64 * 2)(*divmod(nanoseconds, 1_000_000_000))
            spec = _TimerSpec(interval=every, value=every)
            _check(_librt.timer_settime(self._timer, 0, ctypes.byref(spec), None))


class Interrupter:
    """The coordinator's side: sends the signals where no timer does."""

    def __init__(self, memory: MachineMemory, cpus: CpuProcesses, sources: Sequence[Interrupts]) -> None:
        self._memory = memory
        self._cpus = cpus
        self._rates = {cpu: source.rate for source in sources if source.by == "coordinator" for cpu in source.cpus}
        self._due: dict[int, float] = {}

    def attend(self, now: float) -> None:
        """Send what is due."""
        for cpu, rate in self._rates.items():
            since = self._due.setdefault(cpu, now)
            count = min(int((now - since) * rate), MOST_AT_ONCE)
            if count:
                self._due[cpu] = now
                for _ in range(count if self._memory.blocks[cpu, c.IRQ_HANDLER] else 0):
                    self._cpus.queue_signal(cpu, SIGNAL, self._memory.block_address(cpu))


def queue_signal(pid: int, number: int, value: int) -> None:
    """sigqueue(): a signal that carries a value. A full queue and a process that has ended are let pass."""
    _libc.sigqueue(pid, number, ctypes.c_void_p(value))


@cache
def _on_signal() -> int:
    handler: Any = load_compiled(INTERRUPTS_TEXT).on_signal
    return int(handler.address)


def _check(result: int) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, f"a CPU's interrupts could not be set up: {os.strerror(error)}")
