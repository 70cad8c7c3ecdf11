"""System calls for compiled code: sleep, give up the processor, wait for a word and wake who waits for it.

The C library's functions are linked by name, not by address, so that compiled code can be kept in a cache.
"""

from __future__ import annotations

import mmap
import platform
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils

from percpu_emu.shm.atomics import read_once
from percpu_emu.shm.compiling import inner, intrinsic

_FUTEX_NUMBER: Final = {"x86_64": 202, "aarch64": 98, "riscv64": 98}[platform.machine()]
_FUTEX_WAIT: Final = 0
_FUTEX_WAKE: Final = 1
_READ_WRITE: Final = mmap.PROT_READ | mmap.PROT_WRITE
_PRIVATE_ANONYMOUS_FIXED: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10
_WORD: Final = ir.IntType(64)


@intrinsic
def sched_yield(_typingctx: Any) -> Any:
    """Let another process have the processor."""

    def codegen(_context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        function = cgutils.get_or_insert_function(builder.module, kind, "sched_yield")
        return builder.sext(builder.call(function, []), _WORD)

    return types.int64(), codegen


@intrinsic
def usleep(_typingctx: Any, microseconds: Any) -> Any:
    """Sleep for a number of microseconds below one million."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32)])
        function = cgutils.get_or_insert_function(builder.module, kind, "usleep")
        return builder.sext(builder.call(function, [builder.trunc(args[0], ir.IntType(32))]), _WORD)

    return types.int64(microseconds), codegen


@intrinsic
def raise_signal(_typingctx: Any, number: Any) -> Any:
    """Send a Unix signal to the calling process."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32)])
        function = cgutils.get_or_insert_function(builder.module, kind, "raise")
        return builder.sext(builder.call(function, [builder.trunc(args[0], ir.IntType(32))]), _WORD)

    return types.int64(number), codegen


@intrinsic
def default_action(_typingctx: Any, number: Any) -> Any:  # noqa: ARG001
    """Have a Unix signal do what it does by default: signal(number, SIG_DFL)."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_WORD, [ir.IntType(32), _WORD])
        function = cgutils.get_or_insert_function(builder.module, kind, "signal")
        return builder.call(function, [builder.trunc(args[0], ir.IntType(32)), ir.Constant(_WORD, 0)])

    return types.int64(types.int64), codegen


@intrinsic
def map_zeroes(_typingctx: Any, address: Any, length: Any) -> Any:  # noqa: ARG001
    """Map private pages of zeroes there, over what was there."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        small = ir.IntType(32)
        kind = ir.FunctionType(_WORD, [_WORD, _WORD, small, small, small, _WORD])
        function = cgutils.get_or_insert_function(builder.module, kind, "mmap")
        constants = [ir.Constant(small, value) for value in (_READ_WRITE, _PRIVATE_ANONYMOUS_FIXED, -1)]
        return builder.call(function, [*args, *constants, ir.Constant(_WORD, 0)])

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _futex(_typingctx: Any, address: Any, operation: Any, value: Any, nanoseconds: Any) -> Any:  # noqa: ARG001
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        address, operation, value, nanoseconds = args
        second = ir.Constant(_WORD, 1_000_000_000)
        timespec = cgutils.alloca_once(builder, _WORD, size=ir.Constant(ir.IntType(32), 2))
        builder.store(builder.sdiv(nanoseconds, second), timespec)
        builder.store(builder.srem(nanoseconds, second), builder.gep(timespec, [ir.Constant(ir.IntType(32), 1)]))
        kind = ir.FunctionType(_WORD, [_WORD], var_arg=True)
        function = cgutils.get_or_insert_function(builder.module, kind, "syscall")
        zero = ir.Constant(_WORD, 0)
        number = ir.Constant(_WORD, _FUTEX_NUMBER)
        waits = builder.icmp_signed("==", operation, ir.Constant(_WORD, _FUTEX_WAIT))
        limit = builder.select(waits, builder.ptrtoint(timespec, _WORD), zero)
        return builder.call(function, [number, address, operation, value, limit, zero, zero])

    return types.int64(types.int64, types.int64, types.int64, types.int64), codegen


@inner
def futex_wait(address: int, value: int, microseconds: int) -> int:
    """Sleep while the word at `address` is `value` (its lower 32 bits), for `microseconds` at most."""
    if read_once(address) == value:
        _futex(address, _FUTEX_WAIT, value & 0xFFFFFFFF, microseconds * 1000)
    return read_once(address)


@inner
def futex_wake(address: int) -> int:
    """Wake every process that sleeps in `futex_wait` on `address`; how many there were."""
    return _futex(address, _FUTEX_WAKE, 0x7FFFFFFF, 0)
