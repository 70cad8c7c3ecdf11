"""`percpu-emu mount`, as processes see it: a mount that answers, and that is gone afterwards."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cgroupfs.conftest import command, mount_at, mounts, needs_fuse, wait_for

pytestmark = needs_fuse

RECEIVED = 0.02


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[misc]
    """A mount for all tests of this module. At the end its verdict has to be a pass."""
    folder = tmp_path_factory.mktemp("mount") / "m"
    with mount_at(folder) as process:
        yield folder
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, (out, err)
        assert "pass in" in out


@pytest.fixture
def cgroup(mounted: Path) -> Path:  # type: ignore[misc]
    """A cgroup of the test's own, which is empty at its end."""
    made = mounted / "cgroup" / "test"
    made.mkdir()
    yield made
    for path in sorted((path for path in made.rglob("*") if path.is_dir()), reverse=True):
        path.rmdir()
    wait_for(lambda: not (made / "cgroup.procs").read_text())
    made.rmdir()


def refused(number: int, call: object, *arguments: object) -> None:
    assert callable(call)
    with pytest.raises(OSError, match=r".") as caught:
        call(*arguments)
    assert errno.errorcode[caught.value.errno or 0] == errno.errorcode[number]


def test_the_top_holds_the_three_branches(mounted: Path) -> None:
    assert sorted(path.name for path in mounted.iterdir()) == ["cgroup", "proc", "tmp"]
    refused(errno.EPERM, (mounted / "new").mkdir)
    refused(errno.EACCES, (mounted / "new").write_text, "x")
    refused(errno.EXDEV, os.rename, mounted / "proc" / "meminfo", mounted / "tmp" / "meminfo")


def test_system_calls_on_cgroups_end_as_in_the_kernel(cgroup: Path) -> None:
    (cgroup / "a").mkdir()
    refused(errno.EEXIST, (cgroup / "a").mkdir)
    refused(errno.EBUSY, cgroup.rmdir)
    refused(errno.ENOENT, (cgroup / "b").rmdir)
    refused(errno.ENOTDIR, (cgroup / "cgroup.stat" / "x").mkdir)
    refused(errno.EPERM, (cgroup / "cgroup.stat").unlink)
    refused(errno.EACCES, (cgroup / "new.file").write_text, "x")
    refused(errno.EPERM, (cgroup / "a").rename, cgroup / "b")
    refused(errno.EINVAL, (cgroup / "memory.max").write_text, "much")
    refused(errno.ESRCH, (cgroup / "cgroup.procs").write_text, "4194304")
    assert (cgroup / "memory.max").read_text() == "max\n"


def test_a_file_appears_with_the_controller_and_goes_with_it(cgroup: Path) -> None:
    (cgroup / "a").mkdir()
    current = cgroup / "a" / "memory.current"
    assert not current.exists()
    (cgroup / "cgroup.subtree_control").write_text("+memory")
    assert current.read_text() == "0\n"
    (cgroup / "cgroup.subtree_control").write_text("-memory")
    refused(errno.ENOENT, os.open, current, os.O_RDONLY)


def test_a_process_is_where_it_was_put_and_its_children_too(cgroup: Path) -> None:
    text = "echo $$ > cgroup.procs; sleep 60 & echo $!; read line; kill $!"
    with subprocess.Popen(["sh", "-c", text], cwd=cgroup, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert {int(pid) for pid in (cgroup / "cgroup.procs").read_text().split()} == {process.pid, child}
        assert (cgroup / "cgroup.events").read_text() == "populated 1\nfrozen 0\n"
        refused(errno.EBUSY, os.rmdir, cgroup)
        refused(errno.EBUSY, (cgroup / "cgroup.subtree_control").write_text, "+memory")
        process.communicate(b"\n")
    wait_for(lambda: (cgroup / "cgroup.events").read_text().startswith("populated 0"))


def test_a_child_forked_before_its_parent_moved_stays(cgroup: Path) -> None:
    text = f"sleep 60 & echo $$ > {cgroup}/cgroup.procs; echo $!; read line; kill $!"
    with subprocess.Popen(["sh", "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert (cgroup / "cgroup.procs").read_text() == f"{process.pid}\n"
        process.communicate(b"\n")


def test_pages_are_charged_to_the_process_that_writes_them(mounted: Path, cgroup: Path) -> None:
    text = f"echo $$ > cgroup.procs; dd if=/dev/zero of={mounted}/tmp/x bs=4096 count=50 2> /dev/null"
    subprocess.run(["sh", "-c", text], cwd=cgroup, check=True)
    assert int((cgroup / "memory.current").read_text()) == 50 * 4096
    assert (mounted / "tmp" / "x").read_bytes() == bytes(50 * 4096)
    (mounted / "tmp" / "x").unlink()
    wait_for(lambda: (cgroup / "memory.current").read_text() == "0\n")


def test_out_of_memory_kills_the_process_that_asks(mounted: Path, cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("0")
    text = f"echo $$ > cgroup.procs; exec dd if=/dev/zero of={mounted}/tmp/x count=1"
    done = subprocess.run(["sh", "-c", text], cwd=cgroup, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert "oom_kill 1" in (cgroup / "memory.events").read_text()
    (mounted / "tmp" / "x").unlink()


def test_freeze_stops_processes_and_kill_ends_them(cgroup: Path) -> None:
    def state(pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    with subprocess.Popen(["sh", "-c", "echo $$ > cgroup.procs; exec sleep 60"], cwd=cgroup) as process:
        wait_for((cgroup / "cgroup.procs").read_text)
        (cgroup / "cgroup.freeze").write_text("1")
        wait_for(lambda: state(process.pid) == "T")
        assert (cgroup / "cgroup.events").read_text() == "populated 1\nfrozen 1\n"
        (cgroup / "cgroup.freeze").write_text("0")
        wait_for(lambda: state(process.pid) != "T")
        (cgroup / "cgroup.kill").write_text("1")
        assert process.wait(10) == -signal.SIGKILL


def test_poll_reports_what_has_happened_since_the_last_read(mounted: Path, cgroup: Path) -> None:
    with (cgroup / "memory.events").open() as events:
        events.read()
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        assert poll.poll(0) == []
        (cgroup / "memory.max").write_text("4096")
        writer = subprocess.Popen(
            ["sh", "-c", f"echo $$ > cgroup.procs; head -c 8192 /dev/zero > {mounted}/tmp/x"], cwd=cgroup
        )
        assert poll.poll(20_000) != []
        assert writer.wait(20) == 0
        events.seek(0)
        assert "max 1" in events.read()
        assert poll.poll(0) == []
    (mounted / "tmp" / "x").unlink()


def test_poll_wakes_when_the_last_process_has_gone(cgroup: Path) -> None:
    with subprocess.Popen(["sh", "-c", "echo $$ > cgroup.procs; exec sleep 60"], cwd=cgroup) as process:
        wait_for(lambda: "populated 1" in (cgroup / "cgroup.events").read_text())
        with (cgroup / "cgroup.events").open() as events:
            events.read()
            poll = select.poll()
            poll.register(events, select.POLLPRI)
            threading.Timer(RECEIVED, process.kill).start()
            assert poll.poll(20_000) != []
            process.wait()
            events.seek(0)
            assert events.read().startswith("populated 0")


def test_a_file_that_is_not_empty_survives_its_name(mounted: Path) -> None:
    path = mounted / "tmp" / "x"
    with path.open("w+b") as file:
        file.write(b"text")
        file.flush()
        path.unlink()
        assert list((mounted / "tmp").iterdir()) == []
        file.seek(0)
        assert file.read() == b"text"
        os.ftruncate(file.fileno(), 2)
        assert os.fstat(file.fileno()).st_size == 2


def test_a_rename_that_must_not_overwrite_does_not(mounted: Path) -> None:
    for name in ("x", "y"):
        (mounted / "tmp" / name).write_text(name)
    subprocess.run(["mv", "-n", "x", "y"], cwd=mounted / "tmp", check=False)
    assert (mounted / "tmp" / "y").read_text() == "y"
    for name in ("x", "y"):
        (mounted / "tmp" / name).unlink()


def test_find_and_xargs_remove_a_tree(cgroup: Path) -> None:
    text = "mkdir -p a/b/c a/d e; find . -mindepth 1 -depth -type d | xargs rmdir && find . -type d"
    done = subprocess.run(["sh", "-c", text], cwd=cgroup, check=True, capture_output=True, text=True)
    assert done.stdout == ".\n"


def test_eight_shells_at_once(mounted: Path, cgroup: Path) -> None:
    text = """
        for i in $(seq 15); do
            mkdir $1-$i; echo $$ > $1-$i/cgroup.procs; echo x > ../../tmp/$1-$i
            echo $$ > ../cgroup.procs; rmdir $1-$i || exit 1
        done
    """
    (cgroup / "cgroup.subtree_control").write_text("+memory")
    shells = [subprocess.Popen(["sh", "-c", text, "sh", str(number)], cwd=cgroup) for number in range(8)]
    assert [shell.wait(100) for shell in shells] == [0] * 8
    stat = dict(line.split() for line in (cgroup / "cgroup.stat").read_text().splitlines())
    assert stat == {"nr_descendants": "0", "nr_dying_descendants": str(8 * 15)}
    for path in (mounted / "tmp").iterdir():
        path.unlink()
    wait_for(lambda: "nr_dying_descendants 0" in (cgroup / "cgroup.stat").read_text())


# --- how it ends


@pytest.mark.parametrize("whole_group", [False, True])
def test_killed_it_leaves_no_mount_and_no_process(tmp_path: Path, whole_group: bool) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    process = subprocess.Popen(
        command("mount", str(folder), "--cpus", "2"), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    assert "mounted at" in process.stderr.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
    wait_for(lambda: not mounts(str(folder)))
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def test_umount_ends_it_and_the_object_has_its_verdict(tmp_path: Path) -> None:
    with mount_at(tmp_path / "m", "--json") as process:
        subprocess.run(["umount", tmp_path / "m"], check=True)
        out, err = process.communicate(timeout=60)
        report = json.loads(out)
        assert (report["verdict"], process.returncode) == ("pass", 0), err
        assert [check["ok"] for check in report["checks"]] == [True] * 5


def test_a_folder_that_is_none_is_wrong_input(tmp_path: Path) -> None:
    done = subprocess.run(command("mount", str(tmp_path / "no")), check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no folder" in done.stderr


def test_a_missing_library_is_the_environments_fault(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['mfusepy'] = None; from percpu_emu.cli.main import main; main()"
    words = [sys.executable, "-c", blocked, "mount", str(tmp_path)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 3
    assert "percpu-emu[cgroupfs]" in done.stderr
