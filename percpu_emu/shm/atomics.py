"""Atomic instructions on words of shared memory, with the kernel's orderings, as numba intrinsics.

Every function takes the *address* of an aligned 64-bit word and becomes the instruction named beside it. Only
compiled code can call them (`lang.primitives`). `local_*` are the instructions behind `this_cpu_*`: one
read-modify-write instruction without a LOCK prefix, which an interrupt or a preemption cannot divide and another
CPU can. They are inline assembly, and so is every load, because LLVM is free to fuse or to split an atomic load, an
add and a store: `read_once`, `+` and `write_once` became one `add` to memory, and the window between them was gone.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types

from percpu_emu.shm.compiling import inner, intrinsic

llvm.initialize_native_asmparser()  # inline assembly needs it, also in code that comes from the cache

X86_64: Final = platform.machine() == "x86_64"
"""Elsewhere a `local_*` instruction is the relaxed atomic one: right, though dearer than it has to be."""

Emit: TypeAlias = Callable[..., Any]
"""`emit(builder, pointer, *operands)` appends the instruction and returns its LLVM value, None for none."""

_WORD: Final = ir.IntType(64)
_SIDE_EFFECTS: Final = "~{memory},~{flags},~{dirflag},~{fpsr}"


def _typed(emit: Emit, arguments: int, result: types.Type) -> tuple[Any, Callable[..., Any]]:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        value = emit(builder, builder.inttoptr(args[0], _WORD.as_pointer()), *args[1:])
        return context.get_dummy_value() if result == types.none else value

    return result(*[types.int64] * arguments), codegen


def _of_address(emit: Emit, result: types.Type = types.int64) -> Callable[..., int]:
    @intrinsic
    def instruction(typingctx: Any, address: Any) -> Any:  # noqa: ARG001 - numba reads the arity off this signature
        return _typed(emit, 1, result)

    return instruction


def _of_value(emit: Emit, result: types.Type = types.int64) -> Callable[..., int]:
    @intrinsic
    def instruction(typingctx: Any, address: Any, value: Any) -> Any:  # noqa: ARG001
        return _typed(emit, 2, result)

    return instruction


def _of_old_and_new(emit: Emit) -> Callable[..., int]:
    @intrinsic
    def instruction(typingctx: Any, address: Any, old: Any, new: Any) -> Any:  # noqa: ARG001
        return _typed(emit, 3, types.int64)

    return instruction


def _load(ordering: str) -> Emit:
    return lambda builder, pointer: builder.load_atomic(pointer, ordering, align=8)


def _store(ordering: str) -> Emit:
    return lambda builder, pointer, value: builder.store_atomic(value, pointer, ordering, align=8)


def _rmw(operation: str, ordering: str) -> Emit:
    return lambda builder, pointer, value: builder.atomic_rmw(operation, pointer, value, ordering)


def _seldom(emit: Emit) -> Emit:
    """The same instruction, with a hint that the branch it stands in belongs off the straight path."""

    def emit_seldom(builder: Any, pointer: Any, *operands: Any) -> Any:
        hint = builder.asm(ir.FunctionType(ir.VoidType(), []), "", "", [], side_effect=True)
        set.add(hint.attributes, "cold")  # LLVM knows it on calls too, llvmlite's `add` on functions only
        return emit(builder, pointer, *operands)

    return emit_seldom


def _cmpxchg(ordering: str) -> Emit:
    def emit(builder: Any, pointer: Any, old: Any, new: Any) -> Any:
        return builder.extract_value(builder.cmpxchg(pointer, old, new, ordering, ordering), 0)

    return emit


def _assembly(text: str, constraints: str, result: ir.Type = _WORD) -> Emit:
    def emit(builder: Any, pointer: Any, *operands: Any) -> Any:
        kind = ir.FunctionType(result, [pointer.type, *[_WORD] * len(operands)])
        return builder.asm(kind, text, f"{constraints},{_SIDE_EFFECTS}", [pointer, *operands], side_effect=True)

    return emit


def _local(text: str, constraints: str, elsewhere: Emit, result: ir.Type = _WORD) -> Emit:
    return _assembly(text, constraints, result) if X86_64 else elsewhere


_ORDERS: Final = {"relaxed": "monotonic", "acquire": "acquire", "release": "release", "full": "seq_cst"}
"""The kernel's name of an order, and LLVM's."""
_FENCES: Final = {"full": "seq_cst", "read barrier": "acquire", "write barrier": "release"}


@cache
def load_in(order: str) -> Callable[..., int]:
    """`load(address)`: READ_ONCE where relaxed, smp_load_acquire where acquire."""
    return _of_address(_local("movq ($1), $0", "=r,r", _load(_ORDERS[order])))


@cache
def store_in(order: str) -> Callable[..., int]:
    """`store(address, value)`: WRITE_ONCE where relaxed, smp_store_release where release."""
    return _of_value(_store(_ORDERS[order]), types.none)


@cache
def add_in(order: str) -> Callable[..., int]:
    """`add(address, value)` without a result: LOCK add."""
    return _of_value(_seldom(_rmw("add", _ORDERS[order])), types.none)


@cache
def fetch_add_in(order: str) -> Callable[..., int]:
    """`fetch_add(address, value)`: LOCK xadd; the old value."""
    return _of_value(_rmw("add", _ORDERS[order]))


@cache
def exchange_in(order: str) -> Callable[..., int]:
    """`exchange(address, value)`: xchg; the old value."""
    return _of_value(_rmw("xchg", _ORDERS[order]))


@cache
def compare_exchange_in(order: str) -> Callable[..., int]:
    """`compare_exchange(address, old, new)`: LOCK cmpxchg; what stood there before."""
    return _of_old_and_new(_cmpxchg(_ORDERS[order]))


@cache
def fence_in(order: str) -> Callable[..., int]:
    """`fence()`: smp_mb where full, smp_rmb and smp_wmb for a read and a write barrier."""

    @intrinsic
    def fence(_typingctx: Any) -> Any:
        def codegen(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
            builder.fence(_FENCES[order])
            return context.get_dummy_value()

        return types.none(), codegen

    return fence


read_once = load_in("relaxed")
load_acquire = load_in("acquire")
write_once = store_in("relaxed")
store_release = store_in("release")
atomic_add = add_in("relaxed")
fetch_add = fetch_add_in("full")
exchange = exchange_in("full")
compare_exchange = compare_exchange_in("full")
fence = fence_in("full")

_VOID: Final = ir.VoidType()
local_read = _of_address(_local("movq ($1), $0", "=r,r", _load("monotonic")))
local_write = _of_value(_local("movq $1, ($0)", "r,re", _store("monotonic"), _VOID), types.none)
local_add = _of_value(_local("addq $1, ($0)", "r,re", _rmw("add", "monotonic"), _VOID), types.none)
local_and = _of_value(_local("andq $1, ($0)", "r,re", _rmw("and", "monotonic"), _VOID), types.none)
local_or = _of_value(_local("orq $1, ($0)", "r,re", _rmw("or", "monotonic"), _VOID), types.none)
local_fetch_add = _of_value(_local("xaddq $0, ($1)", "=r,r,0", _rmw("add", "monotonic")))
local_cmpxchg = _of_old_and_new(_local("cmpxchgq $3, ($1)", "={rax},r,0,r", _cmpxchg("monotonic")))


@inner
def local_exchange(address: int, value: int) -> int:
    """this_cpu_xchg: a loop of unlocked cmpxchg, since x86's xchg with memory is always LOCKed."""
    old = read_once(address)
    seen = local_cmpxchg(address, old, value)
    while seen != old:
        old = seen
        seen = local_cmpxchg(address, old, value)
    return old


@intrinsic
def unlikely(_typingctx: Any, condition: Any) -> Any:  # noqa: ARG001
    """The condition, with the hint that it is seldom true."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        bit = ir.IntType(1)
        expect = builder.module.declare_intrinsic("llvm.expect", [bit], ir.FunctionType(bit, [bit, bit]))
        return builder.call(expect, [args[0], ir.Constant(bit, 0)])

    return types.boolean(types.boolean), codegen
