"""Starvation under a fair scheduler: found with a circle that is one, and where the oracle's graph has one."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percpu_emu.explore import graph
from percpu_emu.explore.model import Model as EngineModel
from percpu_emu.explore.search import Budget, Found, Search
from percpu_emu.explore.strategies import Options, explore
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.tracing import Stepper
from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import (
    Program,
    cpu_relax,
    preempt_disable,
    preempt_enable,
    read_once,
    smp_cond_load_acquire,
    takedown_cpu,
    wait_until,
    write_once,
    xchg,
)
from percpu_emu.lang.setting import HALF, MIGRATE, ContextSpec, Setting
from percpu_emu.scenario.exploration import checks_of, scope_of, verdict
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import load
from percpu_emu.scenario.programs import execute
from percpu_emu.scenario.subjects import subject_of

from .oracle import Model, TooMany, Violated, reachable

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search

END, FLAG, LOCK = STATIC, STATIC + 1, STATIC + 2


def polls() -> Program[None]:
    while not (yield read_once(END)):
        yield cpu_relax()


def spins() -> Program[None]:
    yield smp_cond_load_acquire(END, 1)


def ends() -> Program[None]:
    yield write_once(END, 1)


def toggles() -> Program[None]:
    while not (yield read_once(END)):
        yield write_once(FLAG, 1)
        yield write_once(FLAG, 0)


def sleeps_until_raised() -> Program[None]:
    yield wait_until(FLAG, 1)
    yield write_once(END, 1)


def hogs() -> Program[None]:
    yield preempt_disable()
    while not (yield read_once(END)):
        yield preempt_enable()
        yield preempt_disable()
    yield preempt_enable()


def tries() -> Program[None]:
    while (yield xchg(LOCK, 1)):
        yield cpu_relax()
    yield write_once(END, 1)
    yield write_once(LOCK, 0)


def holds_again_and_again() -> Program[None]:
    while not (yield read_once(END)):
        if not (yield xchg(LOCK, 1)):
            yield write_once(LOCK, 0)


def takes_cpu_1_down() -> Program[None]:
    yield takedown_cpu(1)


def task(program: Any, cpu: int) -> ContextSpec:
    return ContextSpec(program.__name__, program, cpu=cpu)


def interrupt(program: Any, cpu: int) -> ContextSpec:
    return ContextSpec(program.__name__, program, "interrupt", cpu)


STARVES = {
    "a flag that is seldom up": [task(toggles, 0), task(sleeps_until_raised, 1)],
    "attempts that fail": [task(holds_again_and_again, 0), task(tries, 1)],
    "a task that keeps its CPU nearly always": [task(hogs, 0), task(ends, 0)],
    "an interrupt that need not come": [task(polls, 0), interrupt(ends, 1)],
}
SERVES = {
    "a loop that polls": [task(polls, 0), task(ends, 1)],
    "a loop that polls on the same CPU": [task(polls, 0), task(ends, 0)],
    "a context that spins": [task(spins, 0), task(ends, 1)],
    "a task whose CPU goes off line": [task(polls, 0), task(ends, 1), task(takes_cpu_1_down, 0)],
}


def judged(setting: Setting) -> Found | None:
    search = Search(EngineModel(setting), reduce=False, fair=True)
    return next(iter(search.run()), None)


@pytest.mark.parametrize("name", STARVES)
def test_a_context_that_can_go_on_now_and_then_may_be_starved(name: str) -> None:
    setting = Setting(2, tuple(STARVES[name]))
    found = judged(setting)
    assert found is not None
    assert found.check == "starvation"
    assert_is_a_fair_circle(setting, found)


@pytest.mark.parametrize("name", SERVES)
def test_a_context_that_can_always_go_on_is_served(name: str) -> None:
    assert judged(Setting(2, tuple(SERVES[name]))) is None


def assert_is_a_fair_circle(setting: Setting, found: Found) -> None:
    """By the engine's steps alone: it comes back, all go on that always can, and the starved are not over."""
    model = EngineModel(setting)
    first = len(found.schedule) - found.repeated
    assert found.repeated > 0
    stepper = Stepper(model).run(found.schedule[:first])
    start, free = stepper.state[: model.size].copy(), list[set[int]]()
    for choice in found.schedule[first:]:
        free.append({c % MIGRATE for c in stepper.choices() if c < MIGRATE or c >= HALF})
        stepper.take(choice)
    assert (stepper.state[: model.size] == start).all()
    due = {context for context in stepper.contexts() if stepper.is_unfinished(context)}
    assert set.intersection(*free) & due <= {choice % MIGRATE for choice in found.schedule[first:]}
    assert found.starved
    assert set(found.starved) <= due


# --- as a scenario says it


def test_a_report_names_the_steps_of_the_circle_and_who_is_starved() -> None:
    explored = explore(subject_of(load("starved-by-test-and-set")), Options())
    example = explored.counterexample
    assert example is not None
    assert example.trace.violation is not None
    assert example.trace.violation.guilty == tuple(range(7, 13))
    assert "steps 8 to 13 can come again and again" in example.trace.violation.detail
    assert "end on CPU 1 takes none of them" in example.trace.violation.detail
    assert "maybe never" in scope_of(explored)["scheduler"]


def test_without_the_key_a_scenario_passes_and_has_no_such_line() -> None:
    subject = Subject("toggles", Setting(2, tuple(STARVES["a flag that is seldom up"])))
    explored = explore(subject, Options())
    assert verdict(explored, checks_of(explored)) == "pass"
    assert "fair progress" not in [check.name for check in checks_of(explored)]


def test_a_limit_leaves_it_not_judged() -> None:
    explored = explore(subject_of(load("served-by-tickets")), Options(budget=Budget(states=10)))
    assert verdict(explored, checks_of(explored)) == "inconclusive"
    assert {check.name: check.ok for check in checks_of(explored)}["fair progress"] is None


def test_a_limit_of_time_is_met_in_the_graph_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: Any) -> Any:
        raise TimeoutError

    monkeypatch.setattr(graph, "strong_parts", late)
    explored = explore(subject_of(load("served-by-tickets")), Options(budget=Budget(seconds=60)))
    assert (explored.complete, explored.stopped) == (False, "limit of 60 s")


@pytest.mark.parametrize("check", ["livelock", "starvation"])
def test_a_search_by_preemptions_judges_progress_as_well(check: str) -> None:
    contexts = STARVES["a flag that is seldom up"] if check == "starvation" else [task(polls, 0)]
    subject = Subject("by preemptions", Setting(2, tuple(contexts)), fair=check == "starvation")
    explored = explore(subject, Options(strategy="preemptions"))
    assert explored.counterexample is not None
    assert explored.counterexample.check == check


# --- the strongly connected parts, by what reaches what


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_two_states_are_in_one_part_exactly_where_each_leads_to_the_other(given_: Any) -> None:
    states, edges = given_
    sources, targets = (np.array([edge[end] for edge in edges], dtype=np.int64) for end in (0, 1))
    parts = graph.strong_parts(states, sources, targets, time.monotonic() + 60)
    leads = np.zeros((states, states), dtype=bool)
    leads[sources, targets] = True
    for middle in range(states):
        leads |= leads[:, [middle]] & leads[[middle], :]
    for one in range(states):
        assert (parts[one] >= 0) == leads[one, one]
        for other in range(states):
            same = parts[one] >= 0 and parts[one] == parts[other]
            assert same == (leads[one, other] and leads[other, one])


# --- random settings against the oracle

HEAD = f"""
from percpu_emu.lang.ops import *

END, FLAG, LOCK, NEXT, SERVING = {STATIC}, {STATIC + 1}, {STATIC + 2}, {STATIC + 3}, {STATIC + 4}
"""
PIECES = (
    [
        "while (yield cmpxchg(LOCK, 0, 1)) != 0:",
        "    yield smp_cond_load_acquire(LOCK, 0)",
        "yield write_once(LOCK, 0)",
    ],
    ["if not (yield xchg(LOCK, 1)):", "    yield write_once(LOCK, 0)"],
    [
        "x = yield atomic_long_fetch_add(NEXT, 1 << 62)",
        "yield wait_until(SERVING, x)",
        "yield write_once(SERVING, x + (1 << 62))",
    ],
    ["yield write_once(FLAG, 1)"],
    ["yield write_once(FLAG, 0)"],
    ["yield wait_until(FLAG, 1)"],
    ["yield preempt_disable()", "yield read_once(FLAG)", "yield preempt_enable()"],
    ["yield smp_mb()"],
)


def random_setting(seed: int, folder: Path) -> Setting:
    chance = random.Random(seed)
    programs, contexts = [HEAD], []
    for number in range(chance.choice([2, 2, 3])):
        body = [line for _ in range(chance.choice([1, 2])) for line in chance.choice(PIECES)]
        if number == 0 or chance.random() < 0.5:
            body = ["while not (yield read_once(END)):", *(f"    {line}" for line in body)]
        else:
            body = [*body, "yield write_once(END, 1)"]
        programs.append("\n".join([f"def p{number}():", *(f"    {line}" for line in body)]))
        contexts.append((chance.choice([0, 1]), chance.choice(["task"] * 5 + ["interrupt"]) if number else "task"))
    path = folder / f"fair_{seed}.py"
    path.write_text("\n\n".join(programs) + "\n")
    module = execute(path)
    specs = [
        ContextSpec(f"c{number}", getattr(module, f"p{number}"), kind, cpu)  # type: ignore[arg-type]
        for number, (cpu, kind) in enumerate(contexts)
    ]
    return Setting(2, tuple(specs))


def starves_in_oracle(setting: Setting, most: int = 600) -> bool:
    """Whether a set of states that all lead to each other is a fair circle in which a context is not over."""
    first = Model(setting)
    numbers, models, edges = {first.key(): 0}, [first], list[tuple[int, int, int]]()
    for source, model in enumerate(models):
        for choice in model.enabled():
            after = model.copy()
            try:
                after.step(choice)
            except Violated as violated:
                raise TooMany from violated
            target = numbers.setdefault(after.key(), len(numbers))
            if target == len(models):
                models.append(after)
            edges.append((source, target, choice))
        if len(models) > most:
            raise TooMany
    size = len(models)
    leads = np.zeros((size, size), dtype=bool)
    leads[[edge[0] for edge in edges], [edge[1] for edge in edges]] = True
    for middle in range(size):
        leads |= leads[:, [middle]] & leads[[middle], :]
    both = leads & leads.T
    for part in {tuple(np.flatnonzero(row).tolist()) for row in both if row.any()}:
        inside = set(part)
        moves = {choice % MIGRATE for source, target, choice in edges if {source, target} <= inside}
        due = [{c.number for c in models[at].all() if not c.over and (c.kind != "interrupt" or c.began)} for at in part]
        free = [{c % MIGRATE for c in models[at].enabled() if c < MIGRATE or c >= HALF} for at in part]
        unfinished = set.intersection(*due)
        if unfinished and unfinished & set.intersection(*free) <= moves:
            return True
    return False


@pytest.mark.parametrize("first", range(0, 80, 40))
def test_a_context_is_starved_where_the_oracle_has_a_fair_circle(first: int, tmp_path: Path) -> None:
    seen = {False: 0, True: 0}
    for seed in range(first, first + 40):
        setting = random_setting(seed, tmp_path)
        try:
            if reachable(setting, max_states=600).violations:
                continue
            expected = starves_in_oracle(setting)
        except TooMany:
            continue
        found = judged(setting)
        assert (found is not None and found.check == "starvation") == expected, seed
        assert found is None or found.check == "starvation", seed
        if found is not None:
            assert_is_a_fair_circle(setting, found)
        seen[expected] += 1
    assert seen[True] > 2
    assert seen[False] > 2


def test_the_examples_ship() -> None:
    assert {"starved-by-test-and-set", "served-by-tickets"} <= set(shipped())
