"""A trace as plain text: a column for each CPU and one for the coordinator, time from top to bottom.

It is made to be pasted into a commit message: ASCII, no colours, at most `width` characters a line.
"""

from __future__ import annotations

import shlex
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from percpu_emu.report.effects import effect, fold_text, operation_text
from percpu_emu.report.view import View
from percpu_emu.scenario.wording import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from percpu_emu.lang.trace import Trace
    from percpu_emu.report.view import Burst

Effect: TypeAlias = "Callable[[View, int], str]"
_LAST_COLUMN: Final = 46
"""What the last column should have; a column's text may run on over those to its right, where no context acts."""
_MARKS: Final = {"interrupt": "irq> ", "callback": "rcu: ", "work": "work: ", "offline": "hotplug: ", "kill": "kill: "}


def columns(trace: Trace, width: int = 100, effect: Effect = effect) -> str:
    """The run, a line or two a step. Raises ValueError below 60 characters: columns need room.

    `effect(view, index)` tells what a step did.
    """
    if width < 60:
        raise ValueError(f"columns need a width of 60 or more, not {width}")
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

    def text(self) -> str:
        lines = [*self._header(), "", self._titles()]
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
        lane = self.view.lanes.index(self.view.trace.steps[index].cpu)
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
            text = f"{mark}{fold_text(self.view, fold, self.effect)}"
            return textwrap.wrap(text, room, subsequent_indent=" " * 4, max_lines=2, placeholder=" ...")
        done, what = mark + operation_text(self.view, fold.start), self.effect(self.view, fold.start)
        own = min(room, self._stride - 2) if self.view.lanes[-1] != self.view.trace.steps[fold.start].cpu else room
        indent = " " * 4
        if not what:
            return textwrap.wrap(done, room, subsequent_indent=indent)
        if len(done) + 3 + len(what) <= own:
            return [f"{done}   {what}"]
        return [
            *textwrap.wrap(done, room, subsequent_indent=indent),
            *textwrap.wrap(what, room, initial_indent=indent, subsequent_indent=indent),
        ]

    def _footer(self) -> Iterator[str]:
        trace = self.view.trace
        if trace.violation:
            yield from self._wrapped(f"!! {trace.violation.check}: {trace.violation.detail}", "   ")
        if trace.missing:
            yield from self._wrapped(f"Missing: {trace.missing}")
        if trace.token:
            file = f" --scenario {shlex.quote(trace.file)}" if trace.file else ""
            yield f"Replay: percpu-emu replay {trace.token}{file}"

    def _wrapped(self, text: str, indent: str = "  ") -> list[str]:
        return textwrap.wrap(text, self.width, subsequent_indent=indent)
