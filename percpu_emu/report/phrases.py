"""One step as a clause of a sentence: `reads 7 from its slot`, `frees slot`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from percpu_emu.report.effects import people
from percpu_emu.report.labels import number, operation
from percpu_emu.report.moments import cpu_of_event
from percpu_emu.report.view import PLAIN_READS

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Access, Step
    from percpu_emu.report.moments import cpu_of_event
from percpu_emu.report.view import View

_STORES: Final = frozenset({"write_once", "smp_store_release", "this_cpu_write", "rcu_assign_pointer"})
_ADDS: Final = frozenset(
    {
        *("atomic_long_add", "atomic_long_add_return", "atomic_long_fetch_add"),
        *("this_cpu_add", "this_cpu_sub", "this_cpu_inc", "this_cpu_dec", "this_cpu_add_return"),
    }
)
_PLAIN: Final = {
    "rcu_read_lock": "enters a read-side section",
    "rcu_read_unlock": "leaves its read-side section",
    "preempt_disable": "turns preemption off",
    "preempt_enable": "turns preemption on",
    "local_irq_save": "turns interrupts off",
    "local_irq_restore": "turns interrupts on again",
    "ledger_add": "begins the next update",
    "ledger_commit": "enters the update in the ledger",
    "smp_mb": "passes a memory barrier",
    "warn_on": "passes a WARN_ON",
}


@dataclass(frozen=True)
class Clause:
    """A verb and what follows. After one that `closes`, the sentence ends."""

    text: str
    address: int | None = None
    """The word it speaks of; the next clause may call that `there`."""
    closes: bool = False
    anew: bool = False
    """Whether its program begins again with it."""


def clause(view: View, index: int, *, before: int | None = None, pending: bool = False) -> Clause:
    """What the step does; `pending`: what it is about to do, so without what it will find.

    `before` is the address that was spoken of last.
    """
    step = view.trace.steps[index]
    name = operation(step)
    if step.accesses and (name in PLAIN_READS or name in _STORES or name in _ADDS or "xchg" in name):
        return _of_access(view, index, before, pending)
    if name == "rcu_dereference" and step.accesses:
        return _of_access(view, index, before, pending)
    if name == "migrate":
        return Clause(f"moves to CPU {cpu_of_event(view.trace, step, view.labels.actors[index])}", closes=True)
    if name == "wait_until" and step.args:
        return Clause(
            f"waits until {view.labels.place(step.args[0], step.cpu)} is {number(step.args[1])}", step.args[0]
        )
    waits = _of_rcu(view, index, pending)
    return Clause(_of_memory(view, step) or waits or _other(step, name), closes=bool(waits))


def _of_access(view: View, index: int, before: int | None, pending: bool) -> Clause:
    step = view.trace.steps[index]
    access, name = step.accesses[0], operation(step)
    if access.address == before:
        read, write = "there", "there"
    else:
        place = view.labels.place(access.address, step.cpu)
        read, write = f"from {place}", f"into {place}"
    if name in PLAIN_READS or name == "rcu_dereference":
        told = _read(view, access, step, read, pending or not view.took_place(access, index))
    elif name in _ADDS:
        told = _add(view, access, step, write.replace("into", "to", 1), pending or not view.took_place(access, index))
    elif name in _STORES:
        known = not pending and view.took_place(access, index)
        told = _store(view, access, step, write) + (_over_what(view, access, index) if known else "")
    else:
        told = _exchange(view, access, name, write, pending or not view.took_place(access, index))
    if not pending and view.is_freed(access.address, index):
        return Clause(f"{told}: that memory has been freed", access.address, closes=True)
    return Clause(told, access.address, closes=":" in told)


def _read(view: View, access: Access, step: Step, place: str, pending: bool) -> str:
    """`pending`: or if what stood there is not known."""
    if view.labels.is_pointer(access.address):
        word = "it again" if place == "there" else f"the pointer {view.labels.place(access.address, step.cpu)}"
        if pending:
            return f"reads {word}"
        value = view.labels.pointer(access.old)
        return f"reads {word}: it is NULL" if access.old == 0 else f"reads {word}: it points to {value.lstrip('&')}"
    if pending:
        return "reads there again" if place == "there" else f"reads {place.removeprefix('from ')}"
    return f"reads {view.labels.value(access.address, access.old)} {place}"


def _add(view: View, access: Access, step: Step, place: str, pending: bool) -> str:
    delta = _delta(step, access)
    done = (
        f"adds {number(delta)} {place}" if delta >= 0 else f"takes {number(-delta)} {place.replace('to ', 'from ', 1)}"
    )
    return done if pending else f"{done} (now {view.labels.value(access.address, access.new)})"


def _delta(step: Step, access: Access) -> int:
    """What is added: for an access that did not take place, as its arguments say."""
    if access.old != access.new:
        return access.new - access.old
    size = step.args[1] if len(step.args) > 1 else 1
    return -size if operation(step) in ("this_cpu_sub", "this_cpu_dec") else size


def _store(view: View, access: Access, step: Step, place: str) -> str:
    value = view.labels.value(access.address, step.args[1] if len(step.args) > 1 else access.new)
    if view.labels.is_pointer(access.address):
        pointer = f"a pointer to {value[1:]}" if value.startswith("&") else value
        verb = "stores" if operation(step) in ("write_once", "this_cpu_write") else "publishes"
        return f"{verb} {pointer} {place.replace('into', 'in', 1)}"
    return f"writes {value} {place}"


def _over_what(view: View, access: Access, index: int) -> str:
    """What the store goes over, if that is not what this context saw there last."""
    for earlier in range(index - 1, -1, -1):
        if view.labels.actors[earlier] != view.labels.actors[index]:
            continue
        for seen in view.trace.steps[earlier].accesses:
            if seen.address == access.address:
                changed = seen.new != access.old
                return f", where {view.labels.value(access.address, access.old)} stands by now" if changed else ""
    return ""


def _exchange(view: View, access: Access, name: str, place: str, pending: bool) -> str:
    old, new = (view.labels.value(access.address, value) for value in (access.old, access.new))
    if pending:
        return f"exchanges a value {place.replace('into', 'in', 1)}"
    if "cmpxchg" in name and access.old == access.new:
        return f"finds {old} {place.replace('into', 'in', 1)} and leaves it"
    return f"swaps {new} {place} ({old} stood there)"


def _of_memory(view: View, step: Step) -> str:
    if step.op in ("alloc_percpu", "kzalloc"):
        return f"allocates {view.labels.allocation(step.result)}" if step.result else "gets no memory"
    if step.op in ("free_percpu", "kfree"):
        return f"frees {view.labels.allocation(step.args[0])}" if step.args[0] else "frees NULL, which does nothing"
    return ""


def _of_rcu(view: View, index: int, pending: bool) -> str:
    match view.trace.steps[index].op:
        case "synchronize_rcu":
            return _synchronize(view, index, pending)
        case "rcu_barrier":
            return _barrier(view, index)
        case "call_rcu":
            return _call_rcu(view, index, pending)
        case "queue_work":
            return f"queues {_queued(view, index)} as work"
    return ""


def _synchronize(view: View, index: int, pending: bool) -> str:
    if view.ends_wait(index):
        return "goes on: its wait for a grace period is over"
    if pending:
        return "waits for a grace period"
    who = people(view, index)
    if not who:
        return "waits for a grace period, but nobody is inside a read-side section"
    return f"waits for {who}, which {'are' if ' and ' in who else 'is'} inside a read-side section"


def _barrier(view: View, index: int) -> str:
    return "goes on: the callbacks have run" if view.ends_wait(index) else "waits for all queued callbacks"


def _call_rcu(view: View, index: int, pending: bool) -> str:
    queued, who = f"queues {_queued(view, index)}", people(view, index)
    if pending:
        return queued
    if not who:
        return f"{queued}, which has to wait for nobody"
    left = "have left their read-side sections" if " and " in who else "has left its read-side section"
    return f"{queued}, to run when {who} {left}"


def _queued(view: View, index: int) -> str:
    """The program's name, from the text of the call; its operation has the slot only."""
    site = view.trace.steps[index].site
    return site.text.partition("(")[2].partition(",")[0] if site else "a callback"


def _other(step: Step, name: str) -> str:
    if name == "warn_on" and step.args and step.args[0]:
        return "runs into a WARN_ON whose condition is true"
    return _PLAIN.get(name) or (f"does {step.site.text}" if step.site else step.op)
