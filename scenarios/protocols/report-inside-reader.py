"""An interrupt reports a quiescent state: always, or only where it has interrupted no reader.

RCU itself, in words. DragonOS, review of pull request 1892.
"""

from __future__ import annotations

from percpu_emu.lang.ops import Program, cpu_relax, kfree, kzalloc, read_once, write_once, xchg
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario


class Object(Struct):
    """What the reader looks at."""

    value: Word


class Rcu(Struct):
    """How deep CPU 0 is in read-side sections, whether it has reported or is idle, and what it reads."""

    depth: Word
    reported: Word
    idle: Word
    object: Ptr[Object]


rcu = Rcu()


def setup() -> Program[None]:
    """An object is published."""
    made = yield kzalloc(sizeof(Object))
    yield write_once(rcu.object, made)


def read() -> Program[None]:
    """Look at the object in a section; the CPU is idle afterwards."""
    yield write_once(rcu.depth, 1)
    used = yield read_once(rcu.object)
    if used:
        yield read_once(used.value)
    yield write_once(rcu.depth, 0)
    yield write_once(rcu.idle, 1)


def remove() -> Program[None]:
    """Unpublish the object; free it after a grace period."""
    old = yield xchg(rcu.object, 0)
    yield write_once(rcu.reported, 0)
    while not (yield read_once(rcu.reported)) and not (yield read_once(rcu.idle)):
        yield cpu_relax()
    yield kfree(old)


def timer_reports() -> Program[None]:
    """Switch to another task."""
    yield write_once(rcu.reported, 1)  # wrong: the task that is left may be a reader


@scenario(
    cpus=2,
    setup=setup,
    left=0,
    expect="use-after-free",
    missing="the test whether a reader was interrupted",
)
def report_inside_reader(m: Contexts) -> None:
    """A timer interrupt reports a quiescent state in the middle of a read-side section.

    The interrupt switches tasks, and a switch of tasks is reported as a quiescent state. The hook warned if the
    task was a reader, but reported nevertheless: the grace period ends, and the reader's object is freed (B6; DragonOS
    1892).

    The fixed version reports nothing where it has interrupted a reader.
    """
    m.task(read, cpu=0)
    m.interrupt(timer_reports, cpu=0, name="timer")
    m.task(remove, cpu=1)


def timer_looks() -> Program[None]:
    """Switch to another task."""
    if not (yield read_once(rcu.depth)):
        yield write_once(rcu.reported, 1)


@scenario(cpus=2, setup=setup, left=0)
def report_inside_reader_fixed(m: Contexts) -> None:
    """A timer interrupt reports a quiescent state only where no reader was interrupted.

    A reader is reported when it has ended.
    """
    m.task(read, cpu=0)
    m.interrupt(timer_looks, cpu=0, name="timer")
    m.task(remove, cpu=1)
