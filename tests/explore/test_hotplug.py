"""CPUs that go off line and come back, and tasks that move: each rule in the oracle and in the search."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from percpu_emu.kernel.layout import CPU_ONLINE_MASK, STATIC
from percpu_emu.lang.ops import (
    Program,
    bringup_cpu,
    call_rcu,
    irq_work_queue_on,
    local_irq_restore,
    local_irq_save,
    migrate_to,
    per_cpu,
    preempt_disable,
    preempt_enable,
    queue_work,
    read_once,
    smp_cond_load_acquire,
    smp_processor_id,
    synchronize_rcu,
    takedown_cpu,
    this_cpu_add,
    wait_until,
    write_once,
)
from percpu_emu.lang.setting import ContextSpec, Setting, unit_word
from tests.replay.schedules import taken

from .oracle import Model, reachable
from .searched import of, searched, task

if TYPE_CHECKING:
    from percpu_emu.lang.ops import ProgramFunction

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search
X = STATIC
SLOT = 8


def down(cpu: int) -> Program[int]:
    return (yield takedown_cpu(cpu))


def up(cpu: int) -> Program[int]:
    return (yield bringup_cpu(cpu))


def down_and_up(cpu: int) -> Program[int]:
    result = yield takedown_cpu(cpu)
    return result + (yield bringup_cpu(cpu))


def where() -> Program[int]:
    """Gives 10 times the CPU before, plus the CPU behind."""
    x = yield smp_processor_id()
    y = yield smp_processor_id()
    return 10 * x + y


def where_without_preemption() -> Program[int]:
    yield preempt_disable()
    x = yield from where()
    yield preempt_enable()
    return x


def count_twice() -> Program[None]:
    yield this_cpu_add(SLOT, 1)
    yield this_cpu_add(SLOT, 1)


def online_mask() -> Program[int]:
    return (yield read_once(CPU_ONLINE_MASK))


def nothing() -> Program[None]:
    yield write_once(X, 1)


def go_to(cpu: int) -> Program[int]:
    result = yield migrate_to(cpu)
    x = yield smp_processor_id()
    return 100 * result + x


def go_and_come_back(cpu: int) -> Program[int]:
    before = yield smp_processor_id()
    yield migrate_to(cpu)
    yield this_cpu_add(SLOT, 1)
    yield migrate_to(before)
    return (yield smp_processor_id())


def work(cpu: int) -> Program[None]:
    x = yield migrate_to(cpu)
    yield write_once(X, x)


def queue_moving_work() -> Program[None]:
    yield queue_work(work, 0)


def later(cpu: int) -> Program[None]:
    x = yield smp_processor_id()
    yield write_once(X, x + 1 + cpu)


def queue_callback() -> Program[None]:
    yield call_rcu(later, 0)


def down_without_preemption() -> Program[None]:
    yield preempt_disable()
    yield takedown_cpu(1)
    yield preempt_enable()


def move_without_interrupts() -> Program[None]:
    flags = yield local_irq_save()
    yield migrate_to(1)
    yield local_irq_restore(flags)


def start_with_cpu_1_off_line() -> Program[None]:
    yield takedown_cpu(1)


def spin_without_preemption() -> Program[None]:
    yield preempt_disable()
    yield smp_cond_load_acquire(X, 1)
    yield preempt_enable()


def down_then_raise() -> Program[None]:
    yield takedown_cpu(1)
    yield write_once(X, 1)


def results(*contexts: ContextSpec, setup: ProgramFunction | None = None, cpus: int = 2) -> set[tuple[int, ...]]:
    """What the contexts give, in all schedules: the same in the oracle and in both searches."""
    setting = Setting(cpus, contexts, setup)
    expected = reachable(setting)
    for reduce in (False, True):
        found = searched(setting, reduce=reduce)
        assert (found.violations, found.finals) == (expected.violations, expected.finals)
    assert not expected.violations
    return {given for _, given in expected.finals}


def violations(*contexts: ContextSpec, setup: ProgramFunction | None = None) -> set[str]:
    setting = of(*contexts, setup=setup)
    found = reachable(setting).violations
    assert found == searched(setting, reduce=False).violations
    assert bool(found) == bool(searched(setting).violations)
    return found


def test_a_task_goes_on_on_another_cpu_where_its_own_goes_off_line() -> None:
    assert results(task(where, 1), task(down, 0, 1)) == {(11, 0), (10, 0), (0, 0)}


def test_a_task_chooses_among_the_cpus_that_are_on_line() -> None:
    given = results(task(where, 2), task(down, 0, 2), cpus=3)
    assert given == {(22, 0), (20, 0), (21, 0), (0, 0), (11, 0)}


def test_a_task_with_preemption_off_keeps_its_cpu_on_line() -> None:
    assert results(task(where_without_preemption, 1), task(down, 0, 1)) == {(11, 0), (0, 0)}


def test_a_task_stays_where_its_cpu_comes_back_first() -> None:
    assert (11, 0) in results(task(where, 1), task(down_and_up, None, 1))


def test_counts_go_to_the_copy_of_the_cpu_that_a_task_is_on() -> None:
    finals = searched(of(task(count_twice, 1), task(down, 0, 1))).finals
    slots = {tuple(dict(words).get(unit_word(cpu, SLOT), 0) for cpu in (0, 1)) for words, _ in finals}
    assert slots == {(0, 2), (1, 1), (2, 0)}


@pytest.mark.parametrize(("cpu", "result"), [(1, 0), (0, 0), (2, -errno.EINVAL), (-1, -errno.EINVAL)])
def test_a_cpu_that_there_is_goes_off_line_once(cpu: int, result: int) -> None:
    assert results(task(down, None, cpu)) == {(result,)}


def test_the_last_cpu_stays_on_line() -> None:
    assert results(task(down, None, 0), task(down, None, 1)) == {(0, -errno.EINVAL), (-errno.EINVAL, 0)}


def test_a_cpu_that_is_on_line_is_not_brought_up() -> None:
    assert results(task(up, None, 1)) == {(-errno.EINVAL,)}
    assert results(task(up, None, 1), setup=start_with_cpu_1_off_line) == {(0,)}


def test_the_mask_says_which_cpus_are_on_line() -> None:
    assert results(task(online_mask, 0), task(down_and_up, 0, 1)) == {(0b11, 0), (0b01, 0)}
    assert results(task(online_mask, 0), setup=start_with_cpu_1_off_line) == {(0b01,)}


def test_a_task_of_a_cpu_that_is_off_line_from_the_start_begins_elsewhere() -> None:
    assert results(task(where, 1), setup=start_with_cpu_1_off_line) == {(0,)}


def test_an_interrupt_cannot_come_while_its_cpu_is_off_line() -> None:
    interrupt = ContextSpec("interrupt", nothing, "interrupt", 1)
    setting = of(interrupt, setup=start_with_cpu_1_off_line)
    assert Model(setting).enabled() == []
    assert taken(setting, []).choices() == []
    assert taken(of(interrupt, task(up, 0, 1), setup=start_with_cpu_1_off_line), [1]).choices() == [0]


def test_a_callback_of_a_cpu_that_goes_off_line_is_the_coordinators() -> None:
    setting = of(task(queue_callback, 1), task(down, 0, 1))
    expected = {dict(words)[X] for words, _ in reachable(setting).finals}
    assert {dict(words)[X] for words, _ in searched(setting).finals} == expected == {1, 2, 3}


def test_a_task_moves_itself() -> None:
    assert results(task(go_to, 0, 1)) == {(1,)}
    assert results(task(go_to, 0, 3)) == {(100 * -errno.EINVAL,)}
    assert results(task(go_to, 0, 2)) == {(2,)}
    assert results(task(go_to, None, 1)) == {(1,)}
    assert results(task(go_to, 0, 1), setup=start_with_cpu_1_off_line) == {(100 * -errno.EINVAL,)}


@pytest.mark.parametrize(("home", "number"), [(0, 0), (None, 2)])
def test_a_task_comes_back_to_where_it_was(home: int | None, number: int) -> None:
    assert results(task(go_and_come_back, home, 1)) == {(number,)}


def test_queued_work_stays_with_the_coordinator() -> None:
    [(words, _)] = searched(of(task(queue_moving_work, 0))).finals
    assert dict(words)[X] == -errno.EINVAL


def test_neither_is_for_a_section() -> None:
    assert violations(task(down_without_preemption, 0)) == {"sleep-in-atomic"}
    assert violations(task(move_without_interrupts, 0)) == {"sleep-in-atomic"}
    assert violations(ContextSpec("interrupt", down_and_up, "interrupt", 0, (1,))) == {"sleep-in-atomic"}


def test_a_section_that_does_not_end_keeps_its_cpu_on_line_for_ever() -> None:
    assert violations(task(spin_without_preemption, 1), task(down_then_raise, 0)) == {"deadlock"}


# --- what the reduction has to try in both orders


def read_of_cpu_0() -> Program[int]:
    return (yield read_once(per_cpu(SLOT, 0)))


def count() -> Program[None]:
    yield this_cpu_add(SLOT, 1)


def leave_and_count(cpu: int) -> Program[None]:
    yield takedown_cpu(cpu)
    yield this_cpu_add(SLOT, 1)


def go_and_count(cpu: int) -> Program[None]:
    yield migrate_to(cpu)
    yield this_cpu_add(SLOT, 1)


@pytest.mark.parametrize(
    "contexts",
    [
        (task(count, 1), task(down, 0, 1)),  # another context takes its CPU away
        (task(leave_and_count, 1, 1),),  # it does so itself
        (task(go_and_count, 1, 0),),
        (task(go_and_count, None, 0),),
    ],
    ids=str,
)
def test_a_task_that_comes_to_a_cpu_meets_who_reads_its_copy(contexts: tuple[ContextSpec, ...]) -> None:
    assert {given[0] for given in results(task(read_of_cpu_0), *contexts)} == {0, 1}


def read_of_cpu_0_when_cpu_1_has_gone() -> Program[int]:
    yield wait_until(CPU_ONLINE_MASK, 1)
    return (yield from read_of_cpu_0())


def test_a_task_that_has_not_come_yet_meets_who_reads_the_copy() -> None:
    given = results(task(read_of_cpu_0_when_cpu_1_has_gone), task(count, 1), task(down, 0, 1))
    assert {first for first, _, _ in given} == {0, 1}


def test_a_task_meets_a_cpu_that_comes_on_line() -> None:
    given = results(task(go_to, None, 1), task(up, 0, 1), setup=start_with_cpu_1_off_line)
    assert given == {(1, 0), (100 * -errno.EINVAL + 2, 0)}


def wait_in_callback(_argument: int) -> Program[None]:
    yield smp_cond_load_acquire(X, 1)


def go_and_queue() -> Program[None]:
    yield migrate_to(1)
    yield call_rcu(wait_in_callback, 0)


def raise_after_grace_period() -> Program[None]:
    yield synchronize_rcu()
    yield write_once(X, 1)


def test_a_callback_of_a_task_that_has_come_to_a_cpu_is_a_reader() -> None:
    assert violations(task(go_and_queue), task(raise_after_grace_period, 0)) == {"deadlock"}


def test_an_interrupt_ends_on_the_cpu_that_it_came_to() -> None:
    interrupt = ContextSpec("interrupt", where, "interrupt", 1)
    assert results(interrupt, task(down, 0, 1)) == {(11, 0), (0, 0)}


def write_where(_argument: int) -> Program[None]:
    x = yield smp_processor_id()
    yield write_once(X, x + 1)


def send() -> Program[int]:
    return (yield irq_work_queue_on(write_where, 0, 1))


def test_an_interrupt_that_was_sent_comes_before_the_cpu_goes() -> None:
    setting = of(task(send, 0), task(down, None, 1))
    found = searched(setting)
    assert found.violations == set()
    assert found.finals == reachable(setting).finals
    assert {(dict(words).get(X, 0), given[0]) for words, given in found.finals} == {(2, 1), (0, 0)}


def test_a_move_to_another_cpu_is_not_counted_where_a_task_has_to_move() -> None:
    moving = ContextSpec("moves", where, "task", 1, migrates=1)
    assert (1, 0) in results(moving, task(down_and_up, None, 1))


# --- what is said of it


def test_the_standing_says_why_a_cpu_cannot_go_and_why_a_task_cannot_go_on() -> None:
    stepper = taken(of(task(where_without_preemption, 1), task(down, 0, 1)), [0])
    obstacle = stepper.standing(1).obstacle
    assert obstacle is not None
    assert (obstacle.reason, obstacle.contexts, obstacle.cpu) == ("busy", (0,), 1)
    obstacle = taken(of(task(where, 1), task(down, 0, 1)), [1]).standing(0).obstacle
    assert obstacle is not None
    assert (obstacle.reason, obstacle.cpu) == ("off line", 1)
