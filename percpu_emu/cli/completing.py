"""What a shell completes: names that ship, read from their files; and paths. Imports nothing that is slow."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from percpu_emu.bundled import bundled_files, bundled_kernels
from percpu_emu.scenario.finding import shipped

Completions: TypeAlias = list[tuple[str, str]]
"""Each with a line of help, which zsh and fish show."""


def scenarios(incomplete: str) -> Completions:
    """Bundled scenarios, and paths of scenario files."""
    return [*_scenarios(incomplete, explored=False), *_paths(incomplete)]


def explored(incomplete: str) -> Completions:
    """The same, with those bundled scenarios only that have a table `explore`."""
    return [*_scenarios(incomplete, explored=True), *_paths(incomplete)]


def anything(incomplete: str) -> Completions:
    """Whatever `show` describes."""
    others = [*bundled_files("workers", ".py"), *_protocols(), *bundled_kernels(), "glossary"]
    return [*scenarios(incomplete), *_like(incomplete, others)]


def kernels(incomplete: str) -> Completions:
    """Kernel profiles, and paths of such."""
    return [*_like(incomplete, bundled_kernels()), *_paths(incomplete)]


def protocols(incomplete: str) -> Completions:
    """Protocols."""
    return _like(incomplete, _protocols())


def _scenarios(incomplete: str, *, explored: bool) -> Iterator[tuple[str, str]]:
    for name, entry in shipped().items():
        if name.startswith(incomplete) and (entry.explored or not explored):
            yield name, entry.summary


def _paths(incomplete: str) -> Iterator[tuple[str, str]]:
    """Folders and scenario files whose path begins so."""
    for match in sorted(glob.glob(f"{glob.escape(incomplete)}*")):  # noqa: PTH207 - Path.glob refuses absolute patterns
        if Path(match).is_dir():
            yield f"{match}/", "a folder"
        elif match.endswith((".toml", ".py")):
            yield match, "a file"


def _like(incomplete: str, names: Iterable[str]) -> Completions:
    return [(name, "") for name in names if name.startswith(incomplete)]


def _protocols() -> list[str]:
    from percpu_emu.cli.catalogue import PROTOCOLS

    return list(PROTOCOLS)
