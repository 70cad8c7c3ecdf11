"""A kernel's profile, from its types (`kernel.btf`) and from what is known of kernels (`kernel.cgroup_rules`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from percpu_emu.kernel.btf import BtfError
from percpu_emu.kernel.cgroup_rules import LONG, OWN_CACHES, PERCPU_RULES, SLAB_RULES, Rule
from percpu_emu.kernel.profile import KernelProfile, profile_of
from percpu_emu.percpu.layout import PERCPU_DYNAMIC_EARLY_SIZE, PERCPU_DYNAMIC_RESERVE, PERCPU_MODULE_RESERVE
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from percpu_emu.kernel.btf import Btf, KernelImage

BOOT_PAGES: Final = 61
"""First chunk of Debian's 6.1 cloud kernel (its .data..percpu and the two reserves): assumed where nothing tells."""
_RANDOM_CACHES_SHIFT: Final = 3  # PERCPU_DYNAMIC_SIZE_SHIFT is 13, not 10, with CONFIG_RANDOM_KMALLOC_CACHES (v6.6)
_NEEDED: Final = {
    "mem_cgroup": ("mem_cgroup",),
    "cgroup": ("cgroup",),
    "mem_cgroup_per_node": ("mem_cgroup_per_node",),
    "memcg_vmstats_percpu": ("memcg_vmstats_percpu",),
    "lruvec_stats_percpu or lruvec_stat": ("lruvec_stats_percpu", "lruvec_stat"),
}
"""What every kernel with memory cgroups has, and under which lines."""


@dataclass(frozen=True)
class Derived:
    """A profile, and what the kernel has nothing of: an older or newer one has it, or another configuration."""

    profile: KernelProfile
    not_found: tuple[str, ...]


class _Place(NamedTuple):
    size: int
    align: int


def derive(image: KernelImage, name: str, title: str, basis: str, boot_pages: int | None = None) -> Derived:
    """The profile of a kernel. `boot_pages`: pages of each unit before the first cgroup, where that is known better.

    Raises BtfError where it is no kernel with memory cgroups, ProfileError for sizes that cannot be.
    """
    btf = image.btf
    if btf.pointer_size != LONG:
        raise BtfError(f"the kernel has pointers of {btf.pointer_size} bytes, and only those of 8 are known")
    percpu, slab = _lines(btf, PERCPU_RULES), _lines(btf, SLAB_RULES)
    names = {line["name"] for line in (*percpu, *slab)}
    lacking = [what for what, lines in _NEEDED.items() if not names & set(lines)]
    if lacking:
        raise BtfError(
            f"the kernel has no structure {', no '.join(lacking)}: it has no memory cgroups, or ones that are not known"
        )
    assumed = ["a cgroup has the per-CPU areas of Linux 5.0 to 6.18, and none that came later"]
    sizes = _percpu_sizes(image, boot_pages, assumed)
    counters = _counters(btf, assumed)
    if "kmem_cache" in names:
        assumed.append("a first charge makes 12 slab caches, as the cover letter's table shows for 5.0")
    profile = profile_of(
        {
            "name": name,
            "title": title,
            "verified": True,
            "basis": basis,
            "assumed": assumed,
            "percpu": sizes,
            "counters": counters,
            "percpu_area": percpu,
            "slab_object": slab,
        },
        basis,
    )
    rules = (*PERCPU_RULES, *SLAB_RULES)
    return Derived(profile, tuple(f"{rule.name} ({rule.source})" for rule in rules if rule.name not in names))


def _lines(btf: Btf, rules: tuple[Rule, ...]) -> list[dict[str, Any]]:
    found = [(rule, _place(btf, rule.where)) for rule in rules if rule.only is None or _place(btf, rule.only)]
    return [_line(btf, rule, place, rules) for rule, place in found if place]


def _line(btf: Btf, rule: Rule, place: _Place, rules: tuple[Rule, ...]) -> dict[str, Any]:
    line: dict[str, Any] = {"name": rule.name, "size": (rule.size or place.size) + rule.more}
    percpu = rules is PERCPU_RULES
    align = max(rule.align, LONG if rule.size == LONG else 0 if rule.size else place.align if percpu else 0)
    cache = rule.cache
    if rule.name in OWN_CACHES and btf.structure("css_rstat_cpu"):
        cache, align = rule.name, 64
    line |= {"align": align} if align else {}
    line |= {"cache": cache} if cache else {}
    line |= {"per": rule.per} if rule.per != "cgroup" else {}
    line |= {"count": rule.count} if rule.count != 1 else {}
    line |= {"of_cgroup": rule.of_cgroup} if rule.of_cgroup else {}
    if percpu:
        line["until"] = "release-percpu" if rule.statistics else "free"
        line |= {"accounted": True} if rule.statistics and btf.structure("obj_cgroup") else {}
    return line | {"stage": rule.stage, "source": rule.source}


def _place(btf: Btf, where: str) -> _Place | None:
    """Size and alignment of what a rule's `where` leads to; None where the kernel has no such thing."""
    name, _, member = where.rstrip("*@").partition(".")
    structure = btf.structure(name)
    if structure is None:
        return None
    if not member:
        number = btf.number(name)
        return _Place(structure.size, btf.alignment(number)) if number else None
    if member not in structure.members:
        return None
    offset, kind = structure.members[member]
    if where.endswith("@"):
        return _Place(offset, LONG)
    target = btf.target(kind) if where.endswith("*") else kind
    return _Place(btf.size(target), btf.alignment(target)) if target else None


def _percpu_sizes(image: KernelImage, boot_pages: int | None, assumed: list[str]) -> dict[str, int | bool]:
    dynamic = PERCPU_DYNAMIC_RESERVE
    first, last = image.btf.constant("KMALLOC_RANDOM_START"), image.btf.constant("KMALLOC_RANDOM_END")
    if first is not None and last is not None and last > first:
        dynamic <<= _RANDOM_CACHES_SHIFT
    if boot_pages is None and image.static_percpu is None:
        boot_pages = BOOT_PAGES
        assumed.append(
            f"the first chunk has {boot_pages} pages a unit, as on Debian's 6.1 (--boot-pages says how many)"
        )
    if boot_pages is None:
        total = (image.static_percpu or 0) + PERCPU_MODULE_RESERVE + dynamic
        boot_pages = -(-total // PAGE_SIZE)
    reserves = -(-(PERCPU_MODULE_RESERVE + dynamic) // PAGE_SIZE)
    if boot_pages <= reserves:
        raise BtfError(f"{boot_pages} boot pages: found no room for static variables, as the reserves take {reserves}")
    assumed.append(
        f"PERCPU_MODULE_RESERVE is {PERCPU_MODULE_RESERVE} and PERCPU_DYNAMIC_RESERVE {dynamic} bytes: r and d of the "
        "line `percpu: Embedded` in the kernel's log"
    )
    assumed.append(
        f"before the first cgroup the kernel uses {PERCPU_DYNAMIC_EARLY_SIZE} bytes a unit, its own budget; a booted "
        "one may use more"
    )
    return {
        "boot_pages": boot_pages,
        "reserved": PERCPU_MODULE_RESERVE,
        "dynamic": dynamic,
        "early": PERCPU_DYNAMIC_EARLY_SIZE,
        **_chunk_rules(image.btf, assumed),
    }


def _chunk_rules(btf: Btf, assumed: list[str]) -> dict[str, bool]:
    """How the allocator keeps chunks, which the members of a chunk tell (mm/percpu-internal.h)."""
    if btf.structure("pcpu_chunk"):
        depopulates = _place(btf, "pcpu_chunk.isolated") is not None
        apart = btf.constant("PCPU_CHUNK_MEMCG") is not None
    else:
        depopulates = btf.structure("lruvec_stats_percpu") is not None
        apart = btf.structure("obj_cgroup") is not None and not depopulates
        assumed.append("how chunks are kept, by the version that the statistics are of: the types have no pcpu_chunk")
    return {"depopulates": depopulates, "accounted_apart": apart}


def _counters(btf: Btf, assumed: list[str]) -> dict[str, int]:
    """The numbers of counters that a cgroup keeps: the lengths of the arrays, which newer kernels cut down."""
    batch = 64 if _place(btf, "mem_cgroup.vmstats*") else 32
    assumed.append(f"MEMCG_CHARGE_BATCH is {batch}, by the version that the structures are of (64 since v6.1)")
    return {
        "MEMCG_CHARGE_BATCH": batch,
        "MEMCG_NR_STAT": _length(btf, ("memcg_vmstats_percpu", "mem_cgroup_stat_cpu"), ("state", "stat", "count")),
        "NR_VM_EVENT_ITEMS": _length(btf, ("memcg_vmstats_percpu", "mem_cgroup_stat_cpu"), ("events",)),
        "NR_VM_NODE_STAT_ITEMS": _length(btf, ("lruvec_stats_percpu", "lruvec_stat"), ("state", "count")),
    }


def _length(btf: Btf, structures: tuple[str, ...], members: tuple[str, ...]) -> int:
    for name in structures:
        structure = btf.structure(name)
        for member in members if structure else ():
            if structure and member in structure.members and (length := btf.length(structure.members[member][1])):
                return length
    raise BtfError(f"the kernel's {' or '.join(structures)} has no array {' or '.join(members)}")
