"""A run in a session of its own, whose events can be followed, so that it can be killed at a chosen moment."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from percpu_emu.cli.errors import errors_for_people
from percpu_emu.cli.face import Face
from percpu_emu.cli.process import _terminated
from percpu_emu.cli.run import run_and_report
from percpu_emu.machine import Event, EventStream

SCENARIO = """
name = "crash"
summary = "releases and hotplug, shortly"
seconds = 0.1
table = 3

[machine]
cpus = 3

[[workers]]
program = "charge"

[[steps]]
do = "during"
steps = [{ do = "replace" }, { do = "offline" }, { do = "online" }]
"""
PATIENCE = 60.0


@dataclass
class Run:
    """The coordinator's process, and a pipe from which the kinds of its events are read."""

    pid: int
    events: int
    out: Path
    err: Path
    seen: str = ""

    def await_event(self, kind: str) -> bool:
        """Wait until an event of that kind has happened; False where the run ended before."""
        deadline = time.monotonic() + PATIENCE
        while f" {kind} " not in f" {self.seen}":
            ready, _, _ = select.select([self.events], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(self.events, 65536) if ready else b""
            if not more:
                return False
            self.seen += more.decode()
        return True

    def await_cpu(self) -> bool:
        """Wait until a CPU process is there; False where the run ended before."""
        while not self.is_over():
            if self.cpus():
                return True
        return False

    def cpus(self) -> list[int]:
        """The CPU processes that run now."""
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            return [int(pid) for pid in children if _state(int(pid)) not in ("Z", "X", "")]
        return []

    def is_over(self) -> bool:
        """Whether the coordinator has ended, and waits to be buried."""
        return _state(self.pid) in ("Z", "X", "")

    def bury(self) -> int:
        """Wait for its end; its exit status as the shell has it, less than 0 for a signal."""
        deadline = time.monotonic() + PATIENCE
        while not self.is_over() and time.monotonic() < deadline:
            time.sleep(0.002)
        if not self.is_over():
            os.killpg(self.pid, signal.SIGKILL)
            raise AssertionError(f"process {self.pid} hangs; events: {self.seen}; {self.err.read_text()}")
        os.close(self.events)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def left(self) -> list[str]:
        """Processes of its session that are still there after a while."""
        deadline = time.monotonic() + PATIENCE
        while (found := _session(self.pid)) and time.monotonic() < deadline:
            time.sleep(0.002)
        return found


def start(folder: Path, name: str) -> Run:
    """Fork it: everything is imported and compiled already, so that 200 of them take a minute."""
    scenario = folder / "crash.toml"
    scenario.write_text(SCENARIO)
    read, write = os.pipe()
    out, err = folder / f"{name}.out", folder / f"{name}.err"
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _run(str(scenario), write, out, err)
    os.close(write)
    return Run(pid, read, out, err)


def _run(scenario: str, pipe: int, out: Path, err: Path) -> NoReturn:
    code = 70
    try:
        os.setsid()
        for number, file in ((1, out), (2, err)):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _terminated)
        _follow(pipe)
        with errors_for_people("run", scenario, as_json=True) as so_far:
            code = run_and_report(scenario, {}, so_far, Face(as_json=True), record=False)
    except BaseException as error:
        code = getattr(error, "exit_code", code)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _follow(pipe: int) -> None:
    """Write the kind of every event to the pipe."""
    emit = EventStream.emit

    def emit_and_tell(self: EventStream, kind: str, **fields: object) -> None:
        emit(self, kind, **fields)
        if kind != "progress":
            os.write(pipe, f"{fields.get('name', '')}{kind} ".encode())

    EventStream.emit = emit_and_tell  # type: ignore[method-assign,assignment]
    assert Event


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _session(session: int) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] not in ("Z", "X"):
                    found.append(entry.name)
    return found
