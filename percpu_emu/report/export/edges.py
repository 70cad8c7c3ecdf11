"""What leads from one context to another in a trace: values that are read, queued programs, waits for RCU that end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from percpu_emu.lang import instructions as i
from percpu_emu.report.labels import definition, opcode
from percpu_emu.report.moments import OVER, is_two_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percpu_emu.lang.trace import Step
    from percpu_emu.report.moments import Wait
    from percpu_emu.report.view import View

Kind: TypeAlias = Literal["read", "publish", "queue", "wait"]
VERBS: Final[dict[Kind, str]] = {"read": "writes", "publish": "publishes", "queue": "queues", "wait": "ends the wait"}
"""What the source of an edge does for its target."""


@dataclass(frozen=True, order=True)
class Edge:
    """Step `target` of one context follows from step `source` of another."""

    target: int
    source: int
    kind: Kind


def edges(view: View) -> list[Edge]:
    """Every edge between two contexts, in the order of the targets. `publish` is a read of what was published."""
    actors = view.labels.actors
    found = {*_of_words(view), *_of_queues(view), *_of_waits(view)}
    return sorted(edge for edge in found if actors[edge.source] != actors[edge.target])


def arrows(view: View) -> list[Edge]:
    """The edges that a person follows: without the plain reads, which are many."""
    return [edge for edge in edges(view) if edge.kind != "read"]


def _of_words(view: View) -> Iterator[Edge]:
    written: dict[int, int] = {}
    for index, step in enumerate(view.trace.steps):
        for access in step.accesses:
            if _reads(step) and access.address in written and view.took_place(access, index):
                source = written[access.address]
                yield Edge(index, source, "publish" if _publishes(view.trace.steps[source]) else "read")
        written.update((access.address, index) for access in step.accesses if access.write)


def _reads(step: Step) -> bool:
    """Whether the step sees what stands in its word: a plain store and the second half of an update do not."""
    operation = definition(step)
    return step.half != "store" and (operation is None or operation.opcode != i.WRITE)


def _publishes(step: Step) -> bool:
    operation = definition(step)
    return operation is not None and operation.publishes


def _of_queues(view: View) -> Iterator[Edge]:
    for index, step in enumerate(view.trace.steps):
        operation = definition(step)
        begun = _begun(view, index) if operation is not None and operation.queues else None
        if begun is not None:
            yield Edge(begun, index, "queue")


def _begun(view: View, index: int) -> int | None:
    """The first step of what a step queues: the next one under the number that it was queued as."""
    steps = view.trace.steps
    later = range(index + 1, len(steps))
    return next((at for at in later if steps[at].context == steps[index].args[0]), None)


def _of_waits(view: View) -> Iterator[Edge]:
    """From the step after which a context is not waited for any more to the step that had to wait for it."""
    waits = {wait.step: wait for moment in view.moments for wait in moment.waits}
    for wait in waits.values() if view.trace.standings else ():
        sleeps = is_two_steps(view.trace.steps[wait.step])
        target = view.next_step(wait.step) if sleeps else _begun(view, wait.step)
        if target is None:
            continue
        between = range(wait.step + 1, target)
        for actor in wait.of:
            yield from [Edge(target, index, "wait") for index in between if _is_done(view, wait, actor, index)][:1]


def _is_done(view: View, wait: Wait, actor: int, index: int) -> bool:
    """Whether a wait waits for a context no longer after a step: it is no reader, or a callback that has run."""
    after = view.moments[index + 1].contexts[actor]
    return after.state in OVER if opcode(view.trace.steps[wait.step]) == i.RCU_BARRIER else not after.reader
