"""Before the patchset: a dying cgroup keeps its per-CPU slots until its last reference is dropped."""

from __future__ import annotations

from percpu_emu.kernel.css import free_mem_cgroup_percpu
from percpu_emu.kernel.layout import (
    CPU_POSSIBLE_MASK,
    LRUVEC_STAT_CPU,
    NODEINFO,
    VMSTATS_PERCPU,
)
from percpu_emu.kernel.release import lruvec_flush_percpu, memcg_flush_percpu
from percpu_emu.lang.ops import Program, mark, nr_node_ids, read_once


def css_offline(memcg: int) -> Program[None]:  # noqa: ARG001 - as every protocol's is called
    """Nothing is released yet."""
    yield mark("offline, slots kept")


def css_free(memcg: int) -> Program[None]:
    """No task updates the cgroup any more: its slots are freed with it.

    They are flushed before, which the kernel of that time did not do (S3: residuals of up to 32 pages a CPU were
    dropped, and ancestors drifted): here the ledger has to balance under either protocol.
    """
    vmstats_percpu = yield read_once(memcg + VMSTATS_PERCPU)
    yield from memcg_flush_percpu(memcg, vmstats_percpu, CPU_POSSIBLE_MASK)
    for nid in range((yield nr_node_ids())):
        pn = yield read_once(memcg + NODEINFO + nid)
        if pn:
            yield from lruvec_flush_percpu(pn, (yield read_once(pn + LRUVEC_STAT_CPU)), CPU_POSSIBLE_MASK)
    yield from free_mem_cgroup_percpu(memcg)
