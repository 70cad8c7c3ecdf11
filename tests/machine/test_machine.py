from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.lang import context as c
from percpu_emu.lang.service import ProgramFault
from percpu_emu.machine import CpuDied, Machine, MachineMemory, StartFailed
from percpu_emu.machine import cpus as cpus_module
from percpu_emu.machine.cpu import cpu_main
from tests.machine import programs
from tests.machine.conftest import MakeMachine


def test_each_cpu_is_a_process_of_its_own(make_machine: MakeMachine) -> None:
    rig = make_machine(cpus=3)
    pids = {rig.machine.cpus.pid(cpu) for cpu in range(3)}
    assert len(pids) == 3
    assert os.getpid() not in pids


def test_a_cpu_runs_the_program_it_is_given(make_machine: MakeMachine) -> None:
    rig = make_machine()
    assert rig.run(programs.answer, 3, 4, cpu=1) == 10304
    assert rig.run(programs.answer, 5, 6, cpu=0) == 506


def test_the_coordinator_is_no_cpu_and_runs_programs_too(make_machine: MakeMachine) -> None:
    rig = make_machine(cpus=2)
    assert rig.machine.execute(programs.answer, 1, 2) == 20102


def test_an_idle_cpu_is_in_an_extended_quiescent_state(make_machine: MakeMachine) -> None:
    rig = make_machine()
    rig.run(programs.answer, 0, 0)
    assert rig.machine.memory.blocks[0, c.QUIESCENT] == 0


def test_a_working_cpu_does_a_program_between_two_turns(make_machine: MakeMachine) -> None:
    rig = make_machine()
    rig.tree.table.add(rig.tree.mkdir("a"))
    rig.work(programs.charge)
    rig.machine.wait_for(lambda: rig.machine.memory.blocks[1, c.TURN] > 0)
    assert rig.run(programs.answer, 7, 7, cpu=1) == 10707
    turns = int(rig.machine.memory.blocks[1, c.TURN])
    rig.machine.wait_for(lambda: rig.machine.memory.blocks[1, c.TURN] > turns)
    assert rig.machine.memory.blocks[1, c.TURN] > turns


def test_a_dead_cpu_whose_slots_are_added_and_left_is_noticed(make_machine: MakeMachine) -> None:
    rig = make_machine(protocol=replace(PROTOCOLS["patched"], cpu_dead=programs.double_fold))
    cgroup = rig.tree.mkdir("a")
    rig.run(programs.add_cache, cgroup.memcg, 5, cpu=1)
    rig.machine.offline_cpu(1)
    rig.tree.audit_all()
    [imbalance] = rig.tree.audit.imbalances
    assert (imbalance.counted, imbalance.added) == (10, 5)


@pytest.mark.parametrize("control_cpu", [False, True])
def test_a_dead_cpus_slots_are_folded_by_another_cpu_or_by_the_coordinator(
    make_machine: MakeMachine, control_cpu: bool
) -> None:
    rig = make_machine(cpus=3, control_cpu=control_cpu)
    cgroup = rig.tree.mkdir("a")
    rig.run(programs.add_cache, cgroup.memcg, 5, cpu=1)
    commands = rig.machine.memory.blocks[:3, c.COMMAND].copy()
    rig.machine.offline_cpu(1)
    assert rig.machine.execute(programs.shown_state, cgroup.memcg) == 5
    others = [0, 2]
    asked = (rig.machine.memory.blocks[others, c.COMMAND] != commands[others]).sum()
    assert asked == int(control_cpu)


class _Continue:
    """Continues a stopped process the first time that the coordinator looks round."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def attend(self, _: float) -> None:
        os.kill(self._pid, signal.SIGCONT)


def test_a_program_for_a_cpu_that_has_not_taken_its_last_command_yet_waits(make_machine: MakeMachine) -> None:
    """It took that command's place: a CPU ran the program twice, or never began to work."""
    rig = make_machine()
    rig.tree.table.add(rig.tree.mkdir("a"))
    pid = rig.machine.cpus.pid(1)
    os.kill(pid, signal.SIGSTOP)
    rig.machine.set_working(1, 0, rig.tree.table.pointer, 100, 0)
    rig.machine.attend(_Continue(pid))
    assert rig.run(programs.answer, 7, 7, cpu=1) == 10707
    turns = int(rig.machine.memory.blocks[1, c.TURN])
    rig.machine.wait_for(lambda: rig.machine.memory.blocks[1, c.TURN] > turns)


def test_a_cpu_that_is_killed_before_it_can_go_off_line_leaves_its_doubt(make_machine: MakeMachine) -> None:
    """It was taken for one that had left in order, and the update that it was in went missing."""
    rig = make_machine()
    cgroup = rig.tree.mkdir("a")
    flag = rig.machine.memory.slab.kmalloc(8) // 8
    rig.machine.cpus.run(1, programs.start_update_and_stop, cgroup.memcg, flag)
    rig.machine.wait_for(lambda: bool(rig.machine.memory.blocks[1, c.NOTED]))
    os.kill(rig.machine.cpus.pid(1), signal.SIGKILL)
    rig.machine.offline_cpu(1)
    assert [doubt.cpu for doubt in rig.machine.doubts] == [1]
    assert [event["exitcode"] for event in rig.events("cpu_died")] == [-signal.SIGKILL]


def test_a_cpu_that_dies_while_another_is_brought_up_is_found(make_machine: MakeMachine) -> None:
    """Whoever starts a process buries those that have ended, behind the back of who looks for them."""
    rig = make_machine(cpus=3)
    rig.machine.offline_cpu(1)
    pid = rig.machine.cpus.pid(0)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    rig.machine.online_cpu(1)
    rig.machine.run_for(0.1)
    assert rig.machine.cpus.online == [1, 2]
    assert [event["cpu"] for event in rig.events("cpu_died")] == [0]


def test_an_offline_cpu_has_no_process_and_an_online_one_a_new_one(make_machine: MakeMachine) -> None:
    rig = make_machine()
    first = rig.machine.cpus.pid(1)
    rig.machine.offline_cpu(1)
    assert rig.machine.cpus.online == [0]
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    with pytest.raises(CpuDied, match="CPU 1 is offline"):
        rig.run(programs.answer, 0, 0, cpu=1)
    rig.machine.online_cpu(1)
    assert rig.machine.cpus.pid(1) != first
    assert rig.run(programs.answer, 0, 1, cpu=1) == 10001


def test_a_double_free_by_a_program_is_refused_with_its_reason(make_machine: MakeMachine) -> None:
    rig = make_machine()
    with pytest.raises(ProgramFault):
        rig.run(programs.free_twice, 64)
    (refusal,) = rig.events("refused")
    assert refusal["cpu"] == 0
    assert "freed already" in refusal["reason"]
    assert rig.run(programs.answer, 1, 1) == 101, "the CPU goes on with the next program"


def test_a_program_that_is_not_in_the_image_is_refused_before_the_cpu_sees_it(make_machine: MakeMachine) -> None:
    def stranger() -> Any:
        yield

    rig = make_machine()
    with pytest.raises(ValueError, match="stranger is not in this machine's image"):
        rig.run(stranger)


def test_a_failed_start_ends_the_cpus_that_were_started(
    make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    start = cpus_module._FORK.Process.start

    def fail_at_the_third(process: Any) -> None:
        if len(started) == 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        start(process)
        started.append(process.pid)

    monkeypatch.setattr(cpus_module._FORK.Process, "start", fail_at_the_third)
    with pytest.raises(StartFailed, match="CPU 2's process could not be started: Resource temporarily unavailable"):
        make_machine(cpus=4)
    assert len(started) == 2
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_closing_a_machine_ends_cpus_that_do_not_listen(make_machine: MakeMachine) -> None:
    rig = make_machine()
    machine: Machine = rig.machine
    pid = machine.cpus.pid(0)
    memcg = rig.tree.mkdir("a").memcg
    machine.cpus.run(0, programs.start_update_and_stop, memcg, rig.machine.memory.coordinator)
    machine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("attempt", range(10))
def test_ctrl_c_is_not_forgotten_where_compiled_code_calls_python(make_machine: MakeMachine, attempt: int) -> None:
    rig = make_machine(cpus=1)
    # another process sends it, not a thread: a thread would be given the signal that this one holds back
    later = subprocess.Popen(["sh", "-c", f"sleep {0.01 + attempt / 1000}; kill -INT {os.getpid()}"])

    def interrupted() -> None:
        for _ in range(100):
            rig.machine.execute(programs.allocate_often, 500)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert later.wait() == 0
    assert rig.machine.execute(programs.answer, 1, 2) == 10102


def test_a_signal_while_the_machine_ends_is_raised_when_nothing_is_left(
    make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_machine()
    pids = [rig.machine.cpus.pid(cpu) for cpu in (0, 1)]
    end = rig.machine.cpus.end

    def interrupted(cpus: Iterable[int]) -> dict[int, int]:
        os.kill(os.getpid(), signal.SIGINT)
        return end(cpus)

    monkeypatch.setattr(rig.machine.cpus, "end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rig.machine.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_new_process_takes_no_signal_by_the_handlers_of_its_parent(
    make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forked with signals held, it has handlers of its own when it lets them through."""

    def watched(number: int, parent: int, memory: MachineMemory, *rest: Any) -> None:
        memory.blocks[number, c.MARKS] = signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        cpu_main(number, parent, memory, *rest)

    monkeypatch.setattr(cpus_module, "cpu_main", watched)
    rig = make_machine()
    rig.run(programs.answer, 0, 0, cpu=1)
    assert rig.machine.memory.blocks[1, c.MARKS] == 1
    status = Path(f"/proc/{rig.machine.cpus.pid(1)}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("SigBlk:")]
    assert int(line.split()[1], 16) == 0
