"""The table of operations: every access to shared memory, and every request to the scheduler or to RCU.

    x = yield this_cpu_read(stats + item)

A pointer is the index of a 64-bit word, 0 is NULL. A per-CPU pointer is an offset, the same on every CPU:
`this_cpu_*` apply it to the CPU's own unit, `per_cpu(ptr, cpu)` to another's. An operation without a stated
result gives 0. `lang.operation` says what the decorators mean; the engines derive what they do from them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeAlias, TypeVar

from percpu_emu.lang import instructions as _effect
from percpu_emu.lang.operation import Op, defines


class PerCpuAddress(NamedTuple):
    """The address of one CPU's copy of a per-CPU word; the kernel's per_cpu_ptr()."""

    pointer: int
    cpu: int


Pointer: TypeAlias = int | PerCpuAddress
Result = TypeVar("Result")
Program: TypeAlias = Generator[Op, Any, Result]
"""What calling a program function gives: yields operations, is sent their results, returns a number or nothing."""
ProgramFunction: TypeAlias = Callable[..., Generator[Op, Any, Any]]


def per_cpu(pointer: int, cpu: int) -> PerCpuAddress:
    """That CPU's copy, for any operation that takes a pointer. Remote writes race with the owner's `this_cpu_*`."""
    return PerCpuAddress(pointer, cpu)


# --- words ----------------------------------------------------------------------------------------------------------


@defines(_effect.READ, "reads {word}", order="relaxed", kernel="READ_ONCE")
def read_once(pointer: Pointer) -> Op:
    """Read the word by one plain load. Gives the word."""
    return Op("read_once", (pointer,))


@defines(_effect.WRITE, "writes {arg} into {word}", order="relaxed", kernel="WRITE_ONCE")
def write_once(pointer: Pointer, value: int) -> Op:
    """Write `value` into the word by one plain store."""
    return Op("write_once", (pointer, value))


@defines(_effect.READ, "reads {word}", order="acquire")
def smp_load_acquire(pointer: Pointer) -> Op:
    """Read the word; what follows is not done before it. Gives the word."""
    return Op("smp_load_acquire", (pointer,))


@defines(_effect.WRITE, "writes {arg} into {word}", order="release")
def smp_store_release(pointer: Pointer, value: int) -> Op:
    """Write `value` into the word; what came before is done by then."""
    return Op("smp_store_release", (pointer, value))


@defines(_effect.NOTHING, "passes a memory barrier", order="full", quiet=True)
def smp_mb() -> Op:
    """A full memory barrier."""
    return Op("smp_mb")


@defines(_effect.NOTHING, "passes a read barrier", order="read barrier", quiet=True)
def smp_rmb() -> Op:
    """A read barrier: reads before it are done before reads behind it."""
    return Op("smp_rmb")


@defines(_effect.NOTHING, "passes a write barrier", order="write barrier", quiet=True)
def smp_wmb() -> Op:
    """A write barrier: writes before it are done before writes behind it."""
    return Op("smp_wmb")


@defines(_effect.READ, "reads {word}", order="acquire")
def atomic_long_read_acquire(pointer: Pointer) -> Op:
    """Read the counter; what follows is not done before it. Gives the counter."""
    return Op("atomic_long_read_acquire", (pointer,))


@defines(_effect.ADD_TO, "adds {arg} to {word}", order="relaxed")
def atomic_long_add(pointer: Pointer, value: int) -> Op:
    """Add `value` to the counter. It has no result, so additions commute."""
    return Op("atomic_long_add", (pointer, value))


@defines(_effect.ADD_RETURN, "adds {arg} to {word}", order="full")
def atomic_long_add_return(pointer: Pointer, value: int) -> Op:
    """Add `value` to the counter, fully ordered. Gives the new value."""
    return Op("atomic_long_add_return", (pointer, value))


@defines(_effect.FETCH_ADD, "adds {arg} to {word}", order="full")
def atomic_long_fetch_add(pointer: Pointer, value: int) -> Op:
    """Add `value` to the counter, fully ordered. Gives the old value."""
    return Op("atomic_long_fetch_add", (pointer, value))


@defines(_effect.XCHG, "swaps {arg} into {word}", order="full")
def xchg(pointer: Pointer, value: int) -> Op:
    """Put `value` into the word, fully ordered. Gives the old value."""
    return Op("xchg", (pointer, value))


@defines(_effect.XCHG, "swaps {arg} into {word}", order="relaxed")
def xchg_relaxed(pointer: Pointer, value: int) -> Op:
    """Put `value` into the word, in no order with anything else. Gives the old value."""
    return Op("xchg_relaxed", (pointer, value))


@defines(_effect.CMPXCHG, "compares and swaps {word}", order="full")
def cmpxchg(pointer: Pointer, old: int, new: int) -> Op:
    """Put `new` where `old` stands, fully ordered. Gives what stood there: `old` if it was done."""
    return Op("cmpxchg", (pointer, old, new))


# --- this CPU's copy: one instruction, not LOCKed -------------------------------------------------------------------


@defines(_effect.READ, "reads {word}", own=True, order="relaxed")
def this_cpu_read(pointer: int) -> Op:
    """Read this CPU's copy. Gives it."""
    return Op("this_cpu_read", (pointer,))


@defines(_effect.WRITE, "writes {arg} into {word}", own=True, order="relaxed")
def this_cpu_write(pointer: int, value: int) -> Op:
    """Write `value` into this CPU's copy."""
    return Op("this_cpu_write", (pointer, value))


@defines(_effect.ADD_TO, "adds {arg} to {word}", own=True, order="relaxed")
def this_cpu_add(pointer: int, value: int) -> Op:
    """Add `value` to this CPU's copy."""
    return Op("this_cpu_add", (pointer, value))


@defines(_effect.ADD_TO, "subtracts {arg} from {word}", own=True, order="relaxed", operand="negated")
def this_cpu_sub(pointer: int, value: int) -> Op:
    """Subtract `value` from this CPU's copy. A long is subtracted, never an unsigned 32-bit number."""
    return Op("this_cpu_sub", (pointer, value))


@defines(_effect.ADD_TO, "adds 1 to {word}", own=True, order="relaxed", operand=1)
def this_cpu_inc(pointer: int) -> Op:
    """Add 1 to this CPU's copy."""
    return Op("this_cpu_inc", (pointer,))


@defines(_effect.ADD_TO, "subtracts 1 from {word}", own=True, order="relaxed", operand=-1)
def this_cpu_dec(pointer: int) -> Op:
    """Subtract 1 from this CPU's copy."""
    return Op("this_cpu_dec", (pointer,))


@defines(_effect.AND_WITH, "keeps bits of {word}", own=True, order="relaxed")
def this_cpu_and(pointer: int, value: int) -> Op:
    """Keep only `value`'s bits in this CPU's copy."""
    return Op("this_cpu_and", (pointer, value))


@defines(_effect.OR_WITH, "sets bits of {word}", own=True, order="relaxed")
def this_cpu_or(pointer: int, value: int) -> Op:
    """Set `value`'s bits in this CPU's copy."""
    return Op("this_cpu_or", (pointer, value))


@defines(_effect.ADD_RETURN, "adds {arg} to {word}", own=True, order="relaxed")
def this_cpu_add_return(pointer: int, value: int) -> Op:
    """Add `value` to this CPU's copy. Gives the new value."""
    return Op("this_cpu_add_return", (pointer, value))


@defines(_effect.XCHG, "swaps {arg} into {word}", own=True, order="relaxed")
def this_cpu_xchg(pointer: int, value: int) -> Op:
    """Put `value` into this CPU's copy. Gives the old value."""
    return Op("this_cpu_xchg", (pointer, value))


@defines(_effect.CMPXCHG, "compares and swaps {word}", own=True, order="relaxed")
def this_cpu_cmpxchg(pointer: int, old: int, new: int) -> Op:
    """Put `new` where `old` stands in this CPU's copy. Gives what stood there."""
    return Op("this_cpu_cmpxchg", (pointer, old, new))


@defines(_effect.READ, "reads {word}", own=True, order="relaxed")
def __this_cpu_read(pointer: int) -> Op:
    """Read this CPU's copy; the caller keeps interrupts and preemption away. Gives it. `lang.raw` has more of these."""
    return Op("__this_cpu_read", (pointer,))


@defines(_effect.WRITE, "writes {arg} into {word}", own=True, order="relaxed")
def __this_cpu_write(pointer: int, value: int) -> Op:
    """Write `value` into this CPU's copy; the caller keeps interrupts and preemption away."""
    return Op("__this_cpu_write", (pointer, value))


# --- RCU, preemption, interrupts ------------------------------------------------------------------------------------


@defines(_effect.RCU_READ_LOCK, "enters a read-side section", enters="rcu", quiet=True)
def rcu_read_lock() -> Op:
    """Begin a read-side section; sections nest."""
    return Op("rcu_read_lock")


@defines(_effect.RCU_READ_UNLOCK, "leaves its read-side section", leaves="rcu", quiet=True)
def rcu_read_unlock() -> Op:
    """End the innermost read-side section."""
    return Op("rcu_read_unlock")


@defines(_effect.READ, "reads {word}", order="acquire", dereference=True)
def rcu_dereference(pointer: Pointer) -> Op:
    """Read a pointer that may be used until the read-side section ends. Gives the pointer."""
    return Op("rcu_dereference", (pointer,))


@defines(_effect.WRITE, "publishes {arg} in {word}", order="release", publishes=True)
def rcu_assign_pointer(pointer: Pointer, value: int) -> Op:
    """Publish `value`: what it points to is visible before it is."""
    return Op("rcu_assign_pointer", (pointer, value))


@defines(_effect.CALL_RCU, "queues a callback", queues=True)
def call_rcu(function: ProgramFunction, argument: int) -> Op:
    """Have the program `function(argument)` run once every section that is now open has ended."""
    return Op("call_rcu", (function, argument))


@defines(_effect.SYNCHRONIZE_RCU, "waits for a grace period", wait="sleeps", asks=True)
def synchronize_rcu() -> Op:
    """Block until every section that is now open has ended."""
    return Op("synchronize_rcu")


@defines(_effect.RCU_BARRIER, "waits for all queued callbacks", wait="sleeps", asks=True)
def rcu_barrier() -> Op:
    """Block until every callback queued so far has run. Implies no grace period where none is queued."""
    return Op("rcu_barrier")


@defines(_effect.QUEUE_WORK, "queues work", queues=True)
def queue_work(function: ProgramFunction, argument: int) -> Op:
    """Have the program `function(argument)` run soon, by the coordinator, in process context."""
    return Op("queue_work", (function, argument))


@defines(_effect.IRQ_WORK, "interrupts a CPU", queues=True, native=False)
def irq_work_queue_on(function: ProgramFunction, argument: int, cpu: int) -> Op:
    """Interrupt a CPU, this one or another, to run the program `function(argument)` as soon as interrupts are on there.

    Several run in the order in which they were sent, and all of them before the CPU goes off line. Gives 1, or 0 where
    the CPU is off line: then nothing runs. With `kernel.smp` it is smp_call_function_single().
    """
    return Op("irq_work_queue_on", (function, argument, cpu))


@defines(_effect.NOTHING, "reports a quiescent state", quiet=True, kernel="rcu_qs")
def quiescent_state() -> Op:
    """Say that this CPU is in no read-side section now: what a context switch is to the kernel's RCU."""
    return Op("quiescent_state")


@defines(_effect.PREEMPT_DISABLE, "turns preemption off", enters="preempt", quiet=True)
def preempt_disable() -> Op:
    """Keep the task on this CPU, with no other task in between, until `preempt_enable`."""
    return Op("preempt_disable")


@defines(_effect.PREEMPT_ENABLE, "turns preemption on", leaves="preempt", quiet=True)
def preempt_enable() -> Op:
    """Undo one `preempt_disable`."""
    return Op("preempt_enable")


@defines(_effect.LOCAL_IRQ_SAVE, "turns interrupts off", enters="irq", quiet=True)
def local_irq_save() -> Op:
    """Turn interrupts off on this CPU. Gives whether they were off already, for `local_irq_restore`."""
    return Op("local_irq_save")


@defines(_effect.LOCAL_IRQ_RESTORE, "restores the interrupt state", leaves="irq", quiet=True)
def local_irq_restore(flags: int) -> Op:
    """Put the interrupt state back to `flags`, which `local_irq_save` gave."""
    return Op("local_irq_restore", (flags,))


# --- memory, waiting, the machine -----------------------------------------------------------------------------------


@defines(_effect.ALLOC_PERCPU, "allocates per-CPU memory", asks=True, kernel="__alloc_percpu")
def alloc_percpu(size: int, align: int) -> Op:
    """Allocate `size` zeroed bytes on every possible CPU. Gives a per-CPU pointer, 0 if there is no memory."""
    return Op("alloc_percpu", (size, align))


@defines(_effect.FREE_PERCPU, "frees per-CPU memory", asks=True)
def free_percpu(pointer: int) -> Op:
    """Free per-CPU memory; NULL is allowed. To free it twice, or what was never allocated, fails the run."""
    return Op("free_percpu", (pointer,))


@defines(_effect.KZALLOC, "allocates an object", asks=True)
def kzalloc(size: int) -> Op:
    """Allocate a zeroed slab object of `size` bytes. Gives a pointer, 0 if there is no memory."""
    return Op("kzalloc", (size,))


@defines(_effect.KFREE, "frees an object", asks=True)
def kfree(pointer: int) -> Op:
    """Free a slab object; NULL is allowed."""
    return Op("kfree", (pointer,))


@defines(_effect.WAIT_UNTIL, "sleeps until {word} is {arg}", order="acquire", wait="sleeps", kernel="wait_event")
def wait_until(pointer: Pointer, value: int) -> Op:
    """Sleep until the word is `value`. It may not stand in a section, an interrupt or a callback."""
    return Op("wait_until", (pointer, value))


@defines(_effect.SPIN_UNTIL, "spins until {word} is {arg}", order="acquire", wait="spins")
def smp_cond_load_acquire(pointer: Pointer, value: int) -> Op:
    """Spin until the word is `value`; what follows is not done before it. Gives the word."""
    return Op("smp_cond_load_acquire", (pointer, value))


@defines(_effect.CPU_RELAX, "lets others run", quiet=True)
def cpu_relax() -> Op:
    """Mark a loop that polls: the context spins, and keeps its CPU and its sections. It is no quiescent state."""
    return Op("cpu_relax")


@defines(_effect.PROCESSOR_ID, "reads its CPU's number", quiet=True)
def smp_processor_id() -> Op:
    """Gives the number of this CPU."""
    return Op("smp_processor_id")


@defines(_effect.CPU_DOWN, "takes CPU {arg} off line", order="full", wait="sleeps", native=False)
def takedown_cpu(cpu: int) -> Op:
    """Take a CPU off line, once it is in no section and no interrupt; its tasks go on on others.

    Gives 0, or -EINVAL where the CPU is off line already, or no other one is on line. Interrupts of the CPU cannot come
    until it is on line again. RCU callbacks that have not begun there move to the coordinator.
    """
    return Op("takedown_cpu", (cpu,))


@defines(_effect.CPU_UP, "brings CPU {arg} on line", order="full", native=False)
def bringup_cpu(cpu: int) -> Op:
    """Bring a CPU on line. Gives 0, or -EINVAL where it is on line already, or there is none of that number."""
    return Op("bringup_cpu", (cpu,))


@defines(_effect.MOVE_TO, "goes to CPU {arg}", order="full", wait="sleeps", native=False, kernel="work_on_cpu")
def migrate_to(cpu: int) -> Op:
    """Go on on that CPU, as what `work_on_cpu` calls does. Gives 0, or -EINVAL where the CPU is off line.

    `nr_cpu_ids` stands for the coordinator, so that what `smp_processor_id` gave before leads back. The task is not
    bound to the CPU. Queued work stays where it is: it gets -EINVAL.
    """
    return Op("migrate_to", (cpu,))


@defines(_effect.NR_CPU_IDS, "reads the number of CPUs", quiet=True)
def nr_cpu_ids() -> Op:
    """Gives one more than the highest possible CPU."""
    return Op("nr_cpu_ids")


@defines(_effect.NR_NODE_IDS, "reads the number of nodes", quiet=True)
def nr_node_ids() -> Op:
    """Gives one more than the highest NUMA node."""
    return Op("nr_node_ids")


@defines(_effect.CPUMASK_NEXT, "looks for the next CPU of {word}", order="relaxed", quiet=True)
def cpumask_next(cpu: int, mask: int) -> Op:
    """Look for the next CPU of a mask. Gives the first above `cpu`, `nr_cpu_ids` if there is none. Begin with -1."""
    return Op("cpumask_next", (cpu, mask))


# --- what is ours: the ledger and the trace -------------------------------------------------------------------------


@defines(_effect.LEDGER_ADD, "begins the next update", quiet=True, kernel="")
def ledger_add(counter: int, delta: int) -> Op:
    """Note that this CPU is about to add `delta` to the counter whose atomic twin is at `counter`."""
    return Op("ledger_add", (counter, delta))


@defines(_effect.LEDGER_COMMIT, "enters the update in the ledger", quiet=True, kernel="")
def ledger_commit() -> Op:
    """Enter in this CPU's ledger what `ledger_add` noted: the update is done."""
    return Op("ledger_commit")


def counted(counter: int, delta: int) -> AbstractContextManager[None]:
    """A `with` around an update, which is then in the ledger: a `ledger_add` before it, a `ledger_commit` behind it."""
    raise TypeError(f"with counted({counter}, {delta}): stands in a program, which an engine runs")


@defines(_effect.MARK, "passes a mark", quiet=True, kernel="")
def mark(name: str) -> Op:
    """Pass a named point of the trace, which `sometimes` can ask for. Native runs count it on each CPU."""
    return Op("mark", (name,))


@defines(_effect.WARN_ON, "passes a WARN_ON", kernel="WARN_ON")
def warn_on(condition: int) -> Op:
    """Fail the run with this line if the condition is true. Gives the condition."""
    return Op("warn_on", (condition,))
