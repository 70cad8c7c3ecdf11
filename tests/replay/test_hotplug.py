"""CPUs that go off line and tasks that move, on real processes: the processes of all CPUs stay, and have no step."""

from __future__ import annotations

import pytest

from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import Program, migrate_to, smp_processor_id, this_cpu_add, write_once
from percpu_emu.lang.setting import MIGRATE, ContextSpec, unit_word
from percpu_emu.replay import replay
from percpu_emu.scenario.replaying import plan_of
from tests.explore.searched import of, task
from tests.explore.test_hotplug import SLOT, count_twice, down, down_and_up, go_and_come_back, go_to, where
from tests.replay.schedules import taken

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


@pytest.mark.parametrize(
    ("contexts", "schedule"),
    [
        ((task(where, 1), task(down_and_up, 0, 1)), [0, 1, MIGRATE, 1, 0]),
        ((task(count_twice, 1), task(down, 0, 1)), [0, 1, MIGRATE, 0]),
        ((task(go_and_come_back, 0, 1), task(down, None, 1)), [0, 0, 0, 1, MIGRATE, 0, 0]),
        ((task(go_and_come_back, 0, 1),), [0, 0, 0, 0, 0]),
        ((task(go_and_come_back, None, 1),), [0, 0, 0, 0, 0]),
        ((task(go_to, 0, 2),), [0, 0]),
        ((task(down, 0, 0), task(down, None, 1)), [0, 1]),
    ],
    ids=str,
)
def test_real_processes_do_the_same(contexts: tuple[ContextSpec, ...], schedule: list[int]) -> None:
    setting = of(*contexts)
    stepper = taken(setting, schedule)
    assert stepper.is_final
    done = replay(setting, plan_of(stepper))
    assert (done.difference, done.violation) == (None, None)
    assert done.steps == stepper.steps
    assert done.words == stepper.model.words(stepper.state[: stepper.model.size])
    assert done.results == stepper.model.results(stepper.state)


def count_on_every_cpu() -> Program[None]:
    """A setup that goes from CPU to CPU, and stays on the last one."""
    for cpu in range(2):
        yield migrate_to(cpu)
        yield this_cpu_add(SLOT, 1)
        yield write_once(STATIC + cpu, (yield smp_processor_id()) + 1)


def test_a_setup_moves_as_well() -> None:
    setting = of(task(where, 1), task(where), setup=count_on_every_cpu)
    stepper = taken(setting, [0, 0, 1, 1])
    done = replay(setting, plan_of(stepper))
    assert (done.difference, done.results) == (None, (11, 22))
    words = {unit_word(0, SLOT): 1, unit_word(1, SLOT): 1, STATIC: 1, STATIC + 1: 2}
    assert words.items() <= done.initial.items()
    assert done.words == stepper.model.words(stepper.state[: stepper.model.size])
