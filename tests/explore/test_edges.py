"""Settings at the edges of the rules, which random ones hardly ever reach: the searches say what the oracle says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from percpu_emu.explore.model import Checks, Model
from percpu_emu.explore.tracing import Stepper
from percpu_emu.lang.setting import FIRST_OBJECT, ContextSpec, Setting, unit_word
from percpu_emu.lang.words import LONG_MAX, LONG_MIN
from tests import programs as common

from . import edge_programs as p
from .oracle import reachable
from .searched import of, task
from .test_against_oracle import compare

if TYPE_CHECKING:
    from percpu_emu.lang.ops import ProgramFunction
    from percpu_emu.lang.setting import ContextKind

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


def event(kind: ContextKind, program: ProgramFunction, cpu: int = 0) -> ContextSpec:
    return ContextSpec(f"{kind} {program.__name__}", program, kind, cpu)


def moving(program: ProgramFunction) -> ContextSpec:
    return ContextSpec(program.__name__, program, "task", 0, migrates=1)


def turns(program: ProgramFunction, count: int = 2) -> ContextSpec:
    return ContextSpec(program.__name__, program, "task", 0, ("turn",), count)


ADDRESSES: Final = (-1, 0, LONG_MIN, LONG_MAX, 1 << 32, unit_word(0, common.SLOT), FIRST_OBJECT + 1, FIRST_OBJECT + 2)
ALONE: Final = [
    *(task(common.write, 0, address) for address in ADDRESSES),
    *(task(p.write_there, 1, pointer) for pointer in (-1, 0, 511, 513, 514, 1 << 32, LONG_MAX)),
    *(task(common.allocate, 0, size) for size in (LONG_MIN, -1, 0, 1, 4096, 4097)),
    *(task(common.allocate_area, None, size) for size in (-8, 0, 9, 4096, 4097)),
    *(task(common.next_cpu, 0, cpu) for cpu in (LONG_MIN, -2, -1, 0, 1, 2, 63, 64, 1 << 40)),
    *(task(p.next_cpu_nowhere, 0, mask) for mask in (0, FIRST_OBJECT + 2)),
    *(task(p.nest, 0, times) for times in (1, 255, 256)),
    *(task(p.far, 0, value) for value in (-1, LONG_MAX)),
    *(task(p.shift_by, 0, count) for count in (-1, 0, 63, 64)),
    *(task(p.long_range, 0, step) for step in (-1, 0, 1, LONG_MAX)),
    *(task(program) for program in (p.free_area_as_object, p.free_object_as_area, p.subtract_the_least)),
    *(task(program, 0) for program in (p.subtract_the_least, p.least_by_minus_one, p.kinds_at_once, p.off_twice)),
    *(task(program, 0) for program in (p.wait_nowhere, p.wait_nowhere_inside, p.spin_nowhere)),
    *(task(program) for program in (common.synchronize_inside, p.synchronize_irqs_off, p.queue_synchronize_inside)),
    *(task(program, 0) for program in (common.synchronize_inside, p.synchronize_irqs_off, p.queue_synchronize_inside)),
    *(
        event("interrupt", program)
        for program in (common.synchronize, common.synchronize_inside, p.synchronize_irqs_off)
    ),
    *(event("offline", program) for program in (common.synchronize, common.synchronize_inside, p.count_and_queue)),
    *(task(program, 0) for program in (p.count_and_queue, p.work_waits_for_callbacks, p.count_on_no_ledger)),
    turns(p.lock_between_turns),
    turns(p.note_over_turns),
    turns(p.note_over_turns, 1),
]
"""What one context does alone."""
FREE_AT_ONCE, FREE_LATER = common.free_object_at_once, common.free_object_later
TOGETHER: Final = [
    *((find, free) for find in (event("interrupt", p.find), task(p.find, 0), task(p.queue_finder, 0))
      for free in (task(FREE_AT_ONCE, 1), task(FREE_LATER, 1), task(p.free_by_callback, 1))),
    *((event("interrupt", p.find_inside), free) for free in (task(FREE_AT_ONCE, 1), task(FREE_LATER))),
    *((own, remote)
      for own in (task(common.compare_in_vain, 0), task(p.compare, 0), event("interrupt", common.increment))
      for remote in (task(common.store_remotely, 1), task(common.store_remotely), task(common.fail_remotely, 1))),
    (task(common.increment, 0), event("kill", common.nothing), task(common.store_remotely, 1)),
    (task(common.increment, 0), event("offline", common.store_remotely)),
    (task(common.increment, 0), event("kill", common.store_remotely)),
    (task(common.increment, 0), event("interrupt", p.increment_twice), task(common.store_remotely, 1)),
    (moving(p.increment_twice), task(common.store_remotely, 1)),
    (moving(p.add_here_or_there), task(common.increment, 1)),
    (task(common.increment, 0), task(p.queue_store, 0)),
    (task(common.increment, 0), task(p.queue_store, 1)),
    (task(p.increment_area, 0), task(p.store_in_area, 1), task(p.free_area, 1)),
    (task(p.count_and_queue, 0), event("kill", common.nothing)),
    (task(p.count_and_queue, 0), event("offline", common.nothing)),
    (task(p.note_and_queue, 0), event("kill", common.nothing)),
    (task(p.count_or_not, 0), task(p.write_x, 1, 1)),
    (task(p.queue_spinner, 0), task(p.synchronize_then_write, 1)),
    (task(p.queue_spinner), task(p.synchronize_then_write, 1)),
    (event("interrupt", p.spin_first), task(p.synchronize_then_write, 1)),
    (event("interrupt", p.spin_first), task(p.write_x, 0, 1)),
    (event("kill", common.nothing), event("offline", common.nothing), task(common.nothing, 0)),
    (event("kill", common.nothing, 1), moving(p.increment_twice)),
    *((task(p.queue_counter, 0), event(kind, common.nothing), task(p.queue_counter, 1))
      for kind in ("kill", "offline")),
    (task(p.queue_then_let_go), task(p.hold_until_let_go, 0), task(p.spin_inside_later, 1)),
    *((one, other)[::order]
      for order in (1, -1)  # the reduction tries the first context first
      for one, other in (
          (task(p.read_twice_inside, 0), task(p.synchronize_then_write, 1)),
          (task(p.read_twice_preempt_off, 0), task(p.synchronize_then_write, 1)),
          (task(p.read_twice_inside, 0), task(p.queue_writer, 1)),
          (task(p.spin_inside, 0), task(p.queue_writer, 1)),
          (task(p.spin_inside), task(p.queue_writer)),
          (task(p.queue_spinner, 0), task(p.barrier_then_write, 1)),
          (task(p.queue_spinner), task(p.barrier_then_write)),
          (moving(p.spin_preempt_off), task(p.write_preempt_off, 1)),
      )),
]  # fmt: skip
"""What several do together."""
SETTINGS: Final = [of(context, setup=p.setup) for context in ALONE] + [of(*some, setup=p.setup) for some in TOGETHER]


def described(setting: Setting) -> str:
    return ", ".join(f"{spec.name}{spec.arguments or ''} on {spec.cpu}" for spec in setting.contexts)


@pytest.mark.parametrize("setting", SETTINGS, ids=described)
def test_at_the_edges_the_searches_say_what_the_oracle_says(setting: Setting) -> None:
    compare(setting, Checks(total=common.counter), reachable(setting, total=common.counter))


def test_an_argument_that_is_negated_is_shown_as_the_word_that_the_program_gave() -> None:
    stepper = Stepper(Model(of(task(p.subtract_the_least, 0)))).run([0])
    assert stepper.steps[0].args == (common.SLOT, LONG_MIN)
