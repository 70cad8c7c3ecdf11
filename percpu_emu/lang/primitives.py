"""What each operation does on the machine: one compiled function a name of `lang.ops`.

Operations that only touch a word are made from the table (`lang.operation`); the others are written out here.
The native engine inlines them into programs, the reference engine calls them one at a time. Each takes the
`Context` of who executes it, then the operation's arguments as words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from numba import njit

from percpu_emu.lang import context as c
from percpu_emu.lang import instructions as i
from percpu_emu.lang import ops as _table  # noqa: F401 - fills OPERATIONS
from percpu_emu.lang.arithmetic import absolute, add, floor_div, floor_mod, mul, neg, sub, turns
from percpu_emu.lang.context import Context
from percpu_emu.lang.operation import OPERATIONS, Operation, Order
from percpu_emu.lang.service import ProgramFault, Stopped, at, call, in_block, in_header, own, service, stops
from percpu_emu.lang.tokens import (
    FREE,
    drop,
    hand_over,
    has_tokens,
    holds_token,
    idle_enter,
    idle_exit,
    sleep_begins,
    sleep_ends,
    try_to_take,
    waits_for,
)
from percpu_emu.shm import atomics, syscalls

__all__ = [
    "ProgramFault", "Stopped", "absolute", "add", "floor_div", "floor_mod", "idle_enter", "idle_exit", "mul", "neg",
    "sub", "turns",
]  # fmt: skip
"""For rewritten programs, and for whoever runs them."""


@njit
def per_cpu(ctx: Context, pointer: int, cpu: int) -> int:
    """The address of another CPU's copy, as a pointer for the operations on words."""
    unit_offset = atomics.read_once(in_header(ctx, c.UNIT_OFFSETS + cpu))
    return (ctx.percpu - ctx.memory) // 8 + pointer + unit_offset


# --- words: made from the table


def _word_primitive(operation: Operation, instruction: Any) -> Any:
    """The compiled function of an operation that does nothing but touch a word: the instruction, at the address."""
    place = own if operation.own else at
    if operation.opcode == i.CMPXCHG:

        @njit
        def exchange_if(ctx: Context, pointer: int, old: int, new: int) -> int:
            return instruction(place(ctx, pointer), old, new)

        return exchange_if
    if operation.opcode == i.READ:

        @njit
        def read(ctx: Context, pointer: int) -> int:
            return instruction(place(ctx, pointer))

        return read
    return _with_operand(operation, place, instruction)


def _with_operand(operation: Operation, place: Any, instruction: Any) -> Any:
    """The same for an effect with an operand, which the operation may have in place of an argument."""
    change = _giving(operation.opcode, place, instruction)
    if operation.operand == "given":
        return change
    if operation.operand == "negated":
        return njit(lambda ctx, pointer, value: change(ctx, pointer, neg(value)))
    fixed = operation.operand
    return njit(lambda ctx, pointer: change(ctx, pointer, fixed))


def _giving(opcode: int, place: Any, instruction: Any) -> Any:
    """The instruction, with what the effect gives: the old value, the new one, or 0."""
    if opcode in (i.FETCH_ADD, i.XCHG):
        return njit(lambda ctx, pointer, value: instruction(place(ctx, pointer), value))
    if opcode == i.ADD_RETURN:
        return njit(lambda ctx, pointer, value: add(instruction(place(ctx, pointer), value), value))

    @njit
    def change(ctx: Context, pointer: int, value: int) -> int:
        instruction(place(ctx, pointer), value)
        return 0

    return change


def _barrier_primitive(order: Order) -> Any:
    barrier = atomics.fence_in(order)

    @njit
    def pass_barrier(ctx: Context) -> int:
        barrier()
        return 0

    return pass_barrier


_SHARED: Final = {
    i.READ: atomics.load_in,
    i.WRITE: atomics.store_in,
    i.ADD_TO: atomics.add_in,
    i.ADD_RETURN: atomics.fetch_add_in,
    i.FETCH_ADD: atomics.fetch_add_in,
    i.XCHG: atomics.exchange_in,
    i.CMPXCHG: atomics.compare_exchange_in,
}
"""The instruction for an effect on a word that others see, by the order."""
_OWN: Final = {
    i.READ: atomics.local_read,
    i.WRITE: atomics.local_write,
    i.ADD_TO: atomics.local_add,
    i.ADD_RETURN: atomics.local_fetch_add,
    i.FETCH_ADD: atomics.local_fetch_add,
    i.XCHG: atomics.local_exchange,
    i.CMPXCHG: atomics.local_cmpxchg,
    i.AND_WITH: atomics.local_and,
    i.OR_WITH: atomics.local_or,
}
"""The instruction for an effect on the own copy, not LOCKed."""


def _derived(operation: Operation) -> Any:
    """The primitive that follows from an operation's definition; None where one is written by hand below."""
    if operation.opcode == i.NOTHING and operation.order != "none":
        return _barrier_primitive(operation.order)
    table: Mapping[int, Any] = _OWN if operation.own else _SHARED
    if operation.opcode not in table:
        return None
    instruction = table[operation.opcode]
    return _word_primitive(operation, instruction if operation.own else instruction(operation.order))


globals().update({name: made for name, operation in OPERATIONS.items() if (made := _derived(operation)) is not None})


# --- RCU: quiescent-state based, so a reader costs nothing

LOOKS_AN_INTERRUPT: Final = 16
"""Looks of a context that waits between two times at which an interrupt may come."""


@njit
def rcu_read_lock(ctx: Context) -> int:
    return 0


rcu_read_unlock = rcu_read_lock
preempt_disable = rcu_read_lock  # a CPU process runs one task: nothing preempts it in favour of another
preempt_enable = rcu_read_lock


@njit
def quiescent_state(ctx: Context) -> int:
    """Report to a grace period that has begun since the last time, and let another process have the processor."""
    sequence = atomics.load_acquire(in_header(ctx, c.GP_SEQ))
    if atomics.unlikely(sequence != atomics.read_once(in_block(ctx, c.QUIESCENT))):
        atomics.fence()
        atomics.write_once(in_block(ctx, c.QUIESCENT), sequence)
        atomics.fence()
        syscalls.sched_yield()
    return 0


@njit
def ring_doorbell(ctx: Context) -> int:
    """Have the coordinator look round."""
    atomics.fetch_add(in_header(ctx, c.DOORBELL), 1)
    syscalls.futex_wake(in_header(ctx, c.DOORBELL))
    return 0


@njit
def _blocking_service(ctx: Context, code: int, what: int) -> int:
    sleep_begins(ctx)
    waits_for(ctx, what)
    answer = service(ctx, code, 0, 0)
    waits_for(ctx, 0)
    sleep_ends(ctx)
    return answer


@njit
def _enqueue(ctx: Context, what: int, argument: int) -> int:
    tail = atomics.read_once(in_block(ctx, c.RING_TAIL))
    if tail - atomics.load_acquire(in_block(ctx, c.RING_HEAD)) == c.RING_ENTRIES:
        service(ctx, c.DRAIN_RING, 0, 0)
    entry = in_block(ctx, c.RING + (tail % c.RING_ENTRIES) * 2)
    atomics.write_once(entry, what)
    atomics.write_once(entry + 8, argument)
    atomics.store_release(in_block(ctx, c.RING_TAIL), tail + 1)
    ring_doorbell(ctx)
    return 0


@njit
def call_rcu(ctx: Context, program: int, argument: int) -> int:
    return _enqueue(ctx, program * 2 + c.CALLBACK, argument)


@njit
def queue_work(ctx: Context, program: int, argument: int) -> int:
    return _enqueue(ctx, program * 2 + c.WORK, argument)


@njit
def synchronize_rcu(ctx: Context) -> int:
    return _blocking_service(ctx, c.SYNCHRONIZE_RCU, c.FOR_READERS)


@njit
def rcu_barrier(ctx: Context) -> int:
    return _blocking_service(ctx, c.RCU_BARRIER, c.FOR_CALLBACKS)


@njit
def local_irq_save(ctx: Context) -> int:
    flags = atomics.local_read(in_block(ctx, c.IRQS_OFF))
    atomics.local_write(in_block(ctx, c.IRQS_OFF), 1)
    return flags


# --- memory, waiting, the machine


@njit
def alloc_percpu(ctx: Context, size: int, align: int) -> int:
    return service(ctx, c.ALLOC_PERCPU, size, align)


@njit
def free_percpu(ctx: Context, pointer: int) -> int:
    return service(ctx, c.FREE_PERCPU, pointer, 0)


@njit
def kzalloc(ctx: Context, size: int) -> int:
    return service(ctx, c.KZALLOC, size, 0)


@njit
def kfree(ctx: Context, pointer: int) -> int:
    return service(ctx, c.KFREE, pointer, 0)


@njit
def _awaits(ctx: Context, what: int, pointer: int, value: int) -> int:
    """Note which word the context waits for, and the value."""
    atomics.write_once(in_block(ctx, c.WAITS_FOR), pointer)
    atomics.write_once(in_block(ctx, c.WAITS_VALUE), value)
    return waits_for(ctx, what)


@njit
def wait_until(ctx: Context, pointer: int, value: int) -> int:
    """Sleep between looks, longer and longer up to a millisecond; the machine's end is noticed."""
    sleep_begins(ctx)
    if atomics.load_acquire(at(ctx, pointer)) != value:
        _awaits(ctx, c.FOR_SLEEP, pointer, value)
        microseconds = 20
        while atomics.load_acquire(at(ctx, pointer)) != value:
            _look_round(ctx, microseconds)
            microseconds = min(microseconds * 2, 1000)
        waits_for(ctx, 0)
    sleep_ends(ctx)
    return 0


@njit
def smp_cond_load_acquire(ctx: Context, pointer: int, value: int) -> int:
    """Look again and again, giving the processor away between looks; the machine's end is noticed."""
    if atomics.load_acquire(at(ctx, pointer)) != value:
        _awaits(ctx, c.FOR_SPIN, pointer, value)
        while atomics.load_acquire(at(ctx, pointer)) != value:
            cpu_relax(ctx)
        waits_for(ctx, 0)
    return value


@njit
def cpu_relax(ctx: Context) -> int:
    _look_round(ctx, 0)
    if has_tokens(ctx) and not in_section(ctx):
        quiescent_state(ctx)
        if holds_token(ctx):
            hand_over(ctx)
    return 0


@njit
def _look_round(ctx: Context, microseconds: int) -> int:
    """Once in a loop that waits or spins: what else has to be done is done, then the processor is given away."""
    if stops(ctx):
        raise Stopped
    service(ctx, c.LOOK, microseconds, 0)
    if has_tokens(ctx):
        looks = atomics.read_once(in_block(ctx, c.LOOKS)) + 1
        atomics.write_once(in_block(ctx, c.LOOKS), looks)
        if looks % LOOKS_AN_INTERRUPT == 0:
            _let_interrupts_come(ctx, microseconds > 0)
    return 0


@njit
def _let_interrupts_come(ctx: Context, asleep: bool) -> int:
    """What a task waits for may be an interrupt of its own CPU: those that have not come yet come now."""
    interrupts = atomics.read_once(in_block(ctx, c.INTERRUPT))
    if atomics.read_once(in_block(ctx, c.IRQ_HANDLER)) == 0 or not holds_token(ctx):
        return 0
    if atomics.read_once(interrupts + 8 * c.CPU) != smp_processor_id(ctx):
        return 0
    if not asleep:
        return arrived(ctx.block)
    if try_to_take(ctx) == FREE:
        arrived(ctx.block)
        drop(ctx, smp_processor_id(ctx))
    return 0


@njit
def in_section(ctx: Context) -> bool:
    """Whether an instrumented program is inside of a section of its own, of whichever kind."""
    inside = atomics.read_once(in_block(ctx, c.RCU_DEPTH)) | atomics.read_once(in_block(ctx, c.PREEMPT_DEPTH))
    return (inside | atomics.local_read(in_block(ctx, c.IRQS_OFF))) != 0


@njit
def smp_processor_id(ctx: Context) -> int:
    return atomics.read_once(in_block(ctx, c.CPU))


@njit
def nr_cpu_ids(ctx: Context) -> int:
    return atomics.read_once(in_header(ctx, c.NR_CPU_IDS))


@njit
def nr_node_ids(ctx: Context) -> int:
    return atomics.read_once(in_header(ctx, c.NR_NODE_IDS))


@njit
def cpumask_next(ctx: Context, cpu: int, mask: int) -> int:
    limit = nr_cpu_ids(ctx)
    cpu += 1
    while cpu < limit:
        word = atomics.read_once(at(ctx, mask + cpu // 64)) >> (cpu % 64)
        if word & 1:
            return cpu
        cpu = cpu + 1 if word != 0 else (cpu // 64 + 1) * 64
    return limit


# --- what is ours


@njit
def ledger_add(ctx: Context, counter: int, delta: int) -> int:
    noted = atomics.read_once(in_block(ctx, c.NOTED))
    if noted == c.MAX_NOTES:
        raise ProgramFault
    atomics.write_once(in_block(ctx, c.NOTES + noted * 2), counter)
    atomics.write_once(in_block(ctx, c.NOTES + noted * 2 + 1), delta)
    atomics.store_release(in_block(ctx, c.NOTED), noted + 1)
    return 0


@njit
def _ledger_entry(ctx: Context, counter: int) -> int:
    """Page by page of the kernel's memory, the ledgers of all CPUs lie side by side: a reader finds those in use."""
    stride = atomics.read_once(in_header(ctx, c.LEDGER_STRIDE))
    return ctx.ledger + (counter >> 9) * stride + (counter & 511) * 8


@njit
def ledger_commit(ctx: Context) -> int:
    for note in range(atomics.read_once(in_block(ctx, c.NOTED))):
        counter = atomics.read_once(in_block(ctx, c.NOTES + note * 2))
        delta = atomics.read_once(in_block(ctx, c.NOTES + note * 2 + 1))
        atomics.local_add(_ledger_entry(ctx, counter), delta)
    atomics.store_release(in_block(ctx, c.NOTED), 0)
    atomics.local_add(in_block(ctx, c.UPDATES), 1)
    return 0


@njit
def mark(ctx: Context, number: int) -> int:
    atomics.local_add(in_block(ctx, c.MARKS + number), 1)
    return 0


@njit
def warn_on(ctx: Context, condition: int, site: int) -> int:
    if condition:
        atomics.local_add(in_block(ctx, c.WARNINGS), 1)
        atomics.write_once(in_block(ctx, c.WARN_SITE), site)
    return condition


# --- instrumented programs (`lang.image`): `reach` stands before every operation


@njit
def reach(ctx: Context, site: int, effect: int) -> Context:
    """Note where this context is, and have happen what is to happen here; the operation's context, on its CPU by then.

    `effect`: what the operation does to sections (`lang.sections`). A call of `lang.reaching` through its address:
    compiled into every operation it would make programs compile three times as long.
    """
    call(atomics.read_once(in_block(ctx, c.REACH)), ctx.block, site, effect, 0)
    unit = atomics.read_once(in_block(ctx, c.UNIT))
    return Context(ctx.memory, ctx.percpu, unit, ctx.block, ctx.ledger, ctx.header)


# --- interrupts (`machine.interrupts`)


@njit
def context_of(block: int) -> Context:
    """The context that a control block belongs to."""
    at = block + c.OWN * 8
    return Context(
        atomics.read_once(at),
        atomics.read_once(at + 8),
        atomics.read_once(block + c.UNIT * 8),
        atomics.read_once(at + 24),
        atomics.read_once(at + 32),
        atomics.read_once(at + 40),
    )


@njit
def irq_enter(ctx: Context, block: int) -> int:
    """An interrupt begins: others wait, and a CPU that was idle is no longer. Whether it was."""
    atomics.local_write(block + c.IRQS_OFF * 8, 1)
    atomics.write_once(block + c.IN_INTERRUPT * 8, 1)
    atomics.local_add(block + c.IRQS * 8, 1)
    if atomics.read_once(block + c.NOTED * 8) > 0:
        atomics.local_add(block + c.IRQS_INSIDE * 8, 1)
    if atomics.read_once(block + c.QUIESCENT * 8) != 0:
        return 0
    atomics.write_once(block + c.QUIESCENT * 8, atomics.load_acquire(in_header(ctx, c.GP_SEQ)))
    atomics.fence()
    return 1


@njit
def irq_exit(block: int, was_idle: int) -> int:
    """It ends."""
    if was_idle:
        atomics.fence()
        atomics.store_release(block + c.QUIESCENT * 8, 0)
    atomics.write_once(block + c.IN_INTERRUPT * 8, 0)
    atomics.local_write(block + c.IRQS_OFF * 8, 0)
    return 0


@njit
def next_turn(ctx: Context) -> int:
    """Count a turn of an interrupt's program; its number."""
    turn = atomics.read_once(in_block(ctx, c.TURN))
    atomics.write_once(in_block(ctx, c.TURN), turn + 1)
    return turn


@njit
def interrupt_block(block: int) -> int:
    """The control block of a CPU's interrupts."""
    return atomics.read_once(block + c.INTERRUPT * 8)


@njit
def interrupt_table(block: int) -> int:
    """The table of cgroups that interrupts update."""
    return atomics.read_once(block + c.IRQ_TABLE * 8)


@njit
def arrived(block: int) -> int:
    """An interrupt has come: run its program now, or when interrupts are on."""
    if atomics.local_read(block + c.IRQS_OFF * 8) != 0:
        atomics.local_add(block + c.IRQ_PENDING * 8, 1)
        atomics.local_add(block + c.IRQS_DEFERRED * 8, 1)
    else:
        call(atomics.read_once(block + c.IRQ_HANDLER * 8), block, 0, 0, 0)
    return 0


@njit
def _late_interrupts(ctx: Context) -> int:
    """Run what has come while interrupts were off, once, however many there were: a line is up or it is not."""
    while atomics.local_exchange(in_block(ctx, c.IRQ_PENDING), 0) != 0:
        call(atomics.read_once(in_block(ctx, c.IRQ_HANDLER)), ctx.block, 0, 0, 0)
    return 0


@njit
def local_irq_restore(ctx: Context, flags: int) -> int:
    atomics.local_write(in_block(ctx, c.IRQS_OFF), flags)
    if atomics.unlikely(atomics.local_read(in_block(ctx, c.IRQ_PENDING)) != 0) and flags == 0:
        _late_interrupts(ctx)
    return 0


# --- the loop of a worker (`lang.image`)


@njit
def commanded(ctx: Context) -> int:
    """The number of the command that stands in this CPU's block."""
    return atomics.load_acquire(in_block(ctx, c.COMMAND))


@njit
def give_way(ctx: Context) -> int:
    """Every so many turns: while a grace period is in progress, make room for the CPUs that it still waits for.

    It does what need_resched does for a kernel's force-quiescent-state. With 8 CPU processes on 2 processors the median
    grace period took 14 ms without it, as long as the operating system lets a busy process run. Giving way at every
    turn would have CPUs preempted between updates, never inside one, and that is where the races are.
    """
    sequence = atomics.read_once(in_header(ctx, c.GP_SEQ))
    if sequence != atomics.read_once(in_header(ctx, c.GP_DONE)):
        syscalls.sched_yield()
    return 0


@njit
def nth_of_table(ctx: Context, table: int, turn: int) -> int:
    """An entry of a table of pointers (its size stands first), another one every 64 turns, NULL while it is empty.

    A CPU stays with a cgroup for a while, as its tasks do; with another one each turn, every CPU had a page of ledger
    for each of 5000 cgroups, and 256 of them ran out of 24 GB.
    """
    size = atomics.read_once(at(ctx, table))
    return atomics.load_acquire(at(ctx, table + 1 + (turn // 64 + smp_processor_id(ctx)) % size))


if missing := OPERATIONS.keys() - globals().keys():
    raise NotImplementedError(f"no primitive for {', '.join(sorted(missing))}")
