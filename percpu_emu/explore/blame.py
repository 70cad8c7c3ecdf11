"""What a violation is, in a sentence; which steps do the damage, and whose work is undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from percpu_emu.explore.compiled import compiled
from percpu_emu.explore.lock_schedule import circle_of, said_of, steps_of
from percpu_emu.explore.search import Found
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.tracing import Stepper
from percpu_emu.explore.waiting import name_of_context, name_of_word, who_waits
from percpu_emu.lang.checks import COUNTS, check_of
from percpu_emu.lang.setting import OBJECT_WORDS, UNIT_SHIFT
from percpu_emu.lang.trace import Step, Violation

Steps = tuple[int, ...]


def blame(subject: Subject, stepper: Stepper, check: str, detail: str = "", found: Found | None = None) -> Violation:
    """The violation that a stepper stands before, and what a search has found of it."""
    steps = stepper.steps
    last = (len(steps) - 1,) if steps else ()
    if check_of(check).group is COUNTS:
        counters = set(stepper.model.counters())
        culprits, victims = _lost(steps, counters) if check == "lost-count" else (_adds(steps, counters), ())
        return Violation(check, _counters(subject, stepper), culprits, victims)
    if check in ("use-after-free", "early-free"):
        frees = _frees(steps)
        return Violation(check, _of_access(subject, stepper, check), tuple(frees) or last, last if frees else ())
    if check == "circular-wait":
        orders = found.circle if found and found.circle else circle_of(stepper)
        said = f"{check_of(check).sentence}: {said_of(subject, stepper, orders)}"
        return Violation(check, said, steps_of(stepper, orders))
    if check == "starvation" and found is not None:
        first = len(steps) - found.repeated
        return Violation(check, _starved(subject, stepper, found), tuple(range(first, len(steps))))
    if check == "double-free":
        return Violation(check, "what is freed here was freed already", tuple(_frees(steps)[-2:]))
    said = detail or _DETAILS.get(check, _plain)(subject, stepper, check)
    return Violation(check, said, last)


def _place(stepper: Stepper) -> str:
    last = stepper.steps[-1] if stepper.steps else None
    return f"{last.site}" if last and last.site else "the last step"


def _plain(_subject: Subject, stepper: Stepper, check: str) -> str:
    return f"{check_of(check).sentence}: {_place(stepper)}"


def _stuck(subject: Subject, stepper: Stepper, check: str) -> str:
    """A deadlock or a livelock: every context that is not over, and what it waits for."""
    waiting = [n for n in stepper.contexts() if stepper.is_unfinished(n)]
    return f"{check_of(check).sentence}: " + "; ".join(who_waits(subject, stepper, number) for number in waiting)


def _starved(subject: Subject, stepper: Stepper, found: Found) -> str:
    """The circle, and for each context that never ends what it can do in it."""
    first, many = len(stepper.steps) - found.repeated, found.repeated
    said = [f"{check_of('starvation').sentence}: steps {first + 1} to {len(stepper.steps)} can come again and again"]
    for context in found.starved:
        own = sum(step.context == context for step in stepper.steps[first:])
        states = stepper.standings[first + 1 :]
        free = sum(any(s.context == context and s.obstacle is None for s in standing) for standing in states)
        takes = "takes none of them" if not own else f"takes {own} of them"
        said.append(
            f"{name_of_context(subject, stepper, context)} {takes}, and can go on in {free} of their {many} states"
        )
    return "; ".join(said)


def _leak(subject: Subject, stepper: Stepper, _check: str) -> str:
    live, expected = stepper.live_regions(), subject.checks.left
    return (
        f"{live} {'area or object is' if live == 1 else 'areas and objects are'} still allocated; expected {expected}"
    )


def _fault(_subject: Subject, stepper: Stepper, check: str) -> str:
    last = stepper.steps[-1]
    where = stepper.fault or last.site
    if where is not None and where.number and (last.op in ("alloc_percpu", "kzalloc")):
        return f"an object of the model has 1 to {OBJECT_WORDS * 8} bytes, not {last.args[0]}: {where}"
    if where is not None and where.number == 0:
        return f"division by zero, or a shift by a count outside of 0 to 63: {where}"
    return f"{check_of(check).sentence}: {where}"


def _bound(subject: Subject, stepper: Stepper, _check: str) -> str:
    words, added = stepper.model.words(stepper.state), stepper.ledgers()
    off = {counter: words.get(counter, 0) - added.get(counter, 0) for counter in stepper.model.counters()}
    counter = max(off, key=lambda counter: abs(off[counter]), default=0)
    name = name_of_word(subject, counter)
    return f"{name} is {off.get(counter, 0):+d} off what was added to it; allowed: {subject.checks.bound}"


def _wild(subject: Subject, stepper: Stepper, check: str) -> str:
    return _of_access(subject, stepper, check)


_DETAILS: Final[dict[str, Callable[[Subject, Stepper, str], str]]] = {
    "deadlock": _stuck,
    "livelock": _stuck,
    "leak": _leak,
    "fault": _fault,
    "error-bound": _bound,
    "wild-access": _wild,
}


def _counters(subject: Subject, stepper: Stepper) -> str:
    """What the counters are, and what was added to them."""
    said = []
    for counter in stepper.model.counters():
        added = stepper.ledgers().get(counter, 0)
        _, value = compiled().total_of(stepper.model.vm, stepper.state, counter)
        off = int(value) - added
        if off:
            many = f"{-off} lost" if off < 0 else f"{off} too many"
            was = "was" if added == 1 else "were"
            said.append(f"{name_of_word(subject, counter)} is {value}, {added} {was} added: {many}")
    return "; ".join(said)


def _of_access(subject: Subject, stepper: Stepper, check: str) -> str:
    step = stepper.steps[-1]
    if check == "early-free":
        return "memory was freed while a reader still held the pointer that it had read"
    who = f"CPU {step.cpu}" if step.cpu is not None else "the coordinator"
    address = step.accesses[0].address if step.accesses else (step.args[0] if step.args else 0)
    state = "which is freed already" if check == "use-after-free" else "which is not allocated"
    return f"{who} touches {name_of_word(subject, address)}, {state}"


def _frees(steps: Sequence[Step]) -> list[int]:
    """The frees; where the last access is about one of them, only those of its region."""
    frees = [n for n, step in enumerate(steps) if step.op in ("free_percpu", "kfree") and step.args[0]]
    last = steps[-1]
    if last.accesses:
        region = (last.accesses[0].address & ((1 << UNIT_SHIFT) - 1)) // OBJECT_WORDS
        frees = [n for n in frees if steps[n].args[0] // OBJECT_WORDS == region] or frees
    return frees


def _lost(steps: Sequence[Step], counters: set[int]) -> tuple[Steps, Steps]:
    """The write that loses a count, and the step whose count is lost.

    A write that goes over another context's, between its own read and write; or a flush that looked at a slot before
    its CPU added to it for the last time.
    """
    for number, step, address in _writes(steps):
        read = _last(steps, number, address, step.context, write=False)
        other = _last(steps, number, address, None, write=True)
        if read is not None and other is not None and other > read and steps[other].context != step.context:
            return (number,), (other,)
    for number, step, address in _writes(steps):
        if address >> UNIT_SHIFT:
            looked = [
                n
                for n, earlier in enumerate(steps[:number])
                if earlier.context != step.context and any(a.address == address for a in earlier.accesses)
            ]
            later = [n for n in range(number + 1, len(steps)) if any(a.address == address for a in steps[n].accesses)]
            if looked and not later:
                return (looked[-1],), (number,)
    slots = [number for number, _, address in _writes(steps) if address >> UNIT_SHIFT]
    return (tuple(slots[-1:]) or _adds(steps, counters)), ()


def _adds(steps: Sequence[Step], counters: set[int]) -> Steps:
    """The last two times that a counter was changed."""
    return tuple([number for number, _, address in _writes(steps) if address in counters][-2:])


def _writes(steps: Sequence[Step]) -> Iterator[tuple[int, Step, int]]:
    for number, step in enumerate(steps):
        for access in step.accesses:
            if access.write and access.old != access.new:
                yield number, step, access.address


def _last(steps: Sequence[Step], before: int, address: int, context: int | None, *, write: bool) -> int | None:
    for number in reversed(range(before)):
        step = steps[number]
        if context is not None and step.context != context:
            continue
        if any(a.address == address and a.write == write for a in step.accesses):
            return number
    return None
