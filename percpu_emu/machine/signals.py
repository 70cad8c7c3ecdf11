"""Words of shared memory as signals between processes: publish one, wait for one, ask a CPU, follow a grace period.

Compiled, because the ordering matters and because a wait has to be a system call that a Unix signal interrupts.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from percpu_emu.lang.modules import load_compiled

SIGNALS_TEXT: Final = '''
from percpu_emu.lang import context as c
from percpu_emu.shm import atomics, syscalls


@entry_point(WORD(WORD, WORD))
def publish(address, value):
    """Store, after everything that was stored before, and wake who waits for the word."""
    atomics.store_release(address, value)
    return syscalls.futex_wake(address)


@entry_point(WORD(WORD, WORD, WORD))
def wait(address, value, microseconds):
    """Sleep while the word is `value`, at most so long; a Unix signal ends it, too."""
    return syscalls.futex_wait(address, value, microseconds)


@entry_point(WORD(BASES))
def idle_enter(bases):
    return ops.idle_enter(context(bases))


@entry_point(WORD(BASES))
def idle_exit(bases):
    return ops.idle_exit(context(bases))


@entry_point(WORD(BASES))
def ring_doorbell(bases):
    return ops.ring_doorbell(context(bases))


@entry_point(WORD(WORD))
def begin_grace_period(header):
    """What was published before is seen by every CPU that reports from now on; the new grace period's number."""
    atomics.fence()
    sequence = atomics.read_once(header) + 1
    atomics.write_once(header, sequence)
    atomics.fence()
    return sequence


@entry_point(WORD(WORD, WORD))
def end_grace_period(header, sequence):
    atomics.store_release(header + c.GP_DONE * 8, sequence)
    return 0


@entry_point(WORD(WORD, WORD, WORD, WORD))
def awaited_cpu(header, cpus, sequence, looks):
    """A CPU that has not yet reported to grace period `sequence`, -1 if all have; looks so often, yielding between."""
    cpu = 0
    for _ in range(looks):
        while cpu < cpus:
            block = header + (c.HEADER_WORDS + cpu * c.BLOCK_WORDS) * 8
            seen = atomics.load_acquire(block + c.QUIESCENT * 8)
            if seen != 0 and seen < sequence:
                break
            cpu += 1
        if cpu == cpus:
            atomics.fence()
            return -1
        syscalls.sched_yield()
    return cpu


@callback(WORD(WORD, WORD, WORD, WORD))
def mailbox(block, code, a, b):
    """A CPU's way to ask the coordinator (`context.SERVICE`): put the question there, ring, sleep till the answer."""
    if code == c.LOOK:
        return syscalls.usleep(a) if a != 0 else syscalls.sched_yield()
    header = atomics.read_once(block + c.HEADER * 8)
    request = block + c.REQUEST * 8
    atomics.write_once(block + c.REQUEST_CODE * 8, code)
    atomics.write_once(block + c.REQUEST_ARGS * 8, a)
    atomics.write_once(block + (c.REQUEST_ARGS + 1) * 8, b)
    atomics.store_release(request, c.ASKED)
    atomics.fetch_add(header + c.DOORBELL * 8, 1)
    syscalls.futex_wake(header + c.DOORBELL * 8)
    state = atomics.read_once(request)
    while state != c.ANSWERED:
        state = syscalls.futex_wait(request, state, 50000)
        if atomics.read_once(header + c.STOP * 8) != 0:
            atomics.write_once(block + c.FAULT * 8, c.GIVEN_UP)
            return 0
    answer = atomics.read_once(block + c.ANSWER * 8)
    atomics.write_once(request, 0)
    return answer
'''


@cache
def signals() -> Any:
    """The compiled functions of this module's text, as attributes."""
    return load_compiled(SIGNALS_TEXT)
