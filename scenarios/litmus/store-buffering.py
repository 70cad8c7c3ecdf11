"""Two CPUs, each of which writes one word and then reads the other's."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, read_once, smp_mb, write_once

X = STATIC + 0
Y = STATIC + 16  # on another cache line
R0 = STATIC + 32
R1 = STATIC + 40


def first() -> Program[None]:
    """Write x, read y."""
    yield write_once(X, 1)
    r0 = yield read_once(Y)
    yield write_once(R0, r0)


def second() -> Program[None]:
    """Write y, read x."""
    yield write_once(Y, 1)
    r1 = yield read_once(X)
    yield write_once(R1, r1)


def first_with_mb() -> Program[None]:
    """The same with a barrier in between."""
    yield write_once(X, 1)
    yield smp_mb()
    r0 = yield read_once(Y)
    yield write_once(R0, r0)


def second_with_mb() -> Program[None]:
    """The same with a barrier in between."""
    yield write_once(Y, 1)
    yield smp_mb()
    r1 = yield read_once(X)
    yield write_once(R1, r1)


def r0() -> Program[int]:
    """What the first one read."""
    return (yield read_once(R0))


def r1() -> Program[int]:
    """What the second one read."""
    return (yield read_once(R1))
