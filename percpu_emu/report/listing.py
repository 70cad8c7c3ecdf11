"""The source of the programs that a trace goes through, as it stands in their files."""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from percpu_emu.lang.source import Site
    from percpu_emu.lang.trace import Trace


@dataclass(frozen=True)
class Listing:
    """A program's lines; `first` is the number of the first one in its file."""

    program: str
    path: str
    first: int
    lines: tuple[str, ...]

    @property
    def file(self) -> str:
        """The file's name, without the folder, which means nothing on another machine."""
        return Path(self.path).name


def listings(trace: Trace, ahead: Sequence[Site] = ()) -> list[Listing]:
    """The programs that the steps stand in, in the order of their first step; then those of the yields `ahead`.

    Where a file cannot be read any more, the listing has the operations' own texts.
    """
    found: dict[tuple[str, str], list[Site]] = {}
    for site in [*(step.site for step in trace.steps), *ahead]:
        if site is not None:
            found.setdefault((site.file, site.program), []).append(site)
    return [_listing(file, program, sites) for (file, program), sites in found.items()]


def _listing(file: str, program: str, sites: list[Site]) -> Listing:
    lines = linecache.getlines(file)
    extent = _extent("".join(lines), program, sites[0].line)
    if extent is None:
        texts = {site.line: site.text for site in sites}
        first = min(texts)
        return Listing(program, file, first, tuple(texts.get(n, "") for n in range(first, max(texts) + 1)))
    first, last = extent
    return Listing(program, file, first, tuple(line.rstrip() for line in lines[first - 1 : last]))


@cache
def parameters(site: Site) -> tuple[str, ...]:
    """The names of the parameters of the program that a yield stands in; none where its file cannot be read."""
    found = _function("".join(linecache.getlines(site.file)), site.program, site.line)
    return tuple(parameter.arg for parameter in found.args.args) if found else ()


@cache
def assigned(site: Site) -> frozenset[str]:
    """The variables that the program around a yield assigns to."""
    found = _function("".join(linecache.getlines(site.file)), site.program, site.line)
    names = (node for node in ast.walk(found) if isinstance(node, ast.Name)) if found else ()
    return frozenset(node.id for node in names if isinstance(node.ctx, ast.Store))


def _extent(text: str, program: str, line: int) -> tuple[int, int] | None:
    """First and last line of the function of that name around that line; None where the text has none."""
    found = _function(text, program, line)
    return (found.lineno, found.end_lineno or found.lineno) if found else None


def _function(text: str, program: str, line: int) -> ast.FunctionDef | None:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        last = getattr(node, "end_lineno", None) or 0
        if isinstance(node, ast.FunctionDef) and node.name == program and node.lineno <= line <= last:
            return node
    return None
