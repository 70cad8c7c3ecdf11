"""Sites: the numbers and names of the yields, at which things can be injected."""

from __future__ import annotations

from typing import Any

import pytest

from percpu_emu.kernel import charge, css, memcg, percpu_ref, release
from percpu_emu.lang.ops import Program, free_percpu, read_once, smp_mb, write_once
from percpu_emu.lang.source import sites

from .rig import programs_of


def several(pointer: int) -> Program[int]:
    """A docstring with `yield nothing()` in it."""
    x = yield read_once(pointer)
    yield from none(pointer)
    if x:
        yield write_once(
            pointer,
            x + (yield read_once(pointer + 1)),
        )
    yield smp_mb(); yield free_percpu((yield read_once(x)))  # fmt: skip  # noqa: E702
    return x


def none(pointer: int) -> Program[None]:
    yield from several(pointer)


FIRST = several.__code__.co_firstlineno


def test_yields_are_numbered_in_the_order_of_the_text() -> None:
    assert [(site.number, site.line - FIRST, site.text) for site in sites(several)] == [
        (1, 2, "read_once(pointer)"),
        (2, 5, "write_once(pointer, x + (yield read_once(pointer + 1)))"),
        (3, 7, "read_once(pointer + 1)"),
        (4, 9, "smp_mb()"),
        (5, 9, "free_percpu((yield read_once(x)))"),
        (6, 9, "read_once(x)"),
    ]


def test_a_site_names_program_number_line_and_text() -> None:
    site = sites(several)[3]
    assert str(site) == f"several:4 (line {FIRST + 9}: smp_mb())"
    assert site.file == __file__


def test_a_call_of_a_program_is_no_site() -> None:
    assert sites(none) == []


@pytest.mark.parametrize("module", [memcg, css, charge, percpu_ref, release], ids=lambda module: module.__name__)
def test_the_sites_of_a_program_are_where_its_file_has_them(module: Any) -> None:
    for program in programs_of(module):
        with open(module.__file__) as file:  # noqa: PTH123
            lines = file.read().splitlines()
        numbers = [site.number for site in sites(program)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert all("yield" in lines[site.line - 1] for site in sites(program))
