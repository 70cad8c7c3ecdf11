"""Faults at injection points: read from a line, placed at sites, and really happening there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.lang import context as c
from percpu_emu.lang.image import Image
from percpu_emu.lang.source import Site
from percpu_emu.machine.faults import BadFault, FaultTable, parse_fault, points_of
from tests.machine import programs
from tests.machine.conftest import MakeMachine, Rig


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mod_memcg_state:4=sleep:1ms@25%", ("mod_memcg_state", "4", "sleep", 1_000_000, c.CERTAIN // 4, 0)),
        ("charge=yield", ("charge", "all", "yield", 0, c.CERTAIN, 0)),
        ("all=delay:1.5us@100%", ("all", "all", "delay", 1500, c.CERTAIN, 0)),
        ("all:this_cpu_add=stop:2s@#3", ("all", "this_cpu_add", "stop", 2_000_000_000, c.CERTAIN, 3)),
        ("p:read_once=kill@0.0000001%", ("p", "read_once", "kill", 0, 2, 0)),
        (" p:1=preempt:10us ", ("p", "1", "preempt", 10_000, c.CERTAIN, 0)),
        ("p:1=preempt", ("p", "1", "preempt", 0, c.CERTAIN, 0)),
    ],
)
def test_a_line_says_where_what_and_when(line: str, expected: tuple[Any, ...]) -> None:
    fault = parse_fault(line)
    assert (fault.program, fault.point, fault.kind, fault.nanoseconds, fault.chance, fault.nth) == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "allowed: POINT=KIND"),
        ("mod_memcg_state:4", "allowed: POINT=KIND"),
        ("=kill", "allowed: POINT=KIND"),
        ("p:1=explode", "'explode' is no kind of fault, allowed: delay, yield, sleep"),
        ("p:1=sleep", "'' is no time, allowed: sleep: with 1ns to 10s behind it"),
        ("p:1=sleep:11s", "'11s' is no time"),
        ("p:1=sleep:0ms", "'0ms' is no time"),
        ("p:1=kill:1ms", "kill takes no time"),
        ("p:1=kill@", "'' does not say when"),
        ("p:1=kill@0%", "'0%' does not say when"),
        ("p:1=kill@101%", "'101%' does not say when"),
        ("p:1=kill@#0", "'#0' does not say when"),
    ],
)
def test_a_wrong_line_is_told_with_what_is_allowed(line: str, said: str) -> None:
    with pytest.raises(BadFault) as refused:
        parse_fault(line)
    assert said in str(refused.value)
    assert "allowed: " in str(refused.value)


@given(st.text(alphabet="alchrge_:=@#%.0123456789 usmdelaykinpt\x00é", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_fault_or_refused(text: str) -> None:
    try:
        fault = parse_fault(text)
    except BadFault:
        return
    assert 0 < fault.chance <= c.CERTAIN
    assert 0 <= fault.nanoseconds <= 10_000_000_000


SITES = [
    Site("p", 1, "f", 3, "read_once(x)"),
    Site("p", 2, "f", 4, "write_once(x, 1)"),
    Site("q", 1, "f", 9, "smp_mb()"),
]


def test_points_are_found_by_number_by_operation_and_all_together() -> None:
    assert points_of(parse_fault("p:2=yield"), SITES) == [1]
    assert points_of(parse_fault("p:read_once=yield"), SITES) == [0]
    assert points_of(parse_fault("p=yield"), SITES) == [0, 1]
    assert points_of(parse_fault("all=yield"), SITES) == [0, 1, 2]
    assert points_of(parse_fault("all:smp_mb=yield"), SITES) == [2]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("r=yield", "no program 'r' runs here, allowed: p, q, all"),
        ("p:3=yield", "p has no point '3', allowed: 1 to 2, read_once, write_once"),
        ("q:read_once=yield", "q has no point 'read_once', allowed: 1 to 1, smp_mb"),
    ],
)
def test_a_point_that_is_not_there_is_told_with_those_that_are(line: str, said: str) -> None:
    with pytest.raises(BadFault) as refused:
        points_of(parse_fault(line), SITES)
    assert said in str(refused.value)


def test_several_faults_of_a_site_are_chained_and_counted_apart() -> None:
    faults = [parse_fault("p:1=yield"), parse_fault("all=delay:1us")]
    table = FaultTable(faults, SITES)
    assert table.hits() == {"p:1=yield": 0, "all=delay:1us": 0}
    table.close()


# --- that they really happen


def with_faults(make_machine: MakeMachine, *lines: str, cpus: int = 2) -> Rig:
    rig = make_machine(cpus=cpus, faults=[parse_fault(line) for line in lines])
    rig.tree.table.add(rig.tree.mkdir("a"))
    return rig


def hits(rig: Rig, line: str) -> int:
    return rig.machine.faults.hits()[line]


@pytest.mark.parametrize("kind", ["delay:10us", "yield", "sleep:100us", "preempt", "preempt:50us"])
def test_a_fault_happens_and_nothing_is_lost(make_machine: MakeMachine, kind: str) -> None:
    line = f"mod_memcg_state:ledger_add={kind}@50%"
    rig = with_faults(make_machine, line)
    rig.work(programs.charge)
    rig.machine.wait_for(lambda: hits(rig, line) >= (0 if "preempt" in kind else 5))
    rig.machine.wait_for(lambda: int(rig.machine.memory.blocks[0, c.UPDATES]) > 50)
    rig.machine.rest()
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []
    assert hits(rig, line) == 0 if "preempt" in kind else hits(rig, line) >= 5, (
        "interrupts are off there: no preemption"
    )


def test_a_task_is_preempted_where_preemption_is_on(make_machine: MakeMachine) -> None:
    line = "mod_memcg_state:local_irq_save=preempt"
    rig = with_faults(make_machine, line)
    rig.work(programs.charge)
    rig.machine.wait_for(lambda: hits(rig, line) > 0)


def test_a_cpu_that_stops_itself_is_continued_in_time(make_machine: MakeMachine) -> None:
    line = "mod_memcg_state:1=stop:20ms@#10"
    rig = with_faults(make_machine, line)
    rig.work(programs.charge)
    rig.machine.wait_for(lambda: rig.machine.stops.count == 1)
    [stopped] = rig.machine.memory.blocks[:2, c.STOPPED_US].nonzero()[0].tolist()
    turns = int(rig.machine.memory.blocks[stopped, c.UPDATES])
    rig.machine.wait_for(lambda: int(rig.machine.memory.blocks[stopped, c.UPDATES]) > turns + 1000)
    assert hits(rig, line) == 1


def test_a_cpu_is_killed_at_the_nth_pass_and_once(make_machine: MakeMachine) -> None:
    line = "mod_percpu_counter:__this_cpu_write=kill@#100"
    rig = with_faults(make_machine, line, cpus=3)
    rig.work(programs.charge)
    rig.machine.wait_for(lambda: len(rig.machine.cpus.online) == 2)
    rig.machine.run_for(0.05)
    assert (len(rig.machine.cpus.online), hits(rig, line)) == (2, 1)
    rig.machine.rest()
    rig.tree.audit_all()
    assert rig.tree.audit.imbalances == []
    assert [doubt.name for doubt in rig.machine.doubts] == ["MEMCG_CACHE"]


def test_what_a_cpu_does_for_the_coordinator_is_not_killed(make_machine: MakeMachine) -> None:
    rig = with_faults(make_machine, "all=kill")
    assert rig.run(programs.answer, 1, 2, cpu=1) == 10102
    assert rig.machine.cpus.online == [0, 1]


def test_the_coordinator_is_neither_stopped_nor_killed(make_machine: MakeMachine) -> None:
    rig = with_faults(make_machine, "answer=stop:1s", "answer=kill")
    assert rig.machine.execute(programs.answer, 1, 2) == 20102
    assert hits(rig, "answer=kill") == 0


def test_programs_that_the_coordinator_drives_have_points_too(make_machine: MakeMachine) -> None:
    rig = with_faults(make_machine, "css_offline=delay:1us")
    rig.tree.rmdir(rig.tree.find("a"))
    rig.machine.wait_for(lambda: hits(rig, "css_offline=delay:1us") > 0)


def test_a_point_of_no_program_is_refused_before_anything_starts(make_machine: MakeMachine) -> None:
    with pytest.raises(BadFault, match="no program 'nothing' runs here"):
        with_faults(make_machine, "nothing=kill")


def test_programs_are_instrumented_only_where_something_is_injected() -> None:
    plain, instrumented = (Image([], [programs.charge], instrumented=on) for on in (False, True))
    assert "ops.reach" not in plain.text(programs.charge)
    assert "ops.reach" in instrumented.text(programs.charge)
