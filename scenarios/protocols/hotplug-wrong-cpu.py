"""The slots of a dead CPU are folded: with this_cpu_xchg, which takes those of the CPU that does it, or by number."""

from __future__ import annotations

from percpu_emu.kernel.cpumask import percpu_sum
from percpu_emu.kernel.hotplug import cpuhp_setup_states, prepare
from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    counted,
    per_cpu,
    read_once,
    this_cpu_add,
    this_cpu_xchg,
    write_once,
    xchg,
)
from percpu_emu.lang.structures import AtomicLong, PerCpu, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario


class Slots(Struct):
    """What every CPU has of a counter."""

    slot: Word


class Counter(Struct):
    """A counter."""

    stats: PerCpu[Slots]
    total: AtomicLong


counter = Counter()


def setup() -> Program[None]:
    """One counter: a slot on every CPU."""
    slots = yield alloc_percpu(sizeof(Slots), 8)
    yield write_once(counter.stats, slots)


def update() -> Program[None]:
    """Add 1 to the slot of this CPU."""
    with counted(counter.total, 1):
        slots = yield read_once(counter.stats)
        yield this_cpu_add(slots.slot, 1)


def total(address: int) -> Program[int]:
    """What a reader finds: the twin, and the slots of the CPUs that are online."""
    x = yield read_once(address)
    slots = yield read_once(counter.stats)
    if slots:
        x += yield from percpu_sum(slots, 0, CPU_ONLINE_MASK)
    return x


def cpu_dead(_cpu: int) -> Program[None]:
    """A teardown: fold the slots of a CPU that is dead."""
    slots = yield read_once(counter.stats)
    x = yield this_cpu_xchg(slots.slot, 0)  # wrong: this CPU is the control CPU
    yield atomic_long_add(counter.total, x)


_, wrong_down, _ = cpuhp_setup_states(prepare("mm/memctrl:dead", None, cpu_dead))


@scenario(
    cpus=2,
    setup=setup,
    total=total,
    expect="lost-count",
    missing="the number of the dead CPU in the access to its slots",
)
def hotplug_wrong_cpu(m: Contexts) -> None:
    """CPU hotplug folds the slots of the CPU that it runs on, not those of the dead one.

    The callback for a dead CPU runs on another one, the control CPU. memcg_hotplug_cpu_dead took the slots with
    this_cpu_xchg, so it flushed the living CPU it ran on; what the dead CPU had counted stayed behind in its slots. It
    did so for three years (S1; a983b5ebee57, fixed by a3d4c05a4474 in 5.13).

    The fixed version takes the slot by the number of the dead CPU; since nothing runs there, nothing more is needed.
    """
    m.task(update, cpu=1)
    m.task(wrong_down, 1, cpu=0, name="cpu_down")


def cpu_dead_by_number(cpu: int) -> Program[None]:
    """A teardown: fold the slots of a CPU that is dead."""
    slots = yield read_once(counter.stats)
    x = yield xchg(per_cpu(slots.slot, cpu), 0)
    yield atomic_long_add(counter.total, x)


_, cpu_down, _ = cpuhp_setup_states(prepare("mm/memctrl:dead", None, cpu_dead_by_number))


@scenario(cpus=2, setup=setup, total=total)
def hotplug_wrong_cpu_fixed(m: Contexts) -> None:
    """CPU hotplug folds the slots of the dead CPU.

    The slot is addressed by the number of the dead CPU. Nothing runs there any more, so a plain exchange from elsewhere
    is safe.
    """
    m.task(update, cpu=1)
    m.task(cpu_down, 1, cpu=0)
