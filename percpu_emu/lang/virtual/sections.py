"""Entering and leaving read-side, preemption and interrupt sections."""

from __future__ import annotations

from percpu_emu.lang import instructions as i
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.contexts import irqs_are_off, is_reader, no_reader_any_more
from percpu_emu.lang.virtual.outcomes import DONE, UNBALANCED
from percpu_emu.lang.virtual.rows import block_of
from percpu_emu.shm.compiling import Row, inner


@inner
def change_section(vm: Row, state: Row, context: int, opcode: int, flags: int) -> int:
    """RCU_READ_LOCK to LOCAL_IRQ_RESTORE: the flags of before are left in the log."""
    base = block_of(vm, context)
    unit = 1 if opcode <= i.RCU_READ_UNLOCK else v.PREEMPT
    if opcode == i.RCU_READ_LOCK or opcode == i.PREEMPT_DISABLE:
        return _enter(state, base, unit)
    if opcode == i.RCU_READ_UNLOCK or opcode == i.PREEMPT_ENABLE:
        return _leave(vm, state, context, unit)
    if opcode == i.LOCAL_IRQ_SAVE:
        vm[vm[v.LOG] + v.LOG_RESULT], flags = irqs_are_off(state, base), 1
    _set_irqs_off(vm, state, context, flags)
    return DONE


@inner
def _enter(state: Row, base: int, unit: int) -> int:
    """Enter a section that nests, counted in `unit` of DEPTH."""
    if state[base + v.DEPTH] // unit & v.MAX_NESTED == v.MAX_NESTED:
        return UNBALANCED
    state[base + v.DEPTH] += unit
    return DONE


@inner
def _leave(vm: Row, state: Row, context: int, unit: int) -> int:
    """Leave one; sections of different kinds do not stand for each other."""
    base = block_of(vm, context)
    if state[base + v.DEPTH] // unit & v.MAX_NESTED == 0:
        return UNBALANCED
    state[base + v.DEPTH] -= unit
    if not is_reader(vm, state, context):
        no_reader_any_more(vm, state, context)
    return DONE


@inner
def _set_irqs_off(vm: Row, state: Row, context: int, off: int) -> None:
    """Turn interrupts off or on, for the CPU of a context or, where it has none, for itself."""
    base = block_of(vm, context)
    bit = 1 << (state[base + v.CPU] - 1) if state[base + v.CPU] > 0 else 0
    if off:
        state[v.IRQS_OFF] |= bit
        state[base + v.DEPTH] |= v.IRQ
        return
    state[v.IRQS_OFF] &= ~bit
    state[base + v.DEPTH] &= ~v.IRQ
    if not is_reader(vm, state, context):
        no_reader_any_more(vm, state, context)
