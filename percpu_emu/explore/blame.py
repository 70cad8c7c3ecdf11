"""What a violation comes to, in a sentence, and which steps are to blame for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from percpu_emu.explore.kernels import kernels
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, UNIT_SHIFT
from percpu_emu.lang.trace import Step, Violation

COUNTS = ("lost-count", "doubled-count", "negative-counter", "wrapped-counter")


def blame(subject: Subject, stepper: Stepper, check: str, detail: str = "") -> Violation:
    """The violation that a stepper has come to."""
    steps = stepper.steps
    last = len(steps) - 1
    if check in COUNTS:
        counters = set(stepper.ledgers())
        guilty = _lost(steps, counters) if check == "lost-count" else _adds(steps, counters)
        return Violation(check, _counters(subject, stepper), guilty)
    if check in ("use-after-free", "wild-access", "early-free"):
        to_blame = [*_frees(steps), last] if check != "wild-access" else [last]
        return Violation(check, detail or _of_access(subject, stepper, check), tuple(dict.fromkeys(to_blame)))
    if check == "double-free":
        return Violation(check, "what is freed here was freed already", tuple(_frees(steps)[-2:]))
    return Violation(check, detail or _plain(subject, stepper, check), (last,) if last >= 0 else ())


def _plain(subject: Subject, stepper: Stepper, check: str) -> str:
    last = stepper.steps[-1] if stepper.steps else None
    where = f"{last.site}" if last and last.site else "the last step"
    waiting = [spec.name for n, spec in enumerate(subject.setting.contexts) if stepper.is_unfinished(n)]
    said = {
        "deadlock": f"nobody can go on: {', '.join(waiting) or 'a callback'} waits for ever",
        "leak": f"{stepper.live_regions()} areas and objects are still allocated, {subject.checks.left} should be",
        "warning": f"a WARN_ON fired: {where}",
        "off-cpu": f"an operation on this CPU's copy by a context that is on no CPU: {where}",
        "remote-write": f"a CPU's slot was written by somebody else: {where}",
        "error-bound": f"a counter's twin is more than {subject.checks.bound} off what was added to it",
        "wild-free": f"what is freed here was never allocated: {where}",
        "fault": f"it cannot be done, a division by zero or one note too many: {where}",
    }
    return said.get(check, where)


def _counters(subject: Subject, stepper: Stepper) -> str:
    """What the counters are, and what was added to them."""
    said = []
    for counter, added in sorted(stepper.ledgers().items()):
        _, value = kernels().total_of(stepper.model.vm, stepper.state, counter)
        off = int(value) - added
        if off:
            many = f"{-off} lost" if off < 0 else f"{off} too many"
            was = "was" if added == 1 else "were"
            said.append(f"{subject.names.get(counter, f'word {counter}')} is {value}, {added} {was} added: {many}")
    return "; ".join(said)


def _of_access(subject: Subject, stepper: Stepper, check: str) -> str:
    step = stepper.steps[-1]
    if check == "early-free":
        return "memory was freed while a reader still held the pointer that it had read"
    who = f"CPU {step.cpu}" if step.cpu is not None else "the coordinator"
    address = step.accesses[0].address if step.accesses else (step.args[0] if step.args else 0)
    what = _name(subject, address)
    state = "which is freed already" if check == "use-after-free" else "which nobody has allocated"
    return f"{who} touches {what}, {state}"


def _name(subject: Subject, address: int) -> str:
    cpu, word = (address >> UNIT_SHIFT) - 1, address & ((1 << UNIT_SHIFT) - 1)
    if cpu >= 0:
        return f"{subject.names.get(word, f'per-CPU word {word}')} of CPU {cpu}"
    if word >= FIRST_OBJECT and word not in subject.names:
        return f"word {(word - FIRST_OBJECT) % OBJECT_WORDS} of object {(word - FIRST_OBJECT) // OBJECT_WORDS}"
    return subject.names.get(word, f"address {address}")


def _frees(steps: Sequence[Step]) -> list[int]:
    """The frees, the last one first if it is the one that the last access is about."""
    frees = [n for n, step in enumerate(steps) if step.op in ("free_percpu", "kfree") and step.args[0]]
    last = steps[-1]
    if last.accesses:
        region = (last.accesses[0].address & ((1 << UNIT_SHIFT) - 1)) // OBJECT_WORDS
        frees = [n for n in frees if steps[n].args[0] // OBJECT_WORDS == region] or frees
    return frees


def _lost(steps: Sequence[Step], counters: set[int]) -> tuple[int, ...]:
    """A write that undid another's, between its own read and write; or one that came after the flush had looked."""
    for number, step, address in _writes(steps):
        read = _last(steps, number, address, step.context, write=False)
        other = _last(steps, number, address, None, write=True)
        if read is not None and other is not None and other > read and steps[other].context != step.context:
            return read, other, number
    for number, step, address in _writes(steps):
        if address >> UNIT_SHIFT:
            flush = [
                n
                for n, earlier in enumerate(steps[:number])
                if earlier.context != step.context and any(a.address == address for a in earlier.accesses)
            ]
            later = [n for n in range(number + 1, len(steps)) if any(a.address == address for a in steps[n].accesses)]
            if flush and not later:
                return flush[-1], number
    slots = [number for number, _, address in _writes(steps) if address >> UNIT_SHIFT]
    return tuple(slots[-1:]) or _adds(steps, counters)


def _adds(steps: Sequence[Step], counters: set[int]) -> tuple[int, ...]:
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
