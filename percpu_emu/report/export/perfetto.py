"""A trace as trace events in JSON: the format of chrome://tracing, which Perfetto reads.

A track for each context, in a group for each CPU; a counter for each named word whose value changes; arrows for what is
published, queued and waited for. Time is made up: step n, from 1 on, lasts from n - 1 to n microseconds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from percpu_emu.lang import instructions as i
from percpu_emu.report.effects import effect, operation_text
from percpu_emu.report.export.edges import VERBS, arrows
from percpu_emu.report.export.participants import participants
from percpu_emu.report.labels import opcode
from percpu_emu.report.story import step_texts
from percpu_emu.report.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percpu_emu.lang.trace import Trace

Event: TypeAlias = dict[str, Any]
TIME: Final = "made up: each step lasts 1 us"
_WORDS: Final = 1
"""The group of the counters."""
_FIRST_LANE: Final = 2
_FIRST_TRACK: Final = 101
"""A reader takes a track whose number is a group's for the group's main one."""
_INSIDE: Final = 0.5
"""Where in a step an arrow begins or ends: on its edge it would belong to two steps."""


def perfetto(trace: Trace) -> str:
    """The JSON object, a line for each event."""
    page = _Page(View(trace))
    events = ",\n".join(json.dumps(event, ensure_ascii=False) for event in page.events())
    about = json.dumps(page.about(), ensure_ascii=False)
    return f'{{"displayTimeUnit": "ns",\n"otherData": {about},\n"traceEvents": [\n{events}\n]}}\n'


class _Page:
    def __init__(self, view: View) -> None:
        self._view = view
        self._names = participants(view)
        self._tracks: dict[tuple[int, int], int] = {}
        """The thread number of each context on each CPU that it acts on."""
        for index in range(len(view.trace.steps)):
            self._tracks.setdefault((self._group(index), view.labels.actors[index]), _FIRST_TRACK + len(self._tracks))

    def about(self) -> dict[str, str]:
        """What the file is of."""
        trace, violation = self._view.trace, self._view.trace.violation
        found = {
            "scenario": trace.scenario,
            "summary": trace.summary,
            "time": TIME,
            "token": trace.token,
            "violation": f"{violation.check}: {violation.detail}" if violation else "",
            "missing": trace.missing,
        }
        return {key: text for key, text in found.items() if text}

    def events(self) -> Iterator[Event]:
        """Names first, then what happens, kind by kind."""
        yield from self._titles()
        for index, sentence in enumerate(step_texts(self._view)):
            yield self._step(index, sentence)
        yield from self._instants()
        yield from self._counters()
        yield from self._flows()

    def _titles(self) -> Iterator[Event]:
        groups = ["words", *self._view.lane_titles]
        for group, title in enumerate(groups, _WORDS):
            yield {"ph": "M", "name": "process_name", "pid": group, "tid": 0, "args": {"name": title}}
            yield {"ph": "M", "name": "process_sort_index", "pid": group, "tid": 0, "args": {"sort_index": group}}
        for (group, actor), track in self._tracks.items():
            name = self._names[actor]
            yield {"ph": "M", "name": "thread_name", "pid": group, "tid": track, "args": {"name": name}}

    def _group(self, index: int) -> int:
        return _FIRST_LANE + self._view.lanes.index(self._view.trace.steps[index].cpu)

    def _at(self, index: int, after: float = 0) -> Event:
        """Where a step is, and so much after it begins."""
        group = self._group(index)
        return {"ts": index + after, "pid": group, "tid": self._tracks[group, self._view.labels.actors[index]]}

    def _step(self, index: int, sentence: str) -> Event:
        step = self._view.trace.steps[index]
        told = {"step": index + 1, "sentence": sentence, "effect": effect(self._view, index)}
        if step.site is not None:
            told["place"] = f"{step.site.program}, line {step.site.line}"
        name = operation_text(self._view, index)
        return {"ph": "X", "name": name, "cat": "step", **self._at(index), "dur": 1, "args": told}

    def _instants(self) -> Iterator[Event]:
        view, violation = self._view, self._view.trace.violation
        for index, step in enumerate(view.trace.steps):
            if opcode(step) == i.MARK:
                yield self._instant(index, operation_text(view, index), "mark")
            if violation and index in view.guilty:
                yield self._instant(index, f"to blame: {violation.check}", "violation")
            if violation and index in view.victims:
                yield self._instant(index, f"suffers from it: {violation.check}", "violation")

    def _instant(self, index: int, name: str, category: str) -> Event:
        return {"ph": "i", "name": name, "cat": category, **self._at(index, _INSIDE), "s": "t"}

    def _counters(self) -> Iterator[Event]:
        """Each named word that changes: what it is at first, and what each step that changes it leaves."""
        changed = {
            access.address
            for step in self._view.trace.steps
            for access in step.accesses
            if access.old != access.new and self._view.labels.is_named(access.address)
        }
        for address in sorted(changed):
            yield self._counter(address, 0, self._view.initial(address))
        for index, step in enumerate(self._view.trace.steps):
            for access in step.accesses:
                if access.address in changed and access.old != access.new:
                    yield self._counter(access.address, index + 1, access.new)

    def _counter(self, address: int, time: int, value: int) -> Event:
        name = self._view.labels.word(address)
        return {"ph": "C", "name": name, "pid": _WORDS, "tid": 0, "ts": time, "args": {"value": value}}

    def _flows(self) -> Iterator[Event]:
        for number, edge in enumerate(arrows(self._view), 1):
            same = {"name": VERBS[edge.kind], "cat": edge.kind, "id": number}
            yield {"ph": "s", **same, **self._at(edge.source, _INSIDE)}
            yield {"ph": "f", "bp": "e", **same, **self._at(edge.target, _INSIDE)}
