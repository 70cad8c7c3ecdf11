"""A trace in plain English: a sentence or two a burst, then what went wrong and what is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from percpu_emu.report.effects import enumeration
from percpu_emu.report.labels import EVENTS, definition, sentence
from percpu_emu.report.moments import OVER, cpu_of_event
from percpu_emu.report.phrases import Clause, clause
from percpu_emu.report.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from percpu_emu.lang.trace import Trace
    from percpu_emu.report.view import Burst

_COPIES: Final = re.compile(r"(reads \S+ from the .+) of CPUs? ([\d, and]+) \+ \1 of CPU (\d+)")
_CLAUSES: Final = 4
"""As many as a sentence may have."""


def story(trace: Trace) -> list[str]:
    """A text for each burst (consecutive steps of one context), then the violation and what is missing, if any."""
    view = View(trace)
    return [*burst_texts(view), *closing(trace)]


def burst_texts(view: View) -> list[str]:
    """The text of each burst, in the order of `view.bursts`."""
    return [_Told(view, burst).text() for burst in view.bursts]


def step_texts(view: View) -> list[str]:
    """A sentence for each step: what it does, and nothing that comes later."""
    return [_step_text(view, burst, index) for burst in view.bursts for index in burst.steps]


def _step_text(view: View, burst: Burst, index: int) -> str:
    step = view.trace.steps[index]
    subject = view.labels.who(burst.actor)
    if step.op in ("offline", "kill"):
        cpu = cpu_of_event(view.trace, step, burst.actor)
        return f"CPU {cpu} {'goes offline' if step.op == 'offline' else 'is killed'}."
    return sentence(f"{subject} {_Told(view, burst).step(index)}")


def closing(trace: Trace) -> list[str]:
    """What was lost, and which step of the protocol is missing."""
    found = [sentence(trace.violation.detail)] if trace.violation else []
    return [*found, *([sentence(f"Missing: {trace.missing}")] if trace.missing else [])]


class _Told:
    """One burst, being told."""

    def __init__(self, view: View, burst: Burst) -> None:
        self._view = view
        self._burst = burst
        self._context = view.trace.contexts[burst.actor]
        self._who = view.labels.who(burst.actor)

    def text(self) -> str:
        opening, subject = self._opening()
        sentences = [opening] if opening else []
        for clauses in _sentences(_merged(self._clauses())):
            if clauses[0].anew:
                subject = f"in the next iteration {'it' if sentences else subject}"
            sentences.append(f"{subject} {enumeration([part.text for part in clauses])}")
            subject = "it"
        return " ".join(sentence(text) for text in [*sentences, *self._ending(subject, bool(sentences))])

    def step(self, index: int) -> str:
        """What one of the burst's steps does."""
        return self._with_wait(clause(self._view, index), index).text

    def _opening(self) -> tuple[str, str]:
        """A sentence to begin with, if any, and the subject of the next one."""
        begins = self._burst.first == 0 or self._burst.actor not in self._view.labels.actors[: self._burst.first]
        step = self._view.trace.steps[self._burst.first]
        if step.op in EVENTS:
            return self._event(), self._who if self._context.kind == "offline" else "it"
        if not begins:
            return "", self._who
        if self._context.kind in ("interrupt", "sent"):
            name, cpu = self._view.labels.name(self._burst.actor), self._context.cpu
            return f"an interrupt, {name}, arrives on CPU {cpu}{self._caught(cpu)}", "it"
        if self._context.kind in ("callback", "work"):
            return f"{self._who} runs{self._why_now()}", "it"
        return "", self._who

    def _event(self) -> str:
        step = self._view.trace.steps[self._burst.first]
        cpu = cpu_of_event(self._view.trace, step, self._burst.actor)
        if step.op == "migrate":
            return f"{self._who} moves to CPU {cpu}"
        caught = self._caught(cpu)
        if step.op == "kill":
            return f"CPU {cpu} is killed{caught}"
        return f"CPU {cpu} goes offline"

    def _caught(self, cpu: int | None) -> str:
        before = self._view.moments[self._burst.first]
        for actor, state in enumerate(before.contexts):
            context = self._view.trace.contexts[actor]
            if (
                context.kind == "task"
                and state.cpu == cpu
                and state.state in ("ready", "blocked")
                and self._mid_turn(actor)
            ):
                return f" in the middle of {context.program}"
        return ""

    def _mid_turn(self, actor: int) -> bool:
        """Whether it is inside a run of its program as this burst begins."""
        steps = [index for index in range(self._burst.first) if self._view.labels.actors[index] == actor]
        following = self._view.next_step(steps[-1]) if steps else None
        return bool(steps) and (following is None or not self._begins_anew(actor, following))

    def _why_now(self) -> str:
        waits = (wait for wait in self._view.moments[self._burst.first].waits if wait.runs == self._burst.actor)
        who = [self._view.labels.who(actor) for wait in waits for actor in wait.of]
        return f", since {enumeration(who)} {'have' if len(who) > 1 else 'has'} left the section" if who else ""

    # --- what it does

    def _clauses(self) -> Iterator[Clause]:
        before: int | None = None
        skipped: list[int] = []
        seen = self._burst.first
        for fold in self._view.folds(self._burst):
            told = [index for index in fold if self._is_told(index)]
            if not told:
                skipped += filter(self._view.is_plain_read, fold)
                continue
            yield from self._skipped(skipped)
            skipped = []
            index = told[-1]
            call = self._view.call(fold.start) if len(fold) > 1 or self._is_a_call(index) else ""
            made = Clause(f"calls {call}") if call else clause(self._view, index, before=before)
            before = made.address
            anew, seen = self._anew_between(seen, index), index
            yield replace(self._with_wait(self._after_tries(made, told), index), anew=anew)
        yield from self._skipped(skipped)

    def _is_a_call(self, index: int) -> bool:
        return self._view.is_whole_call(range(index, index + 1)) and not self._view.is_marked(index)

    def _skipped(self, reads: list[int]) -> Iterator[Clause]:
        """Reads that are folded: a single one in words, several as their number."""
        if len(reads) == 1:
            yield clause(self._view, reads[0])
        elif reads:
            yield Clause(f"reads {len(reads)} other words")

    def _after_tries(self, told: Clause, steps: list[int]) -> Clause:
        """The last step of a helper's call, with the number of the attempt."""
        sites = [self._view.trace.steps[index].site for index in steps]
        tries = sites[:-1].count(sites[-1])
        return replace(told, text=f"{told.text} at attempt {tries + 1}") if tries else told

    def _anew_between(self, first: int, last: int) -> bool:
        """Whether the program begins again after step `first`, up to step `last`."""
        return any(self._begins_anew(self._burst.actor, index) for index in range(first + 1, last + 1))

    def _is_told(self, index: int) -> bool:
        step = self._view.trace.steps[index]
        operation = definition(step)
        if operation is None:
            return index != self._burst.first
        if operation.enters == "rcu":  # of note only where another context may act before it is left
            return not any(self._leaves_rcu(later) for later in range(index, self._burst.last + 1))
        return not self._view.is_quiet(index)

    def _leaves_rcu(self, index: int) -> bool:
        operation = definition(self._view.trace.steps[index])
        return operation is not None and operation.leaves == "rcu"

    def _with_wait(self, told: Clause, index: int) -> Clause:
        over = self._view.moments[index + 1].over
        if not over:
            return told
        waiting = [self._view.labels.who(wait.by if wait.runs is None else wait.runs) for wait in over]
        return Clause(f"{told.text}: that ends the wait of {enumeration(waiting)}", closes=True)

    # --- how the burst ends

    def _ending(self, subject: str, acted: bool) -> list[str]:
        last = self._burst.last
        ended = self._view.trace.steps[last].ended
        if self._context.kind == "interrupt" and ended:
            return ["the interrupt returns"]
        following = self._stopped_before(last)
        if following is not None:
            told = clause(self._view, following, before=self._last_address(), pending=True)
            begins = "" if acted else "begins and " if self._is_first() else "goes on and "
            return [f"{subject} {begins}is stopped just before it {re.split('[:;]', told.text)[0]}"]
        if acted:
            return []
        return [f"{subject} ends" if ended else f"{subject} does nothing that matters here"]

    def _is_first(self) -> bool:
        return self._view.labels.actors.index(self._burst.actor) == self._burst.first

    def _last_address(self) -> int | None:
        accesses = self._view.trace.steps[self._burst.last].accesses
        return accesses[0].address if accesses else None

    def _stopped_before(self, last: int) -> int | None:
        """What the actor goes on with later, if it was stopped inside a run of its program."""
        view, following = self._view, self._view.next_step(last)
        actor = view.labels.actors[last]
        after = view.moments[last + 1].contexts[actor]
        if following is None or after.state in OVER or after.state == "waiting" or self._begins_anew(actor, following):
            return None
        unlock = None
        while view.is_quiet(following) or view.trace.steps[following].op == "migrate":
            if unlock is None and self._leaves_rcu(following):
                unlock = following
            later = view.next_step(following)
            if later is None or self._begins_anew(actor, later):
                return unlock
            following = later
        return following

    def _begins_anew(self, actor: int, index: int) -> bool:
        """Whether the step is the first of the program again: the one before was the last of a turn of it."""
        steps = self._view.trace.steps
        first = self._view.labels.actors.index(actor)
        again = steps[index].site is not None and steps[index].site == steps[first].site
        return again and steps[index].half != "store" and index not in self._view.in_small_calls


def _merged(clauses: Iterable[Clause]) -> Iterator[Clause]:
    """Reads of the same value from several CPUs' copies, one after the other, as one clause."""
    held: Clause | None = None
    for told in clauses:
        both = _COPIES.fullmatch(f"{held.text} + {told.text}") if held and not told.anew else None
        if held and both:
            cpus = [*both[2].replace(" and ", ", ").split(", "), both[3]]
            held = replace(held, text=f"{both[1]} of CPUs {enumeration(cpus)}")
            continue
        if held:
            yield held
        held = told
    if held:
        yield held


def _sentences(clauses: Iterable[Clause]) -> Iterator[list[Clause]]:
    part: list[Clause] = []
    for told in clauses:
        if told.anew and part:
            yield part
            part = []
        part.append(told)
        if told.closes or len(part) == _CLAUSES:
            yield part
            part = []
    if part:
        yield part
