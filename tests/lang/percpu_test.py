"""The kernel's lib/percpu_test.c (Greg Thelen, 2013; kernel-facts 4.2) as one program, on both engines.

Every step is done to an ordinary number and to a per-CPU word. `unsigned long` is the same word, read otherwise; an
`unsigned int` in an expression with a long is a number of 32 bits: `-(unsigned)1` is 0xffffffff, which is what memcg's
mapped_file once jumped by (S10).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from percpu_emu.lang.ops import (
    Program,
    __this_cpu_read,
    preempt_disable,
    preempt_enable,
    this_cpu_add,
    this_cpu_add_return,
    this_cpu_read,
    this_cpu_sub,
    this_cpu_write,
    warn_on,
)
from percpu_emu.lang.raw import __this_cpu_add, __this_cpu_add_return, __this_cpu_dec, __this_cpu_inc, __this_cpu_sub
from percpu_emu.lang.words import UINT_MAX, ULONG_MAX

from .rig import UNIT_WORDS

if TYPE_CHECKING:
    from .rig import Rig

LONG_COUNTER: Final = 1
ULONG_COUNTER: Final = 2


def check(native: int, pcp: int, expected: int) -> Program[int]:
    """Both are what they have to be; 1 if so."""
    held = yield __this_cpu_read(pcp)
    agree = native == expected and held == native
    yield warn_on(not agree)
    return agree


def percpu_test(ui_one: int) -> Program[int]:  # noqa: PLR0915 - the kernel has it in one function, too
    """All cases, in the order of the module; how many went well."""
    good = 0
    yield preempt_disable()

    x = 0  # the long
    yield this_cpu_write(LONG_COUNTER, x)
    x += -1
    yield from __this_cpu_add(LONG_COUNTER, -1)
    good += yield from check(x, LONG_COUNTER, -1)
    x += 1
    yield from __this_cpu_add(LONG_COUNTER, 1)
    good += yield from check(x, LONG_COUNTER, 0)

    ux = 0  # the unsigned long
    yield this_cpu_write(ULONG_COUNTER, ux)
    ux += 1
    yield from __this_cpu_add(ULONG_COUNTER, 1)
    good += yield from check(ux, ULONG_COUNTER, 1)
    ux += ULONG_MAX
    yield from __this_cpu_add(ULONG_COUNTER, ULONG_MAX)
    good += yield from check(ux, ULONG_COUNTER, 0)
    ux += ULONG_MAX
    yield from __this_cpu_add(ULONG_COUNTER, ULONG_MAX)
    good += yield from check(ux, ULONG_COUNTER, ULONG_MAX)

    ux = 0
    yield this_cpu_write(ULONG_COUNTER, ux)
    ux -= 1
    yield from __this_cpu_dec(ULONG_COUNTER)
    good += yield from check(ux, ULONG_COUNTER, ULONG_MAX)

    x = 0
    yield this_cpu_write(LONG_COUNTER, x)
    minus_one = -ui_one & UINT_MAX
    x += minus_one
    yield this_cpu_add(LONG_COUNTER, minus_one)
    good += yield from check(x, LONG_COUNTER, 0xFFFFFFFF)
    x += ui_one
    yield this_cpu_add(LONG_COUNTER, ui_one)
    good += yield from check(x, LONG_COUNTER, 0x100000000)

    x = 0  # these two gave 0xffffffff before they were mended
    yield this_cpu_write(LONG_COUNTER, x)
    x -= ui_one
    yield from __this_cpu_sub(LONG_COUNTER, ui_one)
    good += yield from check(x, LONG_COUNTER, -1)
    x = 0
    yield this_cpu_write(LONG_COUNTER, x)
    x -= ui_one
    yield this_cpu_sub(LONG_COUNTER, ui_one)
    good += yield from check(x, LONG_COUNTER, -1)

    ux = 0
    yield this_cpu_write(ULONG_COUNTER, ux)
    ux -= ui_one
    yield from __this_cpu_sub(ULONG_COUNTER, ui_one)
    good += yield from check(ux, ULONG_COUNTER, ULONG_MAX)
    ux = 0
    yield this_cpu_write(ULONG_COUNTER, ux)
    ux -= ui_one
    yield this_cpu_sub(ULONG_COUNTER, ui_one)
    good += yield from check(ux, ULONG_COUNTER, ULONG_MAX)

    ux = 3
    yield this_cpu_write(ULONG_COUNTER, ux)
    ux = yield this_cpu_add_return(ULONG_COUNTER, -ui_one)
    good += yield from check(ux, ULONG_COUNTER, 2)
    ux = yield from __this_cpu_add_return(ULONG_COUNTER, -ui_one)
    good += yield from check(ux, ULONG_COUNTER, 1)

    yield from __this_cpu_inc(ULONG_COUNTER)
    final = yield this_cpu_read(ULONG_COUNTER)
    good += final == 2
    yield preempt_enable()
    return good


def test_every_case_of_the_kernels_test_goes_well(rig: Rig) -> None:
    outcome = rig.both(percpu_test, 1)
    assert outcome.result == 15
    assert outcome.words == {("percpu", UNIT_WORDS + LONG_COUNTER): -1, ("percpu", UNIT_WORDS + ULONG_COUNTER): 2}


def test_the_checks_are_awake(rig: Rig) -> None:
    """With another `ui_one` the expectations are wrong, and each engine says so by its warnings."""
    outcome = rig.both(percpu_test, 2)
    assert outcome.result == 7
    [warning] = rig.image(percpu_test).warnings
    assert warning.program == "check"
