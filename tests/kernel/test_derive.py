"""Which lines a profile has: every rule holds for the kernels that have its structure, and for no other."""

from __future__ import annotations

from collections import defaultdict

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from percpu_emu.kernel.btf import Btf, BtfError, KernelImage
from percpu_emu.kernel.cgroup_rules import CACHES, PERCPU_RULES, SLAB_RULES, Rule
from percpu_emu.kernel.derive import Derived, derive
from percpu_emu.kernel.profile import load_profile, profile_names, profile_of

from .btf_builder import BtfBuilder, KernelBuilder

RULES = (*PERCPU_RULES, *SLAB_RULES)
NEEDED = {"cgroup", "mem_cgroup", "mem_cgroup_per_node"}
STATISTICS = {
    "mem_cgroup.stat_cpu*": "mem_cgroup_stat_cpu",
    "mem_cgroup.vmstats_local*": "memcg_vmstats_percpu",
    "mem_cgroup.vmstats_percpu*": "memcg_vmstats_percpu",
    "mem_cgroup_per_node.lruvec_stat_local*": "lruvec_stat",
    "mem_cgroup_per_node.lruvec_stat_cpu*": "lruvec_stat",
    "mem_cgroup_per_node.lruvec_stats_percpu*": "lruvec_stats_percpu",
}
OPTIONAL = sorted({place for rule in RULES for place in (rule.where, rule.only) if place} - NEEDED)


class Kernel(BtfBuilder):
    """The types of a kernel that has these places and no others; each is of another size."""

    def __init__(self, places: set[str]) -> None:
        super().__init__()
        self.sizes: dict[str, int] = {}
        self.made: dict[str, int] = {}
        members = defaultdict[str, list[tuple[str, int, int]]](list)
        for place in sorted({*places, *NEEDED}):
            name, _, member = place.rstrip("*@").partition(".")
            members[name] += [self.member(place, member, len(members[name]))] if member else []
        for name, parts in members.items():
            self.sizes[name] = 400 + 16 * len(parts) + 8 * len(self.sizes)
            self.structure(name, self.sizes[name], parts)

    def member(self, place: str, name: str, index: int) -> tuple[str, int, int]:
        inner = STATISTICS.get(place, f"{place}_inner")
        if inner not in self.made:
            size = 200 + 8 * len(self.made)
            state, events = self.array(self.long, 10), self.array(self.long, 5)
            self.made[inner] = self.structure(inner, size, [("state", state, 0), ("events", events, 80)])
            self.sizes[inner] = size
        self.sizes[place] = 16 * index if place.endswith("@") else self.sizes[inner]
        number = self.made[inner]
        return name, self.pointer(number) if place.endswith("*") else number, 16 * index

    def derived(self) -> Derived:
        return derive(KernelImage(Btf(self.build()), None), "made", "made for a test", "made")

    def has(self, rule: Rule) -> bool:
        """Whether both places of a rule are there; a structure is, where one of its members is."""
        return all(place in self.sizes for place in (rule.where, rule.only) if place)


def test_a_kernel_that_has_everything_has_every_line() -> None:
    derived = Kernel(set(OPTIONAL) - {"mem_cgroup.stat_cpu*"}).derived()
    names = {line.name for line in (*derived.profile.percpu_area, *derived.profile.slab_object)}
    assert names == {rule.name for rule in RULES}
    assert derived.not_found == ()


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(OPTIONAL)))
def test_a_line_is_there_where_its_structure_is_and_is_as_large(places: set[str]) -> None:
    places |= {"mem_cgroup.vmstats_percpu*", "mem_cgroup_per_node.lruvec_stats_percpu*"}
    kernel = Kernel(places)
    profile = kernel.derived().profile
    for rules, lines in ((PERCPU_RULES, profile.percpu_area), (SLAB_RULES, profile.slab_object)):
        held = [rule for rule in rules if kernel.has(rule)]
        assert [line.name for line in lines] == [rule.name for rule in held]
        for rule, line in zip(held, lines, strict=True):
            assert line.size == (rule.size or kernel.sizes[rule.where]) + rule.more
            assert (line.per, line.count, line.stage) == (rule.per, rule.count, rule.stage)
            assert line.of_cgroup == rule.of_cgroup


@pytest.mark.parametrize("name", profile_names())
def test_shipped_profiles_say_as_the_rules_do_what_a_cgroup_has_without_the_memory_controller(name: str) -> None:
    profile = load_profile(name)
    of_cgroup = {rule.name: rule.of_cgroup for rule in RULES}
    lines = [line for line in (*profile.percpu_area, *profile.slab_object) if line.name in of_cgroup]
    assert {line.name: line.of_cgroup for line in lines} == {line.name: of_cgroup[line.name] for line in lines}
    assert {"cgroup.self.refcnt", "cgroup"} <= {line.name for line in lines if line.of_cgroup}


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("mem_cgroup.vmstats_percpu*", "no structure memcg_vmstats_percpu: it has no memory cgroups"),
        ("mem_cgroup_per_node.lruvec_stats_percpu*", "no structure lruvec_stats_percpu or lruvec_stat"),
    ],
)
def test_a_kernel_without_the_statistics_is_refused(left_out: str, said: str) -> None:
    both = {"mem_cgroup.vmstats_percpu*", "mem_cgroup_per_node.lruvec_stats_percpu*"}
    with pytest.raises(BtfError, match=said):
        Kernel(both - {left_out}).derived()


def derived(builder: BtfBuilder, static: int | None = 212992) -> Derived:
    return derive(KernelImage(Btf(builder.build()), static), "made", "made for a test", "made")


def test_statistics_are_what_an_early_release_frees() -> None:
    profile = derived(KernelBuilder()).profile
    released = {area.name for area in profile.percpu_area if area.until == "release-percpu"}
    assert released == {"memcg_vmstats_percpu", "lruvec_stats_percpu"}
    assert not any(area.accounted for area in profile.percpu_area)


def test_statistics_are_accounted_where_there_are_obj_cgroups() -> None:
    builder = KernelBuilder()
    builder.structure("obj_cgroup", 48, [("refcnt", builder.long, 0)])
    accounted = {area.name for area in derived(builder).profile.percpu_area if area.accounted}
    assert accounted == {"memcg_vmstats_percpu", "lruvec_stats_percpu"}


@pytest.mark.parametrize(("member", "memcg_chunks"), [("isolated", False), ("immutable", True), ("immutable", False)])
def test_how_chunks_are_kept_is_told_by_a_chunk(member: str, memcg_chunks: bool) -> None:
    builder = KernelBuilder()
    builder.structure("pcpu_chunk", 96, [(member, builder.int, 0)])
    builder.enum("pcpu_chunk_type", {"PCPU_CHUNK_ROOT": 0} | ({"PCPU_CHUNK_MEMCG": 1} if memcg_chunks else {}))
    sizes = derived(builder).profile.percpu
    assert (sizes.depopulates, sizes.accounted_apart) == (member == "isolated", memcg_chunks)


def test_random_kmalloc_caches_have_a_larger_reserve() -> None:
    builder = KernelBuilder()
    builder.enum("kmalloc_cache_type", {"KMALLOC_RANDOM_START": 0, "KMALLOC_RANDOM_END": 15})
    sizes = derived(builder).profile.percpu
    assert (sizes.dynamic, sizes.boot_pages) == (28 << 13, 52 + (8192 + (28 << 13)) // 4096)
    same = KernelBuilder()
    same.enum("kmalloc_cache_type", {"KMALLOC_RANDOM_START": 0, "KMALLOC_RANDOM_END": 0})
    assert derived(same).profile.percpu.dynamic == 28672


def test_from_6_16_on_memory_cgroups_have_caches_of_their_own() -> None:
    builder = KernelBuilder()
    builder.structure("css_rstat_cpu", 32, [("owner", builder.pointer(0), 0)])
    own = {line.name: (line.cache, line.align) for line in derived(builder).profile.slab_object if line.cache}
    assert own == {"mem_cgroup": ("mem_cgroup", 64), "mem_cgroup_per_node": ("mem_cgroup_per_node", 64)}


def test_per_cgroup_caches_are_said_to_be_assumed() -> None:
    places = {"mem_cgroup.vmstats_percpu*", "mem_cgroup_per_node.lruvec_stat_cpu*", "kmem_cache.cpu_slab*"}
    found = Kernel({*places, "kmem_cache.memcg_params", "kmem_cache.node@", "kmem_cache_node"}).derived()
    assert any("makes 12 slab caches" in what for what in found.profile.assumed)
    assert {line.count for line in found.profile.percpu_area if line.stage == "charge"} == {CACHES}


def test_only_kernels_with_8_byte_pointers_are_known() -> None:
    builder = KernelBuilder()
    builder.types[0] = builder.pack("4I", builder.name("long unsigned int"), 1 << 24, 4, 32)
    with pytest.raises(BtfError, match="pointers of 4 bytes, and only those of 8 are known"):
        derived(builder)


def test_a_derived_profile_passes_its_own_schema() -> None:
    profile = derived(KernelBuilder()).profile
    assert profile_of(profile.model_dump(mode="json"), "made") == profile
