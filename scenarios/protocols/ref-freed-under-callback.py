"""A percpu_ref is killed and freed while its own RCU callback is queued."""

from __future__ import annotations

from percpu_emu.kernel.percpu_ref import percpu_ref_exit, percpu_ref_init, percpu_ref_kill, percpu_ref_switch_to_atomic
from percpu_emu.lang.ops import (
    Program,
    call_rcu,
    kfree,
    kzalloc,
)
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS

REF = FIRST_OBJECT  # an object that begins with a percpu_ref
NAMES = {OBJECT_WORDS: "ref slot", REF: "pointer of the ref", REF + 1: "count of the ref"}


def setup() -> Program[None]:
    """An object with a reference count."""
    yield kzalloc(16)
    yield from percpu_ref_init(REF)


def release() -> Program[None]:
    """Kill the reference count and free the object."""
    yield from percpu_ref_kill(REF)
    yield call_rcu(percpu_ref_switch_to_atomic, REF)
    yield from percpu_ref_exit(REF)  # wrong: the callback still needs it
    yield kfree(REF)
