"""A run with question marks for what was read and written: predict, then look (as OSTEP's simulators have it)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from percpu_emu.report.columns import columns
from percpu_emu.report.effects import effect
from percpu_emu.report.view import View

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Access, Trace

WHAT_GOES_WRONG = "What goes wrong here, if anything, and which step is to blame?"


@dataclass(frozen=True)
class Question:
    """What is asked of a step (counted from 1; 0: of the whole run), and the answer."""

    step: int
    text: str
    answer: str
    values: tuple[str, ...] = ()
    """The values in the answer, to compare with what the reader typed."""

    def accepts(self, typed: str) -> bool:
        """Whether what was typed gives the values: all of them, or the last one."""
        given = tuple(typed.replace("->", " ").replace(",", " ").split())
        return bool(self.values) and given in (self.values, self.values[-1:])


def quiz_page(trace: Trace, width: int = 100) -> str:
    """The run in columns, question marks for values, and nothing of how it ends."""
    asked = replace(trace, violation=None, missing="", token="")
    return f"{columns(asked, width, _hidden)}\n{WHAT_GOES_WRONG}\n"


def questions(trace: Trace) -> list[Question]:
    """What is asked, in the order of the steps; what goes wrong comes last."""
    asked, view = View(replace(trace, violation=None)), View(trace)
    shown = [fold.start for burst in asked.bursts for fold in asked.folds(burst) if len(fold) == 1]
    found = [
        Question(index + 1, _hidden(view, index), effect(view, index), _values(view, index))
        for index in shown
        if any(view.took_place(access, index) for access in trace.steps[index].accesses) and effect(view, index)
    ]
    return [*found, Question(0, WHAT_GOES_WRONG, _ending(trace))]


def _hidden(view: View, index: int) -> str:
    return effect(view, index, _question)


def _question(view: View, access: Access, _: int) -> str:
    word = view.labels.word(access.address)
    return f"{word}: ? -> ?" if access.write else f"{word} = ?"


def _values(view: View, index: int) -> tuple[str, ...]:
    accesses = view.trace.steps[index].accesses
    pairs = [(access, (access.old, access.new) if access.write else (access.new,)) for access in accesses]
    return tuple(view.labels.value(access.address, value) for access, values in pairs for value in values)


def _ending(trace: Trace) -> str:
    if trace.violation is None:
        return "Nothing: every counter is what was added, and nothing is touched once it is freed."
    steps = ", ".join(str(index + 1) for index in trace.violation.guilty)
    return f"{trace.violation.check}: {trace.violation.detail} (step {steps})"
