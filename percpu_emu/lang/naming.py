"""What the words of structures are called in columns and stories: by their fields."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from percpu_emu.lang import instructions as i
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS
from percpu_emu.lang.source import ProgramSource, Site, called, source_of
from percpu_emu.lang.structures import names_of_allocated
from percpu_emu.lang.trace import Step

_ALLOCATES: Final = (i.ALLOC_PERCPU, i.KZALLOC)
_COMPOUND: Final = (ast.If, ast.For, ast.While)


@dataclass(frozen=True)
class Naming:
    """The structures that the programs of a setting allocate."""

    types: Mapping[Site, Any] = field(default_factory=dict)
    """The type of what each yield allocates."""
    numbered: frozenset[Any] = frozenset()
    """Types of which there may be several objects, which therefore have numbers."""
    made: Mapping[Any, int] = field(default_factory=dict)
    """How many of each type the setup allocates."""
    names: Mapping[int, str] = field(default_factory=dict)
    """Names of the words that the setup allocates."""

    def named(self, steps: Iterable[Step]) -> dict[int, str]:
        """Names of the words that steps allocate."""
        made, names = Counter(self.made), dict[int, str]()
        for step in steps:
            kind = self.types.get(step.site) if step.site is not None else None
            if kind is not None and step.result:
                names |= names_of_allocated(kind, step.result, made[kind] if kind in self.numbered else None)
                made[kind] += 1
        return names


def naming_of(setup: ProgramFunction | None, programs: Sequence[ProgramFunction]) -> Naming:
    """The naming of a setting with that setup and those programs."""
    reached = dict.fromkeys(part for program in programs for part in called(program, and_queued=True))
    later = {site: kind for program in reached for site, kind in source_of(program).allocated.items()}
    first = list(_in_order(setup)) if setup is not None else []
    made = Counter(kind for _, kind in first if kind is not None)
    numbered = frozenset(later.values()) | {kind for kind, count in made.items() if count > 1}
    names, numbers, places = dict[int, str](), Counter[Any](), Counter[int]()
    for opcode, kind in first:
        place = places[opcode]
        places[opcode] += 1
        if kind is not None:
            pointer = OBJECT_WORDS * (place + 1) if opcode == i.ALLOC_PERCPU else FIRST_OBJECT + OBJECT_WORDS * place
            names |= names_of_allocated(kind, pointer, numbers[kind] if kind in numbered else None)
            numbers[kind] += 1
    return Naming(later, numbered, made, names)


def _in_order(setup: ProgramFunction) -> Iterator[tuple[int, Any]]:
    """The allocations of a setup: opcode and type, as far as their order is certain from the text."""
    source = source_of(setup)
    for statement in source.tree.body:
        if isinstance(statement, _COMPOUND) and _allocates(source, statement):
            return
        for node in _yields(statement):
            if isinstance(node, ast.YieldFrom):
                yield from _in_order(source.callee(node.value))
            elif (opcode := source.operation(node)[0].opcode) in _ALLOCATES:
                yield opcode, source.allocated.get(source.sites[node.lineno, node.col_offset])


def _allocates(source: ProgramSource, statement: ast.stmt) -> bool:
    programs = [source.callee(node.value) for node in _yields(statement) if isinstance(node, ast.YieldFrom)]
    operations = [source.operation(node)[0] for node in _yields(statement) if isinstance(node, ast.Yield)]
    inner = [
        operation for program in programs for part in called(program) for operation, _, _ in source_of(part).operations
    ]
    return any(operation.opcode in _ALLOCATES for operation in [*operations, *inner])


def _yields(statement: ast.stmt) -> list[ast.Yield | ast.YieldFrom]:
    found = [node for node in ast.walk(statement) if isinstance(node, ast.Yield | ast.YieldFrom)]
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))
