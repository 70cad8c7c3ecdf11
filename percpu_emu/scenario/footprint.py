"""A planner's question and its answer: what so many dying cgroups cost on a machine, with and without early release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from percpu_emu.kernel.footprint import NEVER, Footprint, Reading, footprint
from percpu_emu.kernel.profile import KernelProfile, ProfileError, load_profile, profile_names
from percpu_emu.percpu.balance import PCPU_EMPTY_POP_PAGES_HIGH
from percpu_emu.percpu.layout import spread
from percpu_emu.scenario.verdict import Check
from percpu_emu.scenario.wording import allowed, did_you_mean
from percpu_emu.shm import PAGE_SIZE

RELEASES: Final[Mapping[str, bool]] = {"original": False, "patched": True, "patch-2022": True}
"""The protocols, and whether they release per-CPU areas early."""
LIMITS: Final = {"cpus": 8192, "nodes": 1024, "cgroups": 1_000_000, "lag": 1_000_000}
"""The most of each: NR_CPUS and MAX_NUMNODES of x86-64, and what takes minutes to count."""
_LEAST: Final = {"cpus": 1, "nodes": 1, "cgroups": 1, "lag": 0}
SLOW_LAG: Final = 256
_POSSIBLE: Final = (
    "per-CPU memory is taken for every possible CPU, online or not: {cpus} here; /sys/devices/system/cpu/possible says "
    "how many a machine has, slots for hot-plug included"
)
_NOT_POSTED: Final = "{kernel} has no early release: patched and patch-2022 are what the two patches would do there"
_STAYS: Final = (
    "with {lag} removed cgroups in waiting for their grace period, Percpu grows by {over} kB more, and that stays for "
    "good in this kernel, {gives}: what dying cgroups keep lies on those pages"
)


class WrongPlan(ValueError):
    """A machine that cannot be, or a kernel that is not known."""


@dataclass(frozen=True)
class Plan:
    """A machine and what happens on it. `lag`: removed cgroups that wait for their grace period at a time."""

    kernel: KernelProfile
    cpus: int
    nodes: int
    cgroups: int
    lag: int = 1

    def __post_init__(self) -> None:
        for name, most in LIMITS.items():
            value = getattr(self, name)
            if not _LEAST[name] <= value <= most:
                raise WrongPlan(f"{name} {value}: {_LEAST[name]} to {most}")
        if self.nodes > self.cpus:
            raise WrongPlan(f"nodes {self.nodes}: at most one for each of the {self.cpus} possible CPUs")

    def with_number(self, name: str, value: int) -> Plan:
        """The same with another value of one of LIMITS. Raises WrongPlan."""
        numbers = {key: value if key == name else getattr(self, key) for key in LIMITS}
        return Plan(self.kernel, **numbers)

    def footprint(self, protocol: str) -> Footprint:
        """What it costs under a protocol."""
        lag = self.lag if RELEASES[protocol] else NEVER
        return footprint(self.kernel, spread(self.cpus, self.nodes), self.cgroups, lag)

    def __str__(self) -> str:
        return (
            f"{self.cgroups} dying cgroups on {self.cpus} possible CPUs, {self.nodes} node{'s' * (self.nodes > 1)}, "
            f"{self.kernel.name}"
        )


def kernel_named(name: str) -> KernelProfile:
    """The profile of a kernel: by its name, with or without `linux-`, or the path of a file. Raises WrongPlan."""
    try:
        return load_profile(name)
    except ProfileError as error:
        near = did_you_mean(f"linux-{name.removeprefix('linux-')}", profile_names())
        known = f"kernel {name}: {error}"
        raise WrongPlan(f"{known}; {near}" if near and Path(name).suffix != ".toml" else known) from error


def protocols_named(names: Sequence[str]) -> list[str]:
    """Protocols, all of them where none is named. Raises WrongPlan."""
    for name in names:
        if name not in RELEASES:
            raise WrongPlan(f"protocol {name}: {allowed(name, RELEASES)}")
    return list(dict.fromkeys(names)) or list(RELEASES)


# --- figures


def figures_of(plan: Plan, protocols: Sequence[str]) -> dict[str, Any]:
    """What it costs, by protocol: the readings in kB, what one dying cgroup and what all of them take."""
    return {protocol: _figures(plan, plan.footprint(protocol)) for protocol in protocols}


def _figures(plan: Plan, found: Footprint) -> dict[str, Any]:
    percpu, slab = (getattr(found.after, key) - getattr(found.before, key) for key in ("percpu_kb", "slab_kb"))
    return {
        **{name: _reading(getattr(found, name)) for name in ("before", "after", "settled")},
        "percpu_kb_per_dying_cgroup": round(percpu / plan.cgroups, 2),
        "slab_kb_per_dying_cgroup": round(slab / plan.cgroups, 2),
        "kb_per_dying_cgroup": round((percpu + slab) / plan.cgroups, 2),
        "grown_kb": percpu + slab,
    }


def _reading(reading: Reading) -> dict[str, int]:
    return {"pages_per_unit": reading.pages, "percpu_kb": reading.percpu_kb, "slab_kb": reading.slab_kb}


def grown_kb(plan: Plan, protocol: str) -> int:
    """By how much Slab and Percpu grow, in kB."""
    found = plan.footprint(protocol)
    return found.after.percpu_kb + found.after.slab_kb - found.before.percpu_kb - found.before.slab_kb


def rows_of(plans: Sequence[tuple[str, Plan]], protocols: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each plan: its name, its machine, and under each protocol by how many kB Slab and Percpu grow."""
    return [
        {
            "name": name,
            **{key: getattr(plan, key) for key in LIMITS},
            **{f"{protocol}_kb": grown_kb(plan, protocol) for protocol in protocols},
        }
        for name, plan in plans
    ]


def variations(plan: Plan) -> Iterator[tuple[str, Plan]]:
    """The plan, and those that differ from it in one thing: what the cost depends on."""
    yield "as asked", plan
    numbers = {
        "cpus": 2 * plan.cpus,
        "nodes": plan.nodes // 2 if plan.nodes > 1 else 2,
        "cgroups": plan.cgroups // 2,
        "lag": SLOW_LAG,
    }
    for name, number in numbers.items():
        with suppress(WrongPlan):  # it may be the largest machine that there is, or the smallest
            yield f"{name} {number}", plan.with_number(name, number)


# --- checks


def checks_of(plan: Plan, protocols: Sequence[str]) -> list[Check]:
    """What can be wrong with an account: pages that do not hold what lies on them, or a release that costs memory."""
    found = {protocol: plan.footprint(protocol) for protocol in protocols}
    short = [name for name, of in found.items() if of.settled.pages * PAGE_SIZE < _least(plan, RELEASES[name])]
    never = plan.footprint("original").after.pages
    worse = [name for name, of in found.items() if of.after.pages > never + PCPU_EMPTY_POP_PAGES_HIGH]
    trust = None if not plan.kernel.verified else True
    return [
        Check("the pages hold the areas", not short, "; ".join(short) or "none is smaller than what lies on it"),
        Check("a release costs nothing", not worse, "; ".join(worse) or "no protocol needs more than the original"),
        Check("the sizes are verified", trust, plan.kernel.basis, needed=False),
    ]


def _least(plan: Plan, released: bool) -> int:
    """Bytes of a unit that lie in areas in the end, those of the booted kernel included."""
    sizes = plan.kernel.percpu
    stay = [line for line in plan.kernel.percpu_area if not (released and line.until == "release-percpu")]
    per_cgroup = sum(line.size * line.times(plan.nodes) for line in stay)
    return sizes.static + sizes.reserved + sizes.early + plan.cgroups * per_cgroup


def notes_of(plan: Plan, protocols: Sequence[str]) -> list[str]:
    """What a planner should know beside the figures."""
    unused = plan.kernel.layout(spread(plan.cpus, plan.nodes)).nr_units - plan.cpus
    notes = [_POSSIBLE.format(cpus=plan.cpus)]
    if unused:
        notes.append(f"Percpu counts {unused} units more, which have no CPU, as the kernel does")
    if any(RELEASES[protocol] for protocol in protocols):
        posted, kernel = plan.kernel.release_posted, plan.kernel.name
        notes.append(f"the early release is {posted}" if posted else _NOT_POSTED.format(kernel=kernel))
        notes += _of_lag(plan)
    notes += [f"assumed: {what}" for what in plan.kernel.assumed]
    return notes


def _of_lag(plan: Plan) -> Iterator[str]:
    """What slow grace periods cost, and whether it ever comes back."""
    slow = plan.with_number("lag", SLOW_LAG).footprint("patched")
    prompt = plan.footprint("patched")
    over = slow.settled.percpu_kb - prompt.settled.percpu_kb
    if over > 0:
        gives = "although it gives empty pages back" if plan.kernel.percpu.depopulates else "which gives no pages back"
        yield _STAYS.format(lag=SLOW_LAG, over=over, gives=gives)
