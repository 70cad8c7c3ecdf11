"""A read-side section is never left."""

from __future__ import annotations

from percpu_emu.lang.ops import Program, rcu_read_lock, smp_mb


def forgets() -> Program[None]:
    yield rcu_read_lock()


def other() -> Program[None]:
    yield smp_mb()
