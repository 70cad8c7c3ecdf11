"""The cache of compiled code, from the command line: damaged files, a folder of others, show and clear."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .commands import command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)  # the first run on an empty cache compiles everything


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERCPU_EMU_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def in_a_new_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "percpu_emu", *arguments]
    return subprocess.run(run, capture_output=True, text=True, check=False, timeout=300)


def test_a_run_with_damaged_files_of_every_kind_comes_out_as_any_other(folder: Path) -> None:
    arguments = ("run", "lost-increment", "--json", "--seconds", "0.2")
    first = in_a_new_process(*arguments)
    assert json.loads(first.stdout)["verdict"] == "pass"
    assert re.fullmatch(rf"(.*), once, and kept in {folder}\n.*: compiled in .* s\n", first.stderr)
    files = sorted(folder.iterdir())
    whole = {path: path.read_bytes() for path in files}
    for number, (path, content) in enumerate(whole.items()):
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes([b"", content[:middle], flipped][number % 3])
    after = in_a_new_process("-v", *arguments)
    assert (after.returncode, json.loads(after.stdout)["verdict"]) == (0, "pass")
    assert "compiled in" in after.stderr
    assert set(after.stderr.splitlines()) >= {f"percpu-emu: {path} is damaged: compiled anew" for path in files[:1]}
    quiet = in_a_new_process(*arguments)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert in_a_new_process("-v", *arguments).stderr == ""  # every file that this command loads is whole again


def test_a_folder_that_others_may_write_is_named_with_the_cure(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    done = in_a_new_process("show", "patched")
    assert (done.returncode, done.stderr) == (0, "")  # nothing is compiled for it
    shown = command("cache", "show")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "not used: other users may write to it; `percpu-emu cache clear` removes it" in shown.stdout
    assert command("cache", "clear").returncode == 0
    assert not folder.exists()


def test_show_counts_what_clear_removes(folder: Path) -> None:
    assert command("cache").stdout == f"{folder}: 0 compiled functions, 0.0 MB\n"
    folder.mkdir(mode=0o700)
    for name in ("one.code", "two.code", "two.code.17.new", "not ours"):
        (folder / name).write_bytes(b"x" * 1000)
    shown = json.loads(command("cache", "show", "--json").stdout)
    assert shown["figures"] == {"folder": str(folder), "files": 3, "bytes": 3000, "not_used": ""}
    assert command("cache", "clear").stdout == f"removed from {folder}: 3 compiled functions, 0.0 MB\n"
    assert [path.name for path in folder.iterdir()] == ["not ours"]


def test_another_word_is_wrong_input() -> None:
    done = command("cache", "empty")
    assert (done.returncode, done.stderr) == (2, "percpu-emu: cache empty: found 'empty', allowed: show, clear\n")
