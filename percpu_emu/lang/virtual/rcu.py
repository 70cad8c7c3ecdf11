"""RCU: what a grace period waits for, the wait for one, and callbacks behind one; queued work and interrupts."""

from __future__ import annotations

from percpu_emu.lang import instructions as i
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.computing import compute
from percpu_emu.lang.virtual.contexts import in_interrupt, is_reader
from percpu_emu.lang.virtual.outcomes import DONE, FAULT, NO_CALLBACK, SLEEPS
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
        if state[base + v.STATUS] in (v.WAITING, v.RUNNING) and state[base + v.WORK] == v.AS_CALLBACK:
            mask |= 1 << callback
    return mask


@inner
def _sent_before(vm: Row, state: Row, cpu: int) -> int:
    """The interrupts that were sent to a CPU (plus 1) and have not ended: a later one waits for them."""
    mask = 0
    for callback in range(vm[v.CONTEXTS], contexts_of(vm)):
        base = block_of(vm, callback)
        if state[base + v.WORK] == v.AS_INTERRUPT and state[base + v.CPU] == cpu:
            mask |= 1 << callback
    return mask


@inner
def queue(vm: Row, state: Row, context: int, pc: int) -> int:
    """CALL_RCU, QUEUE_WORK or IRQ_WORK: a program in a callback, with its CPU and the contexts that it waits for."""
    mine, opcode = block_of(vm, context), code(vm, pc, i.OPCODE)
    if opcode == i.CALL_RCU:
        return _put(vm, state, mine, pc, v.AS_CALLBACK, state[mine + v.CPU], _readers(vm, state))
    if opcode == i.QUEUE_WORK:
        return _put(vm, state, mine, pc, v.AS_WORK, 0, 0)
    cpu = operand(vm, state, mine, code(vm, pc, i.C))
    if cpu < 0 or cpu >= vm[v.CPUS]:
        return FAULT
    if not state[v.ONLINE] >> cpu & 1:
        return DONE
    vm[vm[v.LOG] + v.LOG_RESULT] = 1
    return _put(vm, state, mine, pc, v.AS_INTERRUPT, cpu + 1, _sent_before(vm, state, cpu + 1))


@inner
def _put(vm: Row, state: Row, mine: int, pc: int, how: int, cpu: int, wait: int) -> int:
    """Put a program in the first callback that is free. `mine`: the block of who queues it."""
    for callback in range(vm[v.CONTEXTS], contexts_of(vm)):
        base = block_of(vm, callback)
        if state[base + v.STATUS] == v.UNUSED:
            state[base + v.PC] = vm[vm[v.ENTRIES] + operand(vm, state, mine, code(vm, pc, i.A))]
            state[base + v.CPU] = cpu
            state[base + v.WAIT] = wait
            state[base + v.REGISTERS] = operand(vm, state, mine, code(vm, pc, i.B))
            state[base + v.STATUS] = v.WAITING
            state[base + v.WORK] = how
            vm[vm[v.LOG] + v.LOG_QUEUED] = callback
            vm[vm[v.LOG] + v.LOG_WAIT] = wait if how == v.AS_CALLBACK else 0
            ended = vm[vm[v.LOG] + v.LOG_ENDED]
            violated = compute(vm, state, callback)
            vm[vm[v.LOG] + v.LOG_ENDED] = ended
            return violated
    return NO_CALLBACK
