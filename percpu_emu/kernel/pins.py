"""What keeps a dying cgroup in memory: things charged to it that others still use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from percpu_emu.kernel.charge import charge_page, charge_slab, uncharge_page, uncharge_slab
from percpu_emu.kernel.layout import Item
from percpu_emu.lang.ops import ProgramFunction


@dataclass(frozen=True)
class PinKind:
    """A kind of charged object; its programs take `(memcg, nid, *arguments)`."""

    summary: str
    charge: ProgramFunction
    uncharge: ProgramFunction
    arguments: tuple[int, ...] = ()


PIN_KINDS: Final = {
    "page-cache": PinKind(
        "a page of page cache that reclaim has left",
        charge_page,
        uncharge_page,
        (Item.MEMCG_CACHE, Item.NR_FILE_PAGES),
    ),
    "mlock": PinKind(
        "a page that a task of another cgroup has locked in memory",
        charge_page,
        uncharge_page,
        (Item.MEMCG_RSS, Item.NR_UNEVICTABLE),
    ),
    "vfs-cache": PinKind("a slab page of dentries and inodes in use", charge_slab, uncharge_slab),
    "slab": PinKind("a slab page with a kernel object in use", charge_slab, uncharge_slab),
}
