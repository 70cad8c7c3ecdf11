"""What leads from one context to another in a trace: values that are read, queued programs, waits for RCU that end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from percpu_emu.lang import instructions as i
from percpu_emu.report.labels import EVENTS, definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percpu_emu.lang.trace import Access, Step
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
    return sorted(edge for edge in found if edge.source < edge.target and actors[edge.source] != actors[edge.target])


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
        written.update((access.address, index) for access in step.accesses if _writes(view, access, index))


def _reads(step: Step) -> bool:
    """Whether the step sees what stands in its word: a plain store and the second half of an update do not."""
    operation = definition(step)
    return step.half != "store" and (operation is None or operation.opcode != i.WRITE)


def _writes(view: View, access: Access, index: int) -> bool:
    return access.write and view.trace.steps[index].half != "load" and view.took_place(access, index)


def _publishes(step: Step) -> bool:
    operation = definition(step)
    return operation is not None and operation.publishes


def _of_queues(view: View) -> Iterator[Edge]:
    """From what queues a program to its first step: the next one under the number that it was queued as."""
    steps = view.trace.steps
    for index, step in enumerate(steps):
        operation = definition(step)
        if operation is not None and operation.queues and step.args:
            later = (at for at in range(index + 1, len(steps)) if steps[at].context == step.args[0])
            yield from (Edge(at, index, "queue") for at in [next(later, None)] if at is not None)


def _of_waits(view: View) -> Iterator[Edge]:
    """From the step with which a context leaves its section, or goes down, to the step that had to wait for it."""
    for index, step in enumerate(view.trace.steps):
        before = {wait.step: wait for wait in view.moments[index].waits}
        for wait in view.moments[index + 1].waits:
            left = {*before[wait.step].pending} - {*wait.pending} if wait.step in before else set()
            target = _end(view, wait)
            if target is not None and left and (view.labels.actors[index] in left or step.op in EVENTS):
                yield Edge(target, index, "wait")


def _end(view: View, wait: Wait) -> int | None:
    """The first step after a wait: of the context that waits, or of the callback that it leads to."""
    if wait.runs is None:
        return view.next_step(wait.step)
    return view.labels.actors.index(wait.runs) if wait.runs in view.labels.actors else None
