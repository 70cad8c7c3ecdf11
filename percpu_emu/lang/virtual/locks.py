"""Which locks a context holds, and how it came to each: what the check of the order of locks is made from.

A taking is noted once, as a row of `TAKINGS`: what was done, and all that its context held then. It is a matter of that
context alone, so a search with reduction sees the same takings as one without, but for the numbers of queued programs.
"""

from __future__ import annotations

from percpu_emu.lang import instructions as i
from percpu_emu.lang import locking as k
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.contexts import at_interrupt_level, first_held, irqs_are_off
from percpu_emu.lang.virtual.outcomes import DONE, NO_LOCK, NO_TAKING
from percpu_emu.lang.virtual.rows import block_of, code, contexts_of, operand
from percpu_emu.shm.compiling import Row, inner


@inner
def note_lock(vm: Row, state: Row, context: int, pc: int) -> int:
    """Behind an operation that is done: what it has done to a lock, if anything."""
    base, opcode, what = block_of(vm, context), code(vm, pc, i.OPCODE), vm[vm[v.LOCKING] + pc]
    if vm[v.CHECKING]:
        return DONE
    if what == 0:
        turned_on = opcode == i.LOCAL_IRQ_RESTORE and operand(vm, state, base, code(vm, pc, i.A)) == 0
        holds = turned_on and state[first_held(vm, context)] != 0
        return _note(vm, state, context, pc, -1, 0) if holds else DONE
    lock, effect = vm[vm[v.LOG] + v.LOG_ADDRESS] - (what >> v.EFFECT_BITS), what & v.EFFECT
    if effect == k.RELEASES:
        _release(vm, state, context, lock)
        return DONE
    result = vm[vm[v.LOG] + v.LOG_RESULT]
    if opcode == i.CMPXCHG and result != operand(vm, state, base, code(vm, pc, i.B)):
        return DONE
    if opcode == i.XCHG and result != 0:
        return DONE
    noted = _note(vm, state, context, pc, lock, effect)
    if noted != DONE:
        return noted
    for at in range(first_held(vm, context), first_held(vm, context) + vm[v.HELD_LOCKS]):
        if state[at] == 0:
            state[at] = lock | (pc << v.LOCK_BITS)
            return DONE
    return NO_LOCK


@inner
def _release(vm: Row, state: Row, context: int, lock: int) -> None:
    """Take it from what its context holds, or, where that does not hold it, from the one that does."""
    if _forget(vm, state, context, lock):
        return
    for other in range(contexts_of(vm)):
        if _forget(vm, state, other, lock):
            return


@inner
def _forget(vm: Row, state: Row, context: int, lock: int) -> bool:
    first = first_held(vm, context)
    found = False
    for at in range(first, first + vm[v.HELD_LOCKS]):
        found = found or (state[at] != 0 and state[at] & v.LOCK_MASK == lock)
        if found:
            state[at] = state[at + 1] if at + 1 < first + vm[v.HELD_LOCKS] else 0
    return found


@inner
def _note(vm: Row, state: Row, context: int, pc: int, lock: int, effect: int) -> int:
    """Enter a taking, if it is new; -1 for a lock: interrupts are turned on with the locks that are held."""
    words, count = v.TAKING_HELD + vm[v.HELD_LOCKS], vm[v.TAKEN]
    if count == vm[v.MAX_TAKINGS]:
        return NO_TAKING
    new, held = vm[v.TAKINGS] + count * words, first_held(vm, context)
    flags = v.IN_INTERRUPT if at_interrupt_level(vm, state, context) else 0
    if irqs_are_off(state, block_of(vm, context)):
        flags |= v.INTERRUPTS_OFF
    vm[new + v.TAKING_CONTEXT], vm[new + v.TAKING_ROW], vm[new + v.TAKING_LOCK] = context, pc, lock
    vm[new + v.TAKING_FLAGS] = flags | (v.TRIED if effect == k.TRIES else 0)
    for at in range(vm[v.HELD_LOCKS]):
        vm[new + v.TAKING_HELD + at] = state[held + at]
    for known in range(count):
        same = True
        for at in range(words):
            same = same and vm[vm[v.TAKINGS] + known * words + at] == vm[new + at]
        if same:
            return DONE
    vm[v.TAKEN] = count + 1
    return DONE
