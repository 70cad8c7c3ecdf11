"""The progress of a search, on stderr: how many states, and the part of the known ones that is not expanded yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from rich.console import Console

    from percpu_emu.explore.search import Search

REFRESH_SECONDS = 0.1


@contextmanager
def search_progress(
    console: Console, name: str, figures: dict[str, Any] | None = None
) -> Iterator[Callable[[Search], None]]:
    """Gives what a search calls as it goes; `figures` gets what it has done so far."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[states]}"), TimeElapsedColumn())
    with Progress(
        *columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(name, total=1.0, states="")
        shown = [0.0]

        def show(search: Search) -> None:
            if figures is not None:
                figures.update(states=search.states, steps=search.steps)
            now = time.monotonic()
            if now - shown[0] < REFRESH_SECONDS:
                return
            shown[0] = now
            said = f"{search.states} states, {1 - search.estimate():.0%} of them to do, round {search.rounds}"
            progress.update(task, completed=search.estimate(), states=said)
            progress.refresh()

        yield show
