"""`percpu-emu mount` and `percpu-emu shell`: the machine as files; what is left to say when they have ended."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import typer

from percpu_emu.cli import talk
from percpu_emu.cli.errors import MissingExtra, WrongArgument
from percpu_emu.cli.face import Face
from percpu_emu.cli.output import print_object
from percpu_emu.machine import Event, EventStream
from percpu_emu.report.result import Report, reported
from percpu_emu.scenario.exits import Exit
from percpu_emu.scenario.verdict import exit_code
from percpu_emu.scenario.wording import plural

if TYPE_CHECKING:
    from rich.console import Console

    from percpu_emu.cgroupfs.session import Session

_LONG_SECONDS: Final = 2.0


def mount_and_report(point: str, overrides: Mapping[str, Any], face: Face, *, busy: bool) -> int:
    """Serve at a folder; the report at the end. The exit code."""
    start = time.monotonic()
    _need_library("mount")
    if not os.path.isdir(point):  # noqa: PTH112
        raise WrongArgument(f"{point}: no folder; make it, and mount there")
    from percpu_emu.cgroupfs.mount import mount_and_serve
    from percpu_emu.cgroupfs.session import load_machine

    def ready() -> None:
        typer.echo(f"percpu-emu: mounted at {point}; umount, or Ctrl-C, ends it", err=True)

    session = mount_and_serve(load_machine(overrides), point, _events(), ready, busy=busy)
    report = _report("mount", point, session, time.monotonic() - start)
    face.give(report, lambda console: _print(console, report))
    return exit_code(report.verdict)


def shell_and_report(
    words: Sequence[str], overrides: Mapping[str, Any], *, busy: bool, shim: bool, as_json: bool
) -> int:
    """Run a command in the machine; a line, or the object, at the end. The exit code: the command's, if it failed."""
    start = time.monotonic()
    _need_library("shell")
    from percpu_emu.cgroupfs.session import load_machine
    from percpu_emu.cgroupfs.shell import isolate, run_shell
    from percpu_emu.cgroupfs.shim import build

    loaded = load_machine(overrides)
    library = build() if shim else b""
    status = isolate()
    if status is not None:
        return _of_the_server(status)
    machine = loaded.scenario.machine
    words, greeting = (words, []) if words else _interactive(machine.cpus, machine.nodes, machine.kernel)

    def ready() -> None:
        for line in greeting:
            typer.echo(line, err=True)

    session, ended = run_shell(loaded, words, _events(), ready, busy=busy, shim=library)
    report = _report("shell", " ".join(words), session, time.monotonic() - start)
    report.figures["status"] = ended.status
    if as_json:
        print_object(report)
    if not as_json or report.verdict != "pass":
        _say(report)
    if ended.terminated:
        return Exit.TERMINATED
    return ended.status or exit_code(report.verdict)


def _interactive(cpus: int, nodes: int, kernel: str) -> tuple[list[str], list[str]]:
    shell = os.environ.get("SHELL") or "/bin/sh"
    return [shell], [
        f"{plural(cpus, 'CPU')}, {plural(nodes, 'node')}, {kernel}: /sys/fs/cgroup, /proc/meminfo, /tmp are its own.",
        "Try: mkdir /sys/fs/cgroup/a; grep Percpu /proc/meminfo. `exit` ends the machine and checks its books.",
    ]


def _of_the_server(status: int) -> int:
    if status >= 0:
        return status
    name = signal.Signals(-status).name
    typer.echo(f"percpu-emu: the machine was ended by {name}: nothing is left of it, and there is no verdict", err=True)
    return 128 - status


def _need_library(command: str) -> None:
    try:
        import mfusepy  # noqa: F401
    except ModuleNotFoundError as error:
        install = "pip install 'percpu-emu[cgroupfs]', or pip install '.[cgroupfs]' in its folder"
        raise MissingExtra(f"{command} needs the package mfusepy, which is not installed: {install}") from error
    except OSError as error:
        raise MissingExtra(f"{command} needs libfuse 3, which Debian has in the package fuse3") from error
    if not os.path.exists("/dev/fuse"):  # noqa: PTH110
        raise MissingExtra(
            f"{command} needs /dev/fuse: load the kernel's module fuse, or give the container the device"
        )


def _events() -> EventStream:
    """Says on stderr what takes long: compiling programs, the first time."""
    events = EventStream()
    began: dict[str, float] = {}

    def hear(event: Event) -> None:
        what = event.fields.get("what", "") if event.kind == "progress" else ""
        since = time.monotonic() - began.setdefault(what, time.monotonic())
        if what and since > _LONG_SECONDS and not talk.is_quiet():
            began[what] = math.inf
            typer.echo(f"percpu-emu: {what}", err=True)

    events.listen(hear)
    return events


def _report(command: str, subject: str, session: Session, seconds: float) -> Report:
    return Report(
        command=command,
        subject=subject,
        verdict=session.verdict,
        scope=session.scope,
        checks=reported(session.checks),
        figures=session.figures,
        notes=session.notes,
        seed=session.loaded.scenario.seed,
        seconds=round(seconds, 3),
    )


def _print(console: Console, report: Report) -> None:
    from percpu_emu.report.ending import print_notes, print_verdict
    from percpu_emu.report.tables import checks_table

    console.print(checks_table(report))
    print_notes(console, report)
    print_verdict(console, report)


def _say(report: Report) -> None:
    """The verdict on stderr: stdout is the command's."""
    failed = [check for check in report.checks if not check.ok]
    for check in failed:
        typer.echo(f"percpu-emu: {check.name}: {check.detail}", err=True)
    for note in report.notes:
        typer.echo(f"percpu-emu: {note}", err=True)
    typer.echo(f"percpu-emu: {report.verdict}: {report.checks[0].detail}", err=True)
    sys.stderr.flush()
