"""The search for a place in a chunk, and the hints that guide it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.percpu.bitmap import find_run, runs
from percpu_emu.percpu.block import BLOCK_BITS
from percpu_emu.percpu.chunk import Chunk

from .recount import check_chunk


def taken(chunk: Chunk, *areas: tuple[int, int]) -> Chunk:
    for start, length in areas:
        chunk.allocate(start, length)
    return chunk


def fit(chunk: Chunk, length: int, align: int = 1) -> int | None:
    return chunk.find_fit(length, align, populated_only=False)


def test_a_request_goes_to_the_first_hole_that_takes_it() -> None:
    chunk = taken(Chunk(1, 0, 2), (0, 100), (100, 8), (108, 50))
    chunk.free(100)
    assert fit(chunk, 8) == 100
    assert fit(chunk, 9) == 158
    assert fit(chunk, 4, align=8) == 104


def test_an_area_may_span_blocks() -> None:
    chunk = taken(Chunk(1, 0, 3), (0, BLOCK_BITS - 10))
    assert fit(chunk, BLOCK_BITS + 20) == BLOCK_BITS - 10
    chunk.allocate(BLOCK_BITS - 10, BLOCK_BITS + 20)
    check_chunk(chunk)
    assert fit(chunk, 4) == 2 * BLOCK_BITS + 10


def test_an_aligned_area_that_spans_blocks_starts_aligned() -> None:
    chunk = taken(Chunk(1, 0, 3), (0, BLOCK_BITS - 10))
    assert fit(chunk, BLOCK_BITS, align=4) == BLOCK_BITS - 8


def test_a_block_whose_longest_run_is_badly_aligned_is_passed_over() -> None:
    """Not quite first fit: the hole at 64 would do, but the hint names the run at 129."""
    chunk = taken(Chunk(1, 0, 2), (0, 64), (64, 16), (80, 49), (129, 16), (145, BLOCK_BITS - 145))
    chunk.free(64)
    chunk.free(129)
    chunk.blocks[0].contig_hint_start = 129  # as a longer run there that was cut down to 16 would leave it
    assert fit(chunk, 16, align=16) == BLOCK_BITS


def test_a_chunk_whose_longest_run_is_badly_aligned_is_passed_over() -> None:
    """Not quite first fit: the hole at the start of the second block would do."""
    chunk = taken(Chunk(1, 0, 2), (0, 1), (1, 17), (18, BLOCK_BITS - 18), (BLOCK_BITS, 16), (BLOCK_BITS + 16, 1008))
    chunk.free(1)
    chunk.free(BLOCK_BITS)
    assert (chunk.contig_hint_start, chunk.contig_hint) == (1, 17)
    assert fit(chunk, 16, align=16) is None
    assert fit(chunk, 16) == 1


def test_of_equally_long_runs_the_hint_names_the_best_aligned() -> None:
    chunk = taken(Chunk(1, 0, 1), (0, 8), (8, 8), (16, 48), (64, 8), (72, 952))
    chunk.free(8)
    chunk.free(64)
    assert (chunk.blocks[0].contig_hint, chunk.blocks[0].contig_hint_start) == (8, 64)
    assert (chunk.contig_hint, chunk.contig_hint_start) == (8, 64)


def test_nothing_is_better_aligned_than_the_start() -> None:
    chunk = taken(Chunk(1, 0, 1), (0, 8), (8, 56), (64, 8), (72, 952))
    chunk.free(0)
    chunk.free(64)
    assert (chunk.contig_hint, chunk.contig_hint_start) == (8, 0)


def test_an_atomic_request_sees_populated_pages_only() -> None:
    chunk = Chunk(1, 0, 4)
    assert chunk.find_fit(1, 1, populated_only=True) is None
    chunk.populated = 0b1100
    assert chunk.find_fit(1, 1, populated_only=True) == 2 * BLOCK_BITS
    assert chunk.find_fit(2 * BLOCK_BITS, 1, populated_only=True) == 2 * BLOCK_BITS
    chunk.populated = 0b1011
    assert chunk.find_fit(2 * BLOCK_BITS + 1, 1, populated_only=True) is None


def test_a_freed_page_joins_the_runs_on_both_sides() -> None:
    chunk = taken(Chunk(1, 0, 3), (BLOCK_BITS, BLOCK_BITS))
    assert chunk.contig_hint == BLOCK_BITS
    chunk.free(BLOCK_BITS)
    assert (chunk.contig_hint_start, chunk.contig_hint) == (0, 3 * BLOCK_BITS)


def test_the_parts_of_outer_pages_that_belong_to_a_neighbour_are_never_given_out() -> None:
    chunk = Chunk.at_boot(start=4096 + 100, size=4096)
    check_chunk(chunk, hidden=[(0, 25), (1024 + 25, 1024 - 25)])
    assert (chunk.origin, chunk.nr_pages, chunk.free_bytes) == (4096, 2, 4096)
    assert fit(chunk, 1) == 25
    assert fit(chunk, 1025) is None


@given(st.integers(0, 2**200 - 1))
def test_runs_put_together_are_the_bitmap(bitmap: int) -> None:
    assert sum((1 << end) - (1 << start) for start, end in runs(bitmap)) == bitmap


@given(st.integers(0, 2**128 - 1), st.integers(1, 40), st.sampled_from([1, 2, 16, 64]))
def test_a_run_is_found_where_a_plain_search_finds_it(bitmap: int, length: int, align: int) -> None:
    ones = (1 << length) - 1
    plain = (at for at in range(0, 128, align) if bitmap >> at & ones == ones)
    assert find_run(bitmap, length, align, 128) == next(plain, -1)


@pytest.mark.parametrize("nr_pages", [1, 3])
@given(data=st.data())
def test_hints_equal_those_counted_from_scratch_after_any_history(nr_pages: int, data: st.DataObject) -> None:
    chunk = Chunk(1, 0, nr_pages)
    for _ in range(data.draw(st.integers(0, 30))):
        if chunk.areas and data.draw(st.booleans()):
            chunk.free(data.draw(st.sampled_from(sorted(chunk.areas))))
        else:
            length = data.draw(st.integers(1, 60) | st.integers(1, 2 * BLOCK_BITS))
            start = fit(chunk, length, data.draw(st.sampled_from([1, 2, 16, 1024])))
            if start is not None:
                chunk.allocate(start, length)
        check_chunk(chunk)
