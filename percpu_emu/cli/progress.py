"""The progress of a search: how many states, and the part of the known ones that is not expanded yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from percpu_emu.cli import talk

if TYPE_CHECKING:
    from percpu_emu.explore.search import Search

REFRESH_SECONDS = 0.1
LOG_SECONDS = 1.0
"""Between two lines of a log."""


@contextmanager
def search_progress(name: str, figures: dict[str, Any]) -> Iterator[Callable[[Search], None]]:
    """Gives what a search calls as it goes; `figures` gets what it has done so far."""
    with _in_log(name, figures) if talk.has_log() else _as_bar(name) as show:
        shown, pause = [0.0], LOG_SECONDS if talk.has_log() else REFRESH_SECONDS

        def note(search: Search) -> None:
            figures.update(states=search.states, steps=search.steps)
            now = time.monotonic()
            if now - shown[0] >= pause:
                shown[0] = now
                show(
                    search, f"{search.states} states, {1 - search.estimate():.0%} of them to do, round {search.rounds}"
                )

        yield note


@contextmanager
def _as_bar(name: str) -> Iterator[Callable[[Search, str], None]]:
    """A bar on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[states]}"), TimeElapsedColumn())
    console = talk.console()
    disable = talk.is_quiet() or not console.is_terminal
    with Progress(*columns, console=console, auto_refresh=False, transient=True, disable=disable) as progress:
        task = progress.add_task(name, total=1.0, states="")

        def show(search: Search, said: str) -> None:
            progress.update(task, completed=search.estimate(), states=said)
            progress.refresh()

        yield show


@contextmanager
def _in_log(name: str, figures: dict[str, Any]) -> Iterator[Callable[[Search, str], None]]:
    """Lines of a file, one at the beginning and one at the end among them."""
    console = talk.console()

    def line(said: str) -> None:
        console.print(f"INFO: {name}: {said}", markup=False, highlight=False)

    line("the search begins")
    try:
        yield lambda _, said: line(said)
    finally:
        line(", ".join(f"{figures[key]} {key}" for key in ("states", "steps") if key in figures) or "no states")
