"""Traces that the engine makes of given schedules: four races of a counter with a slot on every CPU."""

from __future__ import annotations

from functools import cache
from itertools import chain, repeat
from typing import TYPE_CHECKING

from percpu_emu.explore.model import Model
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.setting import OBJECT_WORDS, ContextSpec, Setting
from percpu_emu.lang.trace import Trace, Violation

from . import programs
from .programs import COUNTER, ONLINE, STATS

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOTS = OBJECT_WORDS
NAMES = {STATS: "stats", COUNTER: "counter", SLOTS: "slot", ONLINE: "cpu_online_mask"}
UPDATES = [ContextSpec("update", programs.count, cpu=cpu, arguments=(1,)) for cpu in (0, 1)]


def traced(
    contexts: Sequence[ContextSpec],
    slots: Sequence[int],
    steps: Sequence[tuple[int, int]],
    summary: tuple[str, str],
    violation: Violation | None,
    missing: str = "",
) -> Trace:
    """`steps`: contexts in turn, each with how many steps it takes."""
    setting = Setting(len(slots), tuple(contexts), programs.publish, {"FIRST": slots[0], "SECOND": [*slots, 0][1]})
    schedule = chain.from_iterable(repeat(context, times) for context, times in steps)
    stepper = Stepper(Model(setting)).run(schedule)
    stepper.meet_everyone()
    return Trace(
        *summary,
        contexts=sorted(stepper.actors.values(), key=lambda context: context.number),
        steps=stepper.steps,
        names=NAMES,
        initial=stepper.model.words(stepper.model.initial),
        ledgers=stepper.ledgers(),
        violation=violation,
        missing=missing,
        token="pe1-0-3kz9",
        standings=stepper.standings,
    )


@cache
def lost_count() -> Trace:
    """A flush before the swap loses what is counted between."""
    violation = Violation("nothing-lost", "1 is lost: counter is 7, the ledgers say 8", (10, 12))
    return traced(
        [*UPDATES, ContextSpec("release", programs.flush_then_swap)],
        [0, 7],
        [(1, 4), (2, 8), (1, 1), (2, 4), (1, 2), (2, 2)],
        ("flush-then-swap", "the slots are flushed before NULL is published"),
        violation,
        "the swap before the flush: publish NULL, wait for a grace period, then flush",
    )


@cache
def use_after_free() -> Trace:
    """Without a grace period a CPU still writes to slots that are freed."""
    violation = Violation("no-use-after-free", "CPU 0 writes to slot of CPU 0, which step 7 has freed", (6, 7))
    return traced(
        [UPDATES[0], ContextSpec("release", programs.free_at_once)],
        [3],
        [(0, 4), (1, 3), (0, 1)],
        ("free-at-once", "the slots are freed while an update may still use them"),
        violation,
        "a grace period between publishing NULL and free_percpu",
    )


@cache
def interrupted() -> Trace:
    """An interrupt counts between the read and the write of a task on the same CPU."""
    violation = Violation("nothing-lost", "10 are lost: slot of CPU 0 is 6, 16 were counted", (3, 9, 13))
    return traced(
        [UPDATES[0], ContextSpec("tick", programs.count_with_irqs_off, "interrupt", 0, (10,))],
        [5],
        [(0, 4), (1, 9), (0, 3)],
        ("irqs-on", "an update from an interrupt in the middle of another"),
        violation,
        "local_irq_save around the update of the task",
    )


@cache
def going_offline() -> Trace:
    """A CPU goes down while the callback of the release waits for the other one; nothing goes wrong."""
    contexts = [
        *UPDATES,
        ContextSpec("release", programs.swap_then_flush, arguments=(SLOTS,)),
        ContextSpec("unplug", programs.cpu_dead, "offline", 1, ("cpu",)),
    ]
    return traced(
        contexts,
        [2, 7],
        [(0, 4), (2, 2), (3, 2), (0, 3), (4, 8)],
        ("unplug-in-release", "a CPU goes offline while a callback waits for a grace period"),
        None,
    )


TRACES = {
    "lost_count": lost_count,
    "use_after_free": use_after_free,
    "interrupted": interrupted,
    "going_offline": going_offline,
}
