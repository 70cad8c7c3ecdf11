"""A segment: anonymous shared memory (memfd) that CPU processes inherit, page by page given and taken back."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

PAGE_SIZE: Final = 4096
WORD_SIZE: Final = 8

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_FALLOC_FL_KEEP_SIZE: Final = 0x01
_FALLOC_FL_PUNCH_HOLE: Final = 0x02


class OutOfPages(MemoryError):
    """The operating system has no page left for a segment (memfd full, memory limit, file size limit)."""


class Segment:
    """`size` bytes of address space, backed by a memfd, with no page in it until one is touched or populated.

    The segment has no name in any file system: when the last process that maps it ends, its pages are free.
    Made before the CPU processes are forked, it lies at the same `address` in every one of them.
    """

    def __init__(self, name: str, size: int) -> None:
        if size <= 0 or size % PAGE_SIZE:
            raise ValueError(f"segment {name}: size {size} is not a positive multiple of {PAGE_SIZE}")
        self.name = name
        self.size = size
        self.fd = os.memfd_create(f"percpu-emu:{name}", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self.fd, size)
            self._map = mmap.mmap(self.fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as error:
            os.close(self.fd)
            raise OutOfPages(f"segment {name}: {size} bytes of address space refused: {error.strerror}") from error
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(self._map, dtype=np.uint8)
        self.words: npt.NDArray[np.int64] = np.frombuffer(self._map, dtype=np.int64)
        self.address: int = self.bytes.ctypes.data

    def populate(self, offset: int, length: int) -> None:
        """Back `length` bytes at `offset` (both in whole pages) with pages; those already there stay as they are."""
        self._fallocate(0, offset, length)

    def punch(self, offset: int, length: int) -> None:
        """Give the pages of `length` bytes at `offset` back to the operating system; they read as zero afterwards."""
        self._fallocate(_FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE, offset, length)

    def held_pages(self) -> int:
        """Pages that the operating system says this segment holds (st_blocks counts units of 512 bytes)."""
        return os.fstat(self.fd).st_blocks * 512 // PAGE_SIZE

    def holds_data(self, offset: int, length: int) -> bool:
        """Whether a page of the range was read or written since the last `punch`; `populate` does neither."""
        return next(self.data_pages(offset, length), None) is not None

    def data_pages(self, offset: int, length: int) -> Iterator[int]:
        """Offsets of the touched pages of a range. Looking for them through the mapping would touch the others, too."""
        end = offset + length
        while offset < end:
            try:
                offset = os.lseek(self.fd, offset, os.SEEK_DATA)
                hole = os.lseek(self.fd, offset, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # no data from `offset` to the end
                    return
                raise
            yield from range(offset, min(hole, end), PAGE_SIZE)
            offset = hole

    def close(self) -> None:
        """Close the descriptor; the mapping ends with the process, since numpy views of it may still be alive."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _fallocate(self, mode: int, offset: int, length: int) -> None:
        while _libc.fallocate(self.fd, mode, offset, length):
            error = ctypes.get_errno()
            if error == errno.EINTR:
                continue
            if error in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
                raise OutOfPages(f"segment {self.name}: no page for {length} bytes at {offset}: {os.strerror(error)}")
            raise OSError(error, f"segment {self.name}: fallocate({offset}, {length}): {os.strerror(error)}")
