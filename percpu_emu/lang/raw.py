"""`__this_cpu_*` read-modify-writes: a read and a write, which an interrupt or a migration can come between.

They are programs (`yield from __this_cpu_add(p, 1)`), since two accesses are two yields.
"""

from __future__ import annotations

from percpu_emu.lang.ops import Program, __this_cpu_read, __this_cpu_write


def __this_cpu_add(pointer: int, value: int) -> Program[None]:
    x = yield __this_cpu_read(pointer)
    yield __this_cpu_write(pointer, x + value)


def __this_cpu_sub(pointer: int, value: int) -> Program[None]:
    yield from __this_cpu_add(pointer, -value)


def __this_cpu_inc(pointer: int) -> Program[None]:
    yield from __this_cpu_add(pointer, 1)


def __this_cpu_dec(pointer: int) -> Program[None]:
    yield from __this_cpu_add(pointer, -1)


def __this_cpu_and(pointer: int, value: int) -> Program[None]:
    x = yield __this_cpu_read(pointer)
    yield __this_cpu_write(pointer, x & value)


def __this_cpu_or(pointer: int, value: int) -> Program[None]:
    x = yield __this_cpu_read(pointer)
    yield __this_cpu_write(pointer, x | value)


def __this_cpu_add_return(pointer: int, value: int) -> Program[int]:
    x = yield __this_cpu_read(pointer)
    x += value
    yield __this_cpu_write(pointer, x)
    return x


def __this_cpu_xchg(pointer: int, value: int) -> Program[int]:
    old = yield __this_cpu_read(pointer)
    yield __this_cpu_write(pointer, value)
    return old


def __this_cpu_cmpxchg(pointer: int, old: int, new: int) -> Program[int]:
    seen = yield __this_cpu_read(pointer)
    if seen == old:
        yield __this_cpu_write(pointer, new)
    return seen
