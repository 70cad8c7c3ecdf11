"""`tmp/`: its pages are charged to who touches them first; limits take them away again."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

import pytest

from percpu_emu.cgroupfs.memory import MemoryState
from percpu_emu.kernel.layout import VMSTATS, Item
from tests.cgroupfs.conftest import Files

PAGE = 4096


def current(files: Files, cgroup: str) -> int:
    """memory.current in pages."""
    return int(files.read(f"cgroup/{cgroup}/memory.current")) // PAGE


def in_a(files: Files) -> None:
    files.mkdir("cgroup/a")
    files.put("a")


def test_a_written_page_is_charged_to_the_writers_cgroup_and_its_ancestors(files: Files) -> None:
    in_a(files)
    files.write("cgroup/a/cgroup.subtree_control", "+memory")
    files.mkdir("cgroup/a/b")
    files.put("a/b")
    files.save("tmp/x", bytes(3 * PAGE + 1))
    assert [current(files, "a/b"), current(files, "a")] == [4, 4]
    files.unlink("tmp/x")
    assert [current(files, "a/b"), current(files, "a")] == [0, 0]
    assert int(files.read("cgroup/a/b/memory.peak")) == 4 * PAGE


def test_who_comes_first_pays(files: Files) -> None:
    in_a(files)
    files.mkdir("cgroup/b")
    files.save("tmp/x", b"from a")
    files.put("b")
    files.save("tmp/x", b"from b")
    assert files.read("tmp/x") == "from b"
    assert [current(files, "a"), current(files, "b")] == [1, 0]


def test_a_cgroup_without_the_controller_has_its_pages_charged_above(files: Files) -> None:
    in_a(files)
    files.mkdir("cgroup/a/plain")
    files.put("a/plain")
    files.save("tmp/x", b"x")
    assert current(files, "a") == 1


def test_the_ledgers_know_what_was_charged(files: Files) -> None:
    """memory.stat has the twins only: 40 pages on one CPU pass the batch of 32 once, and 7 stay in the slot."""
    in_a(files)
    files.save("tmp/x", bytes(40 * PAGE))
    assert files.stat("cgroup/a/memory.stat")["file"] == 33 * PAGE
    node = dict(line.split(" ", 1) for line in files.read("cgroup/a/memory.numa_stat").splitlines())
    assert node["file"] == f"N0={33 * PAGE}"
    tree = files.system.running.tree
    before = tree.audit.checked
    tree.audit_all()
    assert tree.audit.checked > before
    assert tree.audit.imbalances == []


def test_an_audit_sees_a_counter_that_was_tampered_with(files: Files) -> None:
    in_a(files)
    files.save("tmp/x", b"x")
    state = files.system.hierarchy.find("a").memory
    assert state is not None
    words, tree = files.session.machine.memory.words, files.system.running.tree
    words[state.cgroup.memcg + VMSTATS + Item.MEMCG_CACHE] += 1
    tree.audit.check(state.cgroup.memcg)
    words[state.cgroup.memcg + VMSTATS + Item.MEMCG_CACHE] -= 1
    assert "1 too many" in str(tree.audit.imbalances.pop())


def test_a_dying_cgroup_goes_with_its_last_page(files: Files) -> None:
    in_a(files)
    files.save("tmp/x", bytes(2 * PAGE))
    files.put("")
    files.rmdir("cgroup/a")
    files.settle()
    assert files.stat("cgroup/cgroup.stat")["nr_dying_descendants"] == 1
    handle = files.open("tmp/x")
    handle.truncate(PAGE, files.caller())
    handle.close(files.caller())
    files.settle()
    assert files.stat("cgroup/cgroup.stat")["nr_dying_descendants"] == 1
    files.unlink("tmp/x")
    files.settle()
    assert files.stat("cgroup/cgroup.stat")["nr_dying_descendants"] == 0


def test_a_deleted_file_that_is_open_keeps_its_pages(files: Files) -> None:
    in_a(files)
    files.save("tmp/x", b"x")
    handle = files.open("tmp/x")
    files.unlink("tmp/x")
    assert current(files, "a") == 1
    assert handle.read(10, 0, files.caller()) == b"x"
    handle.close(files.caller())
    assert current(files, "a") == 0


def test_memory_max_takes_page_cache_away_and_the_contents_stay(files: Files) -> None:
    in_a(files)
    files.write("cgroup/a/memory.max", "4k")
    files.save("tmp/x", b"x" * PAGE + b"y" * PAGE)
    assert current(files, "a") == 1
    assert files.stat("cgroup/a/memory.events")["max"] == 1
    assert files.stat("cgroup/a/memory.events")["oom"] == 0
    assert files.read("tmp/x") == "x" * PAGE + "y" * PAGE
    assert current(files, "a") == 1


def test_memory_max_below_the_usage_reclaims_at_once(files: Files) -> None:
    in_a(files)
    files.save("tmp/x", bytes(8 * PAGE))
    files.write("cgroup/a/memory.max", f"{3 * PAGE}")
    assert current(files, "a") == 3


def test_memory_high_reclaims_and_lets_the_charge_through(files: Files) -> None:
    in_a(files)
    files.write("cgroup/a/memory.high", f"{2 * PAGE}")
    files.save("tmp/x", bytes(5 * PAGE))
    assert current(files, "a") == 2
    assert files.stat("cgroup/a/memory.events")["high"] == 3


def test_a_limit_of_an_ancestor_acts_and_is_counted_there(files: Files) -> None:
    in_a(files)
    files.write("cgroup/a/cgroup.subtree_control", "+memory")
    files.mkdir("cgroup/a/b")
    files.put("a/b")
    files.write("cgroup/a/memory.max", "4k")
    files.save("tmp/x", bytes(2 * PAGE))
    assert [current(files, "a"), current(files, "a/b")] == [1, 1]
    assert files.stat("cgroup/a/memory.events")["max"] == files.stat("cgroup/a/memory.events.local")["max"] == 1
    assert files.stat("cgroup/a/b/memory.events")["max"] == 0


@pytest.mark.parametrize("group", [0, 1])
def test_without_room_the_kernel_kills_and_counts_it(files: Files, group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[Any] = []
    monkeypatch.setattr(files.system.charges, "kill", lambda memory, pid: killed.append((memory, pid)))
    in_a(files)
    files.write("cgroup/a/memory.max", "0")
    files.write("cgroup/a/memory.oom.group", str(group))
    with pytest.raises(OSError, match="Cannot allocate memory") as caught:
        files.save("tmp/x", b"x")
    assert caught.value.errno == errno.ENOMEM
    events = files.stat("cgroup/a/memory.events")
    assert events == {"low": 0, "high": 0, "max": 1, "oom": 1, "oom_kill": 1, "oom_group_kill": group}
    [(memory, pid)] = killed
    assert isinstance(memory, MemoryState)
    assert pid == files.pid


def test_memory_reclaim_takes_what_is_asked_for(files: Files) -> None:
    in_a(files)
    files.save("tmp/x", bytes(8 * PAGE))
    files.write("cgroup/a/memory.reclaim", f"{5 * PAGE}")
    assert current(files, "a") == 3
    with pytest.raises(OSError, match="temporarily unavailable"):
        files.write("cgroup/a/memory.reclaim", f"{5 * PAGE}")
    assert current(files, "a") == 0


def test_after_rmdir_another_cgroup_has_the_name_and_none_of_the_pages(files: Files) -> None:
    in_a(files)
    files.save("tmp/x", b"x")
    files.put("")
    files.rmdir("cgroup/a")
    files.mkdir("cgroup/a")
    assert current(files, "a") == 0
    assert files.stat("cgroup/cgroup.stat") == {"nr_descendants": 1, "nr_dying_descendants": 1}


def test_a_controller_taken_away_leaves_the_pages_with_what_dies(files: Files) -> None:
    in_a(files)
    files.write("cgroup/a/cgroup.subtree_control", "+memory")
    files.mkdir("cgroup/a/b")
    files.put("a/b")
    files.save("tmp/x", b"x")
    files.write("cgroup/a/cgroup.subtree_control", "-memory")
    files.write("cgroup/a/cgroup.subtree_control", "+memory")
    assert [current(files, "a"), current(files, "a/b")] == [1, 0]
    files.unlink("tmp/x")
    assert current(files, "a") == 0


# --- a file system like others


def test_names_move_are_linked_and_go(files: Files) -> None:
    top, caller = files.files.route("tmp")[0], files.caller()
    files.save("tmp/x", b"one")
    files.save("tmp/y", b"two")
    top.mkdir(["d"], 0o777, caller)
    assert files.attributes("tmp/d").mode == stat.S_IFDIR | 0o755
    top.rename(["x"], ["d", "x"], caller)
    top.link(["d", "x"], ["z"])
    assert files.attributes("tmp/z").links == 2
    assert files.attributes("tmp/z").inode == files.attributes("tmp/d/x").inode
    top.rename(["y"], ["d", "x"], caller)
    assert files.read("tmp/z") == "one"
    assert files.read("tmp/d/x") == "two"
    with pytest.raises(OSError, match="not empty"):
        files.rmdir("tmp/d")
    with pytest.raises(OSError, match="Is a directory"):
        files.unlink("tmp/d")
    with pytest.raises(OSError, match="Not a directory"):
        files.read("tmp/z/no")
    top.symlink("d/x", ["s"], caller)
    assert top.readlink(["s"]) == "d/x"
    files.save("tmp/w", b"long text")
    handle = files.open("tmp/w", os.O_TRUNC)
    handle.write(b"end", 6, caller)
    handle.close(caller)
    assert files.read("tmp/w") == "\0" * 6 + "end"


def test_there_is_room_for_a_gigabyte(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("percpu_emu.cgroupfs.inodes.ROOM", 2 * PAGE)
    files.save("tmp/x", bytes(PAGE))
    with pytest.raises(OSError, match="No space left"):
        files.save("tmp/y", bytes(PAGE + 1))
    files.unlink("tmp/x")
    files.save("tmp/y", bytes(2 * PAGE))


def test_nothing_moves_between_the_branches(files: Files) -> None:
    files.save("tmp/x", b"x")
    with pytest.raises(OSError, match="cross-device"):
        files.files.both("tmp/x", "cgroup/x")
