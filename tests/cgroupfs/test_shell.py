"""`percpu-emu shell`: somebody's own script inside the machine, and what is left when it has ended: nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from percpu_emu.cgroupfs.session import load_machine
from percpu_emu.kernel.footprint import NEVER, footprint
from percpu_emu.kernel.profile import load_profile
from percpu_emu.scenario.load import ScenarioError
from tests.cgroupfs.conftest import command, needs_fuse, script, shell, wait_for
from tests.conftest import our_mounts

pytestmark = needs_fuse

SEED_SCRIPT = "PERCPU_EMU_SEED_SCRIPT"
CPUS_OF_THE_LETTER = 32
LETTER = """
    top=/sys/fs/cgroup/parent
    look() { grep nr_dying_descendants /sys/fs/cgroup/cgroup.stat; grep -e Percpu -e Slab /proc/meminfo; }
    mkdir $top && echo +memory > $top/cgroup.subtree_control && look
    for i in $(seq 1 $1); do
        mkdir $top/$i
        echo $$ > $top/$i/cgroup.procs
        dd if=/dev/urandom of=/tmp/page-$i count=1 2> /dev/null
        echo $$ > /sys/fs/cgroup/cgroup.procs
        rmdir $top/$i
    done
    look; rmdir $top
"""
"""What the cover letter's script does, in other words."""


def figures(text: str) -> list[tuple[int, int, int]]:
    """nr_dying_descendants, Slab and Percpu, each time that they were printed."""
    found = re.findall(r"nr_dying_descendants (\d+)\nSlab: +(\d+) kB\nPercpu: +(\d+) kB\n", text)
    return [(int(dying), int(slab), int(percpu)) for dying, slab, percpu in found]


@pytest.mark.parametrize(("protocol", "lag"), [("patched", 1), ("original", NEVER)])
def test_the_letters_loop_costs_what_the_footprint_says(protocol: str, lag: float) -> None:
    cgroups = 100
    options = ("--cpus", str(CPUS_OF_THE_LETTER), "--protocol", protocol)
    done = shell("sh", "-c", LETTER, "sh", str(cgroups), options=options)
    expected = footprint(load_profile("linux-5.0-mmotm"), [CPUS_OF_THE_LETTER], cgroups, lag)
    before, after = figures(done.stdout)
    assert (before[0], after[0]) == (0, cgroups), done.stderr
    assert (before[2], after[2]) == (expected.before.percpu_kb, expected.after.percpu_kb)
    assert done.returncode == 0, done.stderr
    assert "pass" in done.stderr


@pytest.mark.parametrize(("protocol", "percpu"), [("patched", 26880), ("original", 64128)])
def test_the_cover_letters_own_script_prints_the_cover_letters_table(protocol: str, percpu: int) -> None:
    """The file that PERCPU_EMU_SEED_SCRIPT names, byte for byte. Without it the loop above stands for it."""
    if not (path := os.environ.get(SEED_SCRIPT)):
        return
    done = shell("sh", path, options=("--cpus", str(CPUS_OF_THE_LETTER), "--protocol", protocol))
    before, after = figures(done.stdout)
    assert (before[0], before[2], after[0], after[2]) == (0, 6912, 1000, percpu), done.stderr
    assert done.returncode == 0


@pytest.fixture(scope="module")
def told() -> subprocess.CompletedProcess[str]:
    """What one script prints of the place where it is."""
    return script("""
        echo output; echo error >&2
        ls /sys/fs/cgroup/cgroup.procs; ls -d /tmp; touch /tmp/new
        grep -c '' /proc/cgroups; grep -c nr_file_pages /proc/vmstat
        test -d /proc/$$ && echo here
        cat /sys/fs/cgroup/cgroup.procs | wc -l; echo 1 > /sys/fs/cgroup/cgroup.procs
        exit 7
    """)


def test_the_commands_status_and_its_output_are_passed_on(told: subprocess.CompletedProcess[str]) -> None:
    assert told.returncode == 7
    assert told.stdout.startswith("output\n")
    assert told.stderr.startswith("error\n")


def test_it_is_another_place(told: subprocess.CompletedProcess[str]) -> None:
    assert told.stdout.splitlines()[1:6] == ["/sys/fs/cgroup/cgroup.procs", "/tmp", "2", "1", "here"], told.stderr
    assert not Path("/tmp/new").exists()


def test_only_the_commands_processes_are_in_cgroups(told: subprocess.CompletedProcess[str]) -> None:
    assert told.stdout.splitlines()[6] == "3"  # sh, cat, wc
    assert "I/O error" in told.stderr  # as dash says of EINVAL


def test_a_command_that_is_not_there_has_a_shells_status() -> None:
    done = shell("no-such-command", options=("--cpus", "1"))
    assert done.returncode == 127
    assert "no-such-command" in done.stderr


def test_the_object_on_stdout_is_alone_there() -> None:
    done = shell("sh", "-c", "echo hi; exit 3", options=("--cpus", "2", "--json"))
    report = json.loads(done.stdout)
    assert (report["command"], report["verdict"], report["figures"]["status"]) == ("shell", "pass", 3)
    assert (done.returncode, done.stderr.splitlines()[0]) == (3, "hi")


@pytest.mark.parametrize(
    "options",
    [
        ("--busy", "--guard", "--chaos", "--seed", "3", "--nodes", "2"),
        ("--busy", "--inject", "all=kill@#3000", "--inject", "mod_percpu_counter=sleep:1ms@1%"),
    ],
)
def test_faults_work_there_and_the_books_balance(options: tuple[str, ...]) -> None:
    done = shell("sh", "-c", LETTER, "sh", "12", options=("--cpus", "4", *options))
    assert done.returncode == 0, done.stderr
    assert figures(done.stdout)[1][0] == 12
    assert "percpu-emu: pass" in done.stderr
    if "--inject" in options:
        assert re.search(r"kill@#3000: [1-9][0-9]* times", done.stderr)


def test_a_broken_machine_fails_though_the_command_succeeds(tmp_path: Path) -> None:
    """A counter that is one short is noticed by its ledger: exit code 1, with the counter named."""
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import sys\n"
        "from percpu_emu.machine.counters import CounterArray\n"
        "whole = CounterArray.values\n"
        "CounterArray.values = lambda self, memory: whole(self, memory) - (self.kind == 'event')\n"
        "from percpu_emu.cli.main import main\n"
        "main()\n"
    )
    words = [sys.executable, str(broken), "shell", "--cpus", "2", "--", "true"]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "nothing lost, nothing doubled: event" in done.stderr


def test_wrong_options_are_refused_before_anything_starts() -> None:
    done = shell("true", options=("--protocol", "nosuch"))
    assert done.returncode == 2
    assert "found 'nosuch', allowed: 'original'" in done.stderr
    with pytest.raises(ScenarioError, match="one machine has one protocol"):
        load_machine({"protocols": ["original", "patched"]})


def test_without_a_command_it_is_a_shell_with_two_lines_of_greeting() -> None:
    process, terminal = pty.fork()
    if process == 0:
        os.execve(sys.executable, command("shell", "--cpus", "2"), {**os.environ, "SHELL": "/bin/sh", "PS1": "> "})
    said = ""
    sent = False
    try:
        while chunk := os.read(terminal, 1000):
            said += chunk.decode()
            if "> " in said and not sent:
                os.write(terminal, b"mkdir /sys/fs/cgroup/a && echo made-$((1+1)); exit 5\n")
                sent = True
    except OSError:  # the terminal is closed
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 5
    lines = said.splitlines()
    assert lines[0].startswith("2 CPUs, 1 node, linux-5.0-mmotm")
    assert lines[1].startswith("Try: mkdir")
    assert "made-2" in said


# --- how it ends


@contextmanager
def sleeping() -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A shell whose script has processes in the background, one in a session of its own; all processes below it."""
    text = "sleep 1234 & setsid sleep 1234 & echo ready; sleep 1234"
    with subprocess.Popen(
        command("shell", "--cpus", "2", "--", "sh", "-c", text), stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        wait_for(lambda: len(below(process.pid)) >= 1 + 2 + 1 + 3)  # server, CPUs, sh, sleepers
        yield process, below(process.pid)
        process.kill()


def below(pid: int) -> list[int]:
    """Every descendant of a process."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(one for child in children for one in below(child))]


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("how", ["the one that was called", "the server", "the whole group", "SIGTERM"])
def test_however_it_ends_nothing_stays(how: str, own_temporary_folder: Path) -> None:
    with sleeping() as (process, pids):
        if how == "the server":
            os.kill(pids[0], signal.SIGKILL)
        elif how == "the whole group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.send_signal(signal.SIGTERM if how == "SIGTERM" else signal.SIGKILL)
        code = process.wait(20)
        assert code == (143 if how.startswith("SIG") else 137 if how == "the server" else -signal.SIGKILL)
        wait_for(lambda: gone(pids))
    assert our_mounts(own_temporary_folder) == []


def test_ctrl_c_is_the_commands_business() -> None:
    text = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    with subprocess.Popen(
        command("shell", "--cpus", "2", "--", "sh", "-c", text), stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == b"caught\n"
        assert process.wait(20) == 9


def test_who_is_not_root_gets_a_user_namespace_and_is_root_in_it() -> None:
    """What stands before the server is tried by itself: all that Python needs may be in folders of root's."""
    text = """
import ctypes, os
from percpu_emu.cgroupfs.namespaces import enter_own, mount_proc
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: as a process is that was never root
enter_own()
if os.fork() == 0:
    mounted = mount_proc()
    print(os.getuid(), os.getpid(), mounted, sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()))
    os._exit(0)
os.wait()
"""
    done = subprocess.run([sys.executable, "-u", "-c", text], check=False, capture_output=True, text=True)
    if "shell needs a user namespace, which the operating system refuses" in done.stderr:
        return  # it says so where there are none, too
    assert done.stdout == "0 1 True [1]\n", done.stderr


def test_where_there_are_no_namespaces_it_says_so() -> None:
    refusing = (
        "import errno; from percpu_emu.cgroupfs import namespaces\n"
        "def refuse(flags): raise OSError(errno.EPERM, 'Operation not permitted')\n"
        "namespaces.unshare = refuse\n"
        "import sys; from percpu_emu.cli.main import main; sys.argv = ['percpu-emu', 'shell', '--cpus', '2']; main()"
    )
    done = subprocess.run([sys.executable, "-c", refusing], check=False, capture_output=True, text=True)
    assert done.returncode == 3
    assert "shell needs namespaces for mounts and processes" in done.stderr
