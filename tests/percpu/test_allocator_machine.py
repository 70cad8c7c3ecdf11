"""Any sequence of allocations, frees and balance work keeps every promise of the allocator, on real pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from percpu_emu.percpu import NULL, AreaLayout, BadFree, PerCpuAllocator, PerCpuExhausted, SharedPages
from percpu_emu.percpu.layout import KB

from .recount import check_accounting, check_chunk

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LAYOUT = AreaLayout((3, 2), static_size=4 * KB, atom_size=256 * KB)


class AllocatorMachine(RuleBasedStateMachine):
    """Every CPU's copy of every live area is filled with a pattern of its own, which must be found there later."""

    depopulates = False
    areas = Bundle("areas")
    gone = Bundle("gone")

    def __init__(self) -> None:
        super().__init__()
        self.store = SharedPages(LAYOUT, max_chunks=3)
        self.percpu = PerCpuAllocator(LAYOUT, self.store, depopulates=self.depopulates)
        self.sizes: dict[int, int] = {}

    def copies(self, p: int) -> list[npt.NDArray[np.uint8]]:
        starts = [p + LAYOUT.unit_offset(cpu) for cpu in range(LAYOUT.nr_cpus)]
        return [self.store.segment.bytes[start : start + self.sizes[p]] for start in starts]

    @rule(
        target=areas,
        size=st.sampled_from([4, 8, 32, 64, 128, 240, 952]) | st.integers(1, 32 * KB),
        align=st.sampled_from([1, 4, 8, 16, 64, 4096]),
        atomic=st.booleans(),
        reserved=st.sampled_from([False, False, False, True]),
    )
    def alloc(self, size: int, align: int, atomic: bool, reserved: bool) -> object:
        before = self.percpu.nr_populated
        try:
            p = self.percpu.alloc(size, align, atomic=atomic, reserved=reserved)
        except PerCpuExhausted:
            assert self.percpu.nr_populated == before
            return multiple()
        assert p != NULL
        assert p % align == 0
        assert size <= self.percpu.size_of(p) < size + 4
        assert not atomic or self.percpu.nr_populated == before
        self.sizes[p] = self.percpu.size_of(p)
        for cpu, copy in enumerate(self.copies(p)):
            assert not copy.any(), "not zeroed"
            copy[:] = 1 + (p // 4 + cpu) % 255
        return p

    @rule(target=gone, p=consumes(areas))
    def free(self, p: int) -> int:
        self.check_contents(p)
        self.percpu.free(p)
        del self.sizes[p]
        return p

    @rule(p=gone, inside=st.integers(0, 64))
    def free_what_is_not_live(self, p: int, inside: int) -> None:
        if p + inside not in self.sizes:
            with pytest.raises(BadFree, match=f"{p + inside:#x}: "):
                self.percpu.free(p + inside)

    @rule()
    def balance(self) -> None:
        self.percpu.balance()
        assert not self.percpu.balance_pending
        assert not self.percpu._chunks.slots.to_depopulate
        free = list(self.percpu._chunks.slots.free_chunks)
        assert self.depopulates or len(free) <= 1

    @invariant()
    def live_areas_are_those_handed_out_and_do_not_overlap(self) -> None:
        live = list(self.percpu.live())
        assert dict(live) == self.sizes
        ends = [p + size for p, size in live]
        assert all(end <= start for end, (start, _) in zip(ends, live[1:], strict=False))

    @invariant()
    def counts_agree_with_the_maps_and_the_operating_system(self) -> None:
        check_accounting(self.percpu)

    def check_contents(self, p: int) -> None:
        for cpu, copy in enumerate(self.copies(p)):
            assert (copy == 1 + (p // 4 + cpu) % 255).all()

    def teardown(self) -> None:
        for p in self.sizes:
            self.check_contents(p)
        for chunk in self.percpu._chunks:
            check_chunk(chunk)
        self.store.segment.close()


class DepopulatingMachine(AllocatorMachine):
    """The same promises hold where empty pages of chunks in use are given back."""

    depopulates = True


TestAnyHistoryKeepsThePromisesAlsoDepopulating = DepopulatingMachine.TestCase
TestAnyHistoryKeepsThePromises = AllocatorMachine.TestCase
