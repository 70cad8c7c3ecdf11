"""Traces as an engine makes them, made by hand: four races of a counter with a slot on every CPU."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.setting import OBJECT_WORDS, unit_word
from percpu_emu.lang.source import Site, sites
from percpu_emu.lang.trace import Access, Step, Trace, TracedContext, Violation

from . import programs
from .programs import COUNTER, ONLINE, STATS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SLOTS = OBJECT_WORDS
NAMES = {STATS: "stats", COUNTER: "counter", SLOTS: "slot", ONLINE: "cpu_online_mask"}


class Recorder:
    """Keeps the words while steps are written down, so that accesses say what stood there."""

    def __init__(self, contexts: Sequence[TracedContext], slots: Sequence[int]) -> None:
        self.contexts = contexts
        self.words = {STATS: SLOTS, COUNTER: 0, ONLINE: (1 << len(slots)) - 1}
        self.words |= {unit_word(cpu, SLOTS): value for cpu, value in enumerate(slots)}
        self.initial = dict(self.words)
        self.steps: list[Step] = []

    def do(
        self,
        context: int,
        at: tuple[ProgramFunction, int] | None,
        address: int | None = None,
        new: int | None = None,
        **fields: Any,
    ) -> None:
        """A step at the n-th yield of a program; it reads the word at `address`, or makes it `new`."""
        site = sites(at[0])[at[1] - 1] if at else None
        accesses: tuple[Access, ...] = ()
        if address is not None:
            old = self.words[address]
            accesses = (Access(address, old, old if new is None else new, write=new is not None),)
            self.words[address] = accesses[0].new
        fields.setdefault("op", _operation(site) if site else "")
        runs = next(c for c in self.contexts if c.number == context)
        fields.setdefault("cpu", None if runs.kind == "offline" else runs.cpu)
        self.steps.append(Step(context, accesses=accesses, site=site, **fields))

    def trace(self, name: str, summary: str, ledger: int, violation: Violation | None, missing: str = "") -> Trace:
        ledgers: Mapping[int, int] = {COUNTER: ledger}
        trace = Trace(name, summary, self.contexts, self.steps, NAMES, self.initial, ledgers, violation)
        return replace(trace, missing=missing, token="pe1-0-3kz9")


def _operation(site: Site) -> str:
    return site.text.split("(")[0]


@cache
def lost_count() -> Trace:
    """A flush before the swap loses what is counted between."""
    release, count = programs.flush_then_swap, programs.count
    contexts = [
        TracedContext(0, "update", 0, "task", "count"),
        TracedContext(1, "update", 1, "task", "count"),
        TracedContext(2, "release", None, "task", "flush_then_swap"),
    ]
    run = Recorder(contexts, [0, 7])
    _begin_count(run, 1, 1)
    run.do(1, (count, 4), unit_word(1, SLOTS))
    run.do(2, (release, 1), STATS)
    run.do(2, (release, 2), args=(-1, ONLINE))
    run.do(2, (release, 3), result=2)
    run.do(2, (release, 4), unit_word(0, SLOTS))
    run.do(2, (release, 6), args=(0, ONLINE), result=1)
    run.do(2, (release, 3), result=2)
    run.do(2, (release, 4), unit_word(1, SLOTS))
    run.do(2, (release, 5), COUNTER, 7)
    run.do(1, (count, 5), unit_word(1, SLOTS), 8)
    guilty = (run.steps[-3], run.steps[-1])
    run.do(2, (release, 6), args=(1, ONLINE), result=2)
    run.do(2, (release, 3), result=2)
    run.do(2, (release, 7), STATS, 0)
    run.do(2, (release, 8), waits_for=(1,))
    run.do(1, (count, 7))
    run.do(1, (count, 8), ended=True)
    run.do(2, (release, 8))
    run.do(2, (release, 9), args=(SLOTS,), ended=True)
    violation = Violation(
        "nothing-lost",
        "1 is lost: counter is 7, the ledgers say 8",
        tuple(index for index, step in enumerate(run.steps) if step in guilty),
    )
    missing = "the swap before the flush: publish NULL, wait for a grace period, then flush"
    return run.trace("flush-then-swap", "the slots are flushed before NULL is published", 8, violation, missing)


def _begin_count(run: Recorder, context: int, delta: int) -> None:
    count = programs.count
    run.do(context, (count, 1), args=(COUNTER, delta))
    run.do(context, (count, 2))
    run.do(context, (count, 3), STATS, result=SLOTS)


@cache
def use_after_free() -> Trace:
    """Without a grace period a CPU still writes to slots that are freed."""
    release, count = programs.free_at_once, programs.count
    contexts = [
        TracedContext(0, "update", 0, "task", "count"),
        TracedContext(1, "release", None, "task", "free_at_once"),
    ]
    run = Recorder(contexts, [3])
    _begin_count(run, 0, 1)
    run.do(0, (count, 4), unit_word(0, SLOTS))
    run.do(1, (release, 1), STATS)
    run.do(1, (release, 2), STATS, 0)
    run.do(1, (release, 3), args=(SLOTS,), ended=True)
    run.do(0, (count, 5), unit_word(0, SLOTS), 4)
    violation = Violation("no-use-after-free", "CPU 0 writes to slot of CPU 0, which step 7 has freed", (6, 7))
    missing = "a grace period between publishing NULL and free_percpu"
    return run.trace("free-at-once", "the slots are freed while an update may still use them", 4, violation, missing)


@cache
def interrupted() -> Trace:
    """An interrupt counts between the read and the write of a task on the same CPU."""
    count = programs.count
    contexts = [
        TracedContext(0, "update", 0, "task", "count"),
        TracedContext(1, "tick", 0, "interrupt", "count_with_irqs_off"),
    ]
    run = Recorder(contexts, [5])
    _begin_count(run, 0, 1)
    run.do(0, (count, 4), unit_word(0, SLOTS))
    run.do(1, (programs.count_with_irqs_off, 1))
    _begin_count(run, 1, 10)
    run.do(1, (count, 4), unit_word(0, SLOTS))
    run.do(1, (count, 5), unit_word(0, SLOTS), 15)
    run.do(1, (count, 7))
    run.do(1, (count, 8))
    run.do(1, (programs.count_with_irqs_off, 2), args=(0,), ended=True)
    run.do(0, (count, 5), unit_word(0, SLOTS), 6)
    run.do(0, (count, 7))
    run.do(0, (count, 8), ended=True)
    violation = Violation("nothing-lost", "10 are lost: slot of CPU 0 is 6, 16 were counted", (3, 9, 13))
    missing = "local_irq_save around the update of the task"
    return run.trace("irqs-on", "an update from an interrupt in the middle of another", 11, violation, missing)


@cache
def going_offline() -> Trace:
    """A CPU goes down while the callback of the release waits for the other one; nothing goes wrong."""
    release, count, flush, dead = (
        programs.swap_then_flush,
        programs.count,
        programs.flush_and_free,
        programs.cpu_dead,
    )
    contexts = [
        TracedContext(0, "update", 0, "task", "count"),
        TracedContext(1, "update", 1, "task", "count"),
        TracedContext(2, "release", None, "task", "swap_then_flush"),
        TracedContext(3, "unplug", 1, "offline", "cpu_dead"),
        TracedContext(4, "callback", None, "callback", "flush_and_free"),
    ]
    run = Recorder(contexts, [2, 7])
    _begin_count(run, 0, 1)
    run.do(0, (count, 4), unit_word(0, SLOTS))
    run.do(2, (release, 1), STATS, 0)
    run.do(2, (release, 2), args=(4, SLOTS), waits_for=(0,), ended=True)
    run.do(3, None, ONLINE, 1, op="offline", args=(1,))
    run.do(3, (dead, 1), STATS, ended=True)
    run.do(0, (count, 5), unit_word(0, SLOTS), 3)
    run.do(0, (count, 7))
    run.do(0, (count, 8), ended=True)
    run.do(4, (flush, 1), result=2)
    for cpu, total in ((0, 3), (1, 10)):
        run.do(4, (flush, 2), unit_word(cpu, SLOTS))
        run.do(4, (flush, 3), unit_word(cpu, SLOTS), 0)
        run.do(4, (flush, 4), COUNTER, total)
    run.do(4, (flush, 5), args=(SLOTS,), ended=True)
    return run.trace("unplug-in-release", "a CPU goes offline while a callback waits for a grace period", 10, None)


TRACES = {
    "lost_count": lost_count,
    "use_after_free": use_after_free,
    "interrupted": interrupted,
    "going_offline": going_offline,
}
