"""A reader waits for all readers, of which it is one."""

from __future__ import annotations

from percpu_emu.lang.ops import Program, rcu_read_lock, rcu_read_unlock, synchronize_rcu


def waits() -> Program[None]:
    yield rcu_read_lock()
    yield synchronize_rcu()
    yield rcu_read_unlock()
