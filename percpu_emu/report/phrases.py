"""One step as a clause of a sentence: `reads 7 from its slot`, `frees the slots`.

The verbs are those of the operations' definitions (`lang.operation`); here is what a trace adds to them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from percpu_emu.lang import instructions as i
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.setting import unit_word
from percpu_emu.report.effects import people
from percpu_emu.report.labels import ALLOCATES, FREES, definition, number, split_address
from percpu_emu.report.moments import cpu_of_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_emu.lang.operation import Operation
    from percpu_emu.lang.trace import Access, Step
    from percpu_emu.report.view import View

Tell: TypeAlias = "Callable[[View, int, Operation], str]"
_ADDS: Final = OPERATIONS["this_cpu_add"].verb
_SUBTRACTS: Final = OPERATIONS["this_cpu_sub"].verb
_SWAPS: Final = OPERATIONS["xchg"].verb
_AT_THERE: Final = re.compile(r" (?:into|in|to|from|of) there\b")


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
    operation = definition(step)
    if operation is None:
        return Clause(_event(view, index), closes=True)
    if operation.is_access:
        return _of_word(view, index, operation, before, pending)
    if operation.opcode in _WAITS:
        return Clause(_verb(operation) if pending else _WAITS[operation.opcode](view, index, operation), closes=True)
    return Clause(_OTHERS.get(operation.opcode, _plain)(view, index, operation))


def _verb(operation: Operation, word: str = "", arg: str = "", verb: str = "") -> str:
    """An operation's verb with its word and its argument."""
    return _AT_THERE.sub(" there", (verb or operation.verb).format(word=word, arg=arg))


def _plain(_view: View, _index: int, operation: Operation) -> str:
    return _verb(operation)


def _event(view: View, index: int) -> str:
    step = view.trace.steps[index]
    cpu = cpu_of_event(view.trace, step, view.labels.actors[index])
    said = {"migrate": f"moves to CPU {cpu}", "offline": f"takes CPU {cpu} offline", "kill": f"kills CPU {cpu}"}
    return said[step.op]


# --- words


def _of_word(view: View, index: int, operation: Operation, before: int | None, pending: bool) -> Clause:
    step = view.trace.steps[index]
    access = step.accesses[0] if step.accesses else None
    address = _address(step, operation)
    word = "there" if address == before else view.labels.place(address, step.cpu)
    seen = access if access is not None and not pending and view.took_place(access, index) else None
    tell = _half if step.half else _TOLD.get(operation.opcode, _with_argument)
    told = tell(view, index, operation, word, seen)
    if not pending and view.is_freed(address, index):
        return Clause(f"{told}: that memory has been freed", address, closes=True)
    return Clause(told, address, closes=":" in told)


def _half(view: View, index: int, operation: Operation, word: str, seen: Access | None) -> str:
    """The load or the store of a read-modify-write without LOCK, as other CPUs see it."""
    step = view.trace.steps[index]
    of = f", the {step.half} of its {operation.name}"
    if step.half == "load":
        return _AT_THERE.sub(" there", f"loads {_old(view, seen)}from {word}{of}")
    over = _over_what(view, seen, index) if seen else ""
    new = view.labels.value(seen.address, seen.new) if seen else "the result"
    return _AT_THERE.sub(" there", f"stores {new} into {word}{of}{over}")


def _old(view: View, seen: Access | None) -> str:
    return f"{view.labels.value(seen.address, seen.old)} " if seen else ""


def _address(step: Step, operation: Operation) -> int:
    """The word that a step goes to: by its access, by its arguments where it made none."""
    if step.accesses:
        return step.accesses[0].address
    at = step.args[operation.address_at] if len(step.args) > operation.address_at else 0
    return unit_word(step.cpu, at) if operation.own and step.cpu is not None else at


def _argument(step: Step, at: int = 1) -> int:
    """An argument; of a step that has none written down, the value that it leaves."""
    if len(step.args) > at:
        return step.args[at]
    return step.accesses[0].new if step.accesses else 0


def _with_argument(view: View, index: int, operation: Operation, word: str, seen: Access | None) -> str:
    """Verb, word and argument; for a step that changes the word, what stands there now."""
    told = _verb(operation, word, number(_argument(view.trace.steps[index])))
    return f"{told} (now {view.labels.value(seen.address, seen.new)})" if seen and not operation.reads_only else told


def _wait(view: View, index: int, operation: Operation, word: str, _seen: Access | None) -> str:
    return _verb(operation, word, number(_argument(view.trace.steps[index])))


def _read(view: View, index: int, operation: Operation, word: str, seen: Access | None) -> str:
    address = _address(view.trace.steps[index], operation)
    if not view.labels.is_pointer(address):
        return _verb(operation, word, verb=_from(operation, view, seen) if seen else "")
    told = _verb(operation, "it again" if word == "there" else f"the pointer {view.labels.word(address)}")
    return f"{told}: it {_leads(view, seen.old)}" if seen else told


def _from(operation: Operation, view: View, seen: Access) -> str:
    return operation.verb.replace("{word}", f"{view.labels.value(seen.address, seen.old)} from {{word}}")


def _leads(view: View, pointer: int) -> str:
    return "is NULL" if pointer == 0 else f"points to {view.labels.target(pointer)}"


def _store(view: View, index: int, operation: Operation, word: str, seen: Access | None) -> str:
    step = view.trace.steps[index]
    value = _argument(step)
    address = _address(step, operation)
    if view.labels.is_pointer(address):
        shown = "NULL" if value == 0 else f"a pointer to {view.labels.target(value)}"
    else:
        shown = view.labels.value(address, value)
    return _verb(operation, word, shown) + (_over_what(view, seen, index) if seen else "")


def _over_what(view: View, access: Access, index: int) -> str:
    """What the store goes over, if another context wrote that since this one last saw the word."""
    for earlier in range(index - 1, -1, -1):
        for seen in view.trace.steps[earlier].accesses:
            if seen.address != access.address:
                continue
            if view.labels.actors[earlier] == view.labels.actors[index]:
                return ""
            if seen.write and _has_seen(view, access.address, index, earlier):
                who = view.labels.who(view.labels.actors[earlier])
                return f", over the {view.labels.value(access.address, access.old)} that {who} wrote"
    return ""


def _has_seen(view: View, address: int, index: int, before: int) -> bool:
    """Whether the actor of a step touched the word before another step, or another CPU's copy of it."""
    return any(
        split_address(access.address)[1] == split_address(address)[1]
        for earlier in range(before)
        if view.labels.actors[earlier] == view.labels.actors[index]
        for access in view.trace.steps[earlier].accesses
    )


def _add(view: View, index: int, operation: Operation, word: str, seen: Access | None) -> str:
    delta = _delta(view.trace.steps[index], operation, seen)
    told = _verb(operation, word, number(abs(delta)), _ADDS if delta >= 0 else _SUBTRACTS)
    return f"{told} (now {view.labels.value(seen.address, seen.new)})" if seen else told


def _delta(step: Step, operation: Operation, seen: Access | None) -> int:
    """What is added."""
    if isinstance(operation.operand, int) or len(step.args) > 1:
        return operation.operand_of(step.args)
    return seen.new - seen.old if seen else 0


def _swap(view: View, index: int, operation: Operation, word: str, seen: Access | None) -> str:
    if seen is None:
        return _verb(operation, word, number(_argument(view.trace.steps[index])))
    old, new = (view.labels.value(seen.address, value) for value in (seen.old, seen.new))
    return f"{_verb(operation, word, new, _SWAPS)} ({old} stood there)"


def _compare_and_swap(view: View, index: int, operation: Operation, word: str, seen: Access | None) -> str:
    if seen is None or seen.write:
        return _swap(view, index, operation, word, seen)
    place = "there" if word == "there" else f"in {word}"
    expected = view.labels.value(seen.address, _argument(view.trace.steps[index]))
    return f"finds {view.labels.value(seen.address, seen.old)} {place}, not {expected}, and leaves it"


_TOLD: Final = {
    i.READ: _read,
    i.WRITE: _store,
    i.ADD_TO: _add,
    i.ADD_RETURN: _add,
    i.FETCH_ADD: _add,
    i.XCHG: _swap,
    i.CMPXCHG: _compare_and_swap,
    i.WAIT_UNTIL: _wait,
    i.SPIN_UNTIL: _wait,
    i.CPUMASK_NEXT: _wait,
}


# --- RCU


def _synchronize(view: View, index: int, operation: Operation) -> str:
    if view.ends_wait(index):
        return "goes on: its wait for a grace period is over"
    who = people(view, index)
    if not who:
        return f"{_verb(operation)}; no reader is active"
    return f"waits for {who}, which {'are' if ' and ' in who else 'is'} inside a read-side section"


def _barrier(view: View, index: int, operation: Operation) -> str:
    return "goes on: the callbacks have run" if view.ends_wait(index) else _verb(operation)


def _call_rcu(view: View, index: int, _operation: Operation) -> str:
    queued, who = f"queues {_queued(view, index)}", people(view, index)
    if not who:
        return f"{queued}; no reader is active"
    left = "have left their read-side sections" if " and " in who else "has left its read-side section"
    return f"{queued}, to run when {who} {left}"


def _queue_work(view: View, index: int, _operation: Operation) -> str:
    return f"queues {_queued(view, index)} as work"


def _irq_work(view: View, index: int, _operation: Operation) -> str:
    step = view.trace.steps[index]
    if not step.result:
        return f"finds CPU {_argument(step, 2)} off line, and sends nothing"
    return f"interrupts CPU {_argument(step, 2)} to run {_queued(view, index)}"


def _queued(view: View, index: int) -> str:
    """The program's name, from the text of the call; its operation has the slot only."""
    site = view.trace.steps[index].site
    return site.text.partition("(")[2].partition(",")[0] if site else "a callback"


_WAITS: Final[dict[int, Tell]] = {
    i.SYNCHRONIZE_RCU: _synchronize,
    i.RCU_BARRIER: _barrier,
    i.CALL_RCU: _call_rcu,
    i.QUEUE_WORK: _queue_work,
    i.IRQ_WORK: _irq_work,
}


# --- the rest


def _allocate(view: View, index: int, _operation: Operation) -> str:
    result = view.trace.steps[index].result
    return f"allocates {view.labels.target(result)}" if result else "gets no memory"


def _free(view: View, index: int, _operation: Operation) -> str:
    pointer = _argument(view.trace.steps[index], 0)
    return f"frees {view.labels.target(pointer)}" if pointer else "frees NULL, which does nothing"


def _warn(view: View, index: int, operation: Operation) -> str:
    fires = _argument(view.trace.steps[index], 0)
    return f"{_verb(operation)} whose condition is true" if fires else _verb(operation)


def _number(view: View, index: int, operation: Operation) -> str:
    return f"{_verb(operation)}, which is {view.trace.steps[index].result}"


def _change_cpu(view: View, index: int, operation: Operation) -> str:
    step = view.trace.steps[index]
    told = _verb(operation, arg=number(_argument(step, 0)))
    return f"{told}, which fails" if step.result < 0 else told


_OTHERS: Final[dict[int, Tell]] = {
    **dict.fromkeys((i.CPU_DOWN, i.CPU_UP, i.MOVE_TO), _change_cpu),
    **dict.fromkeys(ALLOCATES, _allocate),
    **dict.fromkeys(FREES, _free),
    i.WARN_ON: _warn,
    i.PROCESSOR_ID: _number,
    i.NR_CPU_IDS: _number,
    i.NR_NODE_IDS: _number,
}
