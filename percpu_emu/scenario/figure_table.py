"""Every figure that a report can have, with what it counts."""

from __future__ import annotations

from typing import Final

OF_THE_OS: Final = "os_percpu_kb"
"""The letter has no such figure."""
READING: Final = {
    "nr_dying_descendants": "cgroups that are removed and still in memory, as cgroup.stat of the root says",
    "slab_kb": "Slab of /proc/meminfo, in kB",
    "percpu_kb": "Percpu of /proc/meminfo, in kB: the allocator's accounting",
    OF_THE_OS: "what the operating system holds for per-CPU memory, in kB",
}
COST: Final = {
    "kb_per_dying_cgroup": "by how many kB Slab and Percpu grow from `before` to `after`, for a dying cgroup"
}
COUNTED: Final = {
    "killed": "CPUs that a fault killed",
    "folds_with_release_pending": "dead CPUs whose slots were folded while a release waited",
    "releases_during_fold": "releases that ended while the slots of a dead CPU were folded",
    "stalls": "RCU stall warnings",
    "offlined": "CPUs that steps took down",
    "onlined": "CPUs that steps brought up",
}
"""What steps count; a run without any has no such figure."""
INTERRUPTS: Final = {
    "interrupts": "interrupts that CPUs handled",
    "interrupts_per_s": "interrupts in a second of work",
    "interrupts_inside_update": "interrupts that came in the middle of an update",
    "interrupts_deferred": "interrupts that came with interrupts off, and waited",
}
WORK: Final = {
    "updates": "updates that all CPUs did",
    "updates_per_s": "updates in a second of work",
    "percpu_path": "updates that went to a slot",
    "atomic_path": "updates that went to an atomic twin",
    "releases": "cgroups whose slots were released",
    "releases_per_s": "releases in a second of work",
    "caught_in_update": "releases whose swap of pointers found a CPU inside an update",
    "grace_periods": "grace periods that ended",
    "grace_period_us": "median length of a grace period, in microseconds",
    "grace_period_us_max": "length of the longest grace period, in microseconds",
}
FORWARDED: Final = {"forwarded": "updates of a dying cgroup that went to its parent: of the protocol patch-2022"}
CHAOS: Final = {"starved": "times that chaos starved CPUs"}
HOW_MUCH: Final = frozenset((*WORK, *FORWARDED, *COUNTED, *INTERRUPTS)) - {
    "stalls",
    "grace_period_us",
    "grace_period_us_max",
}
"""What a run did, of which there is less in the same time on a machine with other work. A stall is no such thing: a
reader that stays long enough has to be reported."""
TORTURE: Final = {
    "versions": "versions that the writer published",
    "free_list_empty": "turns of the writer without a free element",
    "rtmbe": "reads of an element that was not prepared, or was taken back",
    "barrier_tests": "tests of rcu_barrier",
    "rtbe": "tests of rcu_barrier after which a callback had not run",
    "interrupts": "interrupts that CPUs handled",
    "stutters": "pauses of all CPUs",
    "grace_periods": "grace periods that ended",
}
TORTURE_LISTS: Final = {
    "reader_pipe": "reads by the age of the element, in grace periods: 0, 1, and so on; 2 and more is too old",
    "free_block_circulation": "how often an element left each stage between publication and reuse",
}
"""Lists, which no expectation can name."""
ROUNDS: Final = {
    "rounds": "rounds that ran",
    "rounds_per_s": "rounds in a second",
    "violation": "the check that failed first; null for none",
    "recorded_rounds": "rounds of which every operation was recorded",
    "recorded_operations": "operations of the recorded round that failed",
    "outcomes": "each result with how often it was seen, and whether it is allowed",
}
OF_A_RUN: Final = {
    **READING,
    **COST,
    **WORK,
    **FORWARDED,
    **COUNTED,
    **INTERRUPTS,
    **CHAOS,
    **ROUNDS,
    **TORTURE,
    **TORTURE_LISTS,
}
"""Every figure of `run`, whatever the scenario has."""
EXPLORE: Final = {
    "executions": "interleavings that the states stand for, or random schedules that ran; null: not counted",
    "states": "states that the search visited; 0 for random schedules",
    "steps": "steps that the search took",
    "search_seconds": "seconds of the search alone",
    "seconds": "seconds of the search with the making of the model and of the counterexample",
    "megabytes": "memory of the search",
    "preemptions": "of the strategy `preemptions`: up to how many preemptions all is covered",
    "violations": "of random schedules: how many broke a check",
}
FOOTPRINT: Final = {
    "before.pages_per_unit": "populated pages of one CPU's unit before the first cgroup; `after`: after the last one",
    "before.percpu_kb": "Percpu of /proc/meminfo then, in kB",
    "before.slab_kb": "what the cgroups hold of Slab then, in kB",
    "settled.percpu_kb": "Percpu when every grace period that is waited for has ended, in kB",
    "percpu_kb_per_dying_cgroup": "by how many kB Percpu grows, for a dying cgroup",
    "slab_kb_per_dying_cgroup": "by how many kB Slab grows, for a dying cgroup",
    "kb_per_dying_cgroup": "the sum of both",
    "grown_kb": "by how many kB both grow in all",
}
FOOTPRINT_ROWS: Final = {
    "depends_on": "rows: the plan, and the plan with another number; under PROTOCOL_kb by how many kB both grow",
    "sweep": "rows: the plan at every value of the sweep, in place of `depends_on`",
    "here": "of `--here`: what this host's /proc and /sys say",
}
REPLAY: Final = {
    "steps": "steps that processes did",
    "steps_per_s": "steps in a second",
    "violation": "the check that the schedule breaks; null for none",
}
