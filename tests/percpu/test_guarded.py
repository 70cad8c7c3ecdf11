"""The guard's allocator: pages of its own for each area, none once it is freed, and places used again last."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from percpu_emu.percpu import AreaLayout, BadFree, GuardedPerCpu, PerCpuExhausted, guarded
from percpu_emu.percpu.layout import KB
from percpu_emu.shm import OutOfPages

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYOUT = AreaLayout((2, 1), static_size=4 * KB)
PLACES = 8


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardedPerCpu]:
    monkeypatch.setattr(guarded, "MOST_AREAS", PLACES)
    monkeypatch.setattr(guarded, "FEWEST_AREAS", 2)
    memory = GuardedPerCpu(LAYOUT, lambda: "a test")
    yield memory
    memory.close()


def word(memory: GuardedPerCpu, pointer: int, cpu: int) -> int:
    return (pointer + memory.layout.unit_offset(cpu)) // 8


def test_an_area_is_zeroed_on_every_cpu_and_the_system_holds_its_pages(memory: GuardedPerCpu) -> None:
    pointer = memory.alloc(5000)
    assert pointer != 0
    for cpu in range(3):
        assert not memory.words[word(memory, pointer, cpu) :][: 5000 // 8].any()
        memory.words[word(memory, pointer, cpu)] = cpu + 1
    assert [int(memory.words[word(memory, pointer, cpu)]) for cpu in range(3)] == [1, 2, 3]
    assert memory.held_pages() == memory.os_pages_expected() == 2 * 3
    assert memory.percpu_kb == 24


def test_a_freed_area_holds_nothing_and_is_zero_when_it_comes_back(memory: GuardedPerCpu) -> None:
    first = memory.alloc(8)
    memory.words[word(memory, first, 1)] = 7
    memory.free(first)
    assert memory.held_pages() == memory.os_pages_expected() == 0
    others = [memory.alloc(8) for _ in range(PLACES - 2)]
    assert first not in others, "a place is used again only when every other one has been"
    again = memory.alloc(8)
    assert (again, int(memory.words[word(memory, again, 1)])) == (first, 0)


def test_a_wrong_free_is_refused_with_the_story(memory: GuardedPerCpu) -> None:
    pointer = memory.alloc(8)
    memory.free(0)
    memory.free(pointer)
    with pytest.raises(BadFree, match=r"freed before: .* \(8 bytes, allocated by a test\), freed by a test"):
        memory.free(pointer)
    with pytest.raises(BadFree, match="no area"):
        memory.free(pointer + 4)


def test_it_says_what_an_address_is(memory: GuardedPerCpu) -> None:
    pointer = memory.alloc(16)
    at = memory.address + pointer + memory.layout.unit_offset(2) + 8
    assert memory.describe(at) == f"byte 8 of CPU 2's copy of per-CPU area {pointer:#x} (16 bytes, allocated by a test)"
    memory.free(pointer)
    assert str(memory.describe(at)).endswith("freed by a test")
    assert memory.describe(memory.address) == "byte 0 of CPU 0's copy of NULL"
    assert "never allocated" in str(memory.describe(at + memory.layout.place_size))
    assert memory.describe(memory.address - 1) is None


def test_when_every_place_is_taken_it_says_how_many_there_are(memory: GuardedPerCpu) -> None:
    for _ in range(PLACES - 1):
        memory.alloc(8)
    with pytest.raises(PerCpuExhausted, match=f"the guard has {PLACES - 1} areas at a time"):
        memory.alloc(8)


@pytest.mark.parametrize(("size", "align"), [(0, 8), (33 * KB, 8), (8, 8192)])
def test_what_the_kernel_would_warn_of_is_refused(memory: GuardedPerCpu, size: int, align: int) -> None:
    with pytest.raises(ValueError, match="percpu size"):
        memory.alloc(size, align)


def test_too_few_open_files_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 200))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))  # not this process's own
    with pytest.raises(OutOfPages, match=r"200 open files .* are allowed"):
        GuardedPerCpu(LAYOUT)
    assert raised == [(200, 200)], "as far as this user may"
