"""A grace period and a CPU that stops: it leaves the grace period and the map of CPUs in two steps, or in one.

RCU itself, in words. DragonOS, issue 2211.
"""

from __future__ import annotations

from percpu_emu.kernel.locks import SpinLock, spin_lock, spin_unlock
from percpu_emu.lang.ops import Program, read_once, wait_until, write_once
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class Rcu(Struct):
    """Whether CPU 1 is online, whether the grace period waits for it, and the lock for both."""

    online: Word
    waiting: Word
    lock: SpinLock


rcu = Rcu()


def setup() -> Program[None]:
    """CPU 1 is online, and a grace period waits for it."""
    yield write_once(rcu.online, 1)
    yield write_once(rcu.waiting, 1)


def set_locked(word: Word, value: int) -> Program[None]:
    """Write a word under the lock."""
    yield from spin_lock(rcu.lock)
    yield write_once(word, value)
    yield from spin_unlock(rcu.lock)


def grace_periods() -> Program[None]:
    """Wait for the one that is under way; begin another, and wait for that."""
    yield wait_until(rcu.waiting, 0)
    yield from spin_lock(rcu.lock)
    online = yield read_once(rcu.online)
    yield write_once(rcu.waiting, online)
    yield from spin_unlock(rcu.lock)
    yield wait_until(rcu.waiting, 0)


def halt_in_two_steps() -> Program[None]:
    """CPU 1 stops, and reports nothing any more."""
    yield from set_locked(rcu.waiting, 0)
    yield from set_locked(rcu.online, 0)  # wrong: a grace period may have begun, which waits for this CPU


@scenario(
    cpus=2,
    setup=setup,
    expect="deadlock",
    missing="leaving the map of CPUs before the grace period, in one critical section",
)
def grace_period_halted_cpu(m: Contexts) -> None:
    """A grace period begins while a CPU stops, and waits for it for ever.

    A CPU that stops takes itself out of the grace period that is under way, and then out of the map of CPUs. A grace
    period that begins in between finds it in the map and waits for its report; but it is halted (B5; DragonOS 2211).

    The fixed version leaves both under one lock, the map first.
    """
    m.task(grace_periods, cpu=0)
    m.task(halt_in_two_steps, cpu=1, name="halt")


def halt() -> Program[None]:
    """CPU 1 stops, and reports nothing any more."""
    yield from spin_lock(rcu.lock)
    yield write_once(rcu.online, 0)
    yield write_once(rcu.waiting, 0)
    yield from spin_unlock(rcu.lock)


@scenario(cpus=2, setup=setup)
def grace_period_halted_cpu_fixed(m: Contexts) -> None:
    """A CPU that stops leaves the map of CPUs and the grace period at once.

    A grace period begins before, and is left, or afterwards, and does not wait for the CPU.
    """
    m.task(grace_periods, cpu=0)
    m.task(halt, cpu=1)
