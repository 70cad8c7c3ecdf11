"""A read-side section is left that was not entered."""

from __future__ import annotations

from percpu_emu.lang.ops import Program, rcu_read_unlock


def unlocks() -> Program[None]:
    yield rcu_read_unlock()
