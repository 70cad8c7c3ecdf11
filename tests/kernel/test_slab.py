"""Slabs: orders as SLUB chooses them, objects that never overlap, pages that go back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.kernel.arena import Arena, Buddy, CountedArena
from percpu_emu.kernel.slab import SlabAllocator, calculate_order, kmalloc_size
from percpu_emu.percpu import BadFree
from percpu_emu.shm import PAGE_SIZE, OutOfPages, Segment

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = Segment("test-slab", 16 * PAGE_SIZE)
    yield segment
    segment.close()


@pytest.fixture
def slab(segment: Segment) -> SlabAllocator:
    return SlabAllocator(Arena(segment), nr_cpus=4)


@pytest.mark.parametrize(
    ("size", "cpus", "objects", "pages"),
    [  # the columns objperslab and pagesperslab of /proc/slabinfo
        (64, 32, 64, 1),
        (96, 32, 42, 1),
        (192, 4, 21, 1),
        (192, 32, 42, 2),
        (512, 4, 16, 2),
        (512, 32, 32, 4),
        (1024, 32, 32, 8),
        (2048, 32, 16, 8),
        (4096, 32, 8, 8),
        (8192, 32, 4, 8),
        (896, 32, 36, 8),
        (160, 32, 51, 2),
        (344, 1, 23, 2),  # 11 to a page would do, but for a tail of more than a sixteenth
    ],
)
def test_slabs_have_the_size_that_slub_gives_them(size: int, cpus: int, objects: int, pages: int) -> None:
    order = calculate_order(size, cpus)
    assert ((PAGE_SIZE << order) // size, 1 << order) == (objects, pages)


@given(st.integers(8, 8192), st.integers(1, 512))
def test_a_slab_holds_an_object_and_wastes_at_most_a_quarter_unless_it_holds_one_only(size: int, cpus: int) -> None:
    slab = PAGE_SIZE << calculate_order(size, cpus)
    assert slab >= size
    assert slab // size == 1 or slab % size <= slab // 4


@pytest.mark.parametrize(("size", "served"), [(1, 8), (65, 96), (129, 192), (193, 256), (808, 1024), (2504, 4096)])
def test_kmalloc_serves_the_next_size_class(size: int, served: int) -> None:
    assert kmalloc_size(size) == served


@pytest.mark.parametrize("size", [0, 8193])
def test_what_is_no_slab_object_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"kmalloc\\({size}\\): slab objects have 1 to 8192 bytes"):
        kmalloc_size(size)


def test_objects_are_counted_by_cache_and_slabs_in_kb() -> None:
    slab = SlabAllocator(CountedArena(), nr_cpus=32)
    for _ in range(9):
        slab.kmalloc(2504)
    caches = slab.kmem_cache("kmem_cache", 840, align=64)
    slab.kmem_cache_alloc(caches)
    assert slab.objects() == {"kmalloc-4k": 9, "kmem_cache": 1}
    assert (caches.size, caches.nr_slabs) == (896, 1)
    assert slab.slab_kb == (2 + 1) * 32


def test_an_empty_slab_gives_its_pages_back(slab: SlabAllocator, segment: Segment) -> None:
    objects = [slab.kmalloc(192) for _ in range(22)]
    assert segment.held_pages() == 2
    slab.kfree(objects[21])
    assert (segment.held_pages(), slab.slab_kb) == (1, 4)
    for p in objects[:21]:
        slab.kfree(p)
    assert (segment.held_pages(), slab.slab_kb, slab.objects()) == (0, 0, {"kmalloc-192": 0})


def test_an_object_is_never_null_and_zero_whenever_it_is_handed_out(slab: SlabAllocator, segment: Segment) -> None:
    keeper, p = slab.kmalloc(64), slab.kmalloc(64)
    assert 0 not in (keeper, p)
    segment.bytes[p : p + 64] = 0xFF
    slab.kfree(p)
    assert slab.kmalloc(64) == p
    assert not segment.bytes[p : p + 64].any()


def test_a_double_kfree_is_refused(slab: SlabAllocator) -> None:
    p, _keeper = slab.kmalloc(64), slab.kmalloc(64)
    slab.kfree(p)
    with pytest.raises(BadFree, match=f"kfree\\({p:#x}\\): freed already or never allocated, in kmalloc-64"):
        slab.kfree(p)


def test_a_wild_kfree_is_refused_with_what_stands_there(slab: SlabAllocator) -> None:
    p = slab.kmalloc(192)
    with pytest.raises(BadFree, match=f"inside the kmalloc-192 object {p:#x}..\\+192"):
        slab.kfree(p + 8)
    with pytest.raises(BadFree, match="never allocated"):
        slab.kfree(p + 192)
    with pytest.raises(BadFree, match="in no slab"):
        slab.kfree(123 * PAGE_SIZE)
    slab.kfree(p)
    with pytest.raises(BadFree, match="freed already with its whole slab"):
        slab.kfree(p)


def test_kfree_of_null_does_nothing(slab: SlabAllocator) -> None:
    slab.kfree(0)
    assert slab.objects() == {}


def test_a_full_arena_says_so_and_stays_usable(slab: SlabAllocator, segment: Segment) -> None:
    p = slab.kmalloc(8192)
    for _ in range(3):
        slab.kmalloc(8192)
    with pytest.raises(OutOfPages, match="no 8 free pages in a row"):
        slab.kmalloc(8192)
    assert segment.held_pages() == 8
    slab.kfree(p)
    assert slab.kmalloc(8192) == p


def test_a_page_that_the_operating_system_refuses_is_not_lost(
    slab: SlabAllocator, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:

    def populate(*_: int) -> None:
        raise OutOfPages("none left")

    with monkeypatch.context() as refusing:
        refusing.setattr(segment, "populate", populate)
        with pytest.raises(OutOfPages, match="none left"):
            slab.kmalloc(8192)
    assert slab.kmalloc(8192) == 8 * PAGE_SIZE


@given(st.integers(2, 70), st.data())
def test_runs_of_pages_are_aligned_apart_and_whole_again_in_the_end(nr_pages: int, data: st.DataObject) -> None:
    buddy, orders, held = Buddy(nr_pages), st.integers(0, 4), {}
    for _ in range(data.draw(st.integers(0, 30))):
        if held and data.draw(st.booleans()):
            page = data.draw(st.sampled_from(sorted(held)))
            buddy.free(page, held.pop(page))
        elif (page := buddy.alloc(order := data.draw(orders))) is not None:
            assert page % (1 << order) == 0
            held[page] = order
        pages = [page for first, order in held.items() for page in range(first, first + (1 << order))]
        assert len(set(pages)) == len(pages)
        assert not pages or 0 < min(pages) <= max(pages) < nr_pages
    for page, order in held.items():
        buddy.free(page, order)
    assert buddy._free == Buddy(nr_pages)._free


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 8192)), max_size=60))
def test_objects_never_overlap_and_pages_agree_with_the_operating_system(steps: list[tuple[bool, int]]) -> None:
    segment = Segment("test-slab", 1024 * PAGE_SIZE)
    slab = SlabAllocator(Arena(segment), nr_cpus=4)
    live: dict[int, int] = {}
    for is_free, size in steps:
        if is_free and live:
            p = sorted(live)[size % len(live)]
            assert (segment.bytes[p : p + live.pop(p)] == p // 8 % 255 + 1).all()
            slab.kfree(p)
        else:
            p = slab.kmalloc(size)
            assert not segment.bytes[p : p + size].any()
            segment.bytes[p : p + size] = p // 8 % 255 + 1
            live[p] = size
        assert segment.held_pages() * 4 == slab.slab_kb
        assert sum(slab.objects().values()) == len(live)
    for p, size in live.items():
        assert (segment.bytes[p : p + size] == p // 8 % 255 + 1).all()
    segment.close()
