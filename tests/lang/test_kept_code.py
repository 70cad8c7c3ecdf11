"""Compiled code that is kept: loaded where nothing has changed, compiled anew where anything has."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from percpu_emu.lang.modules import load_compiled
from percpu_emu.shm.compiling import inner
from percpu_emu.shm.kept_code import key_of

from .conftest import forget

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FunctionType

TEXT: Final = """
@inner
def part(x):
    return x * {factor}


@entry_point(WORD(WORD))
def run(x):
    return part(x) + 1
"""


def compiled(factor: int) -> Any:
    return load_compiled(TEXT.format(factor=factor)).run


def is_loaded(function: Any) -> bool:
    assert len(function.stats.cache_hits) + len(function.stats.cache_misses) == 1
    return bool(function.stats.cache_hits)


def test_what_was_compiled_once_is_loaded_from_then_on(own_cache: Path) -> None:
    assert not is_loaded(compiled(2))
    files = {path: path.stat().st_mtime_ns for path in own_cache.iterdir()}
    assert sorted(path.name.partition("-")[0] for path in files) == ["part", "run"]
    forget()
    assert is_loaded(compiled(2))
    assert compiled(2)(10) == 21
    assert {path: path.stat().st_mtime_ns for path in own_cache.iterdir()} == files


@pytest.mark.usefixtures("own_cache")
def test_a_change_in_a_called_function_is_compiled_anew() -> None:
    assert compiled(2)(10) == 21
    assert not is_loaded(compiled(3))
    assert compiled(3)(10) == 31


def test_functions_of_one_name_that_different_processes_compiled_do_not_meet(own_cache: Path) -> None:
    """Each process numbers its functions from 1, and the numbers are in the symbols."""
    text = "from percpu_emu.lang.modules import load_compiled; print(load_compiled({!r}).run(10))"
    for factor, expected in ((2, 21), (3, 31), (5, 51)):
        assert python(text.format(TEXT.format(factor=factor)), own_cache) == f"{expected}\n"
    forget()
    functions = [compiled(factor) for factor in (2, 3, 5)]
    assert all(map(is_loaded, functions))
    assert [function(10) for function in functions] == [21, 31, 51]
    both = "from percpu_emu.lang.modules import load_compiled\n" + "\n".join(
        f"print(load_compiled({TEXT.format(factor=factor)!r}).run(10))" for factor in (5, 3, 2)
    )
    assert python(both, own_cache) == "51\n31\n21\n"


RAISES: Final = """



@inner
def part(x):
    if x > 9:
        raise ValueError("too large")
    return x


@entry_point(WORD(WORD))
def run(x):
    return part(x) + {added}
"""


def test_an_inner_function_raises_as_any_other(own_cache: Path) -> None:
    for added, kept in ((1, 0), (1, 2), (2, 2)):  # both compiled, both loaded, a loaded one in a compiled one
        forget()
        assert len(list(own_cache.glob("*"))) == kept
        function = load_compiled(RAISES.format(added=added)).run
        assert function(9) == 9 + added
        with pytest.raises(ValueError, match=r"too large"):
            function(10)
    assert len(list(own_cache.glob("part-*"))) == 1


def test_an_inner_function_has_no_machine_code(own_cache: Path) -> None:
    compiled(17)
    with_machine_code = {path.name[:4] for path in own_cache.iterdir() if b"\x7fELF" in path.read_bytes()}
    assert with_machine_code == {"run-"}


def test_two_first_runs_at_once(own_cache: Path) -> None:
    text = f"from percpu_emu.lang.modules import load_compiled; print(load_compiled({TEXT.format(factor=7)!r}).run(10))"
    running = [subprocess.Popen(**command(text, own_cache)) for _ in range(2)]
    assert [process.communicate(timeout=120)[0] for process in running] == ["71\n", "71\n"]
    assert not list(own_cache.glob("*.new"))


@pytest.mark.parametrize(
    "damage", [b"", b"percpu-emu compiled code 1\n", b"\x80\x05."], ids=["emptied", "cut", "other"]
)
def test_a_damaged_file_is_compiled_anew(damage: bytes, own_cache: Path) -> None:
    compiled(11)
    whole = {path: path.read_bytes() for path in own_cache.iterdir()}
    for path in whole:
        path.write_bytes(damage)
    forget()
    assert not is_loaded(compiled(11))
    assert compiled(11)(10) == 111
    assert {path: len(path.read_bytes()) > len(damage) for path in own_cache.iterdir()} == dict.fromkeys(whole, True)


@pytest.mark.usefixtures("own_cache")
def test_without_a_folder_everything_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCPU_EMU_CACHE", "/dev/null/cache")
    forget()
    assert not is_loaded(compiled(13))
    forget()
    assert not is_loaded(compiled(13))
    assert compiled(13)(10) == 131


def command(text: str, cache: Path) -> dict[str, Any]:
    environment = {**os.environ, "PERCPU_EMU_CACHE": str(cache)}
    return {"args": [sys.executable, "-c", text], "env": environment, "stdout": subprocess.PIPE, "text": True}


def python(text: str, cache: Path) -> str:
    process = subprocess.Popen(**command(text, cache))
    return process.communicate(timeout=120)[0]


# --- keys


def made(text: str, **known: object) -> FunctionType:
    defined: dict[str, Any] = dict(known)
    exec(f"from percpu_emu.lang import context as c\n{text}", defined)
    function: FunctionType = defined["f"]
    return function


def of_cell(value: object) -> FunctionType:
    def f(x: int) -> object:
        return (x, value)

    return f


def doubling(x: int) -> int:
    return x * 2


def tripling(x: int) -> int:
    return x * 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: made("def f(x): return x + 1"), lambda: made("def f(x): return x + 2")),
        (lambda: made("def f(x): return x + 1"), lambda: made("def f(x): return x - 1")),
        (lambda: made("def f(x): return x + y", y=1), lambda: made("def f(x): return x + y", y=2)),
        (lambda: made("def f(x): return x + y", y=1), lambda: made("def f(x): return x + y", y=True)),
        (lambda: made("def f(x, y=1): return x + y"), lambda: made("def f(x, y=2): return x + y")),
        (lambda: made("def f(x): return c.RING"), lambda: made("def f(x): return c.RING_ENTRIES")),
        (lambda: of_cell(1), lambda: of_cell(2)),
        (lambda: of_cell((1, 2)), lambda: of_cell((1, 3))),
        (lambda: of_cell(inner(doubling)), lambda: of_cell(inner(tripling))),
        (
            lambda: made("def f(x): return g(x)", g=inner(doubling)),
            lambda: made("def f(x): return g(x)", g=inner(tripling)),
        ),
    ],
    ids=["constant", "operator", "global", "type", "default", "of a module", "cell", "tuple", "held", "called"],
)
def test_what_the_code_depends_on_changes_the_key(
    one: Callable[[], FunctionType], other: Callable[[], FunctionType]
) -> None:
    assert key_of(one()) == key_of(one())
    assert key_of(one()) != key_of(other())


def test_a_function_with_the_name_of_an_attribute_that_it_uses_has_a_key() -> None:
    defined: dict[str, Any] = {}
    exec("from percpu_emu.lang import context as c\ndef RING(x): return c.RING", defined)
    assert key_of(defined["RING"])


def test_a_value_of_a_module_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "def f(x): return c.RING_ENTRIES"
    before = key_of(made(text))
    monkeypatch.setattr("percpu_emu.lang.context.RING_ENTRIES", 12345)
    assert key_of(made(text)) != before


def test_what_no_key_can_tell_apart_is_an_error() -> None:
    with pytest.raises(TypeError, match="which no key can tell apart"):
        key_of(of_cell(np.zeros(2)))
