"""Every check fires where it should, and nothing does in the repaired twin: with reduction, without, in the oracle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pytest

from percpu_emu.explore.model import Checks
from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.checks import LABELS
from percpu_emu.lang.ops import (
    Program,
    ProgramFunction,
    __this_cpu_read,
    __this_cpu_write,
    atomic_long_add,
    call_rcu,
    cmpxchg,
    cpu_relax,
    free_percpu,
    kfree,
    kzalloc,
    ledger_add,
    ledger_commit,
    local_irq_restore,
    local_irq_save,
    per_cpu,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    smp_cond_load_acquire,
    synchronize_rcu,
    this_cpu_add,
    this_cpu_inc,
    wait_until,
    warn_on,
    write_once,
    xchg,
)
from percpu_emu.lang.setting import ContextSpec, Setting
from tests.programs import (
    COUNTER,
    FLAG,
    SLOT,
    SLOTS,
    count_here,
    count_shared,
    counter,
    free_at_once,
    leave_object,
    lock,
    nothing,
    publish,
    raise_flag,
    update,
    wait_for_flag,
)

from .oracle import reachable
from .searched import of, searched, task

IN_PYTHON: Final = {"", "final", "invariant", "after", "circular-wait", "starvation"}

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


@dataclass(frozen=True)
class Case:
    check: str
    broken: Setting
    repaired: Setting
    checks: Checks = field(default_factory=Checks)

    def __str__(self) -> str:
        return self.check


def with_slots(counter: int) -> Program[int]:
    x = yield read_once(counter)
    for cpu in range(2):
        x += yield read_once(per_cpu(SLOT, cpu))
    return x


# --- memory


def careless_reader() -> Program[None]:
    """No section: nobody waits for it."""
    slots = yield read_once(SLOTS)
    if slots:
        yield this_cpu_add(slots, 1)


def patient_reader() -> Program[None]:
    """Holds on to the pointer, and touches nothing."""
    yield rcu_read_lock()
    yield rcu_dereference(SLOTS)
    yield rcu_read_unlock()


def publish_null_and_free() -> Program[None]:
    slots = yield read_once(SLOTS)
    yield rcu_assign_pointer(SLOTS, 0)
    yield free_percpu(slots)


def free_later() -> Program[None]:
    slots = yield read_once(SLOTS)
    yield rcu_assign_pointer(SLOTS, 0)
    yield synchronize_rcu()
    yield free_percpu(slots)


def read_null() -> Program[None]:
    slots = yield read_once(FLAG)
    yield read_once(slots)


def read_unless_null() -> Program[None]:
    slots = yield read_once(FLAG)
    if slots:
        yield read_once(slots)


def free_what_is_taken() -> Program[None]:
    slots = yield xchg(SLOTS, 0)
    yield free_percpu(slots)


def free_inside() -> Program[None]:
    slots = yield read_once(SLOTS)
    yield free_percpu(slots + 1)


def free_begin() -> Program[None]:
    slots = yield read_once(SLOTS)
    yield free_percpu(slots)


def free_object() -> Program[None]:
    pointer = yield kzalloc(8)
    yield kfree(pointer)


# --- counters


def add_raw() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    x = yield __this_cpu_read(SLOT)
    yield __this_cpu_write(SLOT, x + 1)
    yield ledger_commit()


def add_twice() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    yield this_cpu_inc(SLOT)
    yield atomic_long_add(COUNTER, 1)
    yield ledger_commit()


def take_away() -> Program[None]:
    """Takes from the counter, and enters that it added nothing."""
    yield ledger_add(COUNTER, 0)
    yield atomic_long_add(COUNTER, -1)
    yield ledger_commit()


def give_and_take() -> Program[None]:
    yield ledger_add(COUNTER, 0)
    yield atomic_long_add(COUNTER, 1)
    yield atomic_long_add(COUNTER, -1)
    yield ledger_commit()


def add_far() -> Program[None]:
    yield ledger_add(COUNTER, 1 << 31)
    yield atomic_long_add(COUNTER, 1 << 31)
    yield ledger_commit()


def add_less_far() -> Program[None]:
    yield ledger_add(COUNTER, (1 << 31) - 1)
    yield atomic_long_add(COUNTER, (1 << 31) - 1)
    yield ledger_commit()


# --- the rest


def divide() -> Program[None]:
    x = yield read_once(FLAG)
    yield write_once(FLAG, 6 // x)


def divide_unless_zero() -> Program[None]:
    x = yield read_once(FLAG)
    if x:
        yield write_once(FLAG, 6 // x)


def warn_if_raised() -> Program[None]:
    x = yield read_once(FLAG)
    yield warn_on(x)


def lower_flag() -> Program[None]:
    yield write_once(FLAG, 0)


def lock_and_unlock() -> Program[None]:
    yield rcu_read_lock()
    yield rcu_read_unlock()


def sleep_in_section() -> Program[None]:
    yield rcu_read_lock()
    yield wait_until(FLAG, 1)
    yield rcu_read_unlock()


def spin_in_section() -> Program[None]:
    yield rcu_read_lock()
    yield smp_cond_load_acquire(FLAG, 1)
    yield rcu_read_unlock()


def poll_flag() -> Program[None]:
    while not (yield read_once(FLAG)):
        yield cpu_relax()


def zero_the_other() -> Program[None]:
    yield write_once(per_cpu(SLOT, 1), 0)


def update_and_interrupt(update: ProgramFunction) -> Setting:
    return of(task(update, 0), ContextSpec("interrupt", count_here, "interrupt", 0))


CASES: Final = [
    Case(
        "use-after-free",
        of(task(careless_reader, 0), task(free_later, 1), setup=publish),
        of(task(update, 0), task(free_later, 1), setup=publish),
    ),
    Case("wild-access", of(task(read_null)), of(task(read_unless_null))),
    Case(
        "double-free",
        of(task(free_at_once), task(free_at_once), setup=publish),
        of(task(free_what_is_taken), task(free_what_is_taken), setup=publish),
    ),
    Case("wild-free", of(task(free_inside), setup=publish), of(task(free_begin), setup=publish)),
    Case("off-cpu", of(task(count_here)), of(task(count_here, 1))),
    Case("fault", of(task(divide)), of(task(divide_unless_zero))),
    Case(
        "warning",
        of(task(warn_if_raised), task(raise_flag)),
        of(task(warn_if_raised), task(lower_flag)),
    ),
    Case("remote-write", of(task(zero_the_other, 0)), of(task(zero_the_other, 1)), Checks(exclusive=True)),
    Case("error-bound", of(task(count_here, 0, turns=3)), of(task(count_here, 0, turns=2)), Checks(bound=2)),
    Case("deadlock", of(task(wait_for_flag), task(lower_flag)), of(task(wait_for_flag), task(raise_flag))),
    Case("unbalanced-section", of(task(lock)), of(task(lock_and_unlock))),
    Case("sleep-in-atomic", of(task(sleep_in_section), task(raise_flag)), of(task(spin_in_section), task(raise_flag))),
    Case("livelock", of(task(poll_flag), task(lower_flag)), of(task(poll_flag), task(raise_flag))),
    Case("negative-counter", of(task(take_away)), of(task(give_and_take)), Checks(counter)),
    Case("wrapped-counter", of(task(add_far)), of(task(add_less_far)), Checks(counter)),
    Case("lost-count", update_and_interrupt(add_raw), update_and_interrupt(count_here), Checks(with_slots)),
    Case("doubled-count", of(task(add_twice, 0)), of(task(count_here, 0)), Checks(with_slots)),
    Case("leak", of(task(leave_object)), of(task(free_object)), Checks(left=0)),
    Case(
        "early-free",
        of(task(patient_reader, 0), task(publish_null_and_free, 1), setup=publish),
        of(task(patient_reader, 0), task(free_later, 1), setup=publish),
    ),
]


def test_every_check_has_its_case() -> None:
    assert {case.check for case in CASES} == {check for check in LABELS if check not in IN_PYTHON}


@pytest.mark.parametrize("reduce", [False, True], ids=["full", "reduced"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_check_fires_and_nothing_does_in_the_repaired_twin(case: Case, *, reduce: bool) -> None:
    found = searched(case.broken, case.checks, reduce=reduce).violations
    assert found - {"early-free"} == {case.check} - {"early-free"}
    assert case.check in found
    assert searched(case.repaired, case.checks, reduce=reduce).violations == set()


@pytest.mark.parametrize("case", [case for case in CASES if case.check != "early-free"], ids=str)
def test_the_oracle_says_the_same(case: Case) -> None:
    checks = case.checks
    for setting, violations in ((case.broken, {case.check}), (case.repaired, set())):
        found = reachable(setting, checks.left, checks.total, checks.bound, exclusive=checks.exclusive)
        assert found.violations == violations


def queue_count() -> Program[None]:
    yield call_rcu(count_shared, 0)


@pytest.mark.parametrize("reduce", [False, True], ids=["full", "reduced"])
def test_what_a_killed_callback_had_noted_stays_in_doubt(*, reduce: bool) -> None:
    killed = ContextSpec("killed", nothing, "kill", 0)
    setting = of(task(count_shared, 1, 0), task(queue_count, 0), killed)
    assert searched(setting, Checks(counter), reduce=reduce).violations == set()


def add_with_interrupts_off() -> Program[None]:
    flags = yield local_irq_save()
    yield from add_raw()
    yield local_irq_restore(flags)


def write_what_stands() -> Program[None]:
    """A remote write that changes nothing, so that the slot's read-modify-writes are split."""
    yield cmpxchg(per_cpu(SLOT, 0), 99, 99)


@pytest.mark.parametrize("reduce", [False, True], ids=["full", "reduced"])
def test_no_interrupt_begins_with_interrupts_off(*, reduce: bool) -> None:
    setting = update_and_interrupt(add_with_interrupts_off)
    assert searched(setting, Checks(with_slots), reduce=reduce).violations == set()


@pytest.mark.parametrize("reduce", [False, True], ids=["full", "reduced"])
def test_no_interrupt_begins_between_the_halves_of_one_instruction(*, reduce: bool) -> None:
    setting = update_and_interrupt(count_here)
    split = of(*setting.contexts, task(write_what_stands, 1))
    found = searched(split, Checks(with_slots), reduce=reduce)
    assert found.search.model.remote_words()
    assert found.violations == set()


@pytest.mark.parametrize("reduce", [False, True], ids=["full", "reduced"])
def test_no_interrupt_begins_inside_another_of_its_cpu(*, reduce: bool) -> None:
    both = [ContextSpec(name, add_raw, "interrupt", 0) for name in ("one", "other")]
    assert searched(of(*both), Checks(with_slots), reduce=reduce).violations == set()
    elsewhere = ContextSpec("other", add_on_cpu_0, "interrupt", 1)
    assert searched(of(both[0], elsewhere), Checks(with_slots), reduce=reduce).violations == {"lost-count"}


def add_on_cpu_0() -> Program[None]:
    yield ledger_add(COUNTER, 1)
    x = yield read_once(per_cpu(SLOT, 0))
    yield write_once(per_cpu(SLOT, 0), x + 1)
    yield ledger_commit()


FIRST_WINDOW: Final = STATIC + 40
WINDOWS: Final = 5


def pass_all_windows() -> Program[None]:
    for word in range(FIRST_WINDOW, FIRST_WINDOW + WINDOWS):
        yield wait_until(word, 1)
    yield warn_on(True)


def open_and_shut_windows() -> Program[None]:
    for word in range(FIRST_WINDOW, FIRST_WINDOW + WINDOWS):
        yield write_once(word, 1)
        yield write_once(word, 0)


@pytest.mark.parametrize("reduce", [False, True], ids=["full", "reduced"])
def test_what_a_blocked_context_waits_for_counts_before_it_ever_goes_on(*, reduce: bool) -> None:
    """A random way through all five windows is seldom, so learning from steps alone misses them."""
    killed = ContextSpec("killed", nothing, "kill", 0)
    setting = of(task(pass_all_windows, 0), task(open_and_shut_windows, 1), killed)
    assert searched(setting, reduce=reduce).violations == {"warning"}
