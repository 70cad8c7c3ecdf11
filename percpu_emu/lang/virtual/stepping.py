"""One step: an operation of a context, and all it computes up to the next one."""

from __future__ import annotations

from percpu_emu.lang import instructions as i
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.accesses import access, begin_to_spin, begins_to_spin
from percpu_emu.lang.virtual.computing import compute
from percpu_emu.lang.virtual.harness import observe
from percpu_emu.lang.virtual.hotplug import change_cpu, take_down
from percpu_emu.lang.virtual.locks import note_lock
from percpu_emu.lang.virtual.memory import allocate, free
from percpu_emu.lang.virtual.outcomes import DONE, UNKNOWN
from percpu_emu.lang.virtual.rcu import begin_to_wait, queue
from percpu_emu.lang.virtual.rows import block_of, clear_log, code, operand
from percpu_emu.lang.virtual.sections import change_section
from percpu_emu.shm.compiling import Row, inlined, inner


@inner
def step(vm: Row, state: Row, context: int) -> int:
    """Do one operation of a context that is enabled, and all it computes up to the next one. DONE, or what is wrong."""
    if begins_to_spin(vm, state, context):
        return begin_to_spin(vm, state, context)
    base = block_of(vm, context)
    pc = state[base + v.PC]
    opcode, dst = code(vm, pc, i.OPCODE), code(vm, pc, i.DST)
    clear_log(vm)
    state[base + v.STATUS] = v.RUNNING
    if opcode == i.SYNCHRONIZE_RCU or opcode == i.RCU_BARRIER:
        if not state[base + v.WAIT] & v.REGISTERED:
            return begin_to_wait(vm, state, context, opcode)
        state[base + v.WAIT] = 0
        violated = DONE
    else:
        violated = _operate(vm, state, context, pc)
    if violated == DONE and vm[v.HELD_LOCKS]:
        violated = note_lock(vm, state, context, pc)
    if violated != DONE:
        return violated
    state[base + v.MID_TURN] = 1
    if dst >= 0:
        state[base + v.REGISTERS + dst] = vm[vm[v.LOG] + v.LOG_RESULT]
    state[base + v.PC] = pc + 1
    return compute(vm, state, context)


@inner
def may_fail(vm: Row, state: Row, context: int) -> bool:
    """Whether the next operation is an allocation that may give 0: of a size that there is."""
    pc = state[block_of(vm, context) + v.PC]
    opcode = code(vm, pc, i.OPCODE)
    if state[v.FAILURES] == 0 or (opcode != i.ALLOC_PERCPU and opcode != i.KZALLOC):
        return False
    return 1 <= operand(vm, state, block_of(vm, context), code(vm, pc, i.A)) <= v.MAX_BYTES


@inner
def step_fail(vm: Row, state: Row, context: int) -> int:
    """Have the allocation give 0 (`may_fail`), and compute up to the next operation."""
    base = block_of(vm, context)
    pc = state[base + v.PC]
    clear_log(vm)
    state[v.FAILURES] -= 1
    state[base + v.STATUS], state[base + v.MID_TURN] = v.RUNNING, 1
    if code(vm, pc, i.DST) >= 0:
        state[base + v.REGISTERS + code(vm, pc, i.DST)] = 0
    state[base + v.PC] = pc + 1
    return compute(vm, state, context)


@inlined
def _operate(vm: Row, state: Row, context: int, pc: int) -> int:
    """An operation that is done in one step; its result is left in the log."""
    opcode = code(vm, pc, i.OPCODE)
    a = operand(vm, state, block_of(vm, context), code(vm, pc, i.A))
    if opcode <= i.LAST_ACCESS:
        return access(vm, state, context, pc)
    if opcode <= i.LEDGER_COMMIT:
        return observe(vm, state, context, pc)
    if opcode <= i.LOCAL_IRQ_RESTORE:
        return change_section(vm, state, context, opcode, a)
    if opcode == i.CALL_RCU or opcode == i.QUEUE_WORK or opcode == i.IRQ_WORK:
        return queue(vm, state, context, pc)
    if opcode == i.ALLOC_PERCPU or opcode == i.KZALLOC:
        return allocate(vm, state, v.AREAS if opcode == i.ALLOC_PERCPU else v.OBJECTS, a)
    if opcode == i.FREE_PERCPU or opcode == i.KFREE:
        return free(vm, state, context, a, opcode == i.FREE_PERCPU)
    if opcode == i.CPU_DOWN or opcode == i.CPU_UP or opcode == i.MOVE_TO:
        return change_cpu(vm, state, context, opcode, a)
    if opcode != i.TAKE_DOWN:
        return UNKNOWN
    take_down(vm, state, vm[vm[v.TARGETS] + context])
    return DONE
