"""CPUs that go off line and come back, and take their contexts along; a task that goes on on another CPU."""

from __future__ import annotations

import errno
from typing import Final

from percpu_emu.lang import instructions as i
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.contexts import end_context, may_not_sleep, no_reader_any_more
from percpu_emu.lang.virtual.memory import find_word
from percpu_emu.lang.virtual.outcomes import DONE, SLEEPS
from percpu_emu.lang.virtual.rows import block_of, contexts_of
from percpu_emu.shm.compiling import Row, inner

EINVAL: Final = -errno.EINVAL


@inner
def is_to_go(vm: Row, state: Row, cpu: int) -> bool:
    """Whether a CPU is on line, and not the only one."""
    return is_there(vm, state, cpu) and state[v.ONLINE] != 1 << cpu


@inner
def is_there(vm: Row, state: Row, cpu: int) -> bool:
    """Whether there is a CPU of that number, and it is on line."""
    return 0 <= cpu < vm[v.CPUS] and state[v.ONLINE] >> cpu & 1 != 0


@inner
def change_cpu(vm: Row, state: Row, context: int, opcode: int, cpu: int) -> int:
    """CPU_DOWN to MOVE_TO: the result is left in the log."""
    if opcode != i.CPU_UP and may_not_sleep(vm, state, context):
        return SLEEPS
    done = True
    if opcode == i.MOVE_TO and vm[vm[v.KINDS] + context] != v.CALLBACK and cpu == vm[v.CPUS]:
        state[block_of(vm, context) + v.CPU] = 0
    elif opcode == i.MOVE_TO and vm[vm[v.KINDS] + context] != v.CALLBACK and is_there(vm, state, cpu):
        state[block_of(vm, context) + v.CPU] = cpu + 1
    elif opcode == i.CPU_DOWN and is_to_go(vm, state, cpu):
        set_online(vm, state, cpu, False)
        for callback in range(vm[v.CONTEXTS], contexts_of(vm)):
            _leave_to_coordinator(state, block_of(vm, callback), cpu)
    elif opcode == i.CPU_UP and 0 <= cpu < vm[v.CPUS] and not is_there(vm, state, cpu):
        set_online(vm, state, cpu, True)
    else:
        done = False
    vm[vm[v.LOG] + v.LOG_RESULT] = 0 if done else EINVAL
    return DONE


@inner
def _leave_to_coordinator(state: Row, base: int, cpu: int) -> bool:
    """An RCU callback that has not begun on a CPU which goes is the coordinator's."""
    waits = state[base + v.STATUS] == v.WAITING and state[base + v.WORK] != v.AS_INTERRUPT
    leaves = waits and state[base + v.CPU] == cpu + 1
    if leaves:
        state[base + v.CPU] = 0
    return leaves


@inner
def set_online(vm: Row, state: Row, cpu: int, online: bool) -> None:
    """Whether a CPU is on line, for the engine and in CPU_ONLINE_MASK; the log has the access."""
    log, mask = vm[v.LOG], vm[v.FIRST_WORD] + find_word(vm, vm[v.ONLINE_MASK])
    vm[log + v.LOG_ADDRESS], vm[log + v.LOG_MODE], vm[log + v.LOG_OLD] = vm[v.ONLINE_MASK], v.WRITES, state[mask]
    for word in (v.ONLINE, mask):
        state[word] = state[word] | 1 << cpu if online else state[word] & ~(1 << cpu)
    vm[log + v.LOG_NEW] = state[mask]


@inner
def take_down(vm: Row, state: Row, cpu: int) -> None:
    """The CPU of an `offline` or `kill` goes: its tasks and interrupts are over."""
    set_online(vm, state, cpu, False)
    state[v.IRQS_OFF] &= ~(1 << cpu)
    for context in range(contexts_of(vm)):
        base = block_of(vm, context)
        if state[base + v.CPU] != cpu + 1 or state[base + v.STATUS] == v.UNUSED:
            continue
        if vm[vm[v.KINDS] + context] == v.CALLBACK and _leave_to_coordinator(state, base, cpu):
            continue
        no_reader_any_more(vm, state, context)
        state[base + v.DEPTH] = 0
        state[base + v.WAIT] = 0
        if state[base + v.STATUS] != v.OVER:
            end_context(vm, state, context)


@inner
def is_displaced(state: Row, base: int) -> bool:
    """Whether the context of that block has to go on on another CPU: its own is off line."""
    cpu = state[base + v.CPU]
    return cpu > 0 and state[base + v.STATUS] == v.RUNNING and not state[v.ONLINE] >> (cpu - 1) & 1
