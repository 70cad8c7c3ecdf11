"""The compiled part of a controlled step: note what is about to happen, do it, note what it did; pass the turn on.

It is two calls, not one: between them the program has to compute up to its next operation, which tells whether the step
was its last, and that decides what others may do.

Measured by `benchmarks/replay.py` on 2 processors: a step takes 8 us without a switch. Of these 0.6 are this module's
call, 1.0 the program's, 0.5 each `Long`, 0.7 the rules, 0.4 the check of the address, 0.4 the number of the yield, the
rest Python's calls between. A switch adds 6 us with 2 CPUs and 15 with 4, whose memory the processor's cache has lost
meanwhile: 72,000 and 43,000 steps/s, half of that while other programs want the processor.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np

from percpu_emu.lang.cache import load_compiled
from percpu_emu.lang.context import Context
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.reference import performer_text
from percpu_emu.machine.controlled import layout

_TEXT: Final = '''
from percpu_emu.shm import atomics, syscalls


@njit
def put(record, field, value):
    atomics.write_once(record + field * 8, value)


@njit(WORD(WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD), cache=True)
def note(record, context, cpu, code, site, address, a, b, c):
    """What is about to happen, written down first: it may be the end of this process."""
    put(record, CONTEXT, context)
    put(record, ON_CPU, cpu)
    put(record, SITE, site)
    put(record, ARGS, a)
    put(record, ARGS + 1, b)
    put(record, ARGS + 2, c)
    put(record, ADDRESS, address)
    atomics.store_release(record + CODE * 8, code + 1)
    return 0


@njit(WORD(BASES, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD), cache=True)
def access(bases, record, context, cpu, code, site, address, a, b, c, writes):
    """Perform an operation on the word at `address`. `writes`: 0 no, 1 yes, 2 if it finds the value `b` there."""
    note(record, context, cpu, code, site, address, a, b, c)
    word = bases[0] + address * 8
    put(record, WROTE, 1 if writes != 0 else 0)
    old = atomics.read_once(word)
    result = old
    if code != WAIT_UNTIL:
        result = perform(bases, code, a, b, c)
    put(record, OLD, old)
    put(record, NEW, atomics.read_once(word))
    if writes == 2 and old != b:
        put(record, WROTE, 0)
    if code != WAIT_UNTIL:
        put(record, GAVE, result)
    return result


@njit(WORD(WORD, WORD), cache=True)
def grant(ticket, number):
    """Have the process of that ticket do a step."""
    atomics.store_release(ticket, number)
    return syscalls.futex_wake(ticket)


@njit(WORD(WORD, WORD), cache=True)
def await_ticket(ticket, seen):
    """The next ticket. Who waits for a dead peer is ended by the caller of `replay`, who sees all deaths."""
    value = atomics.load_acquire(ticket)
    while value == seen:
        value = syscalls.futex_wait(ticket, seen, 1000000)
    return value


@njit(WORD(WORD, WORD, WORD, WORD), cache=True)
def hand_over(other, number, ticket, seen):
    """Both in one call."""
    grant(other, number)
    return await_ticket(ticket, seen)
'''


_FIELDS: Final = ("CODE", "CONTEXT", "ON_CPU", "SITE", "ARGS", "ADDRESS", "OLD", "NEW", "GAVE", "WROTE")


@cache
def compiled() -> Any:
    """The compiled functions of this module's text, as attributes, and `perform`."""
    numbers = {"WAIT_UNTIL": codes()["wait_until"], **{name: getattr(layout, name) for name in _FIELDS}}
    constants = [f"{name} = {number}" for name, number in numbers.items()]  # the cache goes by the text
    module = load_compiled("\n".join([performer_text(), *constants, _TEXT]))
    # numba's first call with an array imports parts of numpy: 20 ms, in every process unless it is done before the fork
    module.perform(np.zeros(len(Context._fields), dtype=np.int64), codes()["smp_mb"], 0, 0, 0)
    return module


@cache
def codes() -> dict[str, int]:
    """The code of each operation."""
    return {name: operation.number for name, operation in OPERATIONS.items()}
