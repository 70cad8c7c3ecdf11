"""What contexts ask the coordinator for: per-CPU memory, slab objects, the wait for a grace period."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from percpu_emu.lang import context as c
from percpu_emu.percpu import PerCpuExhausted
from percpu_emu.shm import WORD_SIZE, OutOfPages, SignalsLetThrough

if TYPE_CHECKING:
    from percpu_emu.machine.memory import MachineMemory

_SERVICE: Final = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
_AT_ONCE: Final = frozenset((c.ALLOC_PERCPU, c.FREE_PERCPU, c.KZALLOC, c.KFREE))
"""Requests that wait for nothing: a signal that comes meanwhile waits for the end of the program."""


class Services:
    """Answers requests; those that have to wait (RCU) are the caller's, see `machine.Machine`."""

    def __init__(self, memory: MachineMemory) -> None:
        self._memory = memory
        self.refusal = ""
        """Why the last request for memory was not met."""
        self._answers: dict[int, Callable[[int, int], int]] = {
            c.ALLOC_PERCPU: self._alloc_percpu,
            c.FREE_PERCPU: self._free_percpu,
            c.KZALLOC: self._kzalloc,
            c.KFREE: self._kfree,
        }

    def answer(self, code: int, a: int, b: int) -> int:
        """Do it now. Raises `BadFree` for a pointer that cannot be freed."""
        return self._answers[code](a, b)

    def _alloc_percpu(self, size: int, align: int) -> int:
        try:
            return self._memory.percpu.alloc(size, max(align, WORD_SIZE)) // WORD_SIZE
        except (PerCpuExhausted, OutOfPages) as error:
            self.refusal = str(error)
            return 0

    def _free_percpu(self, pointer: int, _: int) -> int:
        if pointer:
            self._memory.percpu.free(pointer * WORD_SIZE)
        return 0

    def _kzalloc(self, size: int, _: int) -> int:
        try:
            return self._memory.slab.kmalloc(size) // WORD_SIZE
        except MemoryError as error:
            self.refusal = str(error)
            return 0

    def _kfree(self, pointer: int, _: int) -> int:
        if pointer:
            self._memory.slab.kfree(pointer * WORD_SIZE)
        return 0


class DirectLine:
    """The coordinator's own `context.SERVICE`: a C function that calls Python, and keeps what Python raises."""

    def __init__(self, memory: MachineMemory, answer: Callable[[int, int, int], int]) -> None:
        self._block = memory.blocks[memory.coordinator]
        self._answer = answer
        self._raised: BaseException | None = None
        self._function = _SERVICE(self._call)  # kept alive: compiled code has only its address
        self._block[c.SERVICE] = ctypes.cast(self._function, ctypes.c_void_p).value

    def reraise(self) -> None:
        """Raise what the last refused request raised; nothing where none was refused."""
        raised, self._raised = self._raised, None
        self._block[c.FAULT] = 0
        if raised is not None:
            raise raised

    def _call(self, _block: int, code: int, a: int, b: int) -> int:
        try:
            if code in _AT_ONCE:
                return self._answer(code, a, b)
            with SignalsLetThrough():
                return self._answer(code, a, b)
        except BaseException as error:
            self._raised = error
            self._block[c.FAULT] = c.REFUSED
            return 0
