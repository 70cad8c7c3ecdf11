"""The contexts that act in a trace, each with a name of its own: a line of time in formats that draw one for each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from percpu_emu.report.view import View


def participants(view: View, spelt: Callable[[str], str] = str) -> dict[int, str]:
    """The names by actor, in the order of `View.lanes`: `CPU 0`, `coordinator`, `interrupt on CPU 0`.

    `spelt` writes a name as a format needs it; a name that comes again gets a number.
    """
    first = {actor: view.labels.actors.index(actor) for actor in set(view.labels.actors)}
    lane = {actor: view.lanes.index(view.trace.steps[index].cpu) for actor, index in first.items()}
    seen: Counter[str] = Counter()
    names = {}
    for actor in sorted(first, key=lambda actor: (lane[actor], actor)):
        name = view.labels.who(actor).removeprefix("the ")
        seen[spelt(name)] += 1
        times = seen[spelt(name)]
        names[actor] = spelt(name if times == 1 else f"{name} no. {times}")
    return names
