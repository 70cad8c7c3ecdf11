"""The memory of a replay: one stretch of addresses, in which a region that is not there traps.

Word w of `lang.setting` lies at `base + 8 * w`, whether it is the kernel's or a CPU's copy, so that addresses need no
translation: a reservation of 32 GB of addresses for each CPU, with pages only where something is. Each region has a
memfd of its own. Handed out, it has pages; otherwise its length is 0, and the processor raises SIGBUS at any access,
read or write, by any process. All that is not mapped raises SIGSEGV, NULL too.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from percpu_emu.kernel.layout import BOOT, CPU_ONLINE_MASK, CPU_POSSIBLE_MASK, STATIC, STATIC_WORDS, cpumask_of
from percpu_emu.lang import context as c
from percpu_emu.lang.context import NO_UNIT, Bases, Context
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, UNIT_SHIFT, unit_word
from percpu_emu.replay import layout as at
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE, OutOfPages, Segment
from percpu_emu.shm.mapping import map_shared, release, reserve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percpu_emu.replay.control import Control

_UNIT_MASK: Final = (1 << UNIT_SHIFT) - 1
_KERNEL_BYTES: Final = (STATIC + STATIC_WORDS - BOOT) * WORD_SIZE


class Violated(Exception):
    """A check failed, in the step that is being done; `guilty`: earlier steps that are to blame, too."""

    def __init__(self, check: str, detail: str, *guilty: int) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check
        self.detail = detail
        self.guilty = guilty


@dataclass(frozen=True)
class Pool:
    """Regions of one kind, in the order in which they are handed out."""

    name: str
    handed_out: int
    """The control word that counts them."""
    entries: int
    """Where the words of the first one begin in the control segment."""
    first: int
    """Pointer of the first region."""
    length: int
    """Bytes of a region: a page, or a page on each CPU."""
    files: tuple[int, ...]

    def entry(self, index: int) -> int:
        """Where the words of a region begin in the control segment."""
        return self.entries + index * at.REGION_WORDS

    def pointer(self, index: int) -> int:
        """Where a region begins."""
        return self.first + index * OBJECT_WORDS


class ReplayedMemory:
    """Made before the processes are forked, with as many regions as the plan says."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._cpus = control.setting.cpus
        self._size = (self._cpus + 1) * WORD_SIZE << UNIT_SHIFT
        with contextlib.ExitStack() as made:
            self._base = self._reserve(made)
            blocks = -(-c.control_words(self._cpus + 1) * WORD_SIZE // PAGE_SIZE) * PAGE_SIZE
            self._kernel = self._segment(made, "kernel", _KERNEL_BYTES)
            self._static = self._segment(made, "static", self._cpus * PAGE_SIZE)
            self._blocks = self._segment(made, "blocks", blocks)
            self.areas = self._pool(made, "area", at.AREAS, OBJECT_WORDS, self._cpus * PAGE_SIZE)
            self.objects = self._pool(made, "object", at.OBJECTS, FIRST_OBJECT, PAGE_SIZE)
            self._map()
            self._boot()
            self._made = made.pop_all()

    def bases(self, cpu: int | None) -> Bases:
        """For compiled code that runs on `cpu`."""
        block = self._blocks.address + c.block_offset(self._cpus if cpu is None else cpu) * WORD_SIZE
        unit = NO_UNIT if cpu is None else self._address(unit_word(cpu, 0))
        return Context(self._base, self._address(unit_word(0, 0)), unit, block, 0, self._blocks.address).bases()

    def alloc(self, pool: Pool, size: int) -> int:
        """A region of `size` bytes."""
        if not 0 < size <= PAGE_SIZE:
            raise Violated("fault", f"an object of the model has 1 to {PAGE_SIZE} bytes, not {size}")
        words = self._control.words
        index = words[pool.handed_out]
        if index == len(pool.files):
            raise OutOfPages(f"the plan has {index} {pool.name}s, and one more is asked for")
        words[pool.handed_out] = index + 1
        words[pool.entry(index) + at.SIZE] = size
        os.ftruncate(pool.files[index], pool.length)
        return pool.pointer(index)

    def free(self, pool: Pool, pointer: int, step: int) -> None:
        """Take a region's pages away."""
        if pointer == 0:
            return
        words = self._control.words
        index, offset = divmod(pointer - pool.first, OBJECT_WORDS)
        if offset or not 0 <= index < words[pool.handed_out]:
            raise Violated("wild-free", f"{pointer:#x} was never allocated")
        entry = pool.entry(index)
        if words[entry + at.IS_FREE]:
            raise Violated("double-free", f"{pool.name} {index} was freed before", words[entry + at.FREED_AT] - 1)
        words[entry + at.FREED_AT] = step + 1
        words[entry + at.IS_FREE] = 1
        os.ftruncate(pool.files[index], 0)

    def check(self, address: int) -> None:
        """Raise `Violated` for what no processor traps: addresses beyond all, and beyond the size of what is there."""
        if 0 <= address < FIRST_OBJECT:
            return
        if not 0 <= address < (self._cpus + 1) << UNIT_SHIFT:
            raise Violated("wild-access", f"{address:#x} is not an address")
        found = self.region_of(address)
        if found is not None and self._is_live(found[0], found[1]):
            pool, index, offset = found
            size = self._control.words[pool.entry(index) + at.SIZE]
            if offset * WORD_SIZE >= size:
                raise Violated(
                    "wild-access",
                    f"the page has room here, {pool.name} {index} ends at byte {size}: hardware cannot trap this",
                )

    def gone(self, address: int) -> Violated:
        """Why an access trapped."""
        found = self.region_of(address)
        if found is None:
            return Violated("wild-access", f"nothing was ever at {address:#x} (SIGSEGV)")
        pool, index, offset = found
        words, entry = self._control.words, pool.entry(index)
        if self._is_live(pool, index):
            raise OutOfPages(f"the operating system has no page left for {pool.name} {index}")
        if not words[entry + at.IS_FREE]:
            return Violated("wild-access", f"{pool.name} {index} was never allocated (SIGBUS)")
        detail, freed_at = f"the page of {pool.name} {index} is gone (SIGBUS)", words[entry + at.FREED_AT] - 1
        if offset * WORD_SIZE >= words[entry + at.SIZE]:
            detail += f", and it ended at byte {words[entry + at.SIZE]}"
            return Violated("wild-access", detail, freed_at)
        return Violated("use-after-free", detail, freed_at)

    def _is_live(self, pool: Pool, index: int) -> bool:
        words = self._control.words
        return index < words[pool.handed_out] and not words[pool.entry(index) + at.IS_FREE]

    def region_of(self, address: int) -> tuple[Pool, int, int] | None:
        """Pool, index and offset in words, whether allocated or not; None for what is no region."""
        word = address & _UNIT_MASK
        pool = self.areas if address >> UNIT_SHIFT else self.objects
        index, offset = divmod(word - pool.first, OBJECT_WORDS)
        return (pool, index, offset) if 0 <= index < len(pool.files) else None

    def words(self) -> dict[int, int]:
        """Every word that is not 0, by address. By read(), since looking through the mapping would make pages."""
        found: dict[int, int] = {}
        for address, file, offset, length in self._mapped():
            if length == PAGE_SIZE and os.fstat(file).st_size == 0:
                continue
            values = np.frombuffer(os.pread(file, length, offset), dtype=np.int64)
            places = values.nonzero()[0]
            found.update(zip((places + address).tolist(), values[places].tolist(), strict=True))
        return found

    def close(self) -> None:
        """Give everything back."""
        self._made.close()

    def _segment(self, made: contextlib.ExitStack, name: str, size: int) -> Segment:
        segment = Segment(name, size)
        made.callback(segment.close)
        return segment

    def _pool(self, made: contextlib.ExitStack, name: str, kind: int, first: int, length: int) -> Pool:
        files = []
        for index in range(self._control.plan.areas if kind == at.AREAS else self._control.plan.objects):
            files.append(os.memfd_create(f"percpu-emu:{name} {index}", os.MFD_CLOEXEC))
            made.callback(os.close, files[-1])
        entries = self._control.layout.region(0 if kind == at.AREAS else self._control.plan.areas)
        return Pool(name, at.POOLS + kind, entries, first, length, tuple(files))

    def _mapped(self) -> Iterator[tuple[int, int, int, int]]:
        """What lies where: address in words, file, offset and length in bytes."""
        yield BOOT, self._kernel.fd, 0, _KERNEL_BYTES
        for cpu in range(self._cpus):
            yield unit_word(cpu, 0), self._static.fd, cpu * PAGE_SIZE, PAGE_SIZE
            for index, file in enumerate(self.areas.files):
                yield unit_word(cpu, self.areas.pointer(index)), file, cpu * PAGE_SIZE, PAGE_SIZE
        for index, file in enumerate(self.objects.files):
            yield self.objects.pointer(index), file, 0, PAGE_SIZE

    def _address(self, word: int) -> int:
        return self._base + word * WORD_SIZE

    def _reserve(self, made: contextlib.ExitStack) -> int:
        base = reserve(self._size)
        made.callback(release, base, self._size)
        return base

    def _map(self) -> None:
        for address, file, offset, length in self._mapped():
            map_shared(self._address(address), length, file, offset)

    def _boot(self) -> None:
        setting = self._control.setting
        everyone = (1 << self._cpus) - 1
        masks = {CPU_POSSIBLE_MASK: everyone, CPU_ONLINE_MASK: everyone}
        masks |= {cpumask_of(cpu): 1 << cpu for cpu in range(self._cpus)}
        for address, mask in masks.items():
            self._kernel.words[address - BOOT] = mask
        header = self._blocks.words
        for cpu in range(self._cpus):
            header[c.UNIT_OFFSETS + cpu] = unit_word(cpu, 0) - unit_word(0, 0)
        header[c.NR_CPU_IDS], header[c.NR_NODE_IDS] = self._cpus, setting.nodes
