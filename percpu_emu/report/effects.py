"""What a step did, in a few characters: `slot of CPU 1: 7 -> 8`, `stats = NULL`, `waits for CPU 0`."""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING

from percpu_emu.lang import instructions as i
from percpu_emu.report.labels import ALLOCATES, FREES, definition, opcode, split_address
from percpu_emu.report.listing import parameters
from percpu_emu.report.moments import cpu_of_event, is_two_steps
from percpu_emu.scenario.wording import plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_emu.lang.trace import Access
    from percpu_emu.report.view import View


def operation_text(view: View, index: int) -> str:
    """The operation as in the source, a helper's with the caller's word; an event of the machine in words.

    A call of a helper of the kernel that is one step is what its caller writes.
    """
    step = view.trace.steps[index]
    if (call := view.call(index)) and view.is_whole_call(range(index, index + 1)):
        return call
    if step.site is not None:
        text = _with_the_callers_word(view, index, step.site.text) if view.is_helper(index) else step.site.text
        return f"{text}: {step.half}" if step.half else text
    cpu = cpu_of_event(view.trace, step, view.labels.actors[index])
    events = {"offline": f"CPU {cpu} goes offline", "kill": f"CPU {cpu} is killed", "migrate": f"moves to CPU {cpu}"}
    return events.get(step.op, step.op)


def _with_the_callers_word(view: View, index: int, text: str) -> str:
    """The text of a helper's operation, in which a parameter stands for the word that the caller named."""
    step = view.trace.steps[index]
    operation = definition(step)
    if operation is None or not step.accesses or not view.labels.is_named(step.accesses[0].address):
        return text
    call = ast.parse(text, mode="eval").body
    if not isinstance(call, ast.Call) or len(call.args) <= operation.address_at:
        return text
    at = call.args[operation.address_at]
    names = {node.id for node in ast.walk(at) if isinstance(node, ast.Name)}
    is_a_copy = split_address(step.accesses[0].address)[0] is not None
    if (
        step.site is None
        or not names.intersection(parameters(step.site))
        or (is_a_copy and not isinstance(at, ast.Name))
    ):
        return text  # which CPU's copy is said best as the program says it
    return f"{text[: at.col_offset]}{view.labels.word(step.accesses[0].address)}{text[at.end_col_offset :]}"


def effect(view: View, index: int, access: Callable[[View, Access, int], str] | None = None) -> str:
    """What it read, wrote or waits for; empty if that is nothing. `access` tells of a word that was touched."""
    step = view.trace.steps[index]
    if view.is_quiet(index) and not step.accesses and opcode(step) != i.LEDGER_ADD:
        return ""
    parts = [(access or _access)(view, touched, index) for touched in step.accesses]
    parts += _of_memory(view, index) + _of_rcu(view, index)
    if opcode(step) == i.LEDGER_ADD:
        parts.append(f"{view.labels.word(step.args[0])} {step.args[1]:+d}")
    if opcode(step) == i.WARN_ON and step.args and step.args[0]:
        parts.append("WARN_ON")
    if opcode(step) == i.PROCESSOR_ID:
        parts.append(f"= {step.result}")
    return ", ".join(parts)


def fold_text(view: View, fold: range, effect: Callable[[View, int], str] = effect) -> str:
    """Steps that are folded, by their number; of a call of a helper its name, and what its last access did."""
    counted = Counter(view.trace.steps[index].op for index in fold)
    names = ", ".join(name if count == 1 else f"{count} {name}" for name, count in counted.items())
    program = getattr(view.trace.steps[fold.start].site, "program", "")
    if all(map(view.is_of_a_history, fold)):
        return f"... {plural(len(fold), 'step')} of {program}"
    if not view.call(fold.start) and all(map(view.is_quiet, fold)):
        return f"... {plural(len(fold), 'step')}: {names}"
    told = ", ".join(effect(view, index) for index in _changing(view, fold))
    of = view.call(fold.start) or f"{program}: {names}"
    return f"... {plural(len(fold), 'step')} of {of}   {told}".rstrip()


def _changing(view: View, fold: range) -> list[int]:
    """Of each word that steps leave with another value the last write; where there is none, the last access."""
    touched: dict[int, list[tuple[int, Access]]] = {}
    for index in fold:
        for access in view.trace.steps[index].accesses:
            touched.setdefault(access.address, []).append((index, access))
    changed = [found for found in touched.values() if found[0][1].old != found[-1][1].new]
    last = [max(index for index, access in found if access.write) for found in changed]
    return last or [found[-1][0] for found in touched.values()][-1:]


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
    if opcode(step) in ALLOCATES:
        return [f"= {view.labels.pointer(step.result)}" if step.result else "fails: it gives NULL"]
    if opcode(step) in FREES and step.args[0]:
        again = " AGAIN" if step.args[0] in view.moments[index].freed else ""
        return [f"{view.labels.allocation(step.args[0])} is freed{again}"]
    return []


def _of_rcu(view: View, index: int) -> list[str]:
    step = view.trace.steps[index]
    if is_two_steps(step) and view.ends_wait(index):
        return ["the wait is over"]
    parts = []
    if is_two_steps(step) or opcode(step) == i.CALL_RCU:
        parts.append(f"waits for {people(view, index) or 'no reader'}")
    parts += [f"the wait of step {wait.step + 1} is over" for wait in view.moments[index + 1].over]
    return parts


def people(view: View, index: int) -> str:
    """Whom the wait that begins with this step has to wait for: `CPU 0 and CPU 1`."""
    actors = (view.labels.actor_of(context, index) for context in view.trace.steps[index].waits_for)
    return enumeration([view.labels.who(actor) for actor in actors if actor is not None])


def enumeration(parts: list[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else " and ".join([", ".join(parts[:-1]), parts[-1]]) if parts else ""
