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


@defines(_effect.READ, "reads {word}", order="relaxed")
def read_once(pointer: Pointer) -> Op:
    """READ_ONCE: the word, read by one plain load."""
    return Op("read_once", (pointer,))


@defines(_effect.WRITE, "writes {arg} into {word}", order="relaxed")
def write_once(pointer: Pointer, value: int) -> Op:
    """WRITE_ONCE: one plain store."""
    return Op("write_once", (pointer, value))


@defines(_effect.READ, "reads {word}", order="acquire")
def smp_load_acquire(pointer: Pointer) -> Op:
    """The word; what follows is not done before it."""
    return Op("smp_load_acquire", (pointer,))


@defines(_effect.WRITE, "writes {arg} into {word}", order="release")
def smp_store_release(pointer: Pointer, value: int) -> Op:
    """Store; what came before is done by then."""
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
    """The counter; what follows is not done before it."""
    return Op("atomic_long_read_acquire", (pointer,))


@defines(_effect.ADD_TO, "adds {arg} to {word}", order="relaxed")
def atomic_long_add(pointer: Pointer, value: int) -> Op:
    """Add, relaxed, no result: additions commute."""
    return Op("atomic_long_add", (pointer, value))


@defines(_effect.ADD_RETURN, "adds {arg} to {word}", order="full")
def atomic_long_add_return(pointer: Pointer, value: int) -> Op:
    """Add, fully ordered; the new value."""
    return Op("atomic_long_add_return", (pointer, value))


@defines(_effect.FETCH_ADD, "adds {arg} to {word}", order="full")
def atomic_long_fetch_add(pointer: Pointer, value: int) -> Op:
    """Add, fully ordered; the old value."""
    return Op("atomic_long_fetch_add", (pointer, value))


@defines(_effect.XCHG, "swaps {arg} into {word}", order="full")
def xchg(pointer: Pointer, value: int) -> Op:
    """Put `value` there, fully ordered; the old value."""
    return Op("xchg", (pointer, value))


@defines(_effect.XCHG, "swaps {arg} into {word}", order="relaxed")
def xchg_relaxed(pointer: Pointer, value: int) -> Op:
    """Put `value` there, in no order with anything else; the old value."""
    return Op("xchg_relaxed", (pointer, value))


@defines(_effect.CMPXCHG, "compares and swaps {word}", order="full")
def cmpxchg(pointer: Pointer, old: int, new: int) -> Op:
    """Put `new` where `old` stands, fully ordered; what stood there (`old` if it was done)."""
    return Op("cmpxchg", (pointer, old, new))


# --- this CPU's copy: one instruction, not LOCKed -------------------------------------------------------------------


@defines(_effect.READ, "reads {word}", own=True, order="relaxed")
def this_cpu_read(pointer: int) -> Op:
    """This CPU's copy."""
    return Op("this_cpu_read", (pointer,))


@defines(_effect.WRITE, "writes {arg} into {word}", own=True, order="relaxed")
def this_cpu_write(pointer: int, value: int) -> Op:
    """Store into this CPU's copy."""
    return Op("this_cpu_write", (pointer, value))


@defines(_effect.ADD_TO, "adds {arg} to {word}", own=True, order="relaxed")
def this_cpu_add(pointer: int, value: int) -> Op:
    """Add to this CPU's copy."""
    return Op("this_cpu_add", (pointer, value))


@defines(_effect.ADD_TO, "subtracts {arg} from {word}", own=True, order="relaxed", operand="negated")
def this_cpu_sub(pointer: int, value: int) -> Op:
    """Subtract from this CPU's copy. A long is subtracted: no unsigned short cut (kernel-facts S10)."""
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
    """Add to this CPU's copy; the new value."""
    return Op("this_cpu_add_return", (pointer, value))


@defines(_effect.XCHG, "swaps {arg} into {word}", own=True, order="relaxed")
def this_cpu_xchg(pointer: int, value: int) -> Op:
    """Put `value` into this CPU's copy; the old value."""
    return Op("this_cpu_xchg", (pointer, value))


@defines(_effect.CMPXCHG, "compares and swaps {word}", own=True, order="relaxed")
def this_cpu_cmpxchg(pointer: int, old: int, new: int) -> Op:
    """Put `new` where `old` stands in this CPU's copy; what stood there."""
    return Op("this_cpu_cmpxchg", (pointer, old, new))


@defines(_effect.READ, "reads {word}", own=True, order="relaxed")
def __this_cpu_read(pointer: int) -> Op:
    """This CPU's copy, the caller keeping interrupts and preemption away. The other `__this_cpu_*`: `lang.raw`."""
    return Op("__this_cpu_read", (pointer,))


@defines(_effect.WRITE, "writes {arg} into {word}", own=True, order="relaxed")
def __this_cpu_write(pointer: int, value: int) -> Op:
    """Store into this CPU's copy, the caller keeping interrupts and preemption away."""
    return Op("__this_cpu_write", (pointer, value))


# --- RCU, preemption, interrupts ------------------------------------------------------------------------------------


@defines(_effect.RCU_READ_LOCK, "enters a read-side section", enters="rcu", quiet=True)
def rcu_read_lock() -> Op:
    """Begin a read-side critical section; sections nest."""
    return Op("rcu_read_lock")


@defines(_effect.RCU_READ_UNLOCK, "leaves its read-side section", leaves="rcu", quiet=True)
def rcu_read_unlock() -> Op:
    """End it."""
    return Op("rcu_read_unlock")


@defines(_effect.READ, "reads {word}", order="acquire", dereference=True)
def rcu_dereference(pointer: Pointer) -> Op:
    """The pointer that stands there, to be used until the section ends."""
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


@defines(_effect.NOTHING, "reports a quiescent state", quiet=True)
def quiescent_state() -> Op:
    """Say that this CPU is in no read-side section now: what a context switch is to the kernel's RCU."""
    return Op("quiescent_state")


@defines(_effect.PREEMPT_DISABLE, "turns preemption off", enters="preempt", quiet=True)
def preempt_disable() -> Op:
    """The task stays on this CPU until `preempt_enable`."""
    return Op("preempt_disable")


@defines(_effect.PREEMPT_ENABLE, "turns preemption on", leaves="preempt", quiet=True)
def preempt_enable() -> Op:
    """Undo one `preempt_disable`."""
    return Op("preempt_enable")


@defines(_effect.LOCAL_IRQ_SAVE, "turns interrupts off", enters="irq", quiet=True)
def local_irq_save() -> Op:
    """Keep interrupts off this CPU; whether they were off already, for `local_irq_restore`."""
    return Op("local_irq_save")


@defines(_effect.LOCAL_IRQ_RESTORE, "restores the interrupt state", leaves="irq", quiet=True)
def local_irq_restore(flags: int) -> Op:
    """Put the interrupt state back."""
    return Op("local_irq_restore", (flags,))


# --- memory, waiting, the machine -----------------------------------------------------------------------------------


@defines(_effect.ALLOC_PERCPU, "allocates per-CPU memory", asks=True)
def alloc_percpu(size: int, align: int) -> Op:
    """Zeroed per-CPU memory of `size` bytes on every possible CPU; 0 if there is none."""
    return Op("alloc_percpu", (size, align))


@defines(_effect.FREE_PERCPU, "frees per-CPU memory", asks=True)
def free_percpu(pointer: int) -> Op:
    """Give it back; NULL is allowed. A second time, or a wrong pointer, stops the machine with the reason."""
    return Op("free_percpu", (pointer,))


@defines(_effect.KZALLOC, "allocates an object", asks=True)
def kzalloc(size: int) -> Op:
    """A zeroed slab object of `size` bytes; 0 if there is none."""
    return Op("kzalloc", (size,))


@defines(_effect.KFREE, "frees an object", asks=True)
def kfree(pointer: int) -> Op:
    """Give a slab object back; NULL is allowed."""
    return Op("kfree", (pointer,))


@defines(_effect.WAIT_UNTIL, "sleeps until {word} is {arg}", order="acquire", wait="sleeps")
def wait_until(pointer: Pointer, value: int) -> Op:
    """Sleep until the word is `value`: other tasks of the CPU run meanwhile. Not inside a section or an interrupt."""
    return Op("wait_until", (pointer, value))


@defines(_effect.SPIN_UNTIL, "spins until {word} is {arg}", order="acquire", wait="spins")
def smp_cond_load_acquire(pointer: Pointer, value: int) -> Op:
    """Spin until the word is `value`, which it gives: the context keeps its CPU and its sections."""
    return Op("smp_cond_load_acquire", (pointer, value))


@defines(_effect.CPU_RELAX, "lets others run", quiet=True)
def cpu_relax() -> Op:
    """Inside a loop that polls: the context spins. It keeps its CPU and its sections; not a quiescent state."""
    return Op("cpu_relax")


@defines(_effect.PROCESSOR_ID, "reads its CPU's number", quiet=True)
def smp_processor_id() -> Op:
    """The number of this CPU."""
    return Op("smp_processor_id")


@defines(_effect.NR_CPU_IDS, "reads the number of CPUs", quiet=True)
def nr_cpu_ids() -> Op:
    """One more than the highest possible CPU."""
    return Op("nr_cpu_ids")


@defines(_effect.NR_NODE_IDS, "reads the number of nodes", quiet=True)
def nr_node_ids() -> Op:
    """One more than the highest NUMA node."""
    return Op("nr_node_ids")


@defines(_effect.CPUMASK_NEXT, "looks for the next CPU of {word}", order="relaxed", quiet=True)
def cpumask_next(cpu: int, mask: int) -> Op:
    """The first CPU of `mask` above `cpu`, `nr_cpu_ids` if there is none. Begin with -1."""
    return Op("cpumask_next", (cpu, mask))


# --- what is ours: the ledger and the trace -------------------------------------------------------------------------


@defines(_effect.LEDGER_ADD, "begins the next update", quiet=True)
def ledger_add(counter: int, delta: int) -> Op:
    """Note that this CPU is about to add `delta` to the counter whose atomic twin is at `counter`."""
    return Op("ledger_add", (counter, delta))


@defines(_effect.LEDGER_COMMIT, "enters the update in the ledger", quiet=True)
def ledger_commit() -> Op:
    """What was noted is done: enter it in this CPU's ledger."""
    return Op("ledger_commit")


def counted(counter: int, delta: int) -> AbstractContextManager[None]:
    """A `with` around an update, which is then in the ledger: a `ledger_add` before it, a `ledger_commit` behind it."""
    raise TypeError(f"with counted({counter}, {delta}): stands in a program, which an engine runs")


@defines(_effect.MARK, "passes a mark", quiet=True)
def mark(name: str) -> Op:
    """A named point for the trace, counted per CPU in native runs."""
    return Op("mark", (name,))


@defines(_effect.WARN_ON, "passes a WARN_ON")
def warn_on(condition: int) -> Op:
    """WARN_ON: a true condition fails the run, which names this line. Gives the condition back."""
    return Op("warn_on", (condition,))
