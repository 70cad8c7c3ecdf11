"""What a step did, in a few characters: `slot of CPU 1: 7 -> 8`, `stats = NULL`, `waits for CPU 0`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from percpu_emu.report.labels import operation
from percpu_emu.report.moments import BLOCKING, cpu_of_event
from percpu_emu.report.view import SMALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_emu.lang.trace import Access
    from percpu_emu.report.view import View


def operation_text(view: View, index: int) -> str:
    """The operation as it stands in the source; an event of the machine in words."""
    step = view.trace.steps[index]
    if step.site is not None:
        return step.site.text
    cpu = cpu_of_event(view.trace, step, view.labels.actors[index])
    events = {"offline": f"CPU {cpu} goes offline", "kill": f"CPU {cpu} is killed", "migrate": f"moves to CPU {cpu}"}
    return events.get(step.op, step.op)


def effect(view: View, index: int, access: Callable[[View, Access, int], str] | None = None) -> str:
    """What it read, wrote or waits for; empty if that is nothing. `access` tells of a word that was touched."""
    step = view.trace.steps[index]
    if operation(step) in SMALL - {"ledger_add"} and view.is_quiet(index):
        return ""
    parts = [(access or _access)(view, touched, index) for touched in step.accesses]
    parts += _of_memory(view, index) + _of_rcu(view, index)
    if step.op == "ledger_add":
        parts.append(f"{view.labels.word(step.args[0])} {step.args[1]:+d}")
    if step.op == "warn_on" and step.args and step.args[0]:
        parts.append("WARN_ON")
    return ", ".join(parts)


def _access(view: View, access: Access, index: int) -> str:
    word = view.labels.word(access.address)
    old, new = (view.labels.value(access.address, value) for value in (access.old, access.new))
    freed = " (FREED)" if view.is_freed(access.address, index) else ""
    if not view.took_place(access, index):
        return word + freed
    if not access.write:
        return f"{word} = {old}{freed}"
    unchanged = " (unchanged)" if access.old == access.new else ""
    return f"{word}: {old} -> {new}{unchanged}{freed}"


def _of_memory(view: View, index: int) -> list[str]:
    step = view.trace.steps[index]
    if step.op in ("alloc_percpu", "kzalloc"):
        return [f"= {view.labels.pointer(step.result)}"]
    if step.op in ("free_percpu", "kfree") and step.args[0]:
        again = " AGAIN" if step.args[0] in view.moments[index].freed else ""
        return [f"{view.labels.allocation(step.args[0])} is freed{again}"]
    return []


def _of_rcu(view: View, index: int) -> list[str]:
    step = view.trace.steps[index]
    if step.op in BLOCKING and view.ends_wait(index):
        return ["the wait is over"]
    parts = []
    if step.op in {*BLOCKING, "call_rcu"}:
        parts.append(f"waits for {people(view, index) or 'nobody'}")
    parts += [f"the wait of step {wait.step + 1} is over" for wait in view.moments[index + 1].over]
    return parts


def people(view: View, index: int) -> str:
    """Whom the wait that begins with this step has to wait for: `CPU 0 and CPU 1`."""
    actors = (view.labels.actor_of(context, index) for context in view.trace.steps[index].waits_for)
    return enumeration([view.labels.who(actor) for actor in actors if actor is not None])


def enumeration(parts: list[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else " and ".join([", ".join(parts[:-1]), parts[-1]]) if parts else ""
