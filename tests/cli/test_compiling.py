"""What a command says while it compiles: once at the beginning and once at the end, only where it takes long."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest

from percpu_emu.cli import compiling, talk
from percpu_emu.cli.compiling import compiling_told

BEGINS = r"compiling it, (once, and kept in /.*|as nothing is kept .*)"
ENDS = r"compiled in \d+\.\d s"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compiling, "LONG", 0.0)
    yield
    if talk._talk.stream is not None:
        talk._talk.stream.close()
    talk.begin(verbose=False, quiet=False, log=None)


def compile_two() -> None:
    inner = numba.njit(lambda x: x + 1)
    numba.njit(lambda x: inner(x) * 2)(1)


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_it_is_said_once_that_something_is_compiled_and_how_long_that_took(capsys: pytest.CaptureFixture[str]) -> None:
    with compiling_told("it"):
        compile_two()
        compile_two()
    begins, ends = lines_of(capsys)
    assert re.fullmatch(f"percpu-emu: {BEGINS}", begins)
    assert re.fullmatch(f"percpu-emu: {ENDS}", ends)
    compile_two()
    assert lines_of(capsys) == []


def test_what_is_short_is_not_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "LONG", 1000.0)
    with compiling_told("it"):
        compile_two()
    assert lines_of(capsys) == []


def test_quiet_is_quiet_and_a_log_has_the_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    talk.begin(verbose=False, quiet=True, log=None)
    with compiling_told("it"):
        compile_two()
    talk.begin(verbose=False, quiet=False, log=tmp_path / "log.txt")
    talk.add(quiet=False, log=None)
    with compiling_told("it"):
        compile_two()
    assert lines_of(capsys) == []
    begins, ends = (tmp_path / "log.txt").read_text().splitlines()
    assert re.fullmatch(f"INFO: {BEGINS}", begins)
    assert re.fullmatch(f"INFO: {ENDS}", ends)


def test_a_process_that_is_forked_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with compiling_told("it"):
        child = os.fork()
        if child == 0:
            compile_two()
            os._exit(0)
        os.waitpid(child, 0)
    assert capfd.readouterr().err == ""
