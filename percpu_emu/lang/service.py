"""What every primitive stands on: where its words lie, and how it asks the coordinator for something."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils

from percpu_emu.lang import context as c
from percpu_emu.lang.context import Context
from percpu_emu.shm import atomics
from percpu_emu.shm.compiling import inner, intrinsic


class ProgramFault(RuntimeError):
    """A program asked for what the coordinator refused; the coordinator knows the reason."""


class Stopped(RuntimeError):
    """The machine is being shut down while a program was blocked."""


@intrinsic
def call(_typingctx: Any, function: Any, block: Any, code: Any, a: Any, b: Any) -> Any:
    """Call the C function at an address."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word = cgutils.intp_t
        kind = cgutils.ir.FunctionType(word, [word] * 4)
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

    return types.int64(function, block, code, a, b), codegen


@inner
def at(ctx: Context, pointer: int) -> int:
    """The address of a word of the kernel's memory."""
    return ctx.memory + pointer * 8


@inner
def own(ctx: Context, pointer: int) -> int:
    """The address of this CPU's copy."""
    return ctx.unit + pointer * 8


@inner
def in_block(ctx: Context, word: int) -> int:
    """The address of a word of the context's control block."""
    return ctx.block + word * 8


@inner
def in_header(ctx: Context, word: int) -> int:
    """The address of a word of the control segment's header."""
    return ctx.header + word * 8


@inner
def service(ctx: Context, code: int, a: int, b: int) -> int:
    """Ask the coordinator, and have its answer."""
    answer = call(atomics.read_once(in_block(ctx, c.SERVICE)), ctx.block, code, a, b)
    fault = atomics.read_once(in_block(ctx, c.FAULT))
    if fault == c.GIVEN_UP:
        raise Stopped
    if fault != 0:
        raise ProgramFault
    return answer


@inner
def stops(ctx: Context) -> bool:
    """Whether the machine is being shut down."""
    return atomics.read_once(in_header(ctx, c.STOP)) != 0
