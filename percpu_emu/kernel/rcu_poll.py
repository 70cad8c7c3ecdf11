"""Polled grace periods: a cookie now, and later the question whether a grace period has come and gone since.

kernel/rcu/tree.c. A cookie is a number, which any context may keep and ask about. A callback of `call_rcu` stands
behind each and notes the end, so that the search ends the grace period as early as RCU may, and as late as it likes. A
later cookie that is over takes the earlier ones with it. The rest of the kernel is taken to keep grace periods coming:
a cookie of `get_state_synchronize_rcu` is over one day, too.
"""

from __future__ import annotations

from percpu_emu.kernel.layout import RCU_COOKIES, RCU_COOKIES_OVER
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add_return,
    call_rcu,
    cmpxchg,
    read_once,
    smp_load_acquire,
    synchronize_rcu,
)


def start_poll_synchronize_rcu() -> Program[int]:
    """Ask for a grace period that begins from now on. Gives its cookie; may be called anywhere."""
    cookie = yield atomic_long_add_return(RCU_COOKIES, 1)
    yield call_rcu(_note_end, cookie)
    return cookie


def get_state_synchronize_rcu() -> Program[int]:
    """The cookie of a grace period that begins from now on, whoever asks for it. May be called anywhere."""
    return (yield from start_poll_synchronize_rcu())


def poll_state_synchronize_rcu(cookie: int) -> Program[int]:
    """1 where a grace period has begun and ended since the cookie was taken, else 0. Does not wait."""
    return (yield smp_load_acquire(RCU_COOKIES_OVER)) >= cookie


def cond_synchronize_rcu(cookie: int) -> Program[None]:
    """Wait for a grace period, unless one has begun and ended since the cookie was taken."""
    if not (yield from poll_state_synchronize_rcu(cookie)):
        yield synchronize_rcu()


def _note_end(cookie: int) -> Program[None]:
    """The grace period of a cookie is over. Each pass that fails finds the number grown, so there are enough passes."""
    seen = yield read_once(RCU_COOKIES_OVER)
    for _ in range(cookie - seen):
        if seen < cookie:
            found = yield cmpxchg(RCU_COOKIES_OVER, seen, cookie)
            seen = cookie if found == seen else found
