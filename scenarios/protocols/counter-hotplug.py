"""A per-CPU counter and CPU hotplug: its callbacks run while tasks count on the CPU, or while the CPU is off line."""

from __future__ import annotations

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.hotplug import cpuhp_setup_states, online, prepare
from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang.ops import Program, atomic_long_add, counted, per_cpu, read_once, this_cpu_add, write_once, xchg
from percpu_emu.lang.structures import AtomicLong, Struct, Word
from percpu_emu.scenario.decorator import Contexts, scenario


class Slots(Struct):
    """What every CPU has counted that is not in the counter."""

    slot: Word


class Counter(Struct):
    """What CPUs have counted that were off line since."""

    count: AtomicLong


slots = Slots.static_per_cpu()
counter = Counter()


def total(address: int) -> Program[int]:
    """What a reader finds: the count, and the slots of the CPUs that are on line."""
    x = yield read_once(address)
    return x + (yield from percpu_sum(slots, 0, CPU_ONLINE_MASK))


def update() -> Program[None]:
    """Add 1 to the slot of the CPU that the task is on."""
    with counted(counter.count, 1):
        yield this_cpu_add(slots.slot, 1)


def reset(cpu: int) -> Program[None]:
    """A startup: the slot begins at 0."""
    yield write_once(per_cpu(slots.slot, cpu), 0)


def fold(cpu: int) -> Program[None]:
    """A teardown: what the CPU has counted goes to the counter."""
    yield atomic_long_add(counter.count, (yield xchg(per_cpu(slots.slot, cpu), 0)))


late_up, late_down, _ = cpuhp_setup_states(
    prepare("counter:dead", None, fold),
    online("counter:online", reset, None),  # wrong: tasks run on the CPU before it comes to this state
)
early_up, early_down, _ = cpuhp_setup_states(
    prepare("counter:prepare", reset, None),
    online("counter:online", None, fold),  # wrong: tasks run on the CPU after it has left this state
)
cpu_up, cpu_down, _ = cpuhp_setup_states(prepare("counter", reset, fold))


def boot_one() -> Program[None]:
    """CPU 1 is off line."""
    yield from cpu_down(1)


@scenario(
    cpus=2,
    setup=boot_one,
    total=total,
    expect="lost-count",
    missing="resetting the slot before the CPU is on line, in the section PREPARE",
)
def counter_reset_on_line(m: Contexts) -> None:
    """A CPU comes on line, a task counts there, and then a callback resets the slot.

    A CPU is on line before the callbacks of the section ONLINE run, on the CPU itself. A task that moves to it in
    between counts in the slot, and the callback wipes that out.

    The fixed version, counter-hotplug, resets the slot while no task can be on the CPU.
    """
    m.task(update, cpu=0, migrates=1)
    m.task(late_up, 1, cpu=0, name="cpu_up")


@scenario(
    cpus=2,
    total=total,
    expect="lost-count",
    missing="folding the slot when the CPU is off line, in the section PREPARE",
)
def counter_folded_on_line(m: Contexts) -> None:
    """A callback folds the slot of a CPU that is about to go, and a task counts there once more.

    The callbacks of the section ONLINE run on a CPU that goes while its tasks are still there. What they count between
    the fold and the end stays in the slot of a CPU that is off line, where no sum over CPUs on line finds it.

    The fixed version, counter-hotplug, folds when the CPU is off line. Between the two, a sum over the CPUs on line
    misses the slot: sum-misses-dying-cpu.
    """
    m.task(update, cpu=1)
    m.task(early_down, 1, cpu=0, name="cpu_down")


def down_and_up() -> Program[None]:
    """CPU 1 goes and comes back."""
    yield from cpu_down(1)
    yield from cpu_up(1)


@scenario(cpus=2, total=total)
def counter_hotplug(m: Contexts) -> None:
    """The slot of a CPU is folded and reset while the CPU is off line.

    The section PREPARE runs on another CPU, before this one is on line and after it is off line: no task is on the CPU.
    The task that counts goes on on the other CPU.
    """
    m.task(update, cpu=1, turns=2)
    m.task(down_and_up, cpu=0)
