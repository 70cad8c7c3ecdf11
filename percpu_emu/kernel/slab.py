"""The slab allocator, after SLUB of Linux 5.0: objects of one size side by side in runs of pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from percpu_emu.percpu import BadFree
from percpu_emu.percpu.bitmap import align_up, lowest
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from percpu_emu.kernel.arena import PageSource

KMALLOC_SIZES: Final = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
SLUB_MAX_ORDER: Final = 3  # PAGE_ALLOC_COSTLY_ORDER


def calculate_order(size: int, nr_cpus: int) -> int:
    """The order of the slabs that hold objects of `size` bytes (`calculate_order` in mm/slub.c).

    As many objects as the number of CPUs asks for, in a slab whose tail wastes at most 1/16, then 1/8, then 1/4 of
    it; if that cannot be, fewer objects.
    """
    wanted = 4 * (nr_cpus.bit_length() + 1)
    for objects in range(min(wanted, (PAGE_SIZE << SLUB_MAX_ORDER) // size), 1, -1):
        for fraction in (16, 8, 4):
            for order in range(_order_of(objects * size), SLUB_MAX_ORDER + 1):
                if (PAGE_SIZE << order) % size <= (PAGE_SIZE << order) // fraction:
                    return order
    return _order_of(size)


def _order_of(size: int) -> int:
    return ((size - 1) // PAGE_SIZE).bit_length()


def kmalloc_size(size: int) -> int:
    """The size class that serves `kmalloc(size)`, in bytes. Raises ValueError for what the page allocator serves."""
    for kmalloc in KMALLOC_SIZES:
        if 0 < size <= kmalloc:
            return kmalloc
    raise ValueError(f"kmalloc({size}): slab objects have 1 to {KMALLOC_SIZES[-1]} bytes")


class SlabCache:
    """A `kmem_cache`: objects of `size` bytes, `objects_per_slab` to a slab of 2**`order` pages."""

    def __init__(self, name: str, size: int, align: int, nr_cpus: int) -> None:
        self.name = name
        self.size = align_up(size, align)
        self.order = calculate_order(self.size, nr_cpus)
        self.objects_per_slab = (PAGE_SIZE << self.order) // self.size
        self.nr_slabs = 0
        self.nr_objects = 0
        self.partial: dict[Slab, None] = {}  # slabs with room, the one that has had it longest first


class Slab:
    """A run of pages cut into objects; bit `i` of `free` stands for object `i`."""

    def __init__(self, cache: SlabCache, offset: int) -> None:
        self.cache = cache
        self.offset = offset
        self.free = (1 << cache.objects_per_slab) - 1

    @property
    def pages(self) -> range:
        """The pages it consists of."""
        first = self.offset // PAGE_SIZE
        return range(first, first + (1 << self.cache.order))

    @property
    def is_empty(self) -> bool:
        """Whether no object of it is in use."""
        return self.free.bit_count() == self.cache.objects_per_slab


def slab_pages(objects: Iterable[tuple[SlabCache, int]]) -> int:
    """Pages of all slabs that hold so many objects of each cache, where none was ever freed."""
    return sum(-(-count // cache.objects_per_slab) << cache.order for cache, count in objects)


class SlabAllocator:
    """`kmalloc`, `kfree` and caches of their own over pages of `source`; an object is its byte offset there.

    A slab without objects goes back at once, where SLUB would keep a handful; per-CPU slabs are left out too.
    """

    def __init__(self, source: PageSource, nr_cpus: int) -> None:
        self._source = source
        self._nr_cpus = nr_cpus
        self._caches: dict[str, SlabCache] = {}
        self._slab_of_page: dict[int, Slab] = {}

    def kmem_cache(self, name: str, size: int, align: int = 8) -> SlabCache:
        """The cache of that name, created if there is none yet (`kmem_cache_create`)."""
        if name not in self._caches:
            self._caches[name] = SlabCache(name, size, align, self._nr_cpus)
        return self._caches[name]

    def kmalloc(self, size: int) -> int:
        """A zeroed object of at least `size` bytes. Raises ValueError above 8 kB, OutOfPages."""
        return self.alloc(size)

    def alloc(self, size: int, align: int = 8, cache: str | None = None) -> int:
        """An object of a cache of its own, or from kmalloc where that is None."""
        return self.kmem_cache_alloc(self.cache_of(size, align, cache))

    def cache_of(self, size: int, align: int, cache: str | None) -> SlabCache:
        """The cache of that name, or the one that kmalloc takes where it is None."""
        if cache is not None:
            return self.kmem_cache(cache, size, align)
        size = kmalloc_size(size)
        return self.kmem_cache(f"kmalloc-{size // 1024}k" if size >= 1024 else f"kmalloc-{size}", size)

    def kmem_cache_alloc(self, cache: SlabCache) -> int:
        """A zeroed object of `cache`. Raises OutOfPages."""
        slab = next(iter(cache.partial), None) or self._new_slab(cache)
        index = lowest(slab.free)
        slab.free ^= 1 << index
        if not slab.free:
            del cache.partial[slab]
        cache.nr_objects += 1
        offset = slab.offset + index * cache.size
        self._source.zero(offset, cache.size)
        return offset

    def kfree(self, offset: int) -> None:
        """Take an object back, of whatever cache; NULL is let pass. Raises BadFree for what is no live object."""
        if offset == 0:
            return
        slab, index = self._live_object(offset)
        slab.free |= 1 << index
        slab.cache.nr_objects -= 1
        slab.cache.partial[slab] = None
        if slab.is_empty:
            self._discard(slab)

    @property
    def slab_kb(self) -> int:
        """Pages of all slabs, in kB: this allocator's part of `Slab:` in /proc/meminfo."""
        return len(self._slab_of_page) * PAGE_SIZE // 1024

    def objects(self) -> dict[str, int]:
        """Objects in use, by cache."""
        return {name: cache.nr_objects for name, cache in self._caches.items()}

    def _new_slab(self, cache: SlabCache) -> Slab:
        slab = Slab(cache, self._source.alloc_pages(cache.order))
        self._slab_of_page.update(dict.fromkeys(slab.pages, slab))
        cache.partial[slab] = None
        cache.nr_slabs += 1
        return slab

    def _discard(self, slab: Slab) -> None:
        for page in slab.pages:
            del self._slab_of_page[page]
        del slab.cache.partial[slab]
        slab.cache.nr_slabs -= 1
        self._source.free_pages(slab.offset, slab.cache.order)

    def _live_object(self, offset: int) -> tuple[Slab, int]:
        slab = self._slab_of_page.get(offset // PAGE_SIZE)
        if slab is None:
            raise BadFree(f"kfree({offset:#x}): in no slab: never allocated, or freed already with its whole slab")
        index, inside = divmod(offset - slab.offset, slab.cache.size)
        if inside or index >= slab.cache.objects_per_slab:
            start = offset - inside
            raise BadFree(f"kfree({offset:#x}): inside the {slab.cache.name} object {start:#x}..+{slab.cache.size}")
        if slab.free >> index & 1:
            raise BadFree(f"kfree({offset:#x}): freed already or never allocated, in {slab.cache.name}")
        return slab, index
