"""Reading the rows: the code, the operands, the blocks of contexts, and the log of a step."""

from __future__ import annotations

from percpu_emu.lang import instructions as i
from percpu_emu.lang.virtual import layout as v
from percpu_emu.shm.compiling import Row, inner


@inner
def code(vm: Row, pc: int, column: int) -> int:
    """A column of a row of code."""
    return vm[vm[v.CODE] + pc * i.COLUMNS + column]


@inner
def clear(state: Row, first: int, end: int) -> None:
    """Set some words to 0. A loop: numba takes a second to compile an assignment to a slice."""
    for word in range(first, end):
        state[word] = 0


@inner
def copy(to: Row, state: Row, words: int) -> None:
    """Copy the first words of a state."""
    for word in range(words):
        to[word] = state[word]


@inner
def block_of(vm: Row, context: int) -> int:
    """Where a context's block begins in a state."""
    return vm[vm[v.BLOCKS] + context]


@inner
def operand(vm: Row, state: Row, base: int, which: int) -> int:
    """The value of an operand."""
    return state[base + v.REGISTERS + which] if which >= 0 else vm[vm[v.CONSTANTS] - 1 - which]


@inner
def contexts_of(vm: Row) -> int:
    """Contexts of the setting, and callbacks."""
    return vm[v.CONTEXTS] + vm[v.MAX_CALLBACKS]


@inner
def clear_log(vm: Row) -> None:
    """A step begins: the log names no word and no callback yet."""
    log = vm[v.LOG]
    clear(vm, log + v.LOG_OLD, log + v.LOG_WORDS)
    vm[log + v.LOG_ADDRESS], vm[log + v.LOG_QUEUED] = -1, -1
