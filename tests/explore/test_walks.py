"""Random schedules: what they find, that they repeat, and that chance is fair."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from percpu_emu.explore import random_search, walks
from percpu_emu.explore.compiled import compiled
from percpu_emu.explore.model import Checks, Limits, Model, OutOfRoom
from percpu_emu.explore.random_search import PILOTS, Walked, random_schedules
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.checks import LABELS
from percpu_emu.lang.ops import (
    Program,
    ProgramFunction,
    atomic_long_add,
    cpu_relax,
    ledger_add,
    ledger_commit,
    local_irq_restore,
    local_irq_save,
    mark,
    preempt_disable,
    preempt_enable,
    queue_work,
    read_once,
    smp_processor_id,
    this_cpu_inc,
    wait_until,
)
from percpu_emu.lang.setting import MIGRATE, ContextSpec, Setting
from percpu_emu.lang.virtual import outcomes
from tests.programs import (
    COUNTER,
    FLAG,
    SLOT,
    counter,
    free_after_grace_period,
    free_at_once,
    free_by_callback,
    publish,
    raise_flag,
    read_then_write,
    update,
)

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


def task(program: ProgramFunction, cpu: int | None = None, **more: Any) -> ContextSpec:
    return ContextSpec(program.__name__, program, cpu=cpu, **more)


def model(*contexts: ContextSpec, cpus: int = 2, setup: ProgramFunction | None = None, **checks: Any) -> Model:
    return Model(Setting(cpus, contexts, setup), Checks(**checks))


def walk(of: Model, schedules: int = 2000, seed: int = 1, **more: Any) -> Walked:
    return random_schedules(of, schedules=schedules, seconds=60, seed=seed, **more)


def same(walked: Walked) -> Walked:
    return replace(walked, seconds=0.0)


def replayed(of: Model, schedule: list[int]) -> str:
    """The check that a schedule violates, step by step; only its last step may."""
    stepper = Stepper(of)
    for number, choice in enumerate(schedule):
        assert not stepper.violated, f"before step {number}"
        assert choice in stepper.choices()
        stepper.take(choice)
    return stepper.finish()


# --- programs


def add() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield atomic_long_add(COUNTER, 1)
    yield ledger_commit()


def noticed(word: int) -> Program[None]:
    yield atomic_long_add(word, 1)


def queue_two() -> Program[None]:
    yield queue_work(noticed, COUNTER)
    yield queue_work(noticed, COUNTER)


def three_steps() -> Program[None]:
    yield this_cpu_inc(SLOT)
    yield this_cpu_inc(SLOT)
    yield this_cpu_inc(SLOT)


def wait_for_flag() -> Program[None]:
    yield this_cpu_inc(SLOT)
    yield wait_until(FLAG, 1)
    yield this_cpu_inc(SLOT)


def never() -> Program[None]:
    yield wait_until(FLAG, 2)


def spin() -> Program[None]:
    while (yield read_once(FLAG)) == 0:
        yield cpu_relax()


def interrupts_off() -> Program[None]:
    yield this_cpu_inc(SLOT)
    flags = yield local_irq_save()
    yield this_cpu_inc(SLOT)
    yield local_irq_restore(flags)
    yield this_cpu_inc(SLOT)


def preemption_off() -> Program[None]:
    yield preempt_disable()
    yield this_cpu_inc(SLOT)
    yield preempt_enable()
    yield smp_processor_id()


def one() -> Program[None]:
    yield mark("first")


def two() -> Program[None]:
    yield mark("second")


LOST = (task(read_then_write, 0), task(read_then_write, 1))
MODELS: dict[str, Model] = {
    "lost update": model(*LOST, total=counter),
    "release": model(task(update, 0), task(update, 1), task(free_after_grace_period), setup=publish),
    "release at once": model(task(update, 0), task(update, 1), task(free_at_once), setup=publish),
    "release by callback": model(task(update, 0), task(free_by_callback, 1), setup=publish),
    "interrupts": model(task(interrupts_off, 0), task(three_steps, 0, kind="interrupt"), task(preemption_off, 0)),
    "migration": model(task(preemption_off, 0, migrates=2, turns=2), task(interrupts_off, 1, migrates=1), cpus=3),
    "offline": model(task(three_steps, 1, turns=2), task(raise_flag, 1, kind="offline"), task(wait_for_flag, 0)),
    "kill": model(*LOST, task(raise_flag, 1, kind="kill"), total=counter),
    "work": model(task(queue_two, 0), task(three_steps, 0, turns=2)),
    "deadlock": model(task(three_steps, 0), task(never, 1)),
}


@pytest.fixture(params=MODELS)
def each(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]


# --- determinism


@pytest.mark.parametrize("depth", [None, 3])
def test_the_seed_decides_and_not_the_number_of_threads(each: Model, depth: int | None) -> None:
    alone = walk(each, depth=depth, threads=1)
    assert alone.schedules == 2000
    assert same(alone) == same(walk(each, depth=depth, threads=2)) == same(walk(each, depth=depth, threads=5))


def test_another_seed_gives_other_schedules() -> None:
    assert len({walk(MODELS["release"], seed=seed).steps for seed in range(4)}) > 1
    assert walk(MODELS["lost update"], seed=-1).first != walk(MODELS["lost update"], seed=1 << 70).first


def test_the_first_schedules_do_not_depend_on_how_many_follow() -> None:
    lost = MODELS["lost update"]
    few, many = walk(lost, schedules=50), walk(lost, schedules=5000)
    assert few.first == many.first
    assert few.schedules == 50


def test_a_model_can_be_used_again() -> None:
    fresh = model(*LOST, total=counter)
    before = fresh.vm.copy()
    walk(fresh)
    assert (fresh.vm == before).all()


# --- the rules


@pytest.mark.parametrize("depth", [None, 1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_every_choice_was_there_and_what_it_found_is_found_again(each: Model, depth: int | None, seed: int) -> None:
    """The walk remembers the choices between steps; the stepper looks anew each time."""
    for number, schedule, ended in walks_of(each, depth, seed, schedules=30):
        violated = replayed(each, schedule)
        assert violated == ended, f"schedule {number}: {schedule}"


def walks_of(of: Model, depth: int | None, seed: int, schedules: int) -> list[tuple[int, list[int], str]]:
    """Each schedule, and the check that it violates, "" for none."""
    walker = random_search._Walker(random_search._Plan(of, seed, depth or 0, 1000, length=8), pilot=False)
    found = []
    for number in range(schedules):
        walker.walk[walks.FIRST] = -1
        walker.run(number, number + 1)
        check = LABELS[walker.number(walks.FIRST_CHECK)] if walker.number(walks.FIRST) >= 0 else ""
        found.append((number, walker.trace(), check))
    return found


def test_no_choice_is_forgotten(each: Model) -> None:
    """In a state that is met often, everything that can be done is done."""
    met: Counter[bytes] = Counter()
    there: dict[bytes, set[int]] = {}
    done: dict[bytes, set[int]] = {}
    vm, found = each.vm.copy(), np.zeros(64, dtype=np.int64)
    for _, schedule, _ in walks_of(each, None, 1, schedules=1500):
        state = np.zeros(each.buffer_words, dtype=np.int64)
        state[: each.size] = each.initial
        for choice in schedule:
            at = state.tobytes()
            if at not in there:
                there[at] = set(found[: compiled().choices(vm, state, found)].tolist())
            met[at] += 1
            done.setdefault(at, set()).add(choice)
            compiled().migrate(vm, state, choice) if choice >= MIGRATE else compiled().step(vm, state, choice)
    often = [state for state, times in met.items() if times > 20 * len(there[state])]
    assert len(often) >= 3
    assert {state: done[state] for state in often} == {state: there[state] for state in often}


@pytest.mark.parametrize("depth", [None, 1, 2, 3])
def test_every_choice_that_there_is_may_be_made(depth: int | None) -> None:
    """Uniform walks come to every final state that there is; so do PCT's of some depth."""
    finals = set()
    of = model(task(read_then_write, 0), task(read_then_write, 1), task(read_then_write, None))
    for _, schedule, _ in walks_of(of, depth, 1, schedules=400):
        finals.add(Stepper(of).run(schedule).state[: of.size].tobytes())
    assert len(finals) == (1 if depth == 1 else 3)


def test_migrations_are_made_to_every_cpu() -> None:
    for depth in (None, 1):
        choices = Counter(c for _, s, _ in walks_of(MODELS["migration"], depth, 1, 300) for c in s if c >= MIGRATE)
        assert {choice // MIGRATE for choice in choices} == {1, 2, 3}


# --- what is found


@pytest.mark.parametrize("depth", [None, 2])
def test_a_lost_update_is_found_and_its_schedule_loses_it_again(depth: int | None) -> None:
    walked = walk(MODELS["lost update"], depth=depth)
    assert list(walked.violations) == ["lost-count"]
    assert walked.first is not None
    assert walked.first.check == replayed(MODELS["lost update"], walked.first.schedule) == "lost-count"
    assert walked.finals + walked.violations["lost-count"] == walked.schedules


def test_a_free_without_a_grace_period_is_found() -> None:
    walked = walk(MODELS["release at once"])
    assert walked.first is not None
    assert walked.violations.keys() <= {"use-after-free", "early-free"}
    assert replayed(MODELS["release at once"], walked.first.schedule) == walked.first.check


@pytest.mark.parametrize("depth", [None, 3])
@pytest.mark.parametrize("name", ["release", "release by callback"])
def test_a_right_protocol_has_no_violation(name: str, depth: int | None) -> None:
    walked = walk(MODELS[name], schedules=50_000, depth=depth)
    assert (walked.violations, walked.first, walked.limited) == ({}, None, 0)
    assert walked.finals == walked.schedules == 50_000


def test_a_deadlock_is_found() -> None:
    walked = walk(MODELS["deadlock"])
    assert walked.violations == {"deadlock": 2000}
    assert walked.first is not None
    assert (walked.first.number, sorted(walked.first.schedule)) == (0, [0, 0, 0])


def test_a_bound_is_checked_after_each_step() -> None:
    def late() -> Program[None]:
        yield ledger_add(COUNTER, 5)
        yield ledger_commit()
        yield atomic_long_add(COUNTER, 5)

    walked = walk(model(task(late, 0), bound=4))
    assert walked.violations == {"error-bound": 2000}
    assert walked.first == ("error-bound", [0, 0], 0)


def test_marks_are_gathered_over_all_threads() -> None:
    both = model(task(one, 0), task(two, 1))
    assert walk(both, threads=2).marks == {"first", "second"}


# --- PCT


def switches(schedule: list[int]) -> int:
    return sum(before != after for before, after in pairwise(schedule))


def test_depth_1_never_preempts() -> None:
    of = model(*(task(three_steps, cpu) for cpu in range(3)), cpus=3)
    assert {switches(schedule) for _, schedule, _ in walks_of(of, 1, 1, 300)} == {2}
    assert walk(MODELS["lost update"], schedules=20_000, depth=1).violations == {}
    assert walk(MODELS["lost update"], schedules=PILOTS, depth=5).violations == {}


def test_depth_2_preempts_once_at_most() -> None:
    of = model(*(task(three_steps, cpu) for cpu in range(3)), cpus=3)
    found = Counter(switches(schedule) for _, schedule, _ in walks_of(of, 2, 1, 1000))
    assert found.keys() == {2, 3}


def test_depth_1_gives_every_order_of_the_contexts_alike() -> None:
    of = model(*(task(three_steps, cpu) for cpu in range(3)), cpus=3)
    found = Counter(tuple(schedule[::3]) for _, schedule, _ in walks_of(of, 1, 1, 6000))
    assert len(found) == 6
    assert all(850 < count < 1150 for count in found.values())


def test_pct_keeps_what_its_authors_promise() -> None:
    """A lost update has depth 2; n = 2 contexts and k = 8 steps: 1 in 16 schedules or more."""
    walked = walk(MODELS["lost update"], schedules=20_000, depth=2)
    assert walked.violations["lost-count"] > (20_000 - PILOTS) / 16


def test_a_depth_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="depth 0"):
        walk(MODELS["lost update"], depth=0)


# --- chance


def test_the_first_choice_is_uniform() -> None:
    of = model(*(task(three_steps, cpu) for cpu in range(4)), cpus=4)
    first = Counter(schedule[0] for _, schedule, _ in walks_of(of, None, 7, 8000))
    # 2000 each, with a deviation of 39: five of them are 200
    assert first.keys() == {0, 1, 2, 3}
    assert all(1800 < count < 2200 for count in first.values())


def test_two_steps_and_two_steps_have_the_probabilities_of_a_uniform_walk() -> None:
    def pair() -> Program[None]:
        yield this_cpu_inc(SLOT)
        yield this_cpu_inc(SLOT)

    of = model(task(pair, 0), task(pair, 1))
    found = Counter(tuple(schedule) for _, schedule, _ in walks_of(of, None, 3, 8000))
    expected = dict.fromkeys([(0, 1, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 1, 0)], 1000)
    expected |= dict.fromkeys([(0, 0, 1, 1), (1, 1, 0, 0)], 2000)
    assert found.keys() == expected.keys()
    assert all(abs(found[schedule] - count) < count * 0.2 for schedule, count in expected.items())


def test_an_interrupt_that_may_come_comes_or_not() -> None:
    of = model(task(one, 0), task(two, 0, kind="interrupt"))
    found = Counter(tuple(schedule) for _, schedule, _ in walks_of(of, None, 1, 2000))
    assert found.keys() == {(0,), (0, 1), (1, 0)}
    assert all(400 < found[schedule] < 600 for schedule in [(0,), (0, 1)])


# --- limits


def test_a_schedule_that_does_not_end_is_counted_as_limited() -> None:
    walked = walk(model(task(spin, 0)), schedules=100, max_steps=50)
    assert (walked.limited, walked.finals, walked.steps) == (100, 0, 5000)
    assert walk(model(task(three_steps, 0)), schedules=10, max_steps=3).limited == 0
    assert walk(model(task(three_steps, 0)), schedules=10, max_steps=2).limited == 10


def test_time_is_a_limit() -> None:
    walked = random_schedules(MODELS["release"], schedules=1 << 40, seconds=0.3, seed=1)
    assert 0 < walked.schedules < 1 << 40
    assert walked.seconds < 2
    assert same(walked) == same(walk(MODELS["release"], schedules=walked.schedules))


def test_what_runs_out_of_room_says_of_what() -> None:
    cramped = Model(Setting(1, (task(queue_two, 0),)), limits=Limits(callbacks=1))
    with pytest.raises(OutOfRoom) as caught:
        walk(cramped)
    assert caught.value.reason == outcomes.NO_CALLBACK


def test_progress_is_told_while_it_runs() -> None:
    told: list[Walked] = []
    random_schedules(MODELS["release"], schedules=1 << 40, seconds=0.5, seed=1, progress=told.append)
    assert told
    assert told[-1].schedules > 0


def test_what_progress_raises_ends_the_run() -> None:
    def stop(_: Walked) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        random_schedules(MODELS["release"], schedules=1 << 40, seconds=60, seed=1, progress=stop)
