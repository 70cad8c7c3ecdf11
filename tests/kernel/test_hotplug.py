"""CPU hotplug: callbacks in order, where they belong, undone where one fails; and its lock, which keeps readers out."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from percpu_emu.explore.model import Checks
from percpu_emu.kernel import hotplug
from percpu_emu.kernel.cpus_lock import cpu_hotplug_lock as lock
from percpu_emu.kernel.cpus_lock import cpu_hotplug_readers as counts
from percpu_emu.kernel.cpus_lock import cpus_read_lock, cpus_read_unlock, cpus_write_lock, cpus_write_unlock
from percpu_emu.kernel.hotplug import cpuhp_setup_states, online, prepare
from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.kernel.locks import spin_lock
from percpu_emu.kernel.percpu_rwsem import wait_for_readers
from percpu_emu.lang.locking import locking_of
from percpu_emu.lang.ops import (
    Program,
    atomic_long_fetch_add,
    cpumask_next,
    read_once,
    smp_processor_id,
    warn_on,
    write_once,
)
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.lang.specialised import specialised
from percpu_emu.lang.structures import AtomicLong, Struct, Word
from percpu_emu.replay import replay
from percpu_emu.scenario.replaying import plan_of
from tests.explore.searched import of, searched, task
from tests.replay.schedules import taken

from .cases import Case, beside

if TYPE_CHECKING:
    from percpu_emu.lang.ops import ProgramFunction

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


class Words(Struct):
    """What programs leave; `log` is what callbacks wrote, a digit each, and `failing` the callback that fails."""

    one: Word
    other: Word
    log: AtomicLong
    failing: Word
    writers: AtomicLong


words = Words()


# --- the lock


def read_pair() -> Program[None]:
    yield from cpus_read_lock()
    one = yield read_once(words.one)
    yield warn_on(one != (yield read_once(words.other)))
    yield from cpus_read_unlock()


def write_pair() -> Program[None]:
    yield from cpus_write_lock()
    yield write_once(words.one, 1)
    yield write_once(words.other, 1)
    yield from cpus_write_unlock()


def write_pair_hastily() -> Program[None]:
    """Without the grace period."""
    yield write_once(lock.writer, 1)
    yield from wait_for_readers(lock, counts)
    yield write_once(words.one, 1)
    yield write_once(words.other, 1)
    yield from cpus_write_unlock()


def write_alone() -> Program[None]:
    yield from cpus_write_lock()
    yield warn_on((yield atomic_long_fetch_add(words.writers, 1)) != 0)
    yield atomic_long_fetch_add(words.writers, -1)
    yield from cpus_write_unlock()


def write_inside_reader() -> Program[None]:
    yield from cpus_read_lock()
    yield from write_alone()
    yield from cpus_read_unlock()


CASES = [
    Case("a reader and a writer", beside(read_pair, write_pair), beside(read_pair, write_pair_hastily), "warning"),
    Case(
        "a reader that leaves on another CPU",
        of(ContextSpec("read", read_pair, "task", 0, migrates=1), task(write_pair, 1)),
        of(ContextSpec("read", read_pair, "task", 0, migrates=1), task(write_pair_hastily, 1)),
        "warning",
    ),
    Case("two writers", beside(write_alone, write_alone), beside(write_inside_reader), "deadlock"),
    Case("two readers and a writer", beside(read_pair, read_pair, write_pair), beside(write_inside_reader), "deadlock"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_lock_keeps_readers_and_writers_apart(case: Case) -> None:
    case.hold()


# --- the ladder

NUMBER = 0


def log(_cpu: int) -> Program[int]:
    """A callback: 1 and 2 are startup and teardown of the first state, 3 and 4 of the second one."""
    x = yield read_once(words.log)
    yield write_once(words.log, x * 10 + NUMBER)
    return -errno.ENOMEM if (yield read_once(words.failing)) == NUMBER else 0


def log_there(cpu: int) -> Program[int]:
    """One on the CPU itself."""
    yield warn_on((yield smp_processor_id()) != cpu)
    return (yield from log(cpu))


def log_here(cpu: int) -> Program[int]:
    """One on the control CPU, while the CPU is off line."""
    yield warn_on((yield smp_processor_id()) == cpu)
    yield warn_on((yield cpumask_next(cpu - 1, CPU_ONLINE_MASK)) == cpu)
    return (yield from log(cpu))


def numbered(program: ProgramFunction, number: int) -> ProgramFunction:
    return specialised(program, log=specialised(log, NUMBER=number))


first, second = [numbered(log_here, 1), numbered(log_here, 2)], [numbered(log_there, 3), numbered(log_there, 4)]
cpu_up, cpu_down, cpu_target = cpuhp_setup_states(prepare("first", *first), online("second", *second))


def trip(target: int, failing: int, way_back: int) -> Program[int]:
    """CPU 1 to a state, where one callback fails; then to another one. The log; the first result as a check."""
    yield write_once(words.failing, failing)
    result = yield from cpu_target(1, target)
    yield warn_on(result != (-errno.ENOMEM if failing else 0))
    yield write_once(words.failing, 0)
    x = yield read_once(words.log)
    yield from cpu_target(1, way_back)
    return x * 100000 + (yield read_once(words.log))


def down_and_up() -> Program[int]:
    yield warn_on((yield from cpu_down(1)))
    x = yield read_once(CPU_ONLINE_MASK)
    yield warn_on((yield from cpu_up(1)))
    return 100000 * x + (yield read_once(words.log))


def result_of(context: ContextSpec) -> int:
    """What a task gives that is alone."""
    found = searched(of(context))
    assert found.violations == set()
    [(_, (result,))] = found.finals
    return result


def test_callbacks_run_in_order_on_the_way_down_and_up() -> None:
    assert result_of(task(down_and_up, 0)) == 1_04213


@pytest.mark.parametrize(
    ("target", "failing", "way_back", "logs"),
    [
        (0, 0, 3, (42, 4213)),
        (1, 0, 3, (4, 43)),  # off line, and no further
        (2, 0, 3, (4, 43)),  # the state of the CPU itself, still on line
        (0, 4, 3, (4, 4)),  # nothing was done yet
        (0, 2, 3, (423, 423)),  # what was done is done again
        (0, 2, 0, (423, 42342)),
        (3, 0, 0, (0, 42)),
    ],
)
def test_a_trip_ends_where_it_should_or_began(target: int, failing: int, way_back: int, logs: tuple[int, int]) -> None:
    assert divmod(result_of(task(trip, 0, target, failing, way_back)), 100000) == logs


def test_a_startup_that_fails_is_undone_from_the_one_below() -> None:
    def at(*rungs: int) -> int:
        return int("".join(map(str, rungs)))

    assert result_of(task(up_in_vain, 0)) == at(4, 2, 1, 3, 2)


def up_in_vain() -> Program[int]:
    yield from cpu_down(1)
    yield write_once(words.failing, 3)
    yield warn_on((yield from cpu_up(1)) != -errno.ENOMEM)
    yield warn_on((yield read_once(CPU_ONLINE_MASK)) != 1)
    return (yield read_once(words.log))


def test_a_cpu_goes_off_line_under_the_lock() -> None:
    assert searched(of(task(see_the_same, 1), task(cpu_down, 0, 1))).violations == set()
    assert searched(of(task(look_twice, 1), task(cpu_down, 0, 1))).violations == {"warning"}


def look_twice() -> Program[None]:
    x = yield read_once(CPU_ONLINE_MASK)
    yield warn_on(x != (yield read_once(CPU_ONLINE_MASK)))


def see_the_same() -> Program[None]:
    yield from cpus_read_lock()
    yield from look_twice()
    yield from cpus_read_unlock()


def test_the_last_cpu_stays_where_it_is() -> None:
    assert result_of_on(1, task(cpu_down, 0, 0)) == -errno.EINVAL


def result_of_on(cpus: int, context: ContextSpec) -> int:
    [(_, (result,))] = searched(Setting(cpus, (context,)), Checks()).finals
    return result


def test_real_processes_climb_it_as_well() -> None:
    setting = of(task(down_and_up, 0))
    stepper = taken(setting, [])
    while choices := stepper.choices():
        stepper.take(choices[0])
    done = replay(setting, plan_of(stepper))
    assert (done.difference, done.violation, done.steps) == (None, None, stepper.steps)
    assert done.results == (1_04213,)


def test_the_programs_of_the_module_itself_have_no_states_and_say_so() -> None:
    for program, arguments in ((hotplug.cpu_up, (1,)), (hotplug.cpu_down, (1,)), (hotplug.cpu_target, (1, 0))):
        assert searched(of(task(program, 0, *arguments))).violations == {"warning"}


def test_a_ladder_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="state late: states of PREPARE stand below those of ONLINE"):
        cpuhp_setup_states(online("upper", None, None), prepare("late", None, None))
    with pytest.raises(ValueError, match="state odd: its teardown is a program with one parameter, the CPU"):
        online("odd", None, see_the_same)


def test_what_is_declared_of_a_program_holds_for_its_copies() -> None:
    assert locking_of(specialised(spin_lock)) == locking_of(spin_lock) != {}


def test_a_name_that_a_module_does_not_have_stands_for_nothing() -> None:
    with pytest.raises(ValueError, match="log: its module has no NUMBERS"):
        specialised(log, NUMBERS=1)
