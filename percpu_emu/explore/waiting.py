"""Whom and what a context waits for, in a clause: for deadlocks and livelocks."""

from __future__ import annotations

from collections.abc import Sequence

from percpu_emu.explore.subject import Subject
from percpu_emu.explore.tracing import Stepper
from percpu_emu.kernel.layout import STATIC, STATIC_WORDS, WORD_NAMES
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, UNIT_SHIFT
from percpu_emu.lang.trace import Step


def who_waits(subject: Subject, stepper: Stepper, context: int) -> str:
    """`reader on CPU 0 waits until lock is 0: it is 1, last written by holder on CPU 1 at ...`."""
    who, obstacle = name_of_context(subject, stepper, context), stepper.standing(context).obstacle
    name, site = stepper.ahead(context)
    at = f" at {site}" if site else ""
    if obstacle is None:
        return f"{who} polls{_polled(subject, stepper, context)}"
    others = ", ".join("itself" if n == context else name_of_context(subject, stepper, n) for n in obstacle.contexts)
    if obstacle.reason == "word":
        word = name_of_word(subject, obstacle.address)
        now = stepper.model.words(stepper.state).get(obstacle.address, 0)
        wrote = _last_writer(subject, stepper, obstacle.address)
        return f"{who} waits until {word} is {obstacle.value}{at}: it is {now}, {wrote}"
    if obstacle.reason == "grace period":
        entered = _entered(stepper.steps, obstacle.contexts)
        return f"{who} waits for a grace period{at}: {others} is in a section{entered}"
    if obstacle.reason == "earlier interrupt":
        return f"{who} waits for an interrupt that was sent before: {others}"
    if obstacle.reason == "callbacks":
        return f"{who} waits for callbacks{at}: {others}"
    return f"{who} cannot take its next step ({name}{at}): {obstacle.reason}{f', {others}' if others else ''}"


def name_of_context(subject: Subject, stepper: Stepper, context: int) -> str:
    """A context as the scenario calls it, or the program of a callback."""
    contexts = subject.setting.contexts
    if context < len(contexts):
        return contexts[context].name
    met = [actor for (number, _), actor in stepper.actors.items() if number == context]
    return f"the callback {met[-1].program}" if met else f"{stepper.queued(context)}, which has not begun,"


def name_of_word(subject: Subject, address: int) -> str:
    """A word as the scenario calls it, or where it lies."""
    cpu, word = (address >> UNIT_SHIFT) - 1, address & ((1 << UNIT_SHIFT) - 1)
    if cpu >= 0:
        return f"{subject.names.get(word, f'per-CPU word {word}')} of CPU {cpu}"
    if name := subject.names.get(word, WORD_NAMES.get(word)):
        return name
    if word >= FIRST_OBJECT:
        return f"word {(word - FIRST_OBJECT) % OBJECT_WORDS} of object {(word - FIRST_OBJECT) // OBJECT_WORDS}"
    if STATIC <= word < STATIC + STATIC_WORDS:
        return f"static word {word - STATIC}"
    return "NULL" if address == 0 else f"address {address}"


def _last_writer(subject: Subject, stepper: Stepper, address: int) -> str:
    for step in reversed(stepper.steps):
        if any(access.address == address and access.write for access in step.accesses):
            return f"last written by {name_of_context(subject, stepper, step.context)} at {step.site}"
    return "written by no context"


def _entered(steps: Sequence[Step], contexts: Sequence[int]) -> str:
    """Where the first of them entered the section that it is in."""
    for number in reversed(range(len(steps))):
        operation = OPERATIONS.get(steps[number].op)
        if operation is not None and operation.enters and steps[number].context in contexts:
            return f" since step {number + 1}, {steps[number].site}"
    return ""


def _polled(subject: Subject, stepper: Stepper, context: int) -> str:
    """The word that a context that goes on for ever looked at last, and where."""
    for step in reversed(stepper.steps):
        if step.context == context and step.accesses:
            address = step.accesses[0].address
            now = stepper.model.words(stepper.state).get(address, 0)
            wrote = _last_writer(subject, stepper, address)
            return f" {name_of_word(subject, address)} at {step.site}: it is {now}, {wrote}"
    return ""
