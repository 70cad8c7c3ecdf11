"""The compiled part of a step: note what is about to happen, do it, note what it did; pass the turn on.

It is two calls, not one: between them the program has to compute up to its next operation, which tells whether the step
was its last. `benchmarks/replay.py` measures what a step takes.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np

from percpu_emu.lang.context import Context
from percpu_emu.lang.modules import load_compiled
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.reference import performer_text
from percpu_emu.replay import layout

_TEXT: Final = '''
from percpu_emu.lang import effects
from percpu_emu.shm import atomics, syscalls


@inner
def put(record, field, value):
    atomics.write_once(record + field * 8, value)


@entry_point(WORD(WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD))
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


@entry_point(WORD(BASES, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD))
def access(bases, record, context, cpu, code, site, address, a, b, c, writes):
    """Perform an operation on the word at `address`. `writes`: 0 no, 1 yes, 2 if it finds the value `b` there."""
    note(record, context, cpu, code, site, address, a, b, c)
    word = bases[0] + address * 8
    put(record, WROTE, 1 if writes != 0 else 0)
    old = atomics.read_once(word)
    result = perform(bases, code, a, b, c)
    put(record, OLD, old)
    put(record, NEW, atomics.read_once(word))
    if writes == 2 and old != b:
        put(record, WROTE, 0)
    put(record, GAVE, result)
    return result


@entry_point(WORD(BASES, WORD, WORD))
def load(bases, record, address):
    """Load the word at `address` and no more: to wait for it, or as the first half of a read-modify-write."""
    value = atomics.load_acquire(bases[0] + address * 8)
    put(record, OLD, value)
    put(record, NEW, value)
    return value


@entry_point(WORD(BASES, WORD, WORD, WORD, WORD, WORD, WORD))
def store(bases, record, address, opcode, loaded, b, c):
    """The second half: store what follows from the value that was loaded, whatever stands there now.

    A cmpxchg that has failed stores, too: what it has loaded, as the processor does.
    """
    word = bases[0] + address * 8
    put(record, WROTE, 1)
    put(record, OLD, atomics.read_once(word))
    atomics.local_write(word, effects.new_value(opcode, loaded, b, c))
    put(record, NEW, atomics.read_once(word))
    result = effects.result_of(opcode, loaded, b)
    put(record, GAVE, result)
    return result


@entry_point(WORD(WORD, WORD))
def grant(ticket, number):
    """Have the process of that ticket do a step."""
    atomics.store_release(ticket, number)
    return syscalls.futex_wake(ticket)


@entry_point(WORD(WORD, WORD))
def await_ticket(ticket, seen):
    """The next ticket. Who waits for a dead peer is ended by the caller of `replay`, who sees all deaths."""
    value = atomics.load_acquire(ticket)
    while value == seen:
        value = syscalls.futex_wait(ticket, seen, 1000000)
    return value


@entry_point(WORD(WORD, WORD, WORD, WORD))
def hand_over(other, number, ticket, seen):
    """Both in one call."""
    grant(other, number)
    return await_ticket(ticket, seen)
'''


_FIELDS: Final = ("CODE", "CONTEXT", "ON_CPU", "SITE", "ARGS", "ADDRESS", "OLD", "NEW", "GAVE", "WROTE")


@cache
def compiled() -> Any:
    """The compiled functions of this module's text, as attributes, and `perform`."""
    constants = [f"{name} = {getattr(layout, name)}" for name in _FIELDS]  # the cache goes by the text
    module = load_compiled("\n".join([performer_text(), *constants, _TEXT]))
    # numba's first call with an array imports parts of numpy: 20 ms, in every process unless it is done before the fork
    module.perform(np.zeros(len(Context._fields), dtype=np.int64), OPERATIONS["smp_mb"].number, 0, 0, 0)
    return module
