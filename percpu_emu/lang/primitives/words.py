"""Primitives of operations that only touch a word: made from the table (`lang.operation`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from percpu_emu.lang import context as c
from percpu_emu.lang import instructions as i
from percpu_emu.lang import ops as _table  # noqa: F401 - fills OPERATIONS
from percpu_emu.lang.arithmetic import add, neg
from percpu_emu.lang.context import Context
from percpu_emu.lang.operation import OPERATIONS, Operation, Order
from percpu_emu.lang.service import at, in_header, own
from percpu_emu.shm import atomics
from percpu_emu.shm.compiling import inner


@inner
def per_cpu(ctx: Context, pointer: int, cpu: int) -> int:
    """The address of another CPU's copy, as a pointer for the operations on words."""
    unit_offset = atomics.read_once(in_header(ctx, c.UNIT_OFFSETS + cpu))
    return (ctx.percpu - ctx.memory) // 8 + pointer + unit_offset


def _word_primitive(operation: Operation, instruction: Callable[..., int]) -> Callable[..., int]:
    """The compiled function of an operation that does nothing but touch a word: the instruction, at the address."""
    place = own if operation.own else at
    if operation.opcode == i.CMPXCHG:

        @inner
        def exchange_if(ctx: Context, pointer: int, old: int, new: int) -> int:
            return instruction(place(ctx, pointer), old, new)

        return exchange_if
    if operation.opcode == i.READ:

        @inner
        def read(ctx: Context, pointer: int) -> int:
            return instruction(place(ctx, pointer))

        return read
    return _with_operand(operation, place, instruction)


def _with_operand(
    operation: Operation, place: Callable[..., int], instruction: Callable[..., int]
) -> Callable[..., int]:
    """The same for an effect with an operand, which the operation may have in place of an argument."""
    change = _giving(operation.opcode, place, instruction)
    if operation.operand == "given":
        return change
    if operation.operand == "negated":
        return inner(lambda ctx, pointer, value: change(ctx, pointer, neg(value)))
    fixed = operation.operand
    return inner(lambda ctx, pointer: change(ctx, pointer, fixed))


def _giving(opcode: int, place: Callable[..., int], instruction: Callable[..., int]) -> Callable[..., int]:
    """The instruction, with what the effect gives: the old value, the new one, or 0."""
    if opcode in (i.FETCH_ADD, i.XCHG):
        return inner(lambda ctx, pointer, value: instruction(place(ctx, pointer), value))
    if opcode == i.ADD_RETURN:
        return inner(lambda ctx, pointer, value: add(instruction(place(ctx, pointer), value), value))

    @inner
    def change(ctx: Context, pointer: int, value: int) -> int:
        instruction(place(ctx, pointer), value)
        return 0

    return change


def _barrier_primitive(order: Order) -> Callable[..., int]:
    barrier = atomics.fence_in(order)

    @inner
    def pass_barrier(ctx: Context) -> int:
        barrier()
        return 0

    return pass_barrier


_SHARED: Final = {
    i.READ: atomics.load_in,
    i.WRITE: atomics.store_in,
    i.ADD_TO: atomics.add_in,
    i.ADD_RETURN: atomics.fetch_add_in,
    i.FETCH_ADD: atomics.fetch_add_in,
    i.XCHG: atomics.exchange_in,
    i.CMPXCHG: atomics.compare_exchange_in,
}
"""The instruction for an effect on a word that others see, by the order."""
_OWN: Final = {
    i.READ: atomics.local_read,
    i.WRITE: atomics.local_write,
    i.ADD_TO: atomics.local_add,
    i.ADD_RETURN: atomics.local_fetch_add,
    i.FETCH_ADD: atomics.local_fetch_add,
    i.XCHG: atomics.local_exchange,
    i.CMPXCHG: atomics.local_cmpxchg,
    i.AND_WITH: atomics.local_and,
    i.OR_WITH: atomics.local_or,
}
"""The instruction for an effect on the own copy, not LOCKed."""


def _derived(operation: Operation) -> Callable[..., int] | None:
    """The primitive that follows from an operation's definition; None where one is written by hand below."""
    if operation.opcode == i.NOTHING and operation.order != "none":
        return _barrier_primitive(operation.order)
    table: Mapping[int, Any] = _OWN if operation.own else _SHARED
    if operation.opcode not in table:
        return None
    instruction = table[operation.opcode]
    return _word_primitive(operation, instruction if operation.own else instruction(operation.order))


DERIVED: Final = {name: made for name, operation in OPERATIONS.items() if (made := _derived(operation)) is not None}
"""By the name of the operation."""
