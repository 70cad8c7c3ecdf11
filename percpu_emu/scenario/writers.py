"""Who wrote a word last, as far as a recording tells: it holds sites, and many a site names its word."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from percpu_emu.explore.subject import Subject
from percpu_emu.lang.source import ProgramSource, Site, called
from percpu_emu.machine.recording import CALLBACK, Recorded


def last_writers(subject: Subject, recorded: Sequence[Recorded], words: Sequence[int]) -> Iterator[str]:
    """For each of the words, which recorded operation wrote it last; in a sentence."""
    writes = dict(_writes(subject))
    for word in dict.fromkeys(words):
        name = subject.names.get(word, f"word {word:#x}")
        writers = [event for event in recorded if writes.get(event.site) == word]
        if writers:
            yield f"{name} was written last by {_who(subject, writers[-1].context)} at {writers[-1].site}"
        else:
            yield f"{name} was written by no recorded operation that names it"


def _writes(subject: Subject) -> Iterator[tuple[Site, int]]:
    """The sites that write to a word that the program names, with that word."""
    programs = dict.fromkeys(p for spec in subject.setting.contexts for p in called(spec.program, and_queued=True))
    for program in programs:
        source = ProgramSource(program, subject.setting.constants)
        for operation, call, node in source.operations:
            if not operation.is_access or operation.reads_only or operation.own:
                continue
            word = _constant(source, call.args[operation.address_at])
            if word is not None:
                yield source.sites[node.lineno, node.col_offset], word


def _constant(source: ProgramSource, node: ast.expr) -> int | None:
    """What an expression of nothing but constants comes to; None for any other."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name | ast.Attribute):
        is_local = isinstance(node, ast.Name) and node.id in source.locals
        return None if is_local else source.constant(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _constant(source, node.left), _constant(source, node.right)
        return None if left is None or right is None else left + right
    return None


def _who(subject: Subject, context: int) -> str:
    return "a callback" if context == CALLBACK else subject.setting.contexts[context].name
