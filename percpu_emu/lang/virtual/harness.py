"""Operations that only look: how many CPUs there are, marks, warnings, and the ledger behind a counter."""

from __future__ import annotations

from percpu_emu.lang import instructions as i
from percpu_emu.lang.arithmetic import add
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.memory import make_word
from percpu_emu.lang.virtual.outcomes import DONE, FAULT, NO_WORD, WARNING
from percpu_emu.lang.virtual.rows import block_of, clear, code, operand
from percpu_emu.shm.compiling import Row, inner


@inner
def observe(vm: Row, state: Row, context: int, pc: int) -> int:
    """NOTHING to LEDGER_COMMIT: the result is left in the log."""
    base, log, opcode = block_of(vm, context), vm[v.LOG], code(vm, pc, i.OPCODE)
    a, b = operand(vm, state, base, code(vm, pc, i.A)), operand(vm, state, base, code(vm, pc, i.B))
    if opcode == i.NR_CPU_IDS:
        vm[log + v.LOG_RESULT] = vm[v.CPUS]
    elif opcode == i.NR_NODE_IDS:
        vm[log + v.LOG_RESULT] = vm[v.NODES]
    elif opcode == i.PROCESSOR_ID:
        vm[log + v.LOG_RESULT] = state[base + v.CPU] - 1 if state[base + v.CPU] else vm[v.CPUS]
    elif opcode == i.MARK:
        if not vm[v.CHECKING]:
            vm[vm[v.MARKS] + a] = 1
    elif opcode == i.WARN_ON:
        vm[log + v.LOG_RESULT] = a
        return WARNING if a else DONE
    elif opcode == i.LEDGER_ADD:
        return _note(state, base, a, b)
    elif opcode == i.LEDGER_COMMIT:
        return _enter_notes(vm, state, base)
    return DONE


@inner
def _note(state: Row, base: int, counter: int, delta: int) -> int:
    noted = state[base + v.NOTED]
    if noted == v.MAX_NOTES:
        return FAULT
    state[base + v.NOTES + noted * 2], state[base + v.NOTES + noted * 2 + 1] = counter, delta
    state[base + v.NOTED] = noted + 1
    return DONE


@inner
def _enter_notes(vm: Row, state: Row, base: int) -> int:
    for note in range(state[base + v.NOTED]):
        counter, delta = state[base + v.NOTES + note * 2], state[base + v.NOTES + note * 2 + 1]
        word, entered = make_word(vm, counter + v.LEDGER), make_word(vm, counter + v.ENTERED)
        if word < 0 or entered < 0:
            return NO_WORD
        at = vm[v.FIRST_WORD] + word
        state[at] = add(state[at], delta)
        state[vm[v.FIRST_WORD] + entered] = 1
    clear(state, base + v.NOTED, base + v.WORK)
    return DONE
