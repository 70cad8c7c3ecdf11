"""Structures: where fields lie, what a program with them compiles to, what is refused, and what words are called."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percpu_emu.lang.bytecode import Compiler
from percpu_emu.lang.reference import in_words
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, STATIC
from percpu_emu.lang.source import ProgramSource, Refused
from percpu_emu.lang.structures import (
    Array,
    AtomicLong,
    PerCpu,
    Ptr,
    Struct,
    StructError,
    Word,
    leaves,
    members,
    names_of_allocated,
    sizeof,
)
from percpu_emu.scenario.programs import execute

HEAD = """
from __future__ import annotations
from typing import Literal
from percpu_emu.lang.ops import *
from percpu_emu.lang.ops import counted
from percpu_emu.lang.structures import Array, AtomicLong, Bits, PerCpu, Ptr, Struct, Word, sizeof
from percpu_emu.lang.bits import read_bits, write_bits

class Slots(Struct):
    count: Word
    sums: Array[Word, Literal[3]]

class Node(Struct):
    next: Ptr[Node]
    value: Word

class Counter(Struct):
    stats: PerCpu[Slots]
    total: AtomicLong
    inner: Node
    nodes: Array[Node, Literal[4]]

counter = Counter()
other = Node()

class Flags(Struct):
    kind: Bits[Literal[3]]
    busy: Bits[Literal[1]]

flags = Flags()
"""


class Inner(Struct):
    """Two words."""

    a: Word
    b: AtomicLong


class Outer(Struct):
    """All kinds of fields."""

    first: Word
    inner: Inner
    pointer: Ptr[Inner]
    many: Array[Inner, Literal[3]]
    slots: PerCpu[Inner]


def test_fields_lie_one_behind_the_other() -> None:
    assert {name: member.offset for name, member in members(Outer).items()} == {
        "first": 0,
        "inner": 1,
        "pointer": 3,
        "many": 4,
        "slots": 10,
    }
    assert sizeof(Outer) == 11 * 8
    assert sizeof(Array[Inner, Literal[5]]) == 10 * 8


def test_static_objects_take_the_static_words_of_their_module_in_order(tmp_path: Path) -> None:
    first, second = _module(tmp_path, "one", ""), _module(tmp_path, "two", "")
    for module in (first, second):
        assert (int(module.counter), int(module.other)) == (STATIC, STATIC + 12)
        assert module.counter.inner == STATIC + 2
    again = execute(tmp_path / "one.py")
    assert int(again.counter) == STATIC


def test_a_static_object_stands_at_the_top_of_a_module() -> None:
    with pytest.raises(StructError, match="static data stands at the top of a module"):
        Inner()


@pytest.mark.parametrize(
    ("with_fields", "with_words"),
    [
        ("yield read_once(counter.total)", f"yield read_once({STATIC + 1})"),
        ("yield read_once(counter.inner.value)", f"yield read_once({STATIC + 3})"),
        ("yield read_once(counter.nodes[2].value)", f"yield read_once({STATIC + 4 + 5})"),
        ("yield read_once(counter.nodes[cpu].value)", f"yield read_once({STATIC} + cpu * 2 + 5)"),
        ("s = yield rcu_dereference(counter.stats)\n    yield this_cpu_add(s.sums[cpu], 1)",
         f"s = yield rcu_dereference({STATIC})\n    yield this_cpu_add(s + cpu + 1, 1)"),
        ("s: Slots = cpu\n    yield read_once(per_cpu(s.sums[0], 1))",
         "s = cpu\n    yield read_once(per_cpu(s + 1, 1))"),
        ("n = yield kzalloc(sizeof(Node))\n    while n:\n        n = yield read_once(n.next)",
         "n = yield kzalloc(16)\n    while n:\n        n = yield read_once(n)"),
        ("n = yield xchg(counter.inner.next, 0)\n    m = n if n else other\n    yield write_once(m.value, 1)",
         f"n = yield xchg({STATIC + 2}, 0)\n    m = n if n else {STATIC + 12}\n    yield write_once(m + 1, 1)"),
        ("yield write_once(counter.inner.next, counter.inner)", f"yield write_once({STATIC + 2}, {STATIC + 2})"),
        ("with counted(counter.total, cpu):\n        yield atomic_long_add(counter.total, cpu)",
         f"yield ledger_add({STATIC + 1}, cpu)\n    yield atomic_long_add({STATIC + 1}, cpu); yield ledger_commit()"),
    ],
)  # fmt: skip
def test_a_program_with_fields_is_the_program_with_words(tmp_path: Path, with_fields: str, with_words: str) -> None:
    fields, words = (
        _module(tmp_path, name, f"\ndef program(cpu: int) -> Program[None]:\n    {body}\n")
        for name, body in (("fields", with_fields), ("words", with_words))
    )
    assert _code(fields.program) == _code(words.program)
    in_words(fields.program)  # the reference engine takes it, too


@st.composite
def _types(draw: st.DrawFn, depth: int = 3) -> tuple[str, list[str]]:
    """A structure's fields as text, and the path of each word in the order in which they lie."""
    lines, paths = [], []
    for number in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["Word", "AtomicLong", "Ptr[Word]", "array", "inner"] if depth else ["Word"]))
        name = f"f{number}"
        if kind == "array":
            size = draw(st.integers(1, 3))
            lines.append(f"    {name}: Array[Word, Literal[{size}]]")
            paths += [f"{name}[{index}]" for index in range(size)]
        elif kind == "inner":
            text, inner = draw(_types(depth - 1))
            lines += ["    " + line for line in f"class Inner{number}(Struct):\n{text}".splitlines()]
            lines.append(f"    {name}: Inner{number}")
            paths += [f"{name}.{path}" for path in inner]
        else:
            lines.append(f"    {name}: {kind}")
            paths.append(name)
    return "\n".join(lines), paths


@given(_types())
@settings(max_examples=60, deadline=None)
def test_each_word_of_a_random_structure_has_an_address_of_its_own(drawn: tuple[str, list[str]]) -> None:
    text, paths = drawn
    namespace: dict[str, Any] = {"Struct": Struct, "Word": Word, "AtomicLong": AtomicLong, "Ptr": Ptr, "Array": Array}
    namespace |= {"Literal": Literal, "__name__": __name__}
    exec(f"class Drawn(Struct):\n{text}\n", namespace)
    assert list(leaves(namespace["Drawn"])) == [(path, offset) for offset, path in enumerate(paths)]
    assert sizeof(namespace["Drawn"]) == 8 * len(paths)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("yield read_once(counter.totl)", "Counter has the fields stats, total, inner, nodes"),
        ("yield read_once(cpu.total)", "to which structure `cpu` points is not known; annotate it"),
        ("yield read_once(counter.total.x)", "`counter.total` is no structure"),
        ("yield read_once(counter.nodes[4].value)", "the array has 4 elements"),
        ("yield read_once(counter.nodes[-1].value)", "the array has 4 elements"),
        ("n = counter if cpu else other\n    yield read_once(n.value)", "points to two types"),
        ("yield read_once(counter.total[0])", "`counter.total` is no array"),
        ("if counter.total > cpu:\n        yield smp_mb()", "`counter.total` is the address of a word"),
        ("while counter.inner.value:\n        yield smp_mb()", "`yield read_once(counter.inner.value)` reads it"),
        ("x = counter.total + 1\n    yield write_once(counter.total, x)", "`counter.total` is the address of a word"),
        ("x = cpu and counter.total\n    yield write_once(counter.total, x)", "is the address of a word"),
        ("x = counter.total\n    yield write_once(counter.total, x + 1)", "`x` is the address of a word"),
        ("x = counter.total\n    x += 1\n    yield write_once(counter.total, x)", "`x` is the address of a word"),
        ("x = -counter.nodes[cpu].value\n    yield write_once(counter.total, x)", "is the address of a word"),
        ("x = 1 if counter.stats else 2\n    yield write_once(counter.total, x)", "is the address of a word"),
        ("counter.total = cpu\n    yield smp_mb()", "`counter.total = cpu`: only local variables are assigned to"),
        ("x = read_once(counter.total)\n    yield smp_mb()", "`read_once(counter.total)`: it is an operation: `yield`"),
        ("yield read_once(flags.busy)", "`flags.busy` is a bit field, which"),
        ("x = flags.busy\n    yield write_once(x, 1)", "`flags.busy` is a bit field, which"),
        ("yield from write_bits(counter.total, 1)", "its first argument is a bit field of a structure"),
        ("x = yield from read_bits(cpu)\n    yield write_once(cpu, x)", "its first argument is a bit field"),
        ("yield from write_bits(flags.busy)", "2 arguments expected"),
        ("yield atomic_long_add(counter.inner.value, 1)", "`counter.inner.value` is no AtomicLong"),
        ("n = yield kzalloc(sizeof(Node))\n    n = yield rcu_dereference(counter.stats)", "`n` points to two types"),
        ("yield kzalloc(sizeof(Nothing))", "`Nothing` is no type"),
        ("with counted(counter.total, 1):\n        return\n    yield smp_mb()", "`return` leaves `with counted"),
        ("while cpu:\n        with counted(counter.total, 1):\n            break\n    yield smp_mb()",
         "`break` leaves `with counted"),
        ("with counted(counter.total):\n        yield smp_mb()", "2 arguments expected"),
        ("with cpu:\n        yield smp_mb()", "a `with` is `with counted"),
        ("with open(cpu):\n        yield smp_mb()", "a `with` is `with counted"),
    ],
)  # fmt: skip
def test_what_has_no_address_is_refused_with_its_line(tmp_path: Path, body: str, message: str) -> None:
    module = _module(tmp_path, "refused", f"\ndef program(cpu: int) -> Program[None]:\n    {body}\n")
    with pytest.raises(Refused) as refused:
        _code(module.program)
    assert message in str(refused.value)
    assert refused.value.line > 25


@pytest.mark.parametrize(
    "body",
    [
        "at = counter.total\n    yield write_once(at, 1)",
        "at = counter.nodes[1].value if cpu else counter.inner.value\n    yield write_once(at, 1)",
        "n = yield read_once(counter.inner.next)\n    while n:\n        n = yield read_once(n.next)",
        "s = yield rcu_dereference(counter.stats)\n    if s and cpu:\n        yield this_cpu_inc(s.sums[cpu + 1])",
    ],
)
def test_an_address_is_taken_where_one_is_wanted(tmp_path: Path, body: str) -> None:
    _code(_module(tmp_path, "taken", f"\ndef program(cpu: int) -> Program[None]:\n    {body}\n").program)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("real: Word", "the name of a method of Python's int"),
        ("a: int", "found int, allowed: Word"),
        ("a: Array[Word, 4]", "Literal"),
        ("a: Array[Word, Literal[0]]", "Literal"),
        ("a: Array[Word, Literal[600]]", "600 words, allowed: at most 512"),
        ("a: Wrong", "it contains itself"),
        ("a: Missing", "name 'Missing' is not defined"),
        ("pass", "one field at least"),
        ("a: Bits[Literal[64]]", "allowed: 1 to 63"),
        ("a: Bits[3]", "the width of a bit field is written Bits[Literal[4]]"),
        ("a: Array[Bits[Literal[1]], Literal[2]]", "a bit field stands in a structure"),
        ("a: Ptr[Bits[Literal[1]]]", "no pointer to one"),
    ],
)
def test_a_structure_that_cannot_be_laid_out_says_why(tmp_path: Path, fields: str, message: str) -> None:
    text = (
        f"\nclass Wrong(Struct):\n    {fields}\n\ndef program() -> Program[None]:\n    yield kzalloc(sizeof(Wrong))\n"
    )
    with pytest.raises(Refused) as refused:
        _code(_module(tmp_path, "wrong", text).program)
    assert message in str(refused.value)


def test_sites_show_the_text_as_it_stands(tmp_path: Path) -> None:
    body = "with counted(counter.total, 1):\n        yield atomic_long_add(counter.total, 1)"
    module = _module(tmp_path, "sites", f"\ndef program() -> Program[None]:\n    {body}\n")
    texts = [site.text for site in ProgramSource(module.program).sites.values()]
    assert "atomic_long_add(counter.total, 1)" in texts
    assert len(texts) == 3


def test_allocated_words_are_called_by_their_fields() -> None:
    assert names_of_allocated(Word, OBJECT_WORDS, None) == {OBJECT_WORDS: "slot"}
    assert names_of_allocated(Inner, FIRST_OBJECT, None) == {
        FIRST_OBJECT: "a of the inner",
        FIRST_OBJECT + 1: "b of the inner",
    }
    assert names_of_allocated(Inner, FIRST_OBJECT, 2)[FIRST_OBJECT] == "a of inner 2"


def _module(folder: Path, name: str, text: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(HEAD + text)
    return execute(path)


def _code(program: Any) -> tuple[list[list[int]], list[int]]:
    compiler = Compiler({})
    arguments = [1] * program.__code__.co_argcount
    compiler.task(program, arguments, 1, prelude=False)
    return compiler.code.rows, compiler.code.constants


def test_a_parameter_of_a_structure_that_cannot_be_laid_out_is_refused(tmp_path: Path) -> None:
    text = "\nclass Wrong(Struct):\n    a: int\n\ndef program(n: Wrong) -> Program[None]:\n"
    text += "    x = n.a\n    yield read_once(x)\n"
    with pytest.raises(Refused, match=r"the structure cannot be laid out: Wrong.a: found int"):
        _code(_module(tmp_path, "wrong", text).program)
