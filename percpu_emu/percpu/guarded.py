"""The guard: every area of per-CPU memory has pages of its own, and they are gone when it is freed.

A freed area's file is truncated to nothing, so that any access to it, by any process, raises SIGBUS; so does an access
to what was never allocated, NULL included. A place is used again only when every other one has been, so that an access
long after the free finds nothing there, too.

What does not trap: beyond the end of a live area, up to the end of its last page, an access is not noticed at all; from
there to the end of that CPU's unit it makes a page, which `stray_pages` finds afterwards.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from percpu_emu.percpu.allocator import NULL, BadFree, PerCpuExhausted
from percpu_emu.percpu.areas import AreaBook
from percpu_emu.percpu.layout import KB, PCPU_MIN_UNIT_SIZE, AreaLayout
from percpu_emu.shm import PAGE_SIZE, OutOfPages
from percpu_emu.shm.mapping import map_shared, release, reserve

MOST_AREAS: Final = 32_768
FEWEST_AREAS: Final = 64
_SPARE: Final = 512
"""Files and mappings that are left for everything else."""
_MAX_MAP_COUNT: Final = Path("/proc/sys/vm/max_map_count")


class GuardedLayout(AreaLayout):
    """Units of the largest area there is: the copies of one area lie side by side, in one file, mapped at once."""

    @property
    def unit_size(self) -> int:
        """Bytes between the copies of two CPUs."""
        return PCPU_MIN_UNIT_SIZE

    @property
    def nr_units(self) -> int:
        """There is a unit for each CPU, and no other."""
        return self.nr_cpus

    @property
    def place_size(self) -> int:
        """Bytes between two percpu pointers."""
        return self.nr_cpus * self.unit_size

    def unit_offset(self, cpu: int) -> int:
        """Bytes to add to a percpu pointer to get to `cpu`'s copy."""
        return cpu * self.unit_size


class GuardedPerCpu:
    """Allocator and pages in one. `who()` says, for people, who is allocating or freeing, and when."""

    balance_pending = False
    """It has no chunks to balance."""

    def __init__(self, layout: AreaLayout, who: Callable[[], str] = lambda: "") -> None:
        self.layout = GuardedLayout(layout.cpus_per_node, layout.static_size, layout.reserved_size)
        self.book = AreaBook(who)
        self.places = _places()
        self._files: list[int] = []
        self._live: dict[int, int] = {}  # place -> bytes
        self._free: deque[int] = deque(range(1, self.places))  # place 0 would be NULL
        self.size = self.places * self.layout.place_size
        with ExitStack() as undo:
            self.address = reserve(self.size)
            undo.callback(self.close)
            for place in range(self.places):
                self._files.append(_file(place))
                map_shared(self.address + place * self.layout.place_size, self.layout.place_size, self._files[place])
            undo.pop_all()
        words = (ctypes.c_int64 * (self.size // 8)).from_address(self.address)
        self.words: npt.NDArray[np.int64] = np.ctypeslib.as_array(words)

    # --- what the machine asks of an allocator

    def alloc(self, size: int, align: int = 8) -> int:
        """The percpu pointer of `size` zeroed bytes on every possible CPU; never NULL. Raises PerCpuExhausted."""
        if not 0 < size <= PCPU_MIN_UNIT_SIZE or align > PAGE_SIZE:
            raise ValueError(f"percpu size {size}, alignment {align}: at most {PCPU_MIN_UNIT_SIZE} bytes and a page")
        if not self._free:
            raise PerCpuExhausted(f"the guard has {self.places - 1} areas at a time (open files, vm.max_map_count)")
        place = self._free.popleft()
        os.ftruncate(self._files[place], self.layout.place_size)
        try:
            for cpu in range(self.layout.nr_cpus):
                os.posix_fallocate(self._files[place], self.layout.unit_offset(cpu), _pages(size) * PAGE_SIZE)
        except OSError as error:
            os.ftruncate(self._files[place], 0)
            self._free.appendleft(place)
            raise PerCpuExhausted(f"no page for {size} bytes a CPU: {error.strerror}") from error
        pointer = place * self.layout.place_size
        self._live[place] = size
        self.book.allocated(pointer)
        return pointer

    def free(self, p: int) -> None:
        """Take the area at a percpu pointer away, pages and all. Raises BadFree; NULL is let pass."""
        if p == NULL:
            return
        place, odd = divmod(p, self.layout.place_size)
        if place not in self._live or odd:
            last = self.book.last(p)
            raise BadFree(f"percpu pointer {p:#x}: " + (f"freed before: {last}" if last else "no area"))
        self.book.freed(p, self._live.pop(place))
        self._free.append(place)
        os.ftruncate(self._files[place], 0)

    def balance(self) -> None:
        """Nothing is kept ready."""

    @property
    def nr_populated(self) -> int:
        """Pages of each CPU."""
        return sum(map(_pages, self._live.values()))

    @property
    def percpu_kb(self) -> int:
        """`Percpu:` of /proc/meminfo, in kB."""
        return self.os_pages_expected() * PAGE_SIZE // KB

    def os_pages_expected(self) -> int:
        """Pages that are really backed."""
        return self.nr_populated * self.layout.nr_cpus

    # --- what it asks of pages

    def held_pages(self) -> int:
        """Pages that the operating system says the files hold."""
        return sum(map(self._held, self._live))

    def stray_pages(self) -> list[str]:
        """Pages between the end of a live area's copy and the next copy. What was freed cannot come back: it traps."""
        return [page for place, size in self._live.items() for page in self._beyond(place, _pages(size))]

    def describe(self, address: int) -> str | None:
        """What was or is at an address, for people; None where it is not in per-CPU memory."""
        if not self.address <= address < self.address + self.size:
            return None
        place, offset = divmod(address - self.address, self.layout.place_size)
        cpu, byte = divmod(offset, self.layout.unit_size)
        pointer = place * self.layout.place_size
        area = self.book.live(pointer, self._live[place]) if place in self._live else self.book.last(pointer)
        what = str(area) if area else "per-CPU memory that was never allocated" if place else "NULL"
        return f"byte {byte} of CPU {cpu}'s copy of {what}"

    def close(self) -> None:
        """Close the files and give the addresses back."""
        for file in self._files:
            os.close(file)
        self._files = []
        if self.size:
            release(self.address, self.size)
            self.size = 0

    def _held(self, place: int) -> int:
        return os.fstat(self._files[place]).st_blocks * 512 // PAGE_SIZE

    def _beyond(self, place: int, pages: int) -> Iterator[str]:
        """For people: where a CPU's unit of a place was touched first beyond the pages that it has there."""
        if self._held(place) == pages * self.layout.nr_cpus:
            return
        for cpu in range(self.layout.nr_cpus):
            start = self.layout.unit_offset(cpu)
            found = _first_data(self._files[place], start + pages * PAGE_SIZE)
            if found is not None and found < start + self.layout.unit_size:
                yield f"beyond its end: {self.describe(self.address + place * self.layout.place_size + found)}"


def _pages(size: int) -> int:
    return -(-size // PAGE_SIZE)


def _first_data(file: int, offset: int) -> int | None:
    """The first touched page of a file from `offset` on; pages that are only backed do not count."""
    try:
        return os.lseek(file, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def _file(place: int) -> int:
    try:
        return os.memfd_create(f"percpu-emu:area {place}", os.MFD_CLOEXEC)
    except OSError as error:
        raise OutOfPages(f"the guard's file {place} was refused: {error.strerror}") from error


def _places() -> int:
    """As many as open files and mappings allow; the limit of open files is raised to what this user may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_AREAS + _SPARE
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    mappings = int(_MAX_MAP_COUNT.read_text()) if _MAX_MAP_COUNT.exists() else MOST_AREAS + _SPARE
    places = min(MOST_AREAS, (wanted if soft == resource.RLIM_INFINITY else soft) - _SPARE, mappings - 4 * _SPARE)
    if places < FEWEST_AREAS:
        raise OutOfPages(
            f"the guard needs a file and a mapping for each area, at least {FEWEST_AREAS + _SPARE}: "
            f"{soft} open files and {mappings} mappings are allowed (ulimit -n, vm.max_map_count)"
        )
    return places
