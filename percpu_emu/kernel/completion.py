"""struct completion: a task sleeps until another context says that something is done.

kernel/sched/completion.c. Each `complete` lets one `wait_for_completion` through, also one that comes later; what was
written before the one is there behind the other.
"""

from __future__ import annotations

from percpu_emu.kernel.locks import SpinLock, spin_lock_irqsave, spin_unlock_irqrestore
from percpu_emu.lang.ops import Program, read_once, wait_until, write_once
from percpu_emu.lang.structures import Struct, Word


class Completion(Struct):
    """How many may go on; `ready` is 1 while that is not 0, for sleepers; the lock is for both."""

    done: Word
    ready: Word
    lock: SpinLock


def complete(completion: Completion) -> Program[None]:
    """Let one more go on. May be called anywhere, in an interrupt too."""
    flags = yield from spin_lock_irqsave(completion.lock)
    done = yield read_once(completion.done)
    yield from _set_done(completion, done + 1)
    yield from spin_unlock_irqrestore(completion.lock, flags)


def wait_for_completion(completion: Completion) -> Program[None]:
    """Sleep until one may go on, and be that one."""
    done = 0
    while not done:
        yield wait_until(completion.ready, 1)
        flags = yield from spin_lock_irqsave(completion.lock)
        done = yield read_once(completion.done)
        if done:
            yield from _set_done(completion, done - 1)
        yield from spin_unlock_irqrestore(completion.lock, flags)


def _set_done(completion: Completion, done: int) -> Program[None]:
    """So many may go on; the caller holds the lock."""
    yield write_once(completion.done, done)
    yield write_once(completion.ready, done != 0)
