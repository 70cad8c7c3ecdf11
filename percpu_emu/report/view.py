"""A trace as its renderings see it: labels, moments, bursts, and which steps carry no information."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from percpu_emu.lang import instructions as i
from percpu_emu.report.calls import begins_again, call_of, in_the_callers_words
from percpu_emu.report.labels import MOVES, Labels, allocation_of, definition
from percpu_emu.report.moments import Moment, moments
from percpu_emu.scenario import linearizable

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Access, Trace


@dataclass(frozen=True)
class Burst:
    """Steps `first` to `last` (included) in a row, of one context: as a CPU burst between two switches."""

    actor: int
    first: int
    last: int

    @property
    def steps(self) -> range:
        """Their indices."""
        return range(self.first, self.last + 1)


class View:
    """Everything that is worked out once from a trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.labels = Labels(trace)
        self.moments: list[Moment] = moments(trace, self.labels)
        """After 0, 1, 2 … steps."""
        self.guilty: frozenset[int] = frozenset(trace.violation.guilty if trace.violation else ())
        self.victims: frozenset[int] = frozenset(trace.violation.victims if trace.violation else ()) - self.guilty

    @cached_property
    def bursts(self) -> list[Burst]:
        """Consecutive steps of one actor each."""
        found: list[Burst] = []
        for index, actor in enumerate(self.labels.actors):
            if found and found[-1].actor == actor:
                found[-1] = Burst(actor, found[-1].first, index)
            else:
                found.append(Burst(actor, index, index))
        return found

    def folds(self, burst: Burst) -> list[range]:
        """The burst's steps in order; in one range quiet steps that follow each other, and a call of a helper."""
        found: list[range] = []
        for part in self._calls(burst):
            if self._is_small_call(part):
                found.append(part)
                continue
            for index in part:
                if found and self.is_quiet(index) and all(map(self.is_quiet, found[-1])):
                    found[-1] = range(found[-1].start, index + 1)
                else:
                    found.append(range(index, index + 1))
        return found

    def _calls(self, burst: Burst) -> list[range]:
        """The burst's steps, cut where a helper is called or left."""
        found: list[range] = []
        for index in burst.steps:
            if found and self._goes_on(found[-1].start, index):
                found[-1] = range(found[-1].start, index + 1)
            else:
                found.append(range(index, index + 1))
        return found

    def _goes_on(self, begin: int, index: int) -> bool:
        """Whether a step is in the same call as the step that began it: another one begins at the first yield again."""
        first, step = self.trace.steps[begin], self.trace.steps[index]
        if call_of(first) or call_of(step):
            return call_of(first) == call_of(step) and not begins_again(first, step)
        if step.site is None or first.site is None or step.site.program != first.site.program:
            return False
        again = step.site == first.site and step.accesses and first.accesses
        return not again or step.accesses[0].address == first.accesses[0].address

    def is_helper(self, index: int) -> bool:
        """Whether the step is one of a program that the context's own program calls."""
        site = self.trace.steps[index].site
        return site is not None and site.program != self.trace.contexts[self.labels.actors[index]].program

    @cached_property
    def in_small_calls(self) -> frozenset[int]:
        """Steps that are folded as a call of a helper."""
        calls = [part for burst in self.bursts for part in self._calls(burst) if self._is_small_call(part)]
        return frozenset(index for part in calls for index in part)

    def _is_small_call(self, part: range) -> bool:
        """Whether it is a call of a helper that touches one word or is the kernel's, and nothing in it is marked."""
        words = {access.address for index in part for access in self.trace.steps[index].accesses}
        is_small = len(words) == 1 or self.is_of_a_history(part.start) or self.is_whole_call(part)
        told = any(self.is_marked(index) or self.gets_no_memory(index) for index in part)
        return len(part) > 1 and self.is_helper(part.start) and is_small and not told

    def gets_no_memory(self, index: int) -> bool:
        """Whether the step is an allocation that fails."""
        step = self.trace.steps[index]
        operation = definition(step)
        return operation is not None and operation.opcode in (i.ALLOC_PERCPU, i.KZALLOC) and step.result == 0

    @cached_property
    def _whole_calls(self) -> frozenset[tuple[int, ...]]:
        """The steps of each call of the kernel's helpers, also where other contexts act in the middle."""
        found: dict[int, list[list[int]]] = {}
        for index, actor in enumerate(self.labels.actors):
            calls = found.setdefault(actor, [])
            if calls and self._goes_on(calls[-1][0], index):
                calls[-1].append(index)
            else:
                calls.append([index])
        return frozenset(tuple(part) for calls in found.values() for part in calls if self.call(part[0]))

    def is_whole_call(self, steps: range) -> bool:
        """Whether they are all of a call of one of the kernel's helpers: no other context acts in the middle."""
        return tuple(steps) in self._whole_calls

    def call(self, index: int) -> str:
        """The call of one of the kernel's helpers that the step is in, in its caller's words; "" outside of them."""
        calls = call_of(self.trace.steps[index])
        return in_the_callers_words(calls) if calls else ""

    def is_of_a_history(self, index: int) -> bool:
        """Whether the step enters a call or a return in a history, which is no part of the code under test."""
        site = self.trace.steps[index].site
        return site is not None and site.file == linearizable.__file__

    @cached_property
    def lanes(self) -> list[int | None]:
        """The CPUs that act, then None if the coordinator does."""
        acting = {step.cpu for step in self.trace.steps}
        return [*sorted(cpu for cpu in acting if cpu is not None), *([None] if None in acting else [])]

    @cached_property
    def lane_titles(self) -> list[str]:
        """What the lanes are called: `CPU 0`, `coordinator`."""
        return ["coordinator" if lane is None else f"CPU {lane}" for lane in self.lanes]

    def initial(self, address: int) -> int:
        """The word before the first step: what the trace says, else what the first access finds, else 0."""
        if address in self.trace.initial:
            return self.trace.initial[address]
        accesses = (access for step in self.trace.steps for access in step.accesses if access.address == address)
        first = next(accesses, None)
        return first.old if first else 0

    @cached_property
    def _writers(self) -> dict[int, set[int]]:
        writers: dict[int, set[int]] = {}
        for actor, step in zip(self.labels.actors, self.trace.steps, strict=True):
            for access in step.accesses:
                if access.write:
                    writers.setdefault(access.address, set()).add(actor)
        return writers

    def is_marked(self, index: int) -> bool:
        """Whether the step is to blame, suffers from one that is, ends a wait, or touches freed memory."""
        of_violation = index in self.guilty or index in self.victims
        return of_violation or bool(self.moments[index + 1].over) or self.in_freed(index)

    def is_quiet(self, index: int) -> bool:
        """Whether the step may be folded: a quiet operation, or a read of an unnamed word that no other writes."""
        step = self.trace.steps[index]
        operation = definition(step)
        if operation is None or self.is_marked(index):
            return False
        if self.is_of_a_history(index):
            return True
        if operation.opcode == i.WARN_ON:
            return not (step.args and step.args[0])
        if operation.opcode == i.PROCESSOR_ID:
            return not self._moves_after(index)
        if self.is_plain_read(index):
            actor = self.labels.actors[index]
            addresses = [access.address for access in step.accesses]
            return not any(
                self.labels.is_named(address) or self._writers.get(address, set()) - {actor} for address in addresses
            )
        return operation.quiet

    def is_plain_read(self, index: int) -> bool:
        """Whether it reads a word, and holds on to nothing by that."""
        operation = definition(self.trace.steps[index])
        return operation is not None and operation.opcode == i.READ and not operation.dereference

    def _moves_after(self, index: int) -> bool:
        """Whether the step's task migrates later: the number of its CPU is then another's."""
        actor, later = self.labels.actors[index], range(index + 1, len(self.trace.steps))
        return any(self.trace.steps[at].op in MOVES and self.labels.actors[at] == actor for at in later)

    def in_freed(self, index: int) -> bool:
        """Whether the step touched memory that had been freed."""
        return any(self.is_freed(access.address, index) for access in self.trace.steps[index].accesses)

    def is_freed(self, address: int, index: int) -> bool:
        """Whether the word was part of freed memory before that step."""
        return allocation_of(address) in self.moments[index].freed

    def took_place(self, access: Access, index: int) -> bool:
        """Whether the values of the access are known: one of freed memory may have been stopped before it was done."""
        return access.old != access.new or access.old != 0 or not self.is_freed(access.address, index)

    def next_step(self, index: int) -> int | None:
        """The next step of the same actor; None if there is none."""
        actor = self.labels.actors[index]
        later = (other for other in range(index + 1, len(self.trace.steps)) if self.labels.actors[other] == actor)
        return next(later, None)

    def ends_wait(self, index: int) -> bool:
        """Whether the step is the second of a `synchronize_rcu` or `rcu_barrier`: the wait is over."""
        actor = self.labels.actors[index]
        return self.moments[index].contexts[actor].state == "waiting"
