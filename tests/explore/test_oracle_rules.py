"""The rules of the oracle, one by one, each on the smallest setting that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from percpu_emu.kernel.layout import BOOT, CPU_ONLINE_MASK, STATIC, STATIC_WORDS
from percpu_emu.lang.ops import (
    Program,
    ProgramFunction,
    alloc_percpu,
    atomic_long_add,
    call_rcu,
    cpu_relax,
    irq_work_queue_on,
    kfree,
    kzalloc,
    ledger_add,
    ledger_commit,
    local_irq_restore,
    local_irq_save,
    per_cpu,
    preempt_disable,
    preempt_enable,
    queue_work,
    rcu_barrier,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_mb,
    synchronize_rcu,
    this_cpu_add,
    this_cpu_read,
    wait_until,
    write_once,
    xchg,
)
from percpu_emu.lang.setting import FIRST_OBJECT, HALF, MIGRATE, OBJECT_WORDS, ContextSpec, Setting, unit_word
from tests.programs import (
    COUNTER,
    POINTER,
    SLOT,
    X,
    allocate,
    allocate_area,
    compare_in_vain,
    count_here,
    count_shared,
    fail_remotely,
    free_object_at_once,
    free_object_later,
    increment,
    lock,
    nothing,
    store_remotely,
    synchronize,
    synchronize_inside,
    unlock,
    write,
)

from .oracle import Checks, Model, Outcome, TooMany, reachable, reachable_from
from .searched import of, task

if TYPE_CHECKING:
    from percpu_emu.lang.setting import ContextKind


Y = X + 1


def event(kind: ContextKind, program: ProgramFunction, cpu: int) -> ContextSpec:
    return ContextSpec(f"{kind} {program.__name__}", program, kind, cpu)


def violations(*contexts: ContextSpec, setup: ProgramFunction | None = None, cpus: int = 2) -> set[str]:
    return reachable(Setting(cpus, contexts, setup)).violations


def slot_values(outcome: Outcome, cpu: int = 0) -> set[int]:
    return {dict(words).get(unit_word(cpu, SLOT), 0) for words, _ in outcome.finals}


def set_x() -> Program[None]:
    yield write_once(X, 1)


# --- read-modify-writes of the own copy are a load and a store for all other CPUs


def take_remotely() -> Program[int]:
    return (yield xchg(per_cpu(SLOT, 0), 0))


def read_remotely() -> Program[int]:
    return (yield read_once(per_cpu(SLOT, 0)))


@pytest.mark.parametrize("remote", [1, None])
def test_a_remote_write_falls_between_the_halves(remote: int | None) -> None:
    assert slot_values(reachable(of(task(increment, 0), task(store_remotely, remote)))) == {7, 8, 1}


def test_a_remote_write_falls_between_the_halves_of_an_interrupt_too() -> None:
    assert slot_values(reachable(of(event("interrupt", increment, 0), task(store_remotely, 1)))) == {7, 8, 1}


def test_for_its_own_cpu_it_is_one_step() -> None:
    assert slot_values(reachable(of(task(increment, 0), task(store_remotely, 0)))) == {7, 8}
    assert slot_values(reachable(of(task(increment, 0), event("interrupt", increment, 0)))) == {1, 2}


def test_one_that_compares_in_vain_writes_what_it_has_loaded() -> None:
    assert slot_values(reachable(of(task(compare_in_vain, 0), task(store_remotely, 1)))) == {7, 0}


def test_halves_change_nothing_where_no_context_elsewhere_writes() -> None:
    for setting in (of(task(increment, 0), task(read_remotely, 1)), of(task(increment, 0, turns=2))):
        whole, halves = Model(setting, split=frozenset()), Model(setting, split=None)
        assert 0 + HALF not in whole.enabled()
        assert 0 + HALF in halves.enabled()
        assert reachable_from(whole).finals == reachable_from(halves).finals


def test_a_remote_cmpxchg_counts_as_a_write_where_it_fails() -> None:
    model = Model(of(task(fail_remotely, 1)))
    model.step(0)
    assert model.written_remotely == {unit_word(0, SLOT)}


def test_what_is_written_after_the_cpu_is_down_is_not_remote() -> None:
    model = Model(of(task(take_remotely, 1), event("kill", nothing, 0)))
    for choice in (1, 0):
        model.step(choice)
    assert model.written_remotely == set()


def test_between_the_halves_the_cpu_does_nothing_else() -> None:
    contexts = (
        task(add_twice, 0),
        task(nothing, 0),
        event("interrupt", nothing, 0),
        event("offline", nothing, 0),
        event("kill", nothing, 0),
        task(nothing, 1),
    )
    model = Model(of(ContextSpec("adds", add_twice, cpu=0, migrates=1), *contexts[1:]))
    model.step(0 + HALF)
    assert model.enabled() == [0, 4, 5]
    assert model.words().get(unit_word(0, SLOT)) is None
    model.step(0)
    assert model.words()[unit_word(0, SLOT)] == 1
    assert model.enabled() == [0, 1, 2, 4, 5, 0 + HALF, 0 + MIGRATE * 2]


def add_twice() -> Program[None]:
    yield this_cpu_add(SLOT, 1)
    yield this_cpu_add(SLOT, 1)


def test_a_kill_between_the_halves_keeps_the_store_away() -> None:
    model = Model(of(task(increment, 0), event("kill", nothing, 0)))
    for choice in (0 + HALF, 1, 1):
        model.step(choice)
    assert model.finished()
    assert unit_word(0, SLOT) not in model.words()


def count_and_take() -> Program[None]:
    x = yield xchg(per_cpu(SLOT, 0), 0)
    yield atomic_long_add(COUNTER, x)


def total(counter: int) -> Program[int]:
    x = yield read_once(counter)
    x += yield read_once(per_cpu(SLOT, 0))
    return x


def test_a_slot_that_another_cpu_takes_is_counted_twice() -> None:
    assert reachable(of(task(count_here, 0, turns=2), task(count_and_take, 1)), total=total).violations == {
        "doubled-count"
    }
    assert reachable(of(task(count_here, 0, turns=2), task(count_and_take, 0)), total=total).violations == set()


# --- sizes


def access_slot(pointer: int) -> Program[None]:
    yield this_cpu_add(pointer, 1)


def make_memory() -> Program[None]:
    yield kzalloc(12)
    yield alloc_percpu(12, 8)
    word = yield kzalloc(8)
    yield kfree(word)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        (FIRST_OBJECT + 1, set()),
        (FIRST_OBJECT + 2, {"wild-access"}),
        (FIRST_OBJECT + OBJECT_WORDS, {"use-after-free"}),
        (FIRST_OBJECT + OBJECT_WORDS + 1, {"wild-access"}),
        (FIRST_OBJECT + 2 * OBJECT_WORDS, {"wild-access"}),
        (0, {"wild-access"}),
        (-1, {"wild-access"}),
        (1, {"wild-access"}),
        (BOOT - 1, {"wild-access"}),
        (BOOT, set()),
        (STATIC + STATIC_WORDS - 1, set()),
        (STATIC + STATIC_WORDS, {"wild-access"}),
        (FIRST_OBJECT - 1, {"wild-access"}),
        (1 << 40, {"wild-access"}),
    ],
)
def test_an_access_goes_to_a_word_of_a_live_object(address: int, found: set[str]) -> None:
    assert violations(task(write, 0, address), setup=make_memory) == found


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        (0, set()),
        (OBJECT_WORDS - 1, set()),
        (OBJECT_WORDS + 1, set()),
        (OBJECT_WORDS + 2, {"wild-access"}),
        (2 * OBJECT_WORDS, {"wild-access"}),
        (-1, {"wild-access"}),
        (1 << 32, {"wild-access"}),
    ],
)
def test_an_access_to_the_own_copy_goes_to_a_word_of_a_live_area(pointer: int, found: set[str]) -> None:
    assert violations(task(access_slot, 1, pointer), setup=make_memory) == found


@pytest.mark.parametrize(("size", "found"), [(0, {"fault"}), (1, set()), (4096, set()), (4097, {"fault"})])
def test_an_allocation_has_1_to_4096_bytes(size: int, found: set[str]) -> None:
    assert violations(task(allocate, 0, size)) == found
    assert violations(task(allocate_area, 0, size)) == found


# --- sections


def enable() -> Program[None]:
    yield preempt_enable()


def mixed() -> Program[None]:
    yield rcu_read_lock()
    yield preempt_enable()


def mis_nested() -> Program[None]:
    yield preempt_disable()
    yield rcu_read_lock()
    yield preempt_enable()
    yield rcu_read_unlock()


def left_disabled() -> Program[None]:
    yield preempt_disable()


def left_irqs_off() -> Program[None]:
    yield local_irq_save()


def restore_off() -> Program[None]:
    yield local_irq_restore(1)


def restore_on() -> Program[None]:
    yield local_irq_restore(0)


def saved() -> Program[None]:
    flags = yield local_irq_save()
    inner = yield local_irq_save()
    yield local_irq_restore(inner)
    yield local_irq_restore(flags)


def deep(depth: int) -> Program[None]:
    for _ in range(depth):
        yield rcu_read_lock()
    for _ in range(depth):
        yield rcu_read_unlock()


def test_every_section_is_left_by_its_own_kind() -> None:
    for wrong in (unlock, enable, mixed):
        assert violations(task(wrong, 0)) == {"unbalanced-section"}
    for right in (mis_nested, restore_on, saved):
        assert violations(task(right, 0)) == set()


@pytest.mark.parametrize("program", [lock, left_disabled, left_irqs_off, restore_off])
def test_a_turn_ends_outside_all_sections(program: ProgramFunction) -> None:
    assert violations(task(program)) == {"unbalanced-section"}
    assert violations(event("interrupt", program, 0)) == {"unbalanced-section"}
    assert violations(event("offline", program, 0)) == {"unbalanced-section"}


def queue_left_locked() -> Program[None]:
    yield call_rcu(lock_of, 0)


def lock_of(_: int) -> Program[None]:
    yield rcu_read_lock()


def test_a_callback_ends_outside_all_sections() -> None:
    assert violations(task(queue_left_locked)) == {"unbalanced-section"}


def test_sections_nest_to_255() -> None:
    assert violations(task(deep, 0, 255)) == set()
    assert violations(task(deep, 0, 256)) == {"unbalanced-section"}


def irqs_off_by_flags() -> Program[None]:
    yield local_irq_restore(1)
    yield write_once(X, 1)
    yield write_once(X, 0)
    yield local_irq_restore(0)


def look_at_x() -> Program[int]:
    return (yield read_once(X))


def test_to_restore_flags_that_say_off_turns_interrupts_off() -> None:
    outcome = reachable(of(task(irqs_off_by_flags, 0), event("interrupt", look_at_x, 0)))
    assert {results[1] for _, results in outcome.finals} == {0}


# --- sleeping and spinning


def wait_for_x() -> Program[None]:
    yield wait_until(X, 0)


def wait_locked() -> Program[None]:
    yield rcu_read_lock()
    yield wait_until(X, 0)
    yield rcu_read_unlock()


def wait_disabled() -> Program[None]:
    yield preempt_disable()
    yield wait_until(X, 5)


def barrier_irqs_off() -> Program[None]:
    yield local_irq_save()
    yield rcu_barrier()


def barrier() -> Program[None]:
    yield rcu_barrier()


@pytest.mark.parametrize("program", [wait_locked, wait_disabled, barrier_irqs_off])
def test_a_section_does_not_sleep(program: ProgramFunction) -> None:
    assert violations(task(program, 0)) == {"sleep-in-atomic"}


def test_inside_its_own_section_synchronize_rcu_waits_for_ever() -> None:
    assert violations(task(synchronize_inside, 0)) == {"deadlock"}


@pytest.mark.parametrize("program", [wait_for_x, barrier, synchronize])
def test_an_interrupt_does_not_sleep(program: ProgramFunction) -> None:
    assert violations(event("interrupt", program, 0)) == {"sleep-in-atomic"}
    assert violations(event("offline", program, 0), task(program, 0)) == set()


def queue_sleeper() -> Program[None]:
    yield call_rcu(sleep, 0)


def queue_working_sleeper() -> Program[None]:
    yield queue_work(sleep, 0)


def sleep(_: int) -> Program[None]:
    yield synchronize_rcu()
    yield wait_until(X, 0)


def test_a_callback_does_not_sleep_and_work_does() -> None:
    for cpu in (0, None):
        assert violations(task(queue_sleeper, cpu)) == {"sleep-in-atomic"}
        assert violations(task(queue_working_sleeper, cpu)) == set()


# --- interrupts that are sent to a CPU


def send(cpu: int) -> Program[int]:
    return (yield irq_work_queue_on(requeue, 0, cpu))


def send_two() -> Program[None]:
    yield irq_work_queue_on(requeue, 0, 1)
    yield irq_work_queue_on(requeue, 0, 1)


def send_sleeper() -> Program[None]:
    yield irq_work_queue_on(sleep, 0, 1)


def irqs_off() -> Program[None]:
    flags = yield local_irq_save()
    yield local_irq_restore(flags)


def test_an_interrupt_that_is_sent_comes_while_interrupts_are_on_there() -> None:
    model = Model(of(task(send, None, 1), task(irqs_off, 1)))
    model.step(1)
    model.step(0)
    assert model.enabled() == [1]
    model.step(1)
    assert model.enabled() == [2]
    model.step(2)
    assert model.words()[X] == 1
    assert model.finished()


def test_interrupts_that_are_sent_come_in_their_order() -> None:
    model = Model(of(task(send_two)))
    model.step(0)
    model.step(0)
    assert model.enabled() == [1]
    model.step(1)
    assert model.enabled() == [2]


def test_a_cpu_goes_off_line_behind_what_was_sent_and_is_sent_nothing_then() -> None:
    setting = of(task(send, 0, 1), event("offline", nothing, 1))
    model = Model(setting)
    model.step(0)
    assert model.enabled() == [2]
    model = Model(setting)
    model.step(1)
    model.step(0)
    assert (model.slots, model.results()[0]) == ({}, 0)


def test_what_was_sent_to_a_cpu_that_is_killed_is_lost() -> None:
    model = Model(of(task(send, 0, 1), event("kill", nothing, 1)))
    model.step(0)
    model.step(1)
    assert model.slots == {}


def test_an_interrupt_that_is_sent_goes_to_a_cpu_that_there_is_and_does_not_sleep() -> None:
    assert violations(task(send, 0, 2)) == violations(task(send, None, -1)) == {"fault"}
    assert violations(task(send_sleeper)) == {"sleep-in-atomic"}


def wait_for_1() -> Program[None]:
    yield wait_until(X, 1)


def test_whoever_sleeps_lets_the_tasks_of_its_cpu_run() -> None:
    assert violations(task(wait_for_1, 0), task(set_x, 0), cpus=1) == set()


def poll() -> Program[None]:
    x = yield read_once(X)
    while x == 0:
        yield cpu_relax()
        x = yield read_once(X)


def poll_with_preemption_off() -> Program[None]:
    yield preempt_disable()
    yield from poll()
    yield preempt_enable()


def test_whoever_polls_is_preempted_unless_preemption_is_off() -> None:
    assert violations(task(poll, 0), task(set_x, 0)) == set()
    assert violations(task(poll_with_preemption_off, 0), task(set_x, 1)) == set()
    assert violations(task(poll_with_preemption_off, 0), task(set_x, 0)) == {"livelock"}


# --- callbacks


def requeue(left: int) -> Program[None]:
    if left:
        yield call_rcu(requeue, left - 1)
    yield atomic_long_add(X, 1)


def queue_many(number: int) -> Program[None]:
    yield rcu_read_lock()
    for _ in range(number):
        yield call_rcu(requeue, 0)
    yield rcu_read_unlock()


def queue_requeuer() -> Program[None]:
    yield call_rcu(requeue, 1)
    yield rcu_barrier()


def test_as_many_callbacks_as_there_are_numbers_of_contexts() -> None:
    model = Model(of(task(queue_many, None, 61)))
    for _ in range(62):
        model.step(0)
    assert sorted(model.slots) == list(range(1, 62))
    model = Model(of(task(queue_many, None, 62)))
    for _ in range(62):
        model.step(0)
    with pytest.raises(TooMany):
        model.step(0)


def test_a_queued_program_takes_the_lowest_free_number() -> None:
    model = Model(of(task(queue_many, None, 3)))
    for choice in (0, 0, 0, 0, 0):
        model.step(choice)
    model.step(2)
    assert sorted(model.slots) == [1, 3]
    model.queue("work", None, requeue, 0)
    assert sorted(model.slots) == [1, 2, 3]


def test_a_barrier_waits_for_what_was_queued_by_then() -> None:
    model = Model(of(task(queue_requeuer)))
    for choice in (0, 0, 1):
        model.step(choice)
    assert sorted(model.slots) == [1, 2]
    assert model.enabled() == [1, 2]
    model.step(1)
    assert model.enabled() == [0, 2]


def queue_counter() -> Program[None]:
    yield call_rcu(count_shared, 0)


def test_a_kill_takes_a_running_callback_and_its_notes_stay_in_doubt() -> None:
    killed = of(task(queue_counter, 0), event("kill", nothing, 0))
    assert reachable(killed, total=total).violations == set()
    model = Model(killed)
    for choice in (0, 2, 2, 1):
        model.step(choice)
    assert model.doubts == ((COUNTER, 1),)
    assert model.slots == {}
    model = Model(killed)
    for choice in (0, 1):
        model.step(choice)
    assert model.slots[2].cpu is None


# --- arithmetic


def shift(count: int) -> Program[None]:
    yield smp_mb()
    yield write_once(X, 1 << count)


def shift_back(count: int) -> Program[None]:
    yield smp_mb()
    yield write_once(X, 8 >> count)


def divide(by: int) -> Program[None]:
    x = yield read_once(CPU_ONLINE_MASK)
    yield write_once(X, x // by)


def modulo(by: int) -> Program[None]:
    x = yield read_once(CPU_ONLINE_MASK)
    yield write_once(X, x % by)


def stride(step: int) -> Program[None]:
    yield smp_mb()
    for i in range(0, 4, step):
        yield write_once(X, i)


@pytest.mark.parametrize("program", [divide, modulo, stride])
def test_arithmetic_that_has_no_result_is_a_fault(program: ProgramFunction) -> None:
    assert violations(task(program, 0, 0)) == {"fault"}
    assert violations(task(program, 0, 2)) == set()


@pytest.mark.parametrize("program", [shift, shift_back])
@pytest.mark.parametrize(("count", "found"), [(-1, {"fault"}), (0, set()), (63, set()), (64, {"fault"})])
def test_a_shift_by_more_than_a_word_has_is_a_fault(program: ProgramFunction, count: int, found: set[str]) -> None:
    assert violations(task(program, 0, count)) == found


# --- ways without an end


def acquire(word: int) -> Program[None]:
    while (yield xchg(word, 1)):
        yield cpu_relax()


def take_x_y() -> Program[None]:
    yield from acquire(X)
    yield from acquire(Y)
    yield write_once(Y, 0)
    yield write_once(X, 0)


def take_y_x() -> Program[None]:
    yield from acquire(Y)
    yield from acquire(X)
    yield write_once(X, 0)
    yield write_once(Y, 0)


def stop_or_poll() -> Program[None]:
    x = yield xchg(X, 1)
    if x:
        yield from poll_y()


def poll_y() -> Program[None]:
    while not (yield read_once(Y)):
        yield cpu_relax()


def test_two_passes_of_a_loop_that_polls_are_one_state() -> None:
    outcome = reachable(of(task(poll), task(set_x)))
    assert (outcome.violations, outcome.states) == (set(), 7)


def test_a_way_in_circles_without_a_way_out_is_a_livelock() -> None:
    assert violations(task(poll)) == {"livelock"}
    assert violations(task(take_x_y), task(take_y_x)) == {"livelock"}
    assert violations(task(take_x_y), task(take_x_y)) == set()
    assert violations(task(stop_or_poll), task(stop_or_poll)) == {"livelock"}


def test_one_that_polls_beside_one_that_waits_for_ever_is_a_livelock_and_a_wait_alone_a_deadlock() -> None:
    assert violations(task(wait_for_1), task(poll)) == {"livelock"}
    assert violations(task(wait_for_1)) == {"deadlock"}


# --- counters after a callback


def count_and_unsettle() -> Program[None]:
    yield from count_shared(0)
    yield write_once(COUNTER, 0)
    yield write_once(COUNTER, 1)


def queue_nothing() -> Program[None]:
    yield call_rcu(idle, 0)


def idle(_: int) -> Program[None]:
    yield smp_mb()


def test_the_oracle_says_which_counts_may_be_off_after_a_callback_and_judges_the_end() -> None:
    outcome = reachable(of(task(count_and_unsettle), task(queue_nothing)), total=total)
    assert (outcome.violations, outcome.after_callbacks) == (set(), {"lost-count"})
    outcome = reachable(of(task(count_here), task(queue_nothing)), total=total)
    assert outcome.after_callbacks == set()


# --- what is freed while a reader holds it


def publish() -> Program[None]:
    word = yield kzalloc(16)
    yield write_once(POINTER, word)


def hold() -> Program[None]:
    yield rcu_read_lock()
    yield rcu_dereference(POINTER)
    yield rcu_read_unlock()


def hold_in_two_sections() -> Program[None]:
    yield preempt_disable()
    yield rcu_dereference(POINTER)
    yield rcu_read_lock()
    yield preempt_enable()
    yield write_once(X, 1)
    yield rcu_read_unlock()


def read_outside() -> Program[None]:
    yield rcu_dereference(POINTER)
    yield rcu_read_lock()
    yield rcu_read_unlock()


def free_own() -> Program[None]:
    yield rcu_read_lock()
    word = yield rcu_dereference(POINTER)
    yield kfree(word)
    yield rcu_read_unlock()


@pytest.mark.parametrize("hold", [hold, hold_in_two_sections])
def test_a_region_is_not_freed_while_a_reader_holds_a_pointer_to_it(hold: ProgramFunction) -> None:
    assert violations(task(hold), task(free_object_at_once), setup=publish) == {"early-free"}
    assert violations(task(hold), task(free_object_later), setup=publish) == set()


def test_only_another_reader_holds_and_only_in_the_section_in_which_it_found_the_pointer() -> None:
    assert violations(task(read_outside), task(free_object_at_once), setup=publish) == set()
    assert violations(task(free_own), setup=publish) == set()


def free_after_wait() -> Program[None]:
    yield wait_until(X, 1)
    yield from free_object_at_once()


def test_a_reader_holds_until_it_is_in_no_section() -> None:
    assert violations(task(hold_in_two_sections), task(free_after_wait), setup=publish) == {"early-free"}


# --- checks of states


def below_zero() -> Program[None]:
    yield this_cpu_read(SLOT)
    yield write_once(COUNTER, 3)
    yield ledger_add(COUNTER, 0)
    yield ledger_commit()
    yield write_once(COUNTER, 0)


def test_what_is_wrong_with_a_state_ends_no_schedule() -> None:
    outcome = reachable(of(task(below_zero, 0)), bound=2)
    assert (outcome.violations, len(outcome.finals)) == ({"error-bound"}, 1)


def test_a_model_is_copied_with_all_that_changes() -> None:
    model = Model(of(task(count_here, 0), task(queue_nothing)), Checks())
    for choice in (0, 1):
        model.step(choice)
    copy, key = model.copy(), model.key()
    for choice in (0, 2, 0):
        copy.step(choice)
    assert model.key() == key
    assert copy.key() != key
    assert (copy.words(), copy.ledger) != (model.words(), model.ledger)
