"""What an operation does to its word, and what it gives: the one meaning of each effect, for every engine."""

from __future__ import annotations

from percpu_emu.lang import instructions as i
from percpu_emu.lang.arithmetic import add
from percpu_emu.shm.compiling import inner


@inner
def new_value(opcode: int, old: int, b: int, c: int) -> int:
    """What stands in the word afterwards; `b` and `c` are the operation's second and third argument."""
    if opcode == i.WRITE or opcode == i.XCHG:
        return b
    if opcode == i.ADD_TO or opcode == i.ADD_RETURN or opcode == i.FETCH_ADD:
        return add(old, b)
    if opcode == i.CMPXCHG:
        return c if old == b else old
    if opcode == i.AND_WITH:
        return old & b
    if opcode == i.OR_WITH:
        return old | b
    return old


@inner
def result_of(opcode: int, old: int, b: int) -> int:
    """What the operation gives."""
    if opcode == i.WRITE or opcode == i.ADD_TO or opcode == i.AND_WITH or opcode == i.OR_WITH:
        return 0
    if opcode == i.WAIT_UNTIL:
        return 0
    return add(old, b) if opcode == i.ADD_RETURN else old
