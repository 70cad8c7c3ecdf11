"""A trace as a log with vector clocks, which ShiViz reads.

As ShiViz has it of a file: the first line is the regular expression of the others, the second, which would tell several
executions apart, is empty. Then a line for each step. Step a happened before step b where a's clock is at most b's:
by the order of their context, by a word that b reads as a left it, by a program that a queues, or by a wait for RCU
that a ends.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from percpu_emu.report.export.edges import edges
from percpu_emu.report.export.participants import participants
from percpu_emu.report.story import step_texts
from percpu_emu.report.view import View

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Trace

EXPRESSION: Final = r"(?<host>\S+) (?<clock>\{\S*\}) (?<step>\d+) (?<event>.*)"
"""As ShiViz writes named groups."""
_BETWEEN_WORDS: Final = re.compile(r"\W+")


def shiviz(trace: Trace) -> str:
    """The regular expression, an empty line, the steps."""
    view = View(trace)
    hosts = participants(view, _host)
    lines = []
    for index, (clock, sentence) in enumerate(zip(vector_clocks(view), step_texts(view), strict=True)):
        named = json.dumps({hosts[actor]: count for actor, count in clock.items()}, separators=(",", ":"))
        lines.append(f"{hosts[view.labels.actors[index]]} {named} {index + 1} {sentence}\n")
    return "".join([f"{EXPRESSION}\n\n", *lines])


def _host(name: str) -> str:
    """A name that the regular expression takes for one: without white space."""
    return _BETWEEN_WORDS.sub("-", name)


def vector_clocks(view: View) -> list[dict[int, int]]:
    """For each step: of each actor, how many of its steps happened before, this one included."""
    clocks: list[dict[int, int]] = []
    latest: dict[int, dict[int, int]] = {}
    sources: dict[int, list[int]] = {}
    for edge in edges(view):
        sources.setdefault(edge.target, []).append(edge.source)
    for index, actor in enumerate(view.labels.actors):
        seen = [latest.get(actor, {}), *(clocks[source] for source in sources.get(index, []))]
        clock = {other: max(one.get(other, 0) for one in seen) for other in sorted(set().union(*seen))}
        clock[actor] = clock.get(actor, 0) + 1
        latest[actor] = clock
        clocks.append(clock)
    return clocks
