"""Bit fields: where they lie, that reading gives what was written, and that a write leaves its neighbours alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percpu_emu.lang.ops import Program
from percpu_emu.lang.reference import in_words
from percpu_emu.lang.structures import Bits, Struct, Word, leaves, members, sizeof
from percpu_emu.scenario.programs import execute
from tests.lang.rig import FIRST_OBJECT, Rig

HEAD = """
from typing import Literal
from percpu_emu.lang.bits import read_bits, write_bits
from percpu_emu.lang.ops import *
from percpu_emu.lang.structures import Bits, Struct, Word

"""


class Mixed(Struct):
    """Fields of one word, a word that ends it, and fields that do not fit into one."""

    a: Bits[Literal[3]]
    b: Bits[Literal[1]]
    whole: Word
    c: Bits[Literal[40]]
    d: Bits[Literal[24]]
    e: Bits[Literal[1]]


def test_fields_in_a_row_share_a_word_until_it_is_full_or_another_field_follows() -> None:
    places = {name: (member.offset, member.shift) for name, member in members(Mixed).items()}
    assert places == {"a": (0, 0), "b": (0, 3), "whole": (1, 0), "c": (2, 0), "d": (2, 40), "e": (3, 0)}
    assert sizeof(Mixed) == 4 * 8
    assert list(leaves(Mixed)) == [("a/b", 0), ("whole", 1), ("c/d", 2), ("e", 3)]


@given(st.lists(st.integers(0, 63), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_no_two_fields_share_a_bit_and_none_leaves_its_word(widths: list[int]) -> None:
    fields = {f"f{number}": Bits[Literal[width]] if width else Word for number, width in enumerate(widths)}  # type: ignore[valid-type]
    found = members(type("Drawn", (Struct,), {"__annotations__": fields}))
    bits = [
        member.offset * 64 + bit
        for member, width in zip(found.values(), widths, strict=True)
        for bit in (range(member.shift, member.shift + width) if width else range(64))
    ]
    assert len(bits) == len(set(bits))
    assert bits == sorted(bits)
    assert all(member.shift + width <= 64 for member, width in zip(found.values(), widths, strict=True))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_field_holds_what_was_written_and_its_neighbours_what_they_had(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    widths = data.draw(st.lists(st.integers(1, 63), min_size=1, max_size=5))
    field = st.integers(0, len(widths) - 1)
    writes = data.draw(st.lists(st.tuples(field, st.integers(-(2**63), 2**63 - 1)), max_size=6))
    text = "class Flags(Struct):\n" + "".join(f"    f{n}: Bits[Literal[{w}]]\n" for n, w in enumerate(widths))
    text += "\nflags = Flags()\n\ndef write():\n    pass\n"
    text += "".join(f"    yield from write_bits(flags.f{n}, {value})\n" for n, value in writes)
    text += "    yield smp_mb()\n"
    text += "".join(f"\ndef read{n}():\n    return (yield from read_bits(flags.f{n}))\n" for n in range(len(widths)))
    path = tmp_path_factory.mktemp("bits") / "flags.py"
    path.write_text(HEAD + text)
    module, memory = execute(path), dict[int, int]()
    _run(in_words(module.write)(), memory)
    expected = {n: value % 2 ** widths[n] for n, value in writes}
    for number in range(len(widths)):
        assert _run(in_words(getattr(module, f"read{number}"))(), memory) == expected.get(number, 0)


def _run(program: Program[Any], memory: dict[int, int]) -> int:
    """Runs a program on a table of words."""
    result = None
    try:
        while True:
            name, args = program.send(result)
            result = memory.get(args[0], 0) if name == "read_once" else 0
            if name == "write_once":
                assert -(2**63) <= args[1] < 2**63
                memory[args[0]] = args[1]
    except StopIteration as end:
        return int(end.value or 0)


def test_both_engines_do_the_same(tmp_path: Path) -> None:
    text = """
class Flags(Struct):
    low: Bits[Literal[5]]
    high: Bits[Literal[59]]

def program(flags: Flags, value):
    yield from write_bits(flags.high, -1)
    yield from write_bits(flags.low, value)
    yield from write_bits(flags.high, value)
    low = yield from read_bits(flags.low)
    high = yield from read_bits(flags.high)
    return low * 1000 + (high >> 57)
"""
    (tmp_path / "flags.py").write_text(HEAD + text)
    program, rig = execute(tmp_path / "flags.py").program, Rig()
    try:
        outcome = rig.both(program, FIRST_OBJECT, -3)
    finally:
        rig.close()
    assert outcome.result == 29 * 1000 + 3
