"""The operations that a program yields: every access to shared memory, and every word to the scheduler or to RCU.

    x = yield this_cpu_read(stats + item)

A pointer is the index of a 64-bit word, 0 is NULL. A per-CPU pointer is an offset, the same on every CPU:
`this_cpu_*` apply it to the CPU's own unit, `per_cpu(ptr, cpu)` to another's. An operation without a stated
result gives 0. What each one does on the machine stands, under the same name, in `lang.primitives`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar


class PerCpu(NamedTuple):
    """The address of one CPU's copy of a per-CPU word; the kernel's per_cpu_ptr()."""

    pointer: int
    cpu: int


Pointer: TypeAlias = "int | PerCpu"
Result = TypeVar("Result", int, None)
Program: TypeAlias = "Generator[Op, int, Result]"
"""What calling a program function gives: yields operations, is sent their results, returns a number or nothing."""
ProgramFunction: TypeAlias = Callable[..., Generator["Op", int, Any]]


class Op(NamedTuple):
    """One operation: its name (also in `lang.primitives`) and its arguments."""

    name: str
    args: tuple[Any, ...] = ()


def per_cpu(pointer: int, cpu: int) -> PerCpu:
    """That CPU's copy, for any operation that takes a pointer. Remote writes race with the owner's `this_cpu_*`."""
    return PerCpu(pointer, cpu)


# --- words ----------------------------------------------------------------------------------------------------------


def read_once(pointer: Pointer) -> Op:
    """READ_ONCE: the word, read by one plain load."""
    return Op("read_once", (pointer,))


def write_once(pointer: Pointer, value: int) -> Op:
    """WRITE_ONCE: one plain store."""
    return Op("write_once", (pointer, value))


def smp_load_acquire(pointer: Pointer) -> Op:
    """The word; what follows is not done before it."""
    return Op("smp_load_acquire", (pointer,))


def smp_store_release(pointer: Pointer, value: int) -> Op:
    """Store; what came before is done by then."""
    return Op("smp_store_release", (pointer, value))


def smp_mb() -> Op:
    """A full memory barrier."""
    return Op("smp_mb")


def atomic_long_add(pointer: Pointer, value: int) -> Op:
    """Add, relaxed, no result: additions commute."""
    return Op("atomic_long_add", (pointer, value))


def atomic_long_add_return(pointer: Pointer, value: int) -> Op:
    """Add, fully ordered; the new value."""
    return Op("atomic_long_add_return", (pointer, value))


def atomic_long_fetch_add(pointer: Pointer, value: int) -> Op:
    """Add, fully ordered; the old value."""
    return Op("atomic_long_fetch_add", (pointer, value))


def xchg(pointer: Pointer, value: int) -> Op:
    """Put `value` there, fully ordered; the old value."""
    return Op("xchg", (pointer, value))


def cmpxchg(pointer: Pointer, old: int, new: int) -> Op:
    """Put `new` where `old` stands, fully ordered; what stood there (`old` if it was done)."""
    return Op("cmpxchg", (pointer, old, new))


# --- this CPU's copy: one instruction, not LOCKed -------------------------------------------------------------------


def this_cpu_read(pointer: int) -> Op:
    """This CPU's copy."""
    return Op("this_cpu_read", (pointer,))


def this_cpu_write(pointer: int, value: int) -> Op:
    """Store into this CPU's copy."""
    return Op("this_cpu_write", (pointer, value))


def this_cpu_add(pointer: int, value: int) -> Op:
    """Add to this CPU's copy."""
    return Op("this_cpu_add", (pointer, value))


def this_cpu_sub(pointer: int, value: int) -> Op:
    """Subtract from this CPU's copy. A long is subtracted: no unsigned short cut (kernel-facts S10)."""
    return Op("this_cpu_sub", (pointer, value))


def this_cpu_inc(pointer: int) -> Op:
    """Add 1 to this CPU's copy."""
    return Op("this_cpu_inc", (pointer,))


def this_cpu_dec(pointer: int) -> Op:
    """Subtract 1 from this CPU's copy."""
    return Op("this_cpu_dec", (pointer,))


def this_cpu_and(pointer: int, value: int) -> Op:
    """Keep only `value`'s bits in this CPU's copy."""
    return Op("this_cpu_and", (pointer, value))


def this_cpu_or(pointer: int, value: int) -> Op:
    """Set `value`'s bits in this CPU's copy."""
    return Op("this_cpu_or", (pointer, value))


def this_cpu_add_return(pointer: int, value: int) -> Op:
    """Add to this CPU's copy; the new value."""
    return Op("this_cpu_add_return", (pointer, value))


def this_cpu_xchg(pointer: int, value: int) -> Op:
    """Put `value` into this CPU's copy; the old value."""
    return Op("this_cpu_xchg", (pointer, value))


def this_cpu_cmpxchg(pointer: int, old: int, new: int) -> Op:
    """Put `new` where `old` stands in this CPU's copy; what stood there."""
    return Op("this_cpu_cmpxchg", (pointer, old, new))


def __this_cpu_read(pointer: int) -> Op:
    """This CPU's copy, the caller keeping interrupts and preemption away. The other `__this_cpu_*`: `lang.raw`."""
    return Op("__this_cpu_read", (pointer,))


def __this_cpu_write(pointer: int, value: int) -> Op:
    """Store into this CPU's copy, the caller keeping interrupts and preemption away."""
    return Op("__this_cpu_write", (pointer, value))


# --- RCU, preemption, interrupts ------------------------------------------------------------------------------------


def rcu_read_lock() -> Op:
    """Begin a read-side critical section; sections nest."""
    return Op("rcu_read_lock")


def rcu_read_unlock() -> Op:
    """End it."""
    return Op("rcu_read_unlock")


def rcu_dereference(pointer: Pointer) -> Op:
    """The pointer that stands there, to be used until the section ends."""
    return Op("rcu_dereference", (pointer,))


def rcu_assign_pointer(pointer: Pointer, value: int) -> Op:
    """Publish `value`: what it points to is visible before it is."""
    return Op("rcu_assign_pointer", (pointer, value))


def call_rcu(function: ProgramFunction, argument: int) -> Op:
    """Have the program `function(argument)` run once every section that is now open has ended."""
    return Op("call_rcu", (function, argument))


def synchronize_rcu() -> Op:
    """Block until every section that is now open has ended."""
    return Op("synchronize_rcu")


def rcu_barrier() -> Op:
    """Block until every callback queued so far has run. Implies no grace period where none is queued."""
    return Op("rcu_barrier")


def queue_work(function: ProgramFunction, argument: int) -> Op:
    """Have the program `function(argument)` run soon, by the coordinator, in process context."""
    return Op("queue_work", (function, argument))


def quiescent_state() -> Op:
    """Say that this CPU is in no read-side section now: what a context switch is to the kernel's RCU."""
    return Op("quiescent_state")


def preempt_disable() -> Op:
    """The task stays on this CPU until `preempt_enable`."""
    return Op("preempt_disable")


def preempt_enable() -> Op:
    """Undo one `preempt_disable`."""
    return Op("preempt_enable")


def local_irq_save() -> Op:
    """Keep interrupts off this CPU; whether they were off already, for `local_irq_restore`."""
    return Op("local_irq_save")


def local_irq_restore(flags: int) -> Op:
    """Put the interrupt state back."""
    return Op("local_irq_restore", (flags,))


# --- memory, waiting, the machine -----------------------------------------------------------------------------------


def alloc_percpu(size: int, align: int) -> Op:
    """Zeroed per-CPU memory of `size` bytes on every possible CPU; 0 if there is none."""
    return Op("alloc_percpu", (size, align))


def free_percpu(pointer: int) -> Op:
    """Give it back; NULL is allowed. A second time, or a wrong pointer, stops the machine with the reason."""
    return Op("free_percpu", (pointer,))


def kzalloc(size: int) -> Op:
    """A zeroed slab object of `size` bytes; 0 if there is none."""
    return Op("kzalloc", (size,))


def kfree(pointer: int) -> Op:
    """Give a slab object back; NULL is allowed."""
    return Op("kfree", (pointer,))


def wait_until(pointer: Pointer, value: int) -> Op:
    """Block (a quiescent state: not inside a read-side section) until the word is `value`."""
    return Op("wait_until", (pointer, value))


def cpu_relax() -> Op:
    """Inside a loop that polls: let others run. Not a quiescent state."""
    return Op("cpu_relax")


def smp_processor_id() -> Op:
    """The number of this CPU."""
    return Op("smp_processor_id")


def nr_cpu_ids() -> Op:
    """One more than the highest possible CPU."""
    return Op("nr_cpu_ids")


def nr_node_ids() -> Op:
    """One more than the highest NUMA node."""
    return Op("nr_node_ids")


def cpumask_next(cpu: int, mask: int) -> Op:
    """The first CPU of `mask` above `cpu`, `nr_cpu_ids` if there is none. Begin with -1."""
    return Op("cpumask_next", (cpu, mask))


# --- what is ours: the ledger and the trace -------------------------------------------------------------------------


def ledger_add(counter: int, delta: int) -> Op:
    """Note that this CPU is about to add `delta` to the counter whose atomic twin is at `counter`."""
    return Op("ledger_add", (counter, delta))


def ledger_commit() -> Op:
    """What was noted is done: enter it in this CPU's ledger."""
    return Op("ledger_commit")


def mark(name: str) -> Op:
    """A named point for the trace, counted per CPU in native runs."""
    return Op("mark", (name,))


def warn_on(condition: int) -> Op:
    """WARN_ON: a true condition fails the run, which names this line. Gives the condition back."""
    return Op("warn_on", (condition,))


NESTING: Final = {
    **dict.fromkeys(("rcu_read_lock", "preempt_disable", "local_irq_save"), 1),
    **dict.fromkeys(("rcu_read_unlock", "preempt_enable", "local_irq_restore"), -1),
}
"""By how much an operation changes the number of sections in which a task is not preempted."""
