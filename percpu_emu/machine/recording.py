"""Rings of recorded operations: one a context's process, merged into the order in which they were begun.

An operation takes its number just before it is done, not in it: of two that fall together, the one with the lower
number may have been the later one. What the rings hold is a candidate for the order, not the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from percpu_emu.lang import context as c
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE, Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from percpu_emu.lang.source import Site

CALLBACK: Final = c.RECORD_CONTEXTS - 1
"""The context of what the coordinator runs: callbacks and work."""
_LINE: Final = 8
_FIRST_RING: Final = 2 * PAGE_SIZE // WORD_SIZE


@dataclass(frozen=True)
class Recorded:
    """An operation that was begun: which context, and at which of its program's sites."""

    context: int
    site: Site


class Rings:
    """So many rings, and in front of them some words for the caller that records the machine; made before it starts."""

    def __init__(self, rings: int) -> None:
        size = (_FIRST_RING + rings * c.RECORD_WORDS) * WORD_SIZE
        self._segment = Segment("rings", -(-size // PAGE_SIZE) * PAGE_SIZE)
        self._rings = rings
        self.words: npt.NDArray[np.int64] = self._segment.words
        self.clear()
        for ring in range(rings):
            self._ring(ring)[c.RECORD_SEQUENCE] = self.word((_FIRST_RING // _LINE - 1) * _LINE)

    def close(self) -> None:
        """Give the memory back."""
        self._segment.close()

    def word(self, number: int) -> int:
        """The address of one of the words in front."""
        return self._segment.address + number * WORD_SIZE

    def address(self, ring: int) -> int:
        """Where a ring begins, for `context.RECORD`."""
        return self.word(_FIRST_RING + ring * c.RECORD_WORDS)

    def clear(self) -> None:
        """Forget everything; no process may be recording."""
        for number in range(self._rings):
            ring = self._ring(number)
            ring[c.RECORD_COUNT] = 0

    def set_context(self, ring: int, context: int) -> None:
        """Whose operations a ring records from now on."""
        self._ring(ring)[c.RECORD_CONTEXT] = context

    def merged(self, sites: Sequence[Site]) -> tuple[list[Recorded], bool]:
        """All rings, merged by number; and whether they hold everything: a full ring loses its oldest operations."""
        found: list[tuple[int, Recorded]] = []
        whole = True
        for number in range(self._rings):
            ring = self._ring(number)
            count = int(ring[c.RECORD_COUNT])
            whole &= count <= c.RECORD_ENTRIES
            kept = min(count, c.RECORD_ENTRIES)
            entries = ring[c.RECORD_FIRST : c.RECORD_FIRST + 2 * kept].reshape(kept, 2).tolist()
            for sequence, what in entries:
                site, context = divmod(what, c.RECORD_CONTEXTS)
                found.append((sequence, Recorded(context, sites[site])))
        return [event for _, event in sorted(found, key=lambda pair: pair[0])], whole

    def _ring(self, number: int) -> npt.NDArray[np.int64]:
        start = _FIRST_RING + number * c.RECORD_WORDS
        return self.words[start : start + c.RECORD_WORDS]
