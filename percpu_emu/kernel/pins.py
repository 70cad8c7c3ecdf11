"""What keeps a dying cgroup in memory: things charged to it that somebody else still uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from percpu_emu.kernel import charge
from percpu_emu.lang.ops import ProgramFunction


@dataclass(frozen=True)
class PinKind:
    """A kind of charged object; its programs take `(memcg, nid)`."""

    summary: str
    charge: ProgramFunction
    uncharge: ProgramFunction


PIN_KINDS: Final = {
    "page-cache": PinKind(
        "a page of page cache that nobody reclaimed", charge.charge_page_cache, charge.uncharge_page_cache
    ),
    "mlock": PinKind(
        "a page that a task of another cgroup has locked in memory",
        charge.charge_mlocked_page,
        charge.uncharge_mlocked_page,
    ),
    "vfs-cache": PinKind("a slab page of dentries and inodes in use", charge.charge_slab, charge.uncharge_slab),
    "slab": PinKind("a slab page with a kernel object in use", charge.charge_slab, charge.uncharge_slab),
}
