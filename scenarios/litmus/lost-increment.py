"""Two CPUs count in one word, by a read and a write, or by one atomic addition."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, atomic_long_add, read_once, write_once

COUNT = STATIC + 0


def count() -> Program[None]:
    """Read, add, write."""
    x = yield read_once(COUNT)
    yield write_once(COUNT, x + 1)


def count_atomically() -> Program[None]:
    """One operation."""
    yield atomic_long_add(COUNT, 1)


def counted() -> Program[int]:
    """What came out."""
    return (yield read_once(COUNT))
