"""refcount_t: references to an object, which goes with the last one.

include/linux/refcount.h. From 0 nothing leads back: `refcount_inc` warns there, `refcount_inc_not_zero` refuses. The
saturation of a count that leaked is left out.
"""

from __future__ import annotations

from percpu_emu.lang.ops import Program, atomic_long_add_return, cmpxchg, read_once, warn_on, write_once
from percpu_emu.lang.structures import AtomicLong, Struct


class Refcount(Struct):
    """refcount_t."""

    refs: AtomicLong


def refcount_set(ref: Refcount, references: int) -> Program[None]:
    """So many references, before anyone else knows the object."""
    yield write_once(ref.refs, references)


def refcount_inc(ref: Refcount) -> Program[None]:
    """One more; the caller has one. Warns where there was none: the object is gone."""
    references = yield atomic_long_add_return(ref.refs, 1)
    yield warn_on(references <= 1)


def refcount_inc_not_zero(ref: Refcount) -> Program[int]:
    """One more, unless there is none left. Gives 1 where it took one, else 0."""
    old = yield read_once(ref.refs)
    while old:
        seen = yield cmpxchg(ref.refs, old, old + 1)
        if seen == old:
            return 1
        old = seen
    return 0


def refcount_dec_and_test(ref: Refcount) -> Program[int]:
    """One less. Gives 1 to exactly one caller: the one that dropped the last, and frees."""
    references = yield atomic_long_add_return(ref.refs, -1)
    yield warn_on(references < 0)
    return references == 0
