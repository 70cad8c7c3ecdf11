"""Pages for slabs: runs of 2**order, naturally aligned, out of a segment or out of a mere count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from percpu_emu.shm import PAGE_SIZE, OutOfPages

if TYPE_CHECKING:
    from percpu_emu.shm import Segment

_COUNTED_PAGES: Final = 1 << 40


class PageSource(Protocol):
    """What a slab allocator asks of memory; offsets are bytes, multiples of the run's own size, and never 0."""

    def alloc_pages(self, order: int) -> int:
        """The offset of 2**`order` pages, all zero. Raises OutOfPages."""

    def free_pages(self, offset: int, order: int) -> None:
        """Take a run back."""

    def zero(self, offset: int, size: int) -> None:
        """Clear `size` bytes."""


class Buddy:
    """The bookkeeping of pages 1 to `nr_pages` - 1: page 0 is never handed out, so that offset 0 can mean NULL."""

    def __init__(self, nr_pages: int) -> None:
        self._free: list[dict[int, None]] = [{} for _ in range(nr_pages.bit_length())]
        page = 1
        while page < nr_pages:  # the biggest naturally aligned run that starts here and fits
            order = min((page & -page).bit_length(), (nr_pages - page).bit_length()) - 1
            self._free[order][page] = None
            page += 1 << order

    def alloc(self, order: int) -> int | None:
        """The first page of a free run of 2**`order` pages, halved from a bigger one if need be; None if none is."""
        for found in range(order, len(self._free)):
            if self._free[found]:
                page, _ = self._free[found].popitem()
                for half in range(found - 1, order - 1, -1):
                    self._free[half][page + (1 << half)] = None
                return page
        return None

    def is_free(self, page: int) -> bool:
        """Whether a page is part of a free run; page 0, which is never handed out, is not."""
        return any(page >> order << order in runs for order, runs in enumerate(self._free))

    def free(self, page: int, order: int) -> None:
        """Take a run back and join it with its buddy, as long as that one is free too."""
        while (buddy := page ^ 1 << order) in self._free[order]:
            del self._free[order][buddy]
            page, order = min(page, buddy), order + 1
        self._free[order][page] = None


class Arena:
    """Real pages, populated in a segment when they are handed out and punched out of it when they come back."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self._buddy = Buddy(segment.size // PAGE_SIZE)

    def alloc_pages(self, order: int) -> int:
        """2**`order` pages; raises OutOfPages when the segment is full or the operating system has no page."""
        page = self._buddy.alloc(order)
        if page is None:
            raise OutOfPages(f"segment {self.segment.name}: no {1 << order} free pages in a row")
        try:
            self.segment.populate(page * PAGE_SIZE, PAGE_SIZE << order)
        except OutOfPages:
            self._buddy.free(page, order)
            raise
        return page * PAGE_SIZE

    def free_pages(self, offset: int, order: int) -> None:
        """Punch the run out of the segment."""
        self.segment.punch(offset, PAGE_SIZE << order)
        self._buddy.free(offset // PAGE_SIZE, order)

    def stray_pages(self) -> list[int]:
        """Pages that were punched out and came back because something touched them."""
        touched = (offset // PAGE_SIZE for offset in self.segment.data_pages(0, self.segment.size))
        return [page for page in touched if self._buddy.is_free(page)]

    def zero(self, offset: int, size: int) -> None:
        """Clear `size` bytes of the segment."""
        self.segment.bytes[offset : offset + size] = 0


class CountedArena:
    """Offsets with no memory behind them, for counting slabs."""

    def __init__(self) -> None:
        self._buddy = Buddy(_COUNTED_PAGES)

    def alloc_pages(self, order: int) -> int:
        """2**`order` pages of an address space that has no end in practice."""
        page = self._buddy.alloc(order)
        if page is None:
            raise OutOfPages("no address left")
        return page * PAGE_SIZE

    def free_pages(self, offset: int, order: int) -> None:
        """Take a run back."""
        self._buddy.free(offset // PAGE_SIZE, order)

    def zero(self, offset: int, size: int) -> None:
        """Nothing is there to clear."""
