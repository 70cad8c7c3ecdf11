"""The folder of compiled code: what is read back is what this user wrote, whole; everything else is nothing."""

from __future__ import annotations

import errno
import logging
import os
import random
from typing import TYPE_CHECKING

import pytest

from percpu_emu.shm import code_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "add-0123.code"
CONTENT = bytes(range(256)) * 8


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PERCPU_EMU_CACHE", str(tmp_path / "cache"))
    code_folder.code_folder.cache_clear()
    yield tmp_path / "cache"
    code_folder.code_folder.cache_clear()


def test_what_was_written_is_read_back_by_its_name_only(folder: Path) -> None:
    assert code_folder.read(NAME) is None
    code_folder.write(NAME, CONTENT)
    assert code_folder.read(NAME) == CONTENT
    assert [path.name for path in folder.iterdir()] == [NAME]
    (folder / NAME).rename(folder / "other.code")
    assert code_folder.read("other.code") is None


def halved(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def unreadable(path: Path) -> None:
    path.unlink()
    path.symlink_to("/proc/self/mem")


@pytest.mark.parametrize("damage", [halved, emptied, longer, a_folder, a_link, unreadable])
def test_a_damaged_file_is_nothing(damage: Callable[[Path], None], folder: Path) -> None:
    code_folder.write(NAME, CONTENT)
    damage(folder / NAME)
    assert code_folder.read(NAME) is None


@pytest.mark.parametrize("seed", range(200))
def test_a_file_with_one_bit_flipped_is_nothing_and_is_written_anew(seed: int, folder: Path) -> None:
    code_folder.write(NAME, CONTENT)
    whole = bytearray((folder / NAME).read_bytes())
    whole[random.Random(seed).randrange(len(whole))] ^= 1 << seed % 8
    (folder / NAME).write_bytes(whole)
    assert code_folder.read(NAME) is None
    code_folder.write(NAME, CONTENT)
    assert code_folder.read(NAME) == CONTENT


@pytest.mark.parametrize("mode", [0o660, 0o606, 0o666])
def test_a_file_that_others_may_write_is_not_used(mode: int, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    code_folder.write(NAME, CONTENT)
    (folder / NAME).chmod(mode)
    assert code_folder.read(NAME) is None
    assert f"{folder / NAME} is not used: other users may write to it" in caplog.text


def test_a_file_of_another_user_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    code_folder.write(NAME, CONTENT)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert code_folder.read(NAME) is None
    assert f"{folder / NAME} is not used: user {user} owns it" in caplog.text


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_may_write_is_not_used(mode: int, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir()
    folder.chmod(mode)
    code_folder.write(NAME, CONTENT)
    assert code_folder.read(NAME) is None
    assert list(folder.iterdir()) == []
    why = "other users may write to it; `percpu-emu cache clear` removes it, chmod go-w keeps it"
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [f"{folder} is not used as the cache of compiled code: {why}"]


def test_the_folder_is_made_for_its_user_alone(folder: Path) -> None:
    code_folder.write(NAME, CONTENT)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", ["/dev/null/cache", "/proc/cache"])
def test_where_no_folder_can_be_made_nothing_is_kept(path: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PERCPU_EMU_CACHE", path)
    code_folder.write(NAME, CONTENT)
    assert code_folder.read(NAME) is None
    assert not folder.exists()


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("PERCPU_EMU_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pathlib.Path.home", no_home)
    code_folder.write(NAME, CONTENT)
    assert code_folder.read(NAME) is None
    assert not folder.exists()


def test_the_users_cache_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PERCPU_EMU_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert code_folder.named_folder() == tmp_path / ".cache" / "percpu-emu"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert code_folder.named_folder() == tmp_path / "xdg" / "percpu-emu"


def test_on_a_full_disk_nothing_is_kept_and_nothing_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code_folder.write(NAME, CONTENT)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    code_folder.write("second.code", CONTENT)
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_what_a_killed_process_left_half_written_goes_an_hour_later(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    for name, age in (("old.code.1.new", 2 * 3600), ("young.code.2.new", 60)):
        (folder / name).write_bytes(b"half")
        now = (folder / name).stat().st_mtime
        os.utime(folder / name, (now - age, now - age))
    assert code_folder.code_folder() == folder
    assert [path.name for path in folder.iterdir()] == ["young.code.2.new"]
