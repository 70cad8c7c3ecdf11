"""A trace as a sequence diagram in Mermaid's language, which GitHub draws in Markdown."""

from __future__ import annotations

import re
import textwrap
from itertools import chain
from typing import TYPE_CHECKING, Final

from percpu_emu.report.effects import effect, fold_text, operation_text
from percpu_emu.report.export.edges import VERBS, Edge, arrows
from percpu_emu.report.export.participants import participants
from percpu_emu.report.story import closing
from percpu_emu.report.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percpu_emu.lang.trace import Trace

_MEANS: Final = re.compile(r"[;#&<>%$\\]|:(?=\S)|\s+")
"""What Mermaid or HTML takes for something else than itself, and white space, which may end a line.

A colon in front of a number of a character would have Mermaid take words such as `style` for statements.
"""
_WIDTH: Final = 60
"""Characters of a line in a note over all participants."""
_TO_BLAME: Final = "rgba(220, 50, 47, 0.25)"
_SUFFERS: Final = "rgba(181, 137, 0, 0.25)"


def mermaid(trace: Trace) -> str:
    """The diagram: a note for each step or fold of steps, an arrow for what is published, queued and waited for."""
    view = View(trace)
    names = participants(view)
    ids = {actor: f"p{number}" for number, actor in enumerate(names)}
    lines = ["sequenceDiagram", f"title {escaped(trace.scenario)}"]
    lines += [f"participant {ids[actor]} as {escaped(name)}" for actor, name in names.items()]
    if ids:
        everyone = ",".join(dict.fromkeys([*ids.values()][:: max(len(ids) - 1, 1)]))
        lines += [_wide_note(everyone, trace.summary)] if trace.summary else []
        lines += _body(view, ids)
        lines += [_wide_note(everyone, text) for text in closing(trace)]
    return "\n    ".join(lines) + "\n"


def _wide_note(over: str, text: str) -> str:
    return f"Note over {over}: {'<br/>'.join(map(escaped, textwrap.wrap(text, _WIDTH)))}"


def _body(view: View, ids: dict[int, str]) -> Iterator[str]:
    """The steps in their order, the arrows that lead to one before it."""
    arriving: dict[int, list[Edge]] = {}
    for edge in arrows(view):
        arriving.setdefault(edge.target, []).append(edge)
    for burst in view.bursts:
        for fold in view.folds(burst):
            for edge in chain.from_iterable(arriving.get(index, []) for index in fold):
                yield _arrow(view, edge, ids)
            yield from _steps(view, fold, ids[burst.actor])


def escaped(text: str) -> str:
    """Text that Mermaid shows as it is: on one line, each character that means something by its number."""
    return _MEANS.sub(lambda found: " " if found[0].isspace() else f"#{ord(found[0])};", text)


def _arrow(view: View, edge: Edge, ids: dict[int, str]) -> str:
    source, target = (ids[view.labels.actors[index]] for index in (edge.source, edge.target))
    return f"{source}-){target}: {escaped(f'step {edge.source + 1} {VERBS[edge.kind]}')}"


def _steps(view: View, fold: range, name: str) -> Iterator[str]:
    """The note of a step or a fold, on a ground of its own where it is to blame or suffers."""
    index = fold.start
    colour = _TO_BLAME if index in view.guilty else _SUFFERS if index in view.victims else ""
    if colour:
        yield f"rect {colour}"
    yield f"Note over {name}: {_text(view, fold, colour)}"
    if colour:
        yield "end"


def _text(view: View, fold: range, colour: str) -> str:
    index = fold.start
    if len(fold) > 1:
        return escaped(f"{index + 1} {fold_text(view, fold)}")
    mark = {_TO_BLAME: "!! ", _SUFFERS: "-> "}.get(colour, "")
    lines = [f"{mark}{index + 1} {operation_text(view, index)}", effect(view, index)]
    return "<br/>".join(escaped(line) for line in lines if line)
