"""Why a context cannot take a step: the one rule, which search, report and replay ask."""

from __future__ import annotations

from typing import Final

from percpu_emu.lang import instructions as i
from percpu_emu.lang.setting import UNIT_SHIFT
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.contexts import at_interrupt_level, may_not_sleep
from percpu_emu.lang.virtual.hotplug import is_to_go
from percpu_emu.lang.virtual.memory import check_access, load
from percpu_emu.lang.virtual.outcomes import DONE
from percpu_emu.lang.virtual.rows import block_of, code, contexts_of, operand
from percpu_emu.shm.compiling import Row, inner

NOT_BLOCKED: Final = 0
IS_OVER: Final = 1
GRACE_PERIOD: Final = 2
CALLBACKS: Final = 3  # of rcu_barrier
INTERRUPTS_OFF: Final = 4
INTERRUPT_RUNS: Final = 5
PREEMPTION_OFF: Final = 6
HALF_DONE: Final = 7  # another context of the CPU is inside one instruction
WORD: Final = 8
MID_TURN_THERE: Final = 9  # of an offline
EARLIER_INTERRUPT: Final = 10  # sent to the CPU before
BUSY_THERE: Final = 11  # of a takedown_cpu: a section, an interrupt
OFF_LINE: Final = 12  # its CPU is


@inner
def _blocked_by(vm: Row, reason: int, contexts: int) -> int:
    """Leave in the log which contexts it is; the reason."""
    vm[vm[v.LOG] + v.LOG_BLOCKERS] = contexts
    return reason


@inner
def _blocked_on_cpu(vm: Row, state: Row, context: int, cpu: int) -> int:
    """What else is on its CPU keeps a context from going on. `cpu` is the CPU plus 1."""
    if not state[v.ONLINE] >> (cpu - 1) & 1:
        return _blocked_by(vm, OFF_LINE, 0)
    level = at_interrupt_level(vm, state, context)
    starting = level and state[block_of(vm, context) + v.STATUS] == v.WAITING
    if starting and state[v.IRQS_OFF] >> (cpu - 1) & 1:
        return _blocked_by(vm, INTERRUPTS_OFF, 0)
    for other in range(contexts_of(vm)):
        base = block_of(vm, other)
        if other == context or state[base + v.CPU] != cpu or state[base + v.STATUS] != v.RUNNING:
            continue
        if at_interrupt_level(vm, state, other):
            if starting or not level:
                return _blocked_by(vm, INTERRUPT_RUNS, 1 << other)
        elif not level and state[base + v.DEPTH] != 0:
            return _blocked_by(vm, PREEMPTION_OFF, 1 << other)
        if state[base + v.MID_TURN] == v.HALFWAY and (starting or not level):
            return _blocked_by(vm, HALF_DONE, 1 << other)
    return NOT_BLOCKED


@inner
def blocked_on_word(vm: Row, state: Row, base: int, pc: int) -> int:
    """Whether the word that a context waits for has another value: WORD."""
    address = operand(vm, state, base, code(vm, pc, i.A))
    if address >> UNIT_SHIFT != 0 and not code(vm, pc, i.OWN) & i.PER_CPU:
        return NOT_BLOCKED  # it will be caught
    if check_access(vm, state, address) != DONE:
        return NOT_BLOCKED
    equal = load(vm, state, address) == operand(vm, state, base, code(vm, pc, i.B))
    return NOT_BLOCKED if equal else _blocked_by(vm, WORD, 0)


@inner
def _blocked_by_turns(vm: Row, state: Row, context: int) -> int:
    """An offline waits for the turns of its CPU; an interrupt is one turn, and one that was sent has to come."""
    inside = 0
    for other in range(contexts_of(vm)):
        block = block_of(vm, other)
        there = state[block + v.CPU] == vm[vm[v.TARGETS] + context] + 1
        sent = state[block + v.STATUS] == v.WAITING and state[block + v.WORK] == v.AS_INTERRUPT
        if there and (sent or (state[block + v.STATUS] == v.RUNNING and state[block + v.MID_TURN])):
            inside |= 1 << other
    return _blocked_by(vm, MID_TURN_THERE, inside) if inside else NOT_BLOCKED


@inner
def _blocked_by_busy(vm: Row, state: Row, cpu: int) -> int:
    """A CPU is stopped where no context is in a section, an interrupt or one instruction, and no interrupt was sent."""
    if not is_to_go(vm, state, cpu):
        return NOT_BLOCKED
    busy = 0
    for other in range(contexts_of(vm)):
        block = block_of(vm, other)
        inside = state[block + v.DEPTH] != 0 or state[block + v.MID_TURN] == v.HALFWAY
        inside = inside or at_interrupt_level(vm, state, other)
        sent = state[block + v.STATUS] == v.WAITING and state[block + v.WORK] == v.AS_INTERRUPT
        if state[block + v.CPU] == cpu + 1 and (sent or (state[block + v.STATUS] == v.RUNNING and inside)):
            busy |= 1 << other
    return _blocked_by(vm, BUSY_THERE, busy) if busy else NOT_BLOCKED


@inner
def blocked(vm: Row, state: Row, context: int) -> int:
    """Why a context cannot take a step now, NOT_BLOCKED where it can. LOG_BLOCKERS holds the contexts that block it."""
    base = block_of(vm, context)
    status = state[base + v.STATUS]
    if status == v.UNUSED or status == v.OVER:
        return _blocked_by(vm, IS_OVER, 0)
    if status == v.WAITING and state[base + v.WAIT] != 0:
        sent = state[base + v.WORK] == v.AS_INTERRUPT
        return _blocked_by(vm, EARLIER_INTERRUPT if sent else GRACE_PERIOD, state[base + v.WAIT])
    cpu = state[base + v.CPU]
    if cpu > 0:
        reason = _blocked_on_cpu(vm, state, context, cpu)
        if reason != NOT_BLOCKED:
            return reason
    pc = state[base + v.PC]
    opcode = code(vm, pc, i.OPCODE)
    if opcode == i.SPIN_UNTIL and status == v.WAITING and at_interrupt_level(vm, state, context):
        return NOT_BLOCKED  # an interrupt comes, and spins then
    if opcode == i.SPIN_UNTIL or (opcode == i.WAIT_UNTIL and not may_not_sleep(vm, state, context)):
        return blocked_on_word(vm, state, base, pc)
    if opcode == i.SYNCHRONIZE_RCU or opcode == i.RCU_BARRIER:
        waits = state[base + v.WAIT] & ~v.REGISTERED
        if waits:
            return _blocked_by(vm, GRACE_PERIOD if opcode == i.SYNCHRONIZE_RCU else CALLBACKS, waits)
    if opcode == i.TAKE_DOWN and vm[vm[v.KINDS] + context] == v.OFFLINE:
        return _blocked_by_turns(vm, state, context)
    if opcode == i.CPU_DOWN and not may_not_sleep(vm, state, context):
        return _blocked_by_busy(vm, state, operand(vm, state, base, code(vm, pc, i.A)))
    return NOT_BLOCKED


@inner
def is_enabled(vm: Row, state: Row, context: int) -> bool:
    """Whether a context can take a step now."""
    return blocked(vm, state, context) == NOT_BLOCKED
