"""RCU: what a grace period waits for, the wait for one, and callbacks behind one; queued work."""

from __future__ import annotations

from percpu_emu.lang import instructions as i
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.computing import compute
from percpu_emu.lang.virtual.contexts import in_interrupt, is_reader
from percpu_emu.lang.virtual.outcomes import DONE, NO_CALLBACK, SLEEPS
from percpu_emu.lang.virtual.rows import block_of, code, contexts_of, operand
from percpu_emu.shm.compiling import Row, inner


@inner
def begin_to_wait(vm: Row, state: Row, context: int, opcode: int) -> int:
    """Note what a synchronize_rcu or rcu_barrier waits for; its next step is the end of the wait."""
    base = block_of(vm, context)
    if in_interrupt(vm, state, context) or (opcode == i.RCU_BARRIER and state[base + v.DEPTH] != 0):
        return SLEEPS  # a task's synchronize_rcu in its own section waits for ever instead
    wait = _readers(vm, state) if opcode == i.SYNCHRONIZE_RCU else _callbacks(vm, state)
    state[base + v.WAIT] = wait | v.REGISTERED
    state[base + v.MID_TURN] = 1
    vm[vm[v.LOG] + v.LOG_WAIT] = wait
    return DONE


@inner
def _readers(vm: Row, state: Row) -> int:
    mask = 0
    for context in range(contexts_of(vm)):
        if state[block_of(vm, context) + v.STATUS] >= v.RUNNING and is_reader(vm, state, context):
            mask |= 1 << context
    return mask


@inner
def _callbacks(vm: Row, state: Row) -> int:
    mask = 0
    for callback in range(vm[v.CONTEXTS], contexts_of(vm)):
        base = block_of(vm, callback)
        if state[base + v.STATUS] != v.UNUSED and state[base + v.WORK] == 0:
            mask |= 1 << callback
    return mask


@inner
def queue(vm: Row, state: Row, context: int, pc: int) -> int:
    """CALL_RCU or QUEUE_WORK: a program in the first callback that is free, and which contexts it waits for."""
    mine = block_of(vm, context)
    work = 1 if code(vm, pc, i.OPCODE) == i.QUEUE_WORK else 0
    wait = 0 if work else _readers(vm, state)
    for callback in range(vm[v.CONTEXTS], contexts_of(vm)):
        base = block_of(vm, callback)
        if state[base + v.STATUS] == v.UNUSED:
            state[base + v.PC] = vm[vm[v.ENTRIES] + operand(vm, state, mine, code(vm, pc, i.A))]
            state[base + v.CPU] = 0 if work else state[mine + v.CPU]
            state[base + v.WAIT] = wait
            state[base + v.REGISTERS] = operand(vm, state, mine, code(vm, pc, i.B))
            state[base + v.STATUS] = v.WAITING
            state[base + v.WORK] = work
            vm[vm[v.LOG] + v.LOG_QUEUED], vm[vm[v.LOG] + v.LOG_WAIT] = callback, wait
            ended = vm[vm[v.LOG] + v.LOG_ENDED]
            violated = compute(vm, state, callback)
            vm[vm[v.LOG] + v.LOG_ENDED] = ended
            return violated
    return NO_CALLBACK
