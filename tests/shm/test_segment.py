"""A segment: address space whose pages come and go, and the operating system's word for it."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from percpu_emu.shm import PAGE_SIZE, OutOfPages, Segment
from percpu_emu.shm import segment as segment_module

from .processes import outcome_in_child

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = 16


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = Segment("test", PAGES * PAGE_SIZE)
    yield segment
    segment.close()


def test_a_new_segment_reads_as_zero_and_holds_no_page(segment: Segment) -> None:
    assert segment.held_pages() == 0
    assert not segment.holds_data(0, segment.size)


def test_words_and_bytes_show_the_same_memory(segment: Segment) -> None:
    segment.words[1] = 0x0102
    assert segment.bytes[8:10].tolist() == [2, 1]
    assert ctypes.c_int64.from_address(segment.address + 8).value == 0x0102


def test_touching_a_word_backs_its_page_only(segment: Segment) -> None:
    segment.words[3 * PAGE_SIZE // 8] = 1
    assert segment.held_pages() == 1
    assert list(segment.data_pages(0, segment.size)) == [3 * PAGE_SIZE]


def test_populate_backs_pages_and_leaves_those_that_are_there_as_they_are(segment: Segment) -> None:
    segment.words[2 * PAGE_SIZE // 8] = 7
    segment.populate(PAGE_SIZE, 4 * PAGE_SIZE)
    assert segment.held_pages() == 4
    assert segment.words[2 * PAGE_SIZE // 8] == 7


def test_punched_pages_are_given_back_and_read_as_zero(segment: Segment) -> None:
    segment.words[:] = 7
    segment.punch(2 * PAGE_SIZE, 3 * PAGE_SIZE)
    words_per_page = PAGE_SIZE // 8
    assert segment.held_pages() == PAGES - 3
    assert not segment.holds_data(2 * PAGE_SIZE, 3 * PAGE_SIZE)
    assert segment.words[2 * words_per_page - 1 : 2 * words_per_page + 1].tolist() == [7, 0]
    assert segment.words[5 * words_per_page - 1 : 5 * words_per_page + 1].tolist() == [0, 7]


def test_populating_a_page_is_no_touch(segment: Segment) -> None:
    segment.populate(0, segment.size)
    assert segment.held_pages() == PAGES
    assert not segment.holds_data(0, segment.size)


@pytest.mark.parametrize("touch", ["read", "write"])
def test_a_touch_after_punch_is_found(segment: Segment, touch: str) -> None:
    segment.words[:] = 7
    segment.punch(0, segment.size)
    word = ctypes.c_int64.from_address(segment.address + 5 * PAGE_SIZE + 8)
    if touch == "write":
        word.value = 1
    else:
        assert word.value == 0
    assert segment.holds_data(0, segment.size)
    assert segment.holds_data(5 * PAGE_SIZE, PAGE_SIZE)
    assert not segment.holds_data(0, 5 * PAGE_SIZE)
    assert not segment.holds_data(6 * PAGE_SIZE, 10 * PAGE_SIZE)


def test_data_pages_are_those_of_the_range_that_were_touched(segment: Segment) -> None:
    segment.populate(6 * PAGE_SIZE, PAGE_SIZE)
    for page in (0, 1, 4, 15):
        segment.words[page * PAGE_SIZE // 8] = 1
    pages = [offset // PAGE_SIZE for offset in segment.data_pages(PAGE_SIZE, 14 * PAGE_SIZE)]
    assert pages == [1, 4]


def test_a_child_process_has_it_at_the_same_address(segment: Segment) -> None:
    address = segment.address

    def write() -> None:
        ctypes.c_int64.from_address(address + 16).value = 5

    outcome_in_child(write)
    assert segment.words[2] == 5


def test_it_has_no_name_in_any_file_system(segment: Segment) -> None:
    assert str(Path(f"/proc/self/fd/{segment.fd}").readlink()) == "/memfd:percpu-emu:test (deleted)"


def test_it_can_be_closed_twice(segment: Segment) -> None:
    segment.close()
    segment.close()
    assert segment.fd == -1


@pytest.mark.parametrize("size", [0, -PAGE_SIZE, 1, PAGE_SIZE + 8])
def test_a_size_is_in_whole_pages(size: int) -> None:
    with pytest.raises(ValueError, match=f"segment odd: size {size} is not a positive multiple of 4096"):
        Segment("odd", size)


def test_refused_address_space_is_out_of_pages_with_the_reason() -> None:
    def make() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (PAGE_SIZE, PAGE_SIZE))
        Segment("large", 2 * PAGE_SIZE)

    outcome = outcome_in_child(make)
    assert outcome == "OutOfPages: segment large: 8192 bytes of address space refused: File too large"


def test_a_failed_start_leaves_no_descriptor() -> None:
    def make() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(OutOfPages, match="segment huge: 1099511627776 bytes of address space refused"):
            Segment("huge", 1 << 40)
        assert len(list(Path("/proc/self/fd").iterdir())) == before

    assert outcome_in_child(make) == "done"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.ENOMEM, errno.EFBIG])
def test_a_page_that_the_operating_system_has_not_is_out_of_pages(
    segment: Segment, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    monkeypatch.setattr(segment_module, "_libc", _failing(error))
    with pytest.raises(OutOfPages) as caught:
        segment.populate(PAGE_SIZE, 2 * PAGE_SIZE)
    assert str(caught.value) == f"segment test: no page for 8192 bytes at 4096: {os.strerror(error)}"


def test_another_error_is_shown_as_it_is(segment: Segment) -> None:
    segment.close()
    with pytest.raises(OSError, match=r"segment test: fallocate\(0, 4096\): Bad file descriptor") as caught:
        segment.populate(0, PAGE_SIZE)
    assert caught.value.errno == errno.EBADF


def test_an_interrupted_call_is_repeated(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    libc = _failing(errno.EINTR, times=2)
    monkeypatch.setattr(segment_module, "_libc", libc)
    segment.populate(0, PAGE_SIZE)
    assert libc.calls == 3


def _failing(error: int, times: int = 1 << 30) -> SimpleNamespace:
    """A C library whose fallocate fails that many times."""

    def fallocate(*_: int) -> int:
        libc.calls += 1
        ctypes.set_errno(error)
        return -1 if libc.calls <= times else 0

    libc = SimpleNamespace(calls=0, fallocate=fallocate)
    return libc
