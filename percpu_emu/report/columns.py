"""A trace as plain text: a column for each CPU and one for the coordinator, time from top to bottom.

It is made to be pasted into a commit message: ASCII, no colours, at most `width` characters a line. Where the columns
do not fit, it is a list in which each step names its CPU.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from percpu_emu.report.effects import effect, fold_text, operation_text
from percpu_emu.report.replay_line import replay_lines
from percpu_emu.report.view import View
from percpu_emu.scenario.wording import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from percpu_emu.lang.trace import Trace
    from percpu_emu.report.view import Burst

Effect: TypeAlias = "Callable[[View, int], str]"
DEFAULT_WIDTH: Final = 100
MIN_WIDTH: Final = 40
_LEAST_ROOM: Final = 24
"""Of the last column: with less, a list is easier to read."""
_LAST_COLUMN: Final = 46
"""What the last column should have; a column's text may run on over those to its right, where no context acts."""
_INDENT: Final = " " * 4
_MARKS: Final = {
    "interrupt": "irq> ",
    "sent": "irq> ",
    "callback": "rcu: ",
    "work": "work: ",
    "offline": "hotplug: ",
    "kill": "kill: ",
}


def columns(trace: Trace, width: int = DEFAULT_WIDTH, effect: Effect = effect) -> str:
    """The run, a line or two a step. Raises ValueError below MIN_WIDTH.

    `effect(view, index)` tells what a step did.
    """
    if width < MIN_WIDTH:
        raise ValueError(f"columns need a width of {MIN_WIDTH} or more, not {width}")
    return _Page(View(trace), width, effect).text()


@dataclass(frozen=True)
class _Page:
    view: View
    width: int
    effect: Effect

    @property
    def _gutter(self) -> int:
        return len(f"!! {len(self.view.trace.steps)}  ")

    @property
    def _stride(self) -> int:
        others = max(len(self.view.lanes) - 1, 1)
        return max(8, min(48, (self.width - self._gutter - _LAST_COLUMN) // others))

    @property
    def _is_list(self) -> bool:
        """Whether the last column would be too narrow to read."""
        return self.width - self._gutter - (len(self.view.lanes) - 1) * self._stride < _LEAST_ROOM

    def text(self) -> str:
        lines = [*self._header(), *([] if self._is_list else ["", self._titles()])]
        for burst in self.view.bursts:
            lines += [self._rails(len(self.view.lanes)), *self._burst(burst)]
        lines += ["", *self._footer()]
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def _header(self) -> Iterator[str]:
        trace, view = self.view.trace, self.view
        yield from self._wrapped(f"{trace.scenario}: {trace.summary}")
        folded = sum(len(fold) for burst in view.bursts for fold in view.folds(burst) if len(fold) > 1)
        counted = f"{plural(len(trace.steps), 'step')} of {plural(len(set(view.labels.actors)), 'context')}"
        to_blame = " !! marks the steps to blame." if view.guilty else ""
        to_blame += " -> marks the steps that suffer from them." if view.victims else ""
        in_lines = f'; {folded} of them folded into lines that begin with "..."' if folded else ""
        yield from self._wrapped(f"{counted}{in_lines}.{to_blame}")

    def _titles(self) -> str:
        return " " * self._gutter + "".join(title.ljust(self._stride) for title in self.view.lane_titles)

    def _rails(self, lanes: int) -> str:
        if self._is_list:
            return " " * self._gutter
        return " " * self._gutter + "".join("|".ljust(self._stride) for _ in range(lanes))

    def _burst(self, burst: Burst) -> Iterator[str]:
        context = self.view.trace.contexts[burst.actor]
        mark = _MARKS.get(context.kind, self._name_mark(burst.actor))
        for fold in self.view.folds(burst):
            yield from self._lines(fold, mark)

    def _name_mark(self, actor: int) -> str:
        """The task's name, where several share a column or one moves."""
        name = self.view.labels.name(actor)
        return f"{name}> " if name in self.view.labels.who(actor) else ""

    def _lines(self, fold: range, mark: str) -> Iterator[str]:
        index = fold.start
        cpu = self.view.trace.steps[index].cpu
        lane = self.view.lanes.index(cpu)
        if self._is_list:
            lane, mark = 0, f"{self.view.lane_titles[lane]}: {mark}"
        mark_of_violation = "!!" if index in self.view.guilty else "->" if index in self.view.victims else "  "
        begin = f"{mark_of_violation} {index + 1}"
        room = self.width - self._gutter - lane * self._stride
        for number, text in enumerate(self._cell(fold, mark, room)):
            gutter = begin if number == 0 else ""
            rails = self._rails(lane)[self._gutter :]
            yield gutter.ljust(self._gutter) + rails + text + self._rails_after(lane, text)

    def _rails_after(self, lane: int, text: str) -> str:
        """The lines of the columns to the right, as far as the text leaves them free."""
        end = lane * self._stride + len(text)
        whole = self._rails(len(self.view.lanes))[self._gutter :]
        return " " + whole[end + 1 :] if end + 1 < len(whole) else ""

    def _cell(self, fold: range, mark: str, room: int) -> list[str]:
        if len(fold) > 1:
            return _folded(f"{mark}{fold_text(self.view, fold, self.effect)}", room)
        done, what = mark + operation_text(self.view, fold.start), self.effect(self.view, fold.start)
        is_last = self._is_list or self.view.lanes[-1] == self.view.trace.steps[fold.start].cpu
        own = room if is_last else min(room, self._stride - 2)
        if not what:
            return _folded(done, room)
        if len(done) + 3 + len(what) <= own:
            return [f"{done}   {what}"]
        return [*_folded(done, room), *_folded(what, room, _INDENT)]

    def _footer(self) -> Iterator[str]:
        trace = self.view.trace
        if trace.violation:
            yield from self._wrapped(f"!! {trace.violation.check}: {trace.violation.detail}", "   ")
        if trace.missing:
            yield from self._wrapped(f"Missing: {trace.missing}")
        if trace.token:
            yield from replay_lines(trace, self.width)

    def _wrapped(self, text: str, indent: str = "  ") -> list[str]:
        return textwrap.wrap(text, self.width, subsequent_indent=indent)


def _folded(text: str, room: int, first: str = "") -> list[str]:
    """The text in lines between words; a word is broken only where it is longer than a line."""
    return textwrap.wrap(text, room, initial_indent=first, subsequent_indent=_INDENT, break_on_hyphens=False)
