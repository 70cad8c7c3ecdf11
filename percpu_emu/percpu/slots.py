"""The chunks in the order the allocator looks at them: in slots by free bytes, the fullest first."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from percpu_emu.percpu.chunk import Chunk

PCPU_SLOT_BASE_SHIFT: Final = 5  # chunks with fewer than 32 free bytes share slot 1


class Slots:
    """`pcpu_slot[]`: a list of chunks for every power of two of free bytes, the last one for wholly free chunks.

    The list before the last holds sidelined chunks, which gave pages back; `to_depopulate` those that are about to.
    Isolated chunks are on these two, whatever they have free. Kernels that do not depopulate have none.
    """

    def __init__(self, unit_size: int) -> None:
        self._unit_size = unit_size
        self._lists: list[deque[Chunk]] = [deque() for _ in range(slot_of_size(unit_size) + 3)]
        self.to_depopulate: deque[Chunk] = deque()
        self._slot: dict[Chunk, int] = {}

    @property
    def free_chunks(self) -> deque[Chunk]:
        """The wholly free chunks."""
        return self._lists[-1]

    @property
    def _sidelined(self) -> deque[Chunk]:
        return self._lists[-2]

    def roomy(self, size: int) -> list[deque[Chunk]]:
        """The lists of the chunks that may have room for `size` bytes, the fullest chunks first."""
        return self._lists[slot_of_size(size) :]

    def place(self, chunk: Chunk) -> None:
        """Put a new or changed chunk where it belongs now (`pcpu_chunk_relocate`).

        One that became emptier goes to the head of its new list, one that became fuller to the tail. An isolated
        chunk stays where it is.
        """
        if chunk.isolated:
            return
        old, new = self._slot.get(chunk, -1), self._slot_of(chunk)
        if old == new:
            return
        if old >= 0:
            self._lists[old].remove(chunk)
        if old < new:
            self._lists[new].appendleft(chunk)
        else:
            self._lists[new].append(chunk)
        self._slot[chunk] = new

    def isolate(self, chunk: Chunk) -> None:
        """Put a chunk first among those that are about to give pages back (`pcpu_isolate_chunk`)."""
        self._take_off(chunk)
        chunk.isolated = True
        self.to_depopulate.appendleft(chunk)

    def sideline(self, chunk: Chunk) -> None:
        """Put one that has given them back where it is looked at after all others in use."""
        self._take_off(chunk)
        self._sidelined.append(chunk)

    def reintegrate(self, chunk: Chunk) -> None:
        """Put an isolated chunk back among the others (`pcpu_reintegrate_chunk`)."""
        self._take_off(chunk)
        chunk.isolated = False
        self.place(chunk)

    def _take_off(self, chunk: Chunk) -> None:
        """Off whatever list it is on."""
        if not chunk.isolated:
            self.remove(chunk)
        elif chunk in self.to_depopulate:
            self.to_depopulate.remove(chunk)
        else:
            self._sidelined.remove(chunk)

    def remove(self, chunk: Chunk) -> None:
        """Forget a chunk that is destroyed."""
        self._lists[self._slot.pop(chunk)].remove(chunk)

    def _slot_of(self, chunk: Chunk) -> int:
        if chunk.free_bytes == self._unit_size:
            return len(self._lists) - 1
        return slot_of_size(chunk.free_bytes) if chunk.contig_hint else 0


def slot_of_size(size: int) -> int:
    """The list of the chunks with `size` free bytes."""
    return max(size.bit_length() - PCPU_SLOT_BASE_SHIFT + 2, 1)
