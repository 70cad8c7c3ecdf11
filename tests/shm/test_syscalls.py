"""Waiting for a word, and waking who waits, between two processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from numba import njit, types

from percpu_emu.shm import PAGE_SIZE, Segment
from percpu_emu.shm.syscalls import futex_wait, futex_wake, sched_yield, usleep

from .processes import started

if TYPE_CHECKING:
    from collections.abc import Iterator

WORD: Final = types.int64
LONG: Final = 30_000_000
"""Microseconds that no test waits."""


def compiled(function: Any, arguments: int) -> Any:
    names = ", ".join("abc"[:arguments])
    return njit([WORD(*[WORD] * arguments)])(eval(f"lambda {names}: function({names})", {"function": function}))


wait = compiled(futex_wait, 3)
wake = compiled(futex_wake, 1)
sleep = compiled(usleep, 1)
give_way = compiled(sched_yield, 0)


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = Segment("words", PAGE_SIZE)
    yield segment
    segment.close()


def wake_somebody(address: int) -> int:
    """Wake until somebody was asleep; how many there were."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if woken := wake(address):
            return int(woken)
        time.sleep(0.001)
    return 0


def test_a_process_that_waits_for_a_word_sleeps_until_it_is_woken(segment: Segment) -> None:
    def waiter() -> None:
        while wait(segment.address, 0, LONG) == 0:
            segment.words[1] += 1
        segment.words[2] = segment.words[0]

    begin = time.monotonic()
    with started(waiter):
        for _ in range(3):  # woken, it finds the word as it was, and waits again
            assert wake_somebody(segment.address) == 1
        segment.words[0] = 7
        wake(segment.address)
    assert segment.words[2] == 7
    assert 2 <= segment.words[1] <= 3  # the third time, it may have found the 7 already
    assert time.monotonic() - begin < LONG / 1e6


def test_every_waiting_process_is_woken(segment: Segment) -> None:
    def waiter() -> None:
        wait(segment.address, 0, LONG)

    with started(waiter, waiter):
        woken = 0
        while woken < 2:
            count = wake_somebody(segment.address)
            assert count > 0
            woken += count
    assert woken == 2


def test_waking_where_nobody_waits_wakes_nobody(segment: Segment) -> None:
    assert wake(segment.address) == 0


def test_a_word_that_is_another_already_is_not_waited_for(segment: Segment) -> None:
    segment.words[0] = 5
    begin = time.monotonic()
    assert wait(segment.address, 4, LONG) == 5
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("value", [0, -1, 1 << 32, (1 << 40) + 3])
def test_a_wait_ends_when_its_time_is_over(segment: Segment, value: int) -> None:
    segment.words[0] = value
    begin = time.monotonic()
    assert wait(segment.address, value, 20_000) == value
    assert 0.02 <= time.monotonic() - begin < 10


def test_a_wait_may_be_longer_than_a_second(segment: Segment) -> None:
    begin = time.monotonic()
    assert wait(segment.address, 0, 1_100_000) == 0
    assert 1.1 <= time.monotonic() - begin < 10


def test_usleep_sleeps() -> None:
    begin = time.monotonic()
    assert sleep(30_000) == 0
    assert time.monotonic() - begin >= 0.03


def test_sched_yield_comes_back() -> None:
    assert give_way() == 0
