"""What a context is now: reader, interrupt, in a section; how it ends."""

from __future__ import annotations

from percpu_emu.lang import instructions as i
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.rows import block_of, clear, code, contexts_of
from percpu_emu.shm.compiling import Row, inner


@inner
def at_interrupt_level(vm: Row, state: Row, context: int) -> bool:
    """Whether it is an interrupt, or what is queued and runs on a CPU as one."""
    kind = vm[vm[v.KINDS] + context]
    return kind == v.INTERRUPT or (kind == v.CALLBACK and state[block_of(vm, context) + v.CPU] != 0)


@inner
def is_reader(vm: Row, state: Row, context: int) -> bool:
    """Whether a grace period that begins now waits for it."""
    base = block_of(vm, context)
    if state[base + v.STATUS] == v.RUNNING and at_interrupt_level(vm, state, context):
        return True
    return state[base + v.DEPTH] != 0


@inner
def irqs_are_off(state: Row, base: int) -> bool:
    """Whether interrupts are off for the context of that block: on its CPU, or its own flag where it has none."""
    cpu = state[base + v.CPU]
    return state[v.IRQS_OFF] >> (cpu - 1) & 1 != 0 if cpu > 0 else state[base + v.DEPTH] & v.IRQ != 0


@inner
def in_interrupt(vm: Row, state: Row, context: int) -> bool:
    """Whether it is an interrupt or an RCU callback, wherever that runs."""
    kind = vm[vm[v.KINDS] + context]
    return kind == v.INTERRUPT or (kind == v.CALLBACK and state[block_of(vm, context) + v.WORK] != v.AS_WORK)


@inner
def may_not_sleep(vm: Row, state: Row, context: int) -> bool:
    """Whether it is in a section, an interrupt, or an RCU callback. Queued work may sleep."""
    return state[block_of(vm, context) + v.DEPTH] != 0 or in_interrupt(vm, state, context)


@inner
def in_barrier(vm: Row, state: Row, base: int) -> bool:
    """Whether a context that waits does so in rcu_barrier: for callbacks to end, not for readers."""
    return state[base + v.STATUS] == v.RUNNING and code(vm, state[base + v.PC], i.OPCODE) == i.RCU_BARRIER


@inner
def no_reader_any_more(vm: Row, state: Row, context: int) -> None:
    """End the waits for this context."""
    for other in range(contexts_of(vm)):
        base = block_of(vm, other)
        if state[base + v.WAIT] and not in_barrier(vm, state, base):
            state[base + v.WAIT] &= ~(1 << context)
    state[block_of(vm, context) + v.HELD] = 0


@inner
def first_held(vm: Row, context: int) -> int:
    """Where the locks stand that a context holds: behind its registers, 0 after the last."""
    return block_of(vm, context) + v.REGISTERS + vm[vm[v.REGISTER_COUNTS] + context]


@inner
def end_context(vm: Row, state: Row, context: int) -> None:
    """Its program is over. A callback is free then, unless what it noted is in doubt: then it is never used again."""
    base = block_of(vm, context)
    if at_interrupt_level(vm, state, context):
        no_reader_any_more(vm, state, context)
    state[base + v.STATUS] = v.OVER
    state[base + v.MID_TURN] = state[base + v.LOADED] = 0
    clear(state, first_held(vm, context), first_held(vm, context) + vm[v.HELD_LOCKS])
    if vm[vm[v.KINDS] + context] == v.CALLBACK:
        clear(state, base + v.REGISTERS, base + v.REGISTERS + vm[vm[v.REGISTER_COUNTS] + context])
        clear(state, base + v.PC, base + v.NOTED)
        state[base + v.WORK] = 0
        if state[base + v.NOTED] == 0:
            state[base + v.STATUS] = v.UNUSED
        for other in range(contexts_of(vm)):
            waiting = block_of(vm, other)
            if state[waiting + v.WAIT] and in_barrier(vm, state, waiting):
                state[waiting + v.WAIT] &= ~(1 << context)


@inner
def must_finish(vm: Row, state: Row, context: int) -> bool:
    """Whether a context still has to run before the end: interrupts may never come."""
    status = state[block_of(vm, context) + v.STATUS]
    return status == v.RUNNING or (status == v.WAITING and vm[vm[v.KINDS] + context] != v.INTERRUPT)


@inner
def forget_dead_registers(vm: Row, state: Row) -> None:
    """Values that no operation reads again become 0, so that states which differ in nothing else are one state."""
    for context in range(contexts_of(vm)):
        base = block_of(vm, context)
        status = state[base + v.STATUS]
        live = vm[vm[v.LIVE_MASKS] + state[base + v.PC]] if status in (v.WAITING, v.RUNNING) else 0
        for register in range(vm[vm[v.REGISTER_COUNTS] + context]):
            if not live >> register & 1:
                state[base + v.REGISTERS + register] = 0
        if status == v.OVER:
            state[base + v.PC] = 0
