"""What numba and LLVM make of whole programs: the accesses to memory that stand in the text, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from shm.assembly import body, stores, x86_64

from percpu_emu.lang.image import Image
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add,
    per_cpu,
    read_once,
    smp_load_acquire,
    smp_store_release,
    this_cpu_add,
    this_cpu_dec,
    this_cpu_inc,
    this_cpu_read,
    this_cpu_sub,
    this_cpu_write,
    write_once,
)

from . import operations

if TYPE_CHECKING:
    pass

pytestmark = [x86_64, pytest.mark.usefixtures("own_cache")]  # of code that is loaded numba has no assembly


def add(pointer: int, value: int) -> Program[None]:
    yield this_cpu_add(pointer, value)


def subtract(pointer: int, value: int) -> Program[None]:
    yield this_cpu_sub(pointer, value)


def up_and_down(pointer: int) -> Program[None]:
    yield this_cpu_inc(pointer)
    yield this_cpu_dec(pointer)


def read_add_write(pointer: int, value: int) -> Program[None]:
    x = yield this_cpu_read(pointer)
    yield this_cpu_write(pointer, x + value)


def remote_read_add_write(pointer: int, value: int) -> Program[None]:
    x = yield read_once(per_cpu(pointer, 1))
    yield write_once(per_cpu(pointer, 1), x + value)


def acquire_add_release(pointer: int, value: int) -> Program[None]:
    x = yield smp_load_acquire(pointer)
    yield smp_store_release(pointer, x + value)


def add_to_all(pointer: int, value: int) -> Program[None]:
    yield atomic_long_add(pointer, value)
    yield atomic_long_add(pointer, 1)
    yield atomic_long_add(pointer, -1)


RESULT = "movq $0, (R)"


def compiled(program: Any) -> Any:
    return Image([program]).compiled(program)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (add, ["addq R, (R)"]),
        (subtract, ["addq R, (R)"]),
        (up_and_down, ["addq $1, (R)", "addq $-1, (R)"]),
    ],
)
def test_this_cpu_add_is_exactly_one_add_to_memory(program: Any, expected: list[str]) -> None:
    function = compiled(program)
    assert stores(function) == [*expected, RESULT]
    assert not any("lock" in line for line in body(function))


@pytest.mark.parametrize("program", [read_add_write, remote_read_add_write, acquire_add_release])
def test_a_read_and_a_write_are_two_instructions(program: Any) -> None:
    function = compiled(program)
    assert stores(function) == ["movq R, (R)", RESULT]
    assert not any("lock" in line for line in body(function))


def test_atomic_long_add_is_one_locked_add() -> None:
    assert stores(compiled(add_to_all)) == ["lock addq R, (R)", "lock incq (R)", "lock decq (R)", RESULT]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (operations.do_atomic_long_fetch_add, "lock xaddq R, (R)"),
        (operations.do_atomic_long_add_return, "lock xaddq R, (R)"),
        (operations.do_xchg, "xchgq R, (R)"),
        (operations.do_cmpxchg, "lock cmpxchgq R, (R)"),
        (operations.do_this_cpu_add_return, "xaddq R, (R)"),
        (operations.do_this_cpu_cmpxchg, "cmpxchgq R, (R)"),
        (operations.do_this_cpu_and, "andq R, (R)"),
        (operations.do_this_cpu_or, "orq R, (R)"),
    ],
)
def test_a_read_modify_write_is_one_instruction(program: Any, expected: str) -> None:
    instruction, _result = stores(compiled(program))
    assert instruction == expected
