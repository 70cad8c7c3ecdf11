"""What a context computes for itself, up to its next operation: arithmetic and jumps."""

from __future__ import annotations

from typing import Final

from percpu_emu.lang import instructions as i
from percpu_emu.lang.arithmetic import absolute, add, floor_div, floor_mod, mul, neg, sub, turns
from percpu_emu.lang.setting import UNIT_SHIFT
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.contexts import end_context
from percpu_emu.lang.virtual.outcomes import DONE, ENDLESS, FAULT, UNBALANCED
from percpu_emu.lang.virtual.rows import block_of, clear, code, operand
from percpu_emu.shm.compiling import Row, inner

LOCAL_STEPS: Final = 200_000


@inner
def compute(vm: Row, state: Row, context: int) -> int:
    """Do what a context computes for itself, up to its next operation or its end. DONE, ENDLESS, or what is wrong."""
    base = block_of(vm, context)
    registers = base + v.REGISTERS
    pc = state[base + v.PC]
    for _ in range(LOCAL_STEPS):
        opcode = code(vm, pc, i.OPCODE)
        if opcode >= i.FIRST_OPERATION:
            state[base + v.PC] = pc
            return DONE
        dst = code(vm, pc, i.DST)
        a = operand(vm, state, base, code(vm, pc, i.A))
        b = operand(vm, state, base, code(vm, pc, i.B))
        pc += 1
        if opcode == i.MOV:
            state[registers + dst] = a
        elif opcode == i.ADD:
            state[registers + dst] = add(a, b)
        elif opcode == i.SUB:
            state[registers + dst] = sub(a, b)
        elif opcode == i.MUL:
            state[registers + dst] = mul(a, b)
        elif opcode == i.FLOORDIV or opcode == i.MOD:
            if b == 0:
                state[base + v.PC] = pc - 1
                return FAULT
            state[registers + dst] = floor_div(a, b) if opcode == i.FLOORDIV else floor_mod(a, b)
        elif opcode == i.LSHIFT or opcode == i.RSHIFT:
            if b < 0 or b > 63:
                state[base + v.PC] = pc - 1
                return FAULT
            state[registers + dst] = a << b if opcode == i.LSHIFT else a >> b
        elif opcode == i.AND:
            state[registers + dst] = a & b
        elif opcode == i.OR:
            state[registers + dst] = a | b
        elif opcode == i.XOR:
            state[registers + dst] = a ^ b
        elif opcode == i.NEG:
            state[registers + dst] = neg(a)
        elif opcode == i.INVERT:
            state[registers + dst] = ~a
        elif opcode == i.NOT:
            state[registers + dst] = 1 if a == 0 else 0
        elif opcode == i.ABS:
            state[registers + dst] = absolute(a)
        elif opcode == i.MIN:
            state[registers + dst] = min(a, b)
        elif opcode == i.MAX:
            state[registers + dst] = max(a, b)
        elif opcode == i.EQ:
            state[registers + dst] = 1 if a == b else 0
        elif opcode == i.NE:
            state[registers + dst] = 1 if a != b else 0
        elif opcode == i.LT:
            state[registers + dst] = 1 if a < b else 0
        elif opcode == i.LE:
            state[registers + dst] = 1 if a <= b else 0
        elif opcode == i.TURNS:
            c = operand(vm, state, base, code(vm, pc - 1, i.C))
            if c == 0:
                state[base + v.PC] = pc - 1
                return FAULT
            state[registers + dst] = turns(a, b, c)
        elif opcode == i.PERCPU:
            there = 0 <= b < vm[v.CPUS] and a >> UNIT_SHIFT == 0
            state[registers + dst] = add(a, (b + 1) << UNIT_SHIFT) if there else v.NOWHERE
        elif opcode == i.JUMP:
            pc = dst
        elif opcode == i.JUMP_IF_NOT:
            pc = dst if a == 0 else pc
        elif opcode == i.JUMP_IF:
            pc = dst if a != 0 else pc
        elif opcode == i.JUMP_UNLESS_LT:
            pc = dst if a >= b else pc
        elif opcode == i.RESULT:
            state[base + v.RESULT] = a
        elif opcode == i.TURN_END:
            if state[base + v.DEPTH] != 0:
                return UNBALANCED
            state[base + v.MID_TURN] = 0
        elif opcode == i.END:
            state[base + v.PC] = pc - 1
            if state[base + v.DEPTH] != 0:
                return UNBALANCED
            clear(state, base + v.NOTED, base + v.WORK)
            end_context(vm, state, context)
            vm[vm[v.LOG] + v.LOG_ENDED] = 1
            return DONE
    return ENDLESS
