"""A callback that runs as an interrupt spins for a word that is written after a grace period."""

from __future__ import annotations

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, call_rcu, smp_cond_load_acquire, smp_mb, synchronize_rcu, write_once

WORD = STATIC + 0


def spins(_: int) -> Program[None]:
    yield smp_mb()
    yield smp_cond_load_acquire(WORD, 1)


def queues() -> Program[None]:
    yield call_rcu(spins, 0)


def writes() -> Program[None]:
    yield synchronize_rcu()
    yield write_once(WORD, 1)
