"""The programs of a setting: all that can run, numbered before the processes are forked; and their yields."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Final

from percpu_emu.lang.instructions import MARK
from percpu_emu.lang.reference import _SOURCES, in_words, site_of
from percpu_emu.lang.words import Long

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from percpu_emu.lang.ops import ProgramFunction
    from percpu_emu.lang.setting import Setting
    from percpu_emu.lang.source import ProgramSource, Site

_NUMBER_BITS: Final = 16


class Programs:
    """Every program that a setting can run: its contexts', what those call and what they queue."""

    def __init__(self, setting: Setting) -> None:
        self._constants = setting.constants
        self._functions: list[ProgramFunction] = []
        self._marks: list[str] = []
        self._numbers: dict[int, int] = {}
        self._sites: dict[tuple[int, int], int] = {}
        self._include_all([spec.program for spec in setting.contexts])
        self._include_all([setting.setup] if setting.setup is not None else [])
        for number, function in enumerate(self._functions):
            for form in (function, self._words(function)):  # a program that queues itself knows itself in words
                self._numbers[id(form.__code__)] = number
        self._yields = [list(self._source(function).sites.values()) for function in self._functions]
        self._numbers_of_sites = {
            site: number << _NUMBER_BITS | site.number for number, sites in enumerate(self._yields) for site in sites
        }

    def number(self, function: ProgramFunction) -> int:
        """The number of a program."""
        return self._numbers[id(function.__code__)]

    def mark_number(self, name: str) -> int:
        """The number of a mark, in the order of the text."""
        return self._marks.index(name)

    def start(self, number: int, arguments: Sequence[int]) -> Any:
        """A generator, not begun. Of a program that takes fewer arguments, the others are left out."""
        words = self._words(self._functions[number])
        return words(*map(Long, arguments[: words.__code__.co_argcount]))

    def site(self, program: Any) -> int:
        """A number for the yield at which a program stands.

        `lang.reference.site_of` takes 12 us, and is asked once for each yield in each process.
        """
        while (inner := program.gi_yieldfrom) is not None:
            program = inner
        key = id(program.gi_code), program.gi_frame.f_lasti
        if key not in self._sites:
            self._sites[key] = self._numbers_of_sites[site_of(program)]
        return self._sites[key]

    def number_of_site(self, site: Site) -> int:
        """The number of a yield. Raises KeyError for one of another setting's programs."""
        return self._numbers_of_sites[site]

    def site_by_number(self, number: int) -> Site:
        """The yield that goes by that number."""
        function, place = number >> _NUMBER_BITS, number & (1 << _NUMBER_BITS) - 1
        return self._yields[function][place - 1]

    def _include_all(self, programs: list[ProgramFunction]) -> None:
        """Number programs with all that they call and queue, in the order in which the model meets them."""
        while programs:
            programs += self._include(programs.pop(0))

    def _include(self, function: ProgramFunction) -> list[ProgramFunction]:
        """Number a program and those it calls; what they queue."""
        if function in self._functions:
            return []
        self._functions.append(function)
        source = self._source(function)
        queued: list[ProgramFunction] = []
        for node in _yields(source.tree):
            if isinstance(node, ast.YieldFrom):
                queued += self._include(source.callee(node.value))
                continue
            operation, call = source.operation(node)
            if operation.queues:
                queued.append(source.resolve(call.args[0]))
            if operation.opcode == MARK and ast.literal_eval(call.args[0]) not in self._marks:
                self._marks.append(ast.literal_eval(call.args[0]))
        return queued

    def _source(self, function: ProgramFunction) -> ProgramSource:
        """The one that `in_words` made: what it has parsed, it has parsed for every replay, and before the fork."""
        return _SOURCES[self._words(function).__code__]

    def _words(self, function: ProgramFunction) -> Any:
        return in_words(function, (), self._constants)


def _yields(tree: ast.AST) -> Iterator[ast.Yield | ast.YieldFrom]:
    """In the order of the text."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Yield | ast.YieldFrom)]
    yield from sorted(found, key=lambda node: (node.lineno, node.col_offset))
