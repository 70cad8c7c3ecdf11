"""Accesses that trap: what a process wrote to or read from, noted before the access ends it.

The handler is compiled code on a stack of its own, whose lowest words say where the control block is. It notes signal
and address there. A CPU's process then traps again, and ends; the coordinator's goes on, on a page of zeroes, up to
the end of the program that it runs, and raises Trapped then.
"""

from __future__ import annotations

import ctypes
import mmap
import resource
import signal
from functools import cache
from typing import Any, Final

import numpy as np

from percpu_emu.lang.modules import load_compiled
from percpu_emu.shm import PAGE_SIZE

SIGNALS: Final = (signal.SIGBUS, signal.SIGSEGV)
STACK_SIZE: Final = 64 * 1024

TRAPS_TEXT: Final = f'''
from percpu_emu.lang import context as c
from percpu_emu.shm import atomics, syscalls


@callback(types.void(types.int32, WORD, WORD))
def on_trap(number, info, context):
    """si_addr is the third word of siginfo_t, si_code half of the second; uc_stack.ss_sp the third of ucontext_t."""
    stack = atomics.read_once(context + 16)
    block = atomics.read_once(stack)
    address = atomics.read_once(info + 16)
    by_the_processor = 0 < (atomics.read_once(info + 8) & 0xFFFFFFFF) < 0x80000000  # else another process has sent it
    if by_the_processor and atomics.read_once(block + c.TRAP_SIGNAL * 8) == 0:
        atomics.write_once(block + c.TRAP_ADDRESS * 8, address)
        atomics.write_once(block + c.TRAP_AT * 8, atomics.read_once(block + c.AT * 8))
        atomics.write_once(block + c.TRAP_SIGNAL * 8, number)
    if by_the_processor and atomics.read_once(stack + 8) <= address < atomics.read_once(stack + 16):
        syscalls.map_zeroes(address & -{PAGE_SIZE}, {PAGE_SIZE})
    else:
        syscalls.default_action(number)
'''

_libc = ctypes.CDLL(None, use_errno=True)
_SA_SIGINFO: Final = 4
_SA_ONSTACK: Final = 0x08000000
_SA_NODEFER: Final = 0x40000000


class SigAction(ctypes.Structure):
    """struct sigaction, as the C library has it."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_uint64 * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class _Stack(ctypes.Structure):
    _fields_ = (("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


class TrapHandler:
    """The calling process's handler. With `survive`, accesses between these addresses do not end it."""

    def __init__(self, block_address: int, survive: range = range(0)) -> None:
        self._stack = mmap.mmap(-1, STACK_SIZE)
        words = np.frombuffer(self._stack, dtype=np.int64)
        words[:3] = [block_address, survive.start, survive.stop]
        self._new = _Stack(words.ctypes.data, 0, STACK_SIZE)
        self._old = _Stack()
        self._actions = {number: SigAction() for number in SIGNALS}
        _libc.sigaltstack(ctypes.byref(self._new), ctypes.byref(self._old))
        action = SigAction(handler=_on_trap(), flags=_SA_SIGINFO | _SA_ONSTACK | _SA_NODEFER)
        for number, before in self._actions.items():
            _libc.sigaction(number, ctypes.byref(action), ctypes.byref(before))

    def remove(self) -> None:
        """Put back what was there before."""
        for number, before in self._actions.items():
            _libc.sigaction(number, ctypes.byref(before), None)
        _libc.sigaltstack(ctypes.byref(self._old), None)


def leave_no_core() -> None:
    """Have an access that ends the calling process leave no file of its memory, which is gigabytes of addresses."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (min(1, hard) if hard >= 0 else 1, hard))  # 0 would not stop a pipe


@cache
def _on_trap() -> int:
    handler: Any = load_compiled(TRAPS_TEXT).on_trap
    return int(handler.address)
