"""What a memory cgroup allocates on which kernel, told from the structures and members that the kernel has.

The functions are `cgroup_create`, `css_create`, `mem_cgroup_alloc`, `alloc_mem_cgroup_per_node_info`,
`memcg_online_kmem` and what they call. Controllers but memory are off, files lie on a tmpfs (elsewhere a first write
makes a `bdi_writeback`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

LONG: Final = 8
PERCPU_REF: Final = LONG
"""`percpu_ref_init` allocates an unsigned long."""
PERCPU_COUNTER: Final = 4
CACHES: Final = 12
"""Per-cgroup slab caches that a first charge makes, up to v5.8: what the cover letter's table has room for."""
_CACHELINE: Final = 64


@dataclass(frozen=True)
class Rule:
    """A line of a profile, for kernels that have `where`.

    `where` is `structure`, `structure.member`, with a `*` what that pointer member points to, or with a `@` all that
    lies before the member. The line is as large as that, or `size` bytes, and `more`.
    """

    name: str
    where: str
    source: str
    size: int | None = None
    more: int = 0
    align: int = 0
    """At least this, where an attribute that BTF does not tell of asks for it."""
    per: Literal["cgroup", "node"] = "cgroup"
    count: int = 1
    of_cgroup: int = 0
    """How many of them a cgroup has whatever its controllers are."""
    stage: Literal["mkdir", "charge"] = "mkdir"
    cache: str | None = None
    only: str | None = None
    """Another structure or member that the kernel has to have."""
    statistics: bool = False
    """Whether it holds counters: what an early release frees, and what is charged to the parent since v5.9."""


PERCPU_RULES: Final = (
    Rule(
        "cgroup.self.refcnt",
        "cgroup.self",
        "cgroup_create: percpu_ref_init; freed by percpu_ref_exit",
        PERCPU_REF,
        of_cgroup=1,
    ),
    Rule("cgroup_rstat_cpu", "cgroup.rstat_cpu*", "cgroup_create: cgroup_rstat_init", of_cgroup=1),
    Rule("cgroup_rstat_base_cpu", "cgroup.rstat_base_cpu*", "cgroup_create: css_rstat_init, since v6.16", of_cgroup=1),
    Rule(
        "css_rstat_cpu",
        "cgroup_subsys_state.rstat_cpu*",
        "css_rstat_init, since v6.16: of the cgroup itself and of the memory controller",
        count=2,
        of_cgroup=1,
    ),
    Rule("psi_group_cpu", "psi_group.pcpu*", "cgroup_create: psi_cgroup_alloc", align=_CACHELINE, of_cgroup=1),
    Rule(
        "cgroup_bpf.refcnt",
        "cgroup_bpf.refcnt",
        "cgroup_bpf_inherit, a percpu_ref; the kernel frees it soon after rmdir, the profile keeps it",
        PERCPU_REF,
        of_cgroup=1,
    ),
    Rule("memcg_vmstats_percpu", "mem_cgroup.stat_cpu*", "mem_cgroup_alloc, up to v5.1", statistics=True),
    Rule("memcg_vmstats_local", "mem_cgroup.vmstats_local*", "mem_cgroup_alloc, v5.2 to v5.12", statistics=True),
    Rule("memcg_vmstats_percpu", "mem_cgroup.vmstats_percpu*", "mem_cgroup_alloc", statistics=True),
    Rule("memcg1_events_percpu", "mem_cgroup.events_percpu*", "mem_cgroup_alloc: memcg1_alloc_events, since v6.13"),
    Rule(
        "lruvec_stat_local",
        "mem_cgroup_per_node.lruvec_stat_local*",
        "alloc_mem_cgroup_per_node_info, v5.2 to v5.14",
        statistics=True,
        per="node",
    ),
    Rule(
        "lruvec_stat",
        "mem_cgroup_per_node.lruvec_stat_cpu*",
        "alloc_mem_cgroup_per_node_info, up to v5.14",
        statistics=True,
        per="node",
    ),
    Rule(
        "lruvec_stats_percpu",
        "mem_cgroup_per_node.lruvec_stats_percpu*",
        "alloc_mem_cgroup_per_node_info, since v5.15",
        statistics=True,
        per="node",
    ),
    Rule(
        "wb_domain.completions",
        "mem_cgroup.cgwb_domain",
        "memcg_wb_domain_init: a percpu_counter",
        PERCPU_COUNTER,
        align=4,
    ),
    Rule("mem_cgroup.css.refcnt", "mem_cgroup.css", "css_create: percpu_ref_init", PERCPU_REF),
    Rule("obj_cgroup.refcnt", "obj_cgroup.refcnt", "memcg_online_kmem: obj_cgroup_alloc, a percpu_ref", PERCPU_REF),
    Rule(
        "kmem_cache_cpu",
        "kmem_cache.cpu_slab*",
        "memcg_create_kmem_cache: alloc_kmem_cache_cpus, up to v5.8",
        align=2 * LONG,
        count=CACHES,
        stage="charge",
        only="kmem_cache.memcg_params",
    ),
    Rule(
        "kmem_cache.memcg_params.refcnt",
        "memcg_cache_params.refcnt",
        "memcg_create_kmem_cache: a percpu_ref, v5.3 to v5.8",
        PERCPU_REF,
        count=CACHES,
        stage="charge",
    ),
)
"""Per-CPU areas, in the order in which the kernel allocates."""

SLAB_RULES: Final = (
    Rule("cgroup", "cgroup", "cgroup_create, with 3 ancestors (a cgroup two levels down)", more=3 * LONG, of_cgroup=1),
    Rule(
        "kernfs_node",
        "kernfs_node",
        "cgroup_create: kernfs_create_dir; the cgroup holds it",
        cache="kernfs_node_cache",
        align=8,
        of_cgroup=1,
    ),
    Rule("psi_group", "cgroup.psi*", "cgroup_create: psi_cgroup_alloc, since v6.0", of_cgroup=1),
    Rule("mem_cgroup", "mem_cgroup", "mem_cgroup_alloc, with a pointer for one node", more=LONG),
    Rule("memcg_vmstats", "mem_cgroup.vmstats*", "mem_cgroup_alloc, since v6.1"),
    Rule("mem_cgroup_per_node", "mem_cgroup_per_node", "alloc_mem_cgroup_per_node_info", per="node"),
    Rule(
        "lruvec_stats",
        "mem_cgroup_per_node.lruvec_stats*",
        "alloc_mem_cgroup_per_node_info, since v6.10",
        per="node",
    ),
    Rule("obj_cgroup", "obj_cgroup", "memcg_online_kmem: obj_cgroup_alloc, since v5.9"),
    Rule(
        "percpu_ref_data",
        "percpu_ref.data*",
        "percpu_ref_init, since v5.10: of the cgroup, of the memory controller, of the obj_cgroup",
        count=3,
        of_cgroup=1,
    ),
    Rule(
        "kmem_cache",
        "kmem_cache.node@",
        "memcg_create_kmem_cache: create_cache, with a pointer for one node, up to v5.8",
        more=LONG,
        count=CACHES,
        stage="charge",
        cache="kmem_cache",
        align=_CACHELINE,
        only="kmem_cache.memcg_params",
    ),
    Rule(
        "kmem_cache_node",
        "kmem_cache_node",
        "memcg_create_kmem_cache: init_kmem_cache_nodes, up to v5.8",
        per="node",
        count=CACHES,
        stage="charge",
        cache="kmem_cache_node",
        align=_CACHELINE,
        only="kmem_cache.memcg_params",
    ),
)
"""Slab objects, in the same order."""
OWN_CACHES: Final = ("mem_cgroup", "mem_cgroup_per_node")
"""Objects that have a cache of their own, aligned to cache lines, on kernels with a css_rstat_cpu: since v6.16."""
