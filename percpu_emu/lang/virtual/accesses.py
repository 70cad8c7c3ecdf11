"""Operations on a word: which word it is, how it is touched, in one step or as a load and a store."""

from __future__ import annotations

import numpy as np

from percpu_emu.lang import instructions as i
from percpu_emu.lang.effects import new_value, result_of
from percpu_emu.lang.setting import UNIT_SHIFT
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.blocking import NOT_BLOCKED, blocked_on_word
from percpu_emu.lang.virtual.contexts import at_interrupt_level, is_reader, may_not_sleep
from percpu_emu.lang.virtual.memory import check_access, find_word, load, make_word, region_pointed_to
from percpu_emu.lang.virtual.outcomes import DONE, MANY_REGIONS, NO_WORD, OFF_CPU, REMOTE_WRITE, SLEEPS
from percpu_emu.lang.virtual.rows import block_of, clear_log, code, operand
from percpu_emu.shm.compiling import Row, inlined, inner


@inner
def address_of(vm: Row, state: Row, context: int) -> int:
    """The word that a context's operation goes to; -1 for none, LONG_MIN for a CPU's copy without a CPU."""
    base = block_of(vm, context)
    pc = state[base + v.PC]
    opcode = code(vm, pc, i.OPCODE)
    if opcode > i.LAST_ACCESS:
        return vm[v.ONLINE_MASK] if i.TAKE_DOWN <= opcode <= i.CPU_UP else -1
    address = operand(vm, state, base, code(vm, pc, i.B if opcode == i.CPUMASK_NEXT else i.A))
    own = code(vm, pc, i.OWN)
    if own & 1:
        cpu = state[base + v.CPU]
        if cpu == 0:
            return np.iinfo(np.int64).min
        if address < 0 or address >> UNIT_SHIFT:
            return -2
        return address + (cpu << UNIT_SHIFT)
    return address if address >= 0 and (own & i.PER_CPU or address >> UNIT_SHIFT == 0) else v.NOWHERE


@inner
def mode_of(opcode: int) -> int:
    """How an operation touches its word."""
    if opcode > i.LAST_ACCESS:
        return v.WRITES if i.TAKE_DOWN <= opcode <= i.CPU_UP else v.NOT
    if opcode == i.READ or opcode == i.WAIT_UNTIL or opcode == i.SPIN_UNTIL or opcode == i.CPUMASK_NEXT:
        return v.READS
    return v.ADDS if opcode == i.ADD_TO else v.WRITES


@inner
def _next_cpu(vm: Row, mask: int, cpu: int) -> int:
    """The first CPU of a mask above `cpu`, the number of CPUs if there is none."""
    found = max(0, cpu + 1) if cpu < vm[v.CPUS] else vm[v.CPUS]
    while found < vm[v.CPUS] and not mask >> found & 1:
        found += 1
    return found


@inner
def may_halve(vm: Row, state: Row, context: int) -> bool:
    """Whether the next operation is a read-modify-write of the own copy, of which only the load may be done first."""
    base = block_of(vm, context)
    pc = state[base + v.PC]
    if state[base + v.MID_TURN] == v.HALFWAY or not code(vm, pc, i.OWN) & 1 or state[base + v.CPU] == 0:
        return False
    opcode = code(vm, pc, i.OPCODE)
    return i.ADD_TO <= opcode <= i.OR_WITH and check_access(vm, state, address_of(vm, state, context)) == DONE


@inner
def is_split(vm: Row, state: Row, context: int) -> bool:
    """Whether that makes a difference: a context that is not on the CPU writes the word in some schedule."""
    if not vm[v.NEWS] & 2 or not may_halve(vm, state, context):
        return False
    word = find_word(vm, address_of(vm, state, context))
    return word >= 0 and vm[vm[v.REMOTE] + word] != 0


@inner
def step_half(vm: Row, state: Row, context: int) -> int:
    """Do the load of a read-modify-write (`may_halve`); the next step of the context does the store."""
    base = block_of(vm, context)
    state[base + v.LOADED] = _look(vm, state, address_of(vm, state, context))
    state[base + v.STATUS], state[base + v.MID_TURN] = v.RUNNING, v.HALFWAY
    return DONE


@inner
def _look(vm: Row, state: Row, address: int) -> int:
    """The value of a word, in a step that does no more than read it."""
    log = vm[v.LOG]
    clear_log(vm)
    vm[log + v.LOG_ADDRESS], vm[log + v.LOG_MODE] = address, v.READS
    vm[log + v.LOG_OLD] = vm[log + v.LOG_NEW] = load(vm, state, address)
    return vm[log + v.LOG_OLD]


@inner
def _note_writer(vm: Row, state: Row, base: int, address: int, word: int) -> int:
    """A context writes a word: what that is where the word is a copy of a CPU that it is not on."""
    cpu = (address >> UNIT_SHIFT) - 1
    if cpu < 0 or state[base + v.CPU] == cpu + 1 or not state[v.ONLINE] >> cpu & 1:
        return DONE
    if vm[v.EXCLUSIVE]:
        return REMOTE_WRITE
    if vm[vm[v.REMOTE] + word] == 0:
        vm[vm[v.REMOTE] + word] = 1
        vm[v.NEWS] = 3
    return DONE


@inlined
def access(vm: Row, state: Row, context: int, pc: int) -> int:
    """READ to CPUMASK_NEXT: the value given is left in the log."""
    violated = _touch(vm, state, context, pc, address_of(vm, state, context))
    if violated == DONE and code(vm, pc, i.OWN) & i.DEREFERENCE and is_reader(vm, state, context):
        return _hold(vm, state, block_of(vm, context))
    return violated


@inlined
def _touch(vm: Row, state: Row, context: int, pc: int, address: int) -> int:
    """Do what the operation does to its word, where the word may be touched at all.

    The store of a cmpxchg that fails is done as well: it writes back what was loaded, as x86 does.
    """
    base, opcode = block_of(vm, context), code(vm, pc, i.OPCODE)
    if address == np.iinfo(np.int64).min:
        return OFF_CPU
    if opcode == i.WAIT_UNTIL and may_not_sleep(vm, state, context):
        return SLEEPS  # before it looks, as might_sleep() does
    violated = check_access(vm, state, address)
    vm[vm[v.LOG] + v.LOG_ADDRESS] = address
    if violated != DONE:
        return violated
    mode = mode_of(opcode)
    vm[vm[v.LOG] + v.LOG_MODE] = mode
    word = find_word(vm, address)
    stands = state[vm[v.FIRST_WORD] + word] if word >= 0 else 0
    halfway = state[base + v.MID_TURN] == v.HALFWAY
    seen = state[base + v.LOADED] if halfway else stands
    b, c = operand(vm, state, base, code(vm, pc, i.B)), operand(vm, state, base, code(vm, pc, i.C))
    cpu = operand(vm, state, base, code(vm, pc, i.A))
    result = _next_cpu(vm, seen, cpu) if opcode == i.CPUMASK_NEXT else result_of(opcode, seen, b)
    new = stands if mode == v.READS else new_value(opcode, seen, b, c)
    vm[vm[v.LOG] + v.LOG_OLD], vm[vm[v.LOG] + v.LOG_NEW], vm[vm[v.LOG] + v.LOG_RESULT] = stands, new, result
    if mode == v.READS:
        return DONE
    if word < 0:
        word = make_word(vm, address)
        if word < 0:
            return NO_WORD
    violated = _note_writer(vm, state, base, address, word)
    if violated != DONE:
        return violated
    state[vm[v.FIRST_WORD] + word] = new
    state[base + v.LOADED] = 0
    return DONE


@inner
def _hold(vm: Row, state: Row, base: int) -> int:
    """A reader has found a pointer: it holds the region until it leaves its section."""
    region = region_pointed_to(vm, vm[vm[v.LOG] + v.LOG_RESULT])
    if region >= v.MAX_HELD:
        return MANY_REGIONS
    if region >= 0:
        state[base + v.HELD] |= 1 << region
    return DONE


@inner
def begins_to_spin(vm: Row, state: Row, context: int) -> bool:
    """Whether the next step of an interrupt, or of a callback on a CPU, is only that it begins, and spins then."""
    base = block_of(vm, context)
    if state[base + v.STATUS] != v.WAITING or not at_interrupt_level(vm, state, context):
        return False
    if code(vm, state[base + v.PC], i.OPCODE) != i.SPIN_UNTIL:
        return False
    return blocked_on_word(vm, state, base, state[base + v.PC]) != NOT_BLOCKED


@inner
def begin_to_spin(vm: Row, state: Row, context: int) -> int:
    """Only begin: the context spins from the next step on."""
    base = block_of(vm, context)
    _look(vm, state, address_of(vm, state, context))
    state[base + v.STATUS], state[base + v.MID_TURN] = v.RUNNING, 1
    return DONE
