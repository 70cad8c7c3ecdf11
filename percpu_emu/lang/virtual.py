"""The virtual engine: a machine whose whole state is one row of integers, stepped one operation at a time.

The state can be copied, compared and hashed, so every interleaving can be tried. The rules are those of `lang.setting`.
A state is: a header, a block for each context (those of the setting, then the callback slots), the words that programs
have touched, and which per-CPU areas and objects are allocated. `vm` holds what stays the same.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from percpu_emu.lang import instructions as i
from percpu_emu.lang.arithmetic import absolute, add, floor_div, floor_mod, mul, neg, sub, turns
from percpu_emu.lang.checks import Check
from percpu_emu.lang.effects import new_value, result_of
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, UNIT_SHIFT

# --- header of a state
LAST: Final = 0  # the context that ran last, plus 1; kept only by searches that count preemptions
ONLINE: Final = 1  # bit for each CPU
IRQS_OFF: Final = 2  # bit for each CPU; a context without a CPU has its own, in DEPTH
AREAS: Final = 3  # per-CPU allocations so far
OBJECTS: Final = 4  # objects so far
EARLY: Final = 5  # 1 + the region that was freed while a reader still held it
SPENT: Final = 6  # preemptions since the start; kept only by a search within so many
HEADER_WORDS: Final = 7

# --- block of a context
STATUS: Final = 0
PC: Final = 1
CPU: Final = 2  # plus 1; 0 for none
DEPTH: Final = 3  # read-side sections, preempt_disable x PREEMPT, IRQ where it has turned interrupts off
WAIT: Final = 4  # contexts that are waited for, as bits; REGISTERED where a wait has begun
MID_TURN: Final = 5  # 1 in a turn; HALFWAY between the load and the store of a read-modify-write
MIGRATIONS: Final = 6  # left
RESULT: Final = 7
HELD: Final = 8  # regions that a reader found by rcu_dereference, as bits
NOTED: Final = 9
NOTES: Final = 10  # (counter, delta) x 3
WORK: Final = 16  # 1 in a slot that holds queued work
LOADED: Final = 17  # what the load of a read-modify-write has read; 0 where none is halfway
REGISTERS: Final = 18

HALFWAY: Final = 2
REGISTERED: Final = 1 << 62
MAX_HELD: Final = 62
PREEMPT: Final = 1 << 8
IRQ: Final = 1 << 16
MAX_NESTED: Final = 255

# --- status of a context
UNUSED: Final = 0  # a callback slot that is free
WAITING: Final = 1  # an interrupt, or a callback, that has not started
RUNNING: Final = 2
OVER: Final = 3

# --- kinds of contexts
TASK: Final = 0
INTERRUPT: Final = 1
OFFLINE: Final = 2
KILL: Final = 3
SLOT: Final = 4

# --- states of a region: one of these, with the size in words above
LIVE: Final = 1
FREED: Final = 2
STATE_OF_REGION: Final = 3
SIZE_SHIFT: Final = 2
MAX_BYTES: Final = OBJECT_WORDS * 8

# --- what a step can come to
DONE: Final = 0
NO_SLOT: Final = -1
NO_WORD: Final = -2
NO_REGION: Final = -3
ENDLESS: Final = -4
MANY_REGIONS: Final = -5  # a reader holds a region beyond those that HELD has bits for
LEARNED: Final = -6  # a schedule has written a CPU's copy from elsewhere for the first time
# what is wrong: the numbers of `lang.checks`, as plain numbers for compiled code
USE_AFTER_FREE: Final = int(Check.USE_AFTER_FREE)
WILD_ACCESS: Final = int(Check.WILD_ACCESS)
DOUBLE_FREE: Final = int(Check.DOUBLE_FREE)
WILD_FREE: Final = int(Check.WILD_FREE)
OFF_CPU: Final = int(Check.OFF_CPU)
FAULT: Final = int(Check.FAULT)
WARNING: Final = int(Check.WARNING)
REMOTE_WRITE: Final = int(Check.REMOTE_WRITE)
ERROR_BOUND: Final = int(Check.ERROR_BOUND)
DEADLOCK: Final = int(Check.DEADLOCK)
NEGATIVE: Final = int(Check.NEGATIVE_COUNTER)
WRAPPED: Final = int(Check.WRAPPED_COUNTER)
LOST: Final = int(Check.LOST_COUNT)
DOUBLED: Final = int(Check.DOUBLED_COUNT)
LEAK: Final = int(Check.LEAK)
EARLY_FREE: Final = int(Check.EARLY_FREE)
UNBALANCED: Final = int(Check.UNBALANCED_SECTION)
SLEEPS: Final = int(Check.SLEEP_IN_ATOMIC)
LIVELOCK: Final = int(Check.LIVELOCK)

# --- how a step touches a word
NOT: Final = 0
READS: Final = 1
ADDS: Final = 2
WRITES: Final = 3

# --- what a step leaves in the log
LOG_ADDRESS: Final = 0  # -1 for none
LOG_OLD: Final = 1
LOG_NEW: Final = 2
LOG_MODE: Final = 3
LOG_RESULT: Final = 4
LOG_SLOT: Final = 5
LOG_WAIT: Final = 6
LOG_BLOCKERS: Final = 7  # of a context that is blocked: the contexts that block it, as bits
LOG_ENDED: Final = 8
LOG_WORDS: Final = 16

# --- why a context cannot take a step
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

# --- `vm`: what all states of one setting have in common, one array (so that a compiled call takes few arguments)
CPUS: Final = 0
CONTEXTS: Final = 1  # of the setting
SLOTS: Final = 2
STATE_WORDS: Final = 3
FIRST_WORD: Final = 4
MAX_WORDS: Final = 5
FIRST_REGION: Final = 6
MAX_AREAS: Final = 7
MAX_OBJECTS: Final = 8
EXCLUSIVE: Final = 9
ONLINE_MASK: Final = 10  # address of CPU_ONLINE_MASK
TOTAL_ENTRY: Final = 11  # where the program that gives a counter's value begins, -1 for none
LEFT: Final = 12  # regions that may be live at the end, -1 for any number
BOUND: Final = 13  # -1 for none
CHECKER: Final = 14  # the context that runs it, behind the others; its block is not part of the state
WORD_COUNT: Final = 15  # words known so far
HASH_MASK: Final = 16
NODES: Final = 17
KERNEL_FIRST: Final = 18  # addresses of the kernel's memory that are always there
KERNEL_END: Final = 19
# where its parts begin:
CODE: Final = 20
CONSTANTS: Final = 21
LIVE_MASKS: Final = 22  # for each row of code, the registers that are live before it, as bits
ENTRIES: Final = 23  # of each program that is queued
BLOCKS: Final = 24  # of each context, slot and the checker: where its block is in a state
REGISTER_COUNTS: Final = 25
KINDS: Final = 26
TARGETS: Final = 27  # the CPU that an offline or kill takes down
KEYS: Final = 28  # addresses of words, in an open hash table ...
INDICES: Final = 29  # ... and which word each is
ADDRESSES: Final = 30  # of each word
LOG: Final = 31
REMOTE: Final = 32  # for each word, 1 where a context that is not on its CPU has ever written it
MARKS: Final = 33  # for each mark, 1 where it was reached
SCRATCH: Final = 34  # a block, as it was: to notice a context that goes round and round
NEWS: Final = 35  # 1 after REMOTE has changed
CHECKING: Final = 36  # 1 while a check runs its program, whose marks do not count
VM_HEADER: Final = 40

NOWHERE: Final = -2
"""An address that is none: a copy of a CPU that there is not."""
LEDGER: Final = 1 << 60
"""Added to a counter's address: its ledger is a word, too."""
ENTERED: Final = 1 << 57
"""Added to a counter's address: 1 once something was entered. Only then is the counter held against its ledger."""
EMPTY: Final = -1
inner = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)
"""For functions that only compiled code calls: without a way in from Python they compile in two thirds of the time, and
without counting references to arrays, which the caller holds, a step takes 71 ns instead of 204."""

LOCAL_STEPS: Final = 200_000


# --- parts of `vm`


@inner
def code(vm: Any, pc: int, column: int) -> int:
    """A column of a row of code."""
    return vm[vm[CODE] + pc * i.COLUMNS + column]


@inner
def clear(state: Any, first: int, end: int) -> None:
    """Set some words to 0. A loop: numba takes a second to compile an assignment to a slice."""
    for word in range(first, end):
        state[word] = 0


@inner
def copy(to: Any, state: Any, words: int) -> None:
    """Copy the first words of a state."""
    for word in range(words):
        to[word] = state[word]


@inner
def block_of(vm: Any, context: int) -> int:
    """Where a context's block begins in a state."""
    return vm[vm[BLOCKS] + context]


# --- words


@inner
def find_word(vm: Any, address: int) -> int:
    """Which word of the state an address is, -1 if it was never written."""
    mask = vm[HASH_MASK]
    slot = (mul(address, 0x9E3779B97F4A7C1) >> 20) & mask
    while True:
        key = vm[vm[KEYS] + slot]
        if key == address:
            return vm[vm[INDICES] + slot]
        if key == EMPTY:
            return -1
        slot = (slot + 1) & mask


@inner
def make_word(vm: Any, address: int) -> int:
    """The word for an address, a new one if there is none; -1 if there is no room."""
    word = find_word(vm, address)
    if word >= 0:
        return word
    word = vm[WORD_COUNT]
    if word >= vm[MAX_WORDS]:
        return -1
    mask = vm[HASH_MASK]
    slot = (mul(address, 0x9E3779B97F4A7C1) >> 20) & mask
    while vm[vm[KEYS] + slot] != EMPTY:
        slot = (slot + 1) & mask
    vm[vm[INDICES] + slot] = word
    vm[vm[ADDRESSES] + word] = address
    vm[vm[KEYS] + slot] = address
    vm[WORD_COUNT] = word + 1
    return word


@inner
def load(vm: Any, state: Any, address: int) -> int:
    """The value at an address that is valid."""
    word = find_word(vm, address)
    return state[vm[FIRST_WORD] + word] if word >= 0 else 0


@inner
def region_of(vm: Any, address: int) -> int:
    """Which region (per-CPU areas, then objects) an address is in; -1: memory that is always there, -2: none."""
    if address >> UNIT_SHIFT == 0:
        if address < FIRST_OBJECT:
            return -1 if vm[KERNEL_FIRST] <= address < vm[KERNEL_END] else -2
        number = (address - FIRST_OBJECT) // OBJECT_WORDS
        return vm[MAX_AREAS] + number if number < vm[MAX_OBJECTS] else -2
    if address < 0 or (address >> UNIT_SHIFT) > vm[CPUS]:
        return -2
    number = (address & ((1 << UNIT_SHIFT) - 1)) // OBJECT_WORDS - 1
    return number if number < vm[MAX_AREAS] else -2


@inner
def check_access(vm: Any, state: Any, address: int) -> int:
    """DONE, or the check that an access violates. A region has the words that begin within its size."""
    region = region_of(vm, address)
    if region == -1:
        return DONE
    if region == -2:
        return WILD_ACCESS
    found = state[vm[FIRST_REGION] + region]
    if address % OBJECT_WORDS >= found >> SIZE_SHIFT:
        return WILD_ACCESS
    return DONE if found & STATE_OF_REGION == LIVE else USE_AFTER_FREE


# --- contexts


@inner
def operand(vm: Any, state: Any, base: int, which: int) -> int:
    """The value of an operand."""
    return state[base + REGISTERS + which] if which >= 0 else vm[vm[CONSTANTS] - 1 - which]


@inner
def at_interrupt_level(vm: Any, state: Any, context: int) -> bool:
    """Whether it is an interrupt, or a callback that runs on a CPU as one."""
    kind = vm[vm[KINDS] + context]
    return kind == INTERRUPT or (kind == SLOT and state[block_of(vm, context) + CPU] != 0)


@inner
def is_reader(vm: Any, state: Any, context: int) -> bool:
    """Whether a grace period that begins now waits for it."""
    base = block_of(vm, context)
    if state[base + STATUS] == RUNNING and at_interrupt_level(vm, state, context):
        return True
    return state[base + DEPTH] != 0


@inner
def irqs_are_off(state: Any, base: int) -> bool:
    """Whether interrupts are off for the context of that block: on its CPU, or its own flag where it has none."""
    cpu = state[base + CPU]
    return state[IRQS_OFF] >> (cpu - 1) & 1 != 0 if cpu > 0 else state[base + DEPTH] & IRQ != 0


@inner
def in_interrupt(vm: Any, state: Any, context: int) -> bool:
    """Whether it is an interrupt or an RCU callback, wherever that runs."""
    kind = vm[vm[KINDS] + context]
    return kind == INTERRUPT or (kind == SLOT and state[block_of(vm, context) + WORK] == 0)


@inner
def may_not_sleep(vm: Any, state: Any, context: int) -> bool:
    """Whether it is in a section, an interrupt, or an RCU callback. Queued work may sleep."""
    return state[block_of(vm, context) + DEPTH] != 0 or in_interrupt(vm, state, context)


@inner
def contexts_of(vm: Any) -> int:
    """Contexts and slots."""
    return vm[CONTEXTS] + vm[SLOTS]


@inner
def in_barrier(vm: Any, state: Any, base: int) -> bool:
    """Whether a context that waits does so in rcu_barrier: for callbacks to end, not for readers."""
    return state[base + STATUS] == RUNNING and code(vm, state[base + PC], i.OPCODE) == i.RCU_BARRIER


@inner
def no_reader_any_more(vm: Any, state: Any, context: int) -> None:
    """Whoever waits for this context waits for it no more."""
    for other in range(contexts_of(vm)):
        base = block_of(vm, other)
        if state[base + WAIT] and not in_barrier(vm, state, base):
            state[base + WAIT] &= ~(1 << context)
    state[block_of(vm, context) + HELD] = 0


@inner
def end_context(vm: Any, state: Any, context: int) -> None:
    """Its program is over. A slot is free then, unless what it noted is in doubt: then it is never used again."""
    base = block_of(vm, context)
    if at_interrupt_level(vm, state, context):
        no_reader_any_more(vm, state, context)
    state[base + STATUS] = OVER
    state[base + MID_TURN] = state[base + LOADED] = 0
    if vm[vm[KINDS] + context] == SLOT:
        clear(state, base + REGISTERS, base + REGISTERS + vm[vm[REGISTER_COUNTS] + context])
        clear(state, base + PC, base + NOTED)
        state[base + WORK] = 0
        if state[base + NOTED] == 0:
            state[base + STATUS] = UNUSED
        for other in range(contexts_of(vm)):
            waiting = block_of(vm, other)
            if state[waiting + WAIT] and in_barrier(vm, state, waiting):
                state[waiting + WAIT] &= ~(1 << context)


@inner
def take_down(vm: Any, state: Any, cpu: int) -> None:
    """A CPU goes: its tasks and interrupts are over, callbacks that have not begun go to the coordinator."""
    state[ONLINE] &= ~(1 << cpu)
    state[IRQS_OFF] &= ~(1 << cpu)
    for context in range(contexts_of(vm)):
        base = block_of(vm, context)
        if state[base + CPU] != cpu + 1 or state[base + STATUS] == UNUSED:
            continue
        if vm[vm[KINDS] + context] == SLOT and state[base + STATUS] == WAITING:
            state[base + CPU] = 0
            continue
        no_reader_any_more(vm, state, context)
        state[base + DEPTH] = 0
        state[base + WAIT] = 0
        if state[base + STATUS] != OVER:
            end_context(vm, state, context)


# --- why a context is blocked: the one rule


@inner
def _blocked_by(vm: Any, reason: int, contexts: int) -> int:
    """Leave in the log which contexts it is; the reason."""
    vm[vm[LOG] + LOG_BLOCKERS] = contexts
    return reason


@inner
def _blocked_on_cpu(vm: Any, state: Any, context: int, cpu: int) -> int:
    """What else is on its CPU keeps a context from going on. `cpu` is the CPU plus 1."""
    level = at_interrupt_level(vm, state, context)
    starting = level and state[block_of(vm, context) + STATUS] == WAITING
    if starting and state[IRQS_OFF] >> (cpu - 1) & 1:
        return _blocked_by(vm, INTERRUPTS_OFF, 0)
    for other in range(contexts_of(vm)):
        base = block_of(vm, other)
        if other == context or state[base + CPU] != cpu or state[base + STATUS] != RUNNING:
            continue
        if at_interrupt_level(vm, state, other):
            if starting or not level:
                return _blocked_by(vm, INTERRUPT_RUNS, 1 << other)
        elif not level and state[base + DEPTH] != 0:
            return _blocked_by(vm, PREEMPTION_OFF, 1 << other)
        if state[base + MID_TURN] == HALFWAY and (starting or not level):
            return _blocked_by(vm, HALF_DONE, 1 << other)
    return NOT_BLOCKED


@inner
def _blocked_on_word(vm: Any, state: Any, base: int, pc: int) -> int:
    address = operand(vm, state, base, code(vm, pc, i.A))
    if address >> UNIT_SHIFT != 0 and not code(vm, pc, i.OWN) & i.PER_CPU:
        return NOT_BLOCKED  # it will be caught
    if check_access(vm, state, address) != DONE:
        return NOT_BLOCKED
    equal = load(vm, state, address) == operand(vm, state, base, code(vm, pc, i.B))
    return NOT_BLOCKED if equal else _blocked_by(vm, WORD, 0)


@inner
def _blocked_by_turns(vm: Any, state: Any, context: int) -> int:
    """An offline waits for the turns and the interrupts of its CPU."""
    inside = 0
    for other in range(contexts_of(vm)):
        block = block_of(vm, other)
        if state[block + CPU] == vm[vm[TARGETS] + context] + 1 and state[block + STATUS] == RUNNING:
            if state[block + MID_TURN] or at_interrupt_level(vm, state, other):
                inside |= 1 << other
    return _blocked_by(vm, MID_TURN_THERE, inside) if inside else NOT_BLOCKED


@inner
def blocked(vm: Any, state: Any, context: int) -> int:
    """Why a context cannot take a step now, NOT_BLOCKED where it can. LOG_BLOCKERS holds the contexts that block it."""
    base = block_of(vm, context)
    status = state[base + STATUS]
    if status == UNUSED or status == OVER:
        return _blocked_by(vm, IS_OVER, 0)
    if status == WAITING and state[base + WAIT] != 0:
        return _blocked_by(vm, GRACE_PERIOD, state[base + WAIT])
    cpu = state[base + CPU]
    if cpu > 0:
        reason = _blocked_on_cpu(vm, state, context, cpu)
        if reason != NOT_BLOCKED:
            return reason
    pc = state[base + PC]
    opcode = code(vm, pc, i.OPCODE)
    if opcode == i.SPIN_UNTIL and status == WAITING and at_interrupt_level(vm, state, context):
        return NOT_BLOCKED  # an interrupt comes, and spins then
    if opcode == i.SPIN_UNTIL or (opcode == i.WAIT_UNTIL and not may_not_sleep(vm, state, context)):
        return _blocked_on_word(vm, state, base, pc)
    if opcode == i.SYNCHRONIZE_RCU or opcode == i.RCU_BARRIER:
        waits = state[base + WAIT] & ~REGISTERED
        if waits:
            return _blocked_by(vm, GRACE_PERIOD if opcode == i.SYNCHRONIZE_RCU else CALLBACKS, waits)
    if opcode == i.TAKE_DOWN and vm[vm[KINDS] + context] == OFFLINE:
        return _blocked_by_turns(vm, state, context)
    return NOT_BLOCKED


@inner
def is_enabled(vm: Any, state: Any, context: int) -> bool:
    """Whether a context can take a step now."""
    return blocked(vm, state, context) == NOT_BLOCKED


@inner
def must_finish(vm: Any, state: Any, context: int) -> bool:
    """Whether a context still has to run before the end: interrupts may never come."""
    status = state[block_of(vm, context) + STATUS]
    return status == RUNNING or (status == WAITING and vm[vm[KINDS] + context] != INTERRUPT)


# --- arithmetic


@inner
def compute(vm: Any, state: Any, context: int) -> int:
    """Do what a context computes for itself, up to its next operation or its end. DONE, ENDLESS, or what is wrong."""
    base = block_of(vm, context)
    registers = base + REGISTERS
    pc = state[base + PC]
    for _ in range(LOCAL_STEPS):
        opcode = code(vm, pc, i.OPCODE)
        if opcode >= i.FIRST_OPERATION:
            state[base + PC] = pc
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
                state[base + PC] = pc - 1
                return FAULT
            state[registers + dst] = floor_div(a, b) if opcode == i.FLOORDIV else floor_mod(a, b)
        elif opcode == i.LSHIFT or opcode == i.RSHIFT:
            if b < 0 or b > 63:
                state[base + PC] = pc - 1
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
                state[base + PC] = pc - 1
                return FAULT
            state[registers + dst] = turns(a, b, c)
        elif opcode == i.PERCPU:
            there = 0 <= b < vm[CPUS] and a >> UNIT_SHIFT == 0
            state[registers + dst] = add(a, (b + 1) << UNIT_SHIFT) if there else NOWHERE
        elif opcode == i.JUMP:
            pc = dst
        elif opcode == i.JUMP_IF_NOT:
            pc = dst if a == 0 else pc
        elif opcode == i.JUMP_IF:
            pc = dst if a != 0 else pc
        elif opcode == i.JUMP_UNLESS_LT:
            pc = dst if a >= b else pc
        elif opcode == i.RESULT:
            state[base + RESULT] = a
        elif opcode == i.TURN_END:
            if state[base + DEPTH] != 0:
                return UNBALANCED
            state[base + MID_TURN] = 0
        elif opcode == i.END:
            state[base + PC] = pc - 1
            if state[base + DEPTH] != 0:
                return UNBALANCED
            clear(state, base + NOTED, base + WORK)
            end_context(vm, state, context)
            vm[vm[LOG] + LOG_ENDED] = 1
            return DONE
    return ENDLESS


# --- operations


@inner
def address_of(vm: Any, state: Any, context: int) -> int:
    """The word that a context's operation goes to; -1 for none, LONG_MIN for a CPU's copy without a CPU."""
    base = block_of(vm, context)
    pc = state[base + PC]
    opcode = code(vm, pc, i.OPCODE)
    if opcode > i.LAST_ACCESS:
        return vm[ONLINE_MASK] if opcode == i.TAKE_DOWN else -1
    address = operand(vm, state, base, code(vm, pc, i.B if opcode == i.CPUMASK_NEXT else i.A))
    own = code(vm, pc, i.OWN)
    if own & 1:
        cpu = state[base + CPU]
        if cpu == 0:
            return np.iinfo(np.int64).min
        if address < 0 or address >> UNIT_SHIFT:
            return -2
        return address + (cpu << UNIT_SHIFT)
    return address if address >= 0 and (own & i.PER_CPU or address >> UNIT_SHIFT == 0) else NOWHERE


@inner
def mode_of(opcode: int) -> int:
    """How an operation touches its word."""
    if opcode > i.LAST_ACCESS:
        return WRITES if opcode == i.TAKE_DOWN else NOT
    if opcode == i.READ or opcode == i.WAIT_UNTIL or opcode == i.SPIN_UNTIL or opcode == i.CPUMASK_NEXT:
        return READS
    return ADDS if opcode == i.ADD_TO else WRITES


@inner
def _next_cpu(vm: Any, mask: int, cpu: int) -> int:
    """The first CPU of a mask above `cpu`, the number of CPUs if there is none."""
    found = max(0, cpu + 1) if cpu < vm[CPUS] else vm[CPUS]
    while found < vm[CPUS] and not mask >> found & 1:
        found += 1
    return found


@inner
def may_halve(vm: Any, state: Any, context: int) -> bool:
    """Whether the next operation is a read-modify-write of the own copy, of which only the load may be done first."""
    base = block_of(vm, context)
    pc = state[base + PC]
    if state[base + MID_TURN] == HALFWAY or not code(vm, pc, i.OWN) & 1 or state[base + CPU] == 0:
        return False
    opcode = code(vm, pc, i.OPCODE)
    return i.ADD_TO <= opcode <= i.OR_WITH and check_access(vm, state, address_of(vm, state, context)) == DONE


@inner
def is_split(vm: Any, state: Any, context: int) -> bool:
    """Whether that makes a difference: a context that is not on the CPU writes the word in some schedule."""
    if not vm[NEWS] & 2 or not may_halve(vm, state, context):
        return False
    word = find_word(vm, address_of(vm, state, context))
    return word >= 0 and vm[vm[REMOTE] + word] != 0


@inner
def step_half(vm: Any, state: Any, context: int) -> int:
    """Do the load of a read-modify-write (`may_halve`); the next step of the context does the store."""
    base, log = block_of(vm, context), vm[LOG]
    clear(vm, log + LOG_OLD, log + LOG_WORDS)
    address = address_of(vm, state, context)
    vm[log + LOG_ADDRESS], vm[log + LOG_SLOT] = address, -1
    vm[log + LOG_MODE] = READS
    state[base + STATUS], state[base + MID_TURN] = RUNNING, HALFWAY
    state[base + LOADED] = load(vm, state, address)
    vm[log + LOG_OLD] = vm[log + LOG_NEW] = state[base + LOADED]
    return DONE


@inner
def _note_writer(vm: Any, state: Any, base: int, address: int, word: int) -> int:
    """A context writes a word: what that is where the word is a copy of a CPU that it is not on."""
    cpu = (address >> UNIT_SHIFT) - 1
    if cpu < 0 or state[base + CPU] == cpu + 1 or not state[ONLINE] >> cpu & 1:
        return DONE
    if vm[EXCLUSIVE]:
        return REMOTE_WRITE
    if vm[vm[REMOTE] + word] == 0:
        vm[vm[REMOTE] + word] = 1
        vm[NEWS] = 3
    return DONE


@inner
def _access(vm: Any, state: Any, context: int, pc: int, address: int) -> int:
    """READ to CPUMASK_NEXT: the value given is left in the log.

    The store of a cmpxchg that fails is done as well: it writes back what was loaded, as x86 does.
    """
    base, opcode = block_of(vm, context), code(vm, pc, i.OPCODE)
    if address == np.iinfo(np.int64).min:
        return OFF_CPU
    if opcode == i.WAIT_UNTIL and may_not_sleep(vm, state, context):
        return SLEEPS  # before it looks, as might_sleep() does
    violated = check_access(vm, state, address)
    vm[vm[LOG] + LOG_ADDRESS] = address
    if violated != DONE:
        return violated
    mode = mode_of(opcode)
    vm[vm[LOG] + LOG_MODE] = mode
    word = find_word(vm, address)
    stands = state[vm[FIRST_WORD] + word] if word >= 0 else 0
    halfway = state[base + MID_TURN] == HALFWAY
    seen = state[base + LOADED] if halfway else stands
    b, c = operand(vm, state, base, code(vm, pc, i.B)), operand(vm, state, base, code(vm, pc, i.C))
    cpu = operand(vm, state, base, code(vm, pc, i.A))
    result = _next_cpu(vm, seen, cpu) if opcode == i.CPUMASK_NEXT else result_of(opcode, seen, b)
    new = stands if mode == READS else new_value(opcode, seen, b, c)
    vm[vm[LOG] + LOG_OLD], vm[vm[LOG] + LOG_NEW], vm[vm[LOG] + LOG_RESULT] = stands, new, result
    if mode == READS:
        return DONE
    if word < 0:
        word = make_word(vm, address)
        if word < 0:
            return NO_WORD
    violated = _note_writer(vm, state, base, address, word)
    if violated != DONE:
        return violated
    state[vm[FIRST_WORD] + word] = new
    state[base + LOADED] = 0
    return DONE


@inner
def _readers(vm: Any, state: Any) -> int:
    mask = 0
    for context in range(contexts_of(vm)):
        if state[block_of(vm, context) + STATUS] >= RUNNING and is_reader(vm, state, context):
            mask |= 1 << context
    return mask


@inner
def _enqueue(vm: Any, state: Any, context: int, program: int, argument: int, wait: int, work: int) -> int:
    for slot in range(vm[CONTEXTS], contexts_of(vm)):
        base = block_of(vm, slot)
        if state[base + STATUS] == UNUSED:
            state[base + PC] = vm[vm[ENTRIES] + program]
            state[base + CPU] = 0 if work else state[block_of(vm, context) + CPU]
            state[base + WAIT] = wait
            state[base + REGISTERS] = argument
            state[base + STATUS] = WAITING
            state[base + WORK] = work
            vm[vm[LOG] + LOG_SLOT], vm[vm[LOG] + LOG_WAIT] = slot, wait
            ended = vm[vm[LOG] + LOG_ENDED]
            fault = compute(vm, state, slot)
            vm[vm[LOG] + LOG_ENDED] = ended
            return fault
    return NO_SLOT


@inner
def _allocate(vm: Any, state: Any, which: int, size: int) -> int:
    """The pointer is left in the log."""
    if size < 1 or size > MAX_BYTES:
        return FAULT
    limit = vm[MAX_AREAS] if which == AREAS else vm[MAX_OBJECTS]
    number = state[which]
    if number >= limit:
        return NO_REGION
    first = vm[FIRST_REGION] + (0 if which == AREAS else vm[MAX_AREAS])
    state[first + number] = LIVE | ((size + 7) // 8 << SIZE_SHIFT)
    state[which] = number + 1
    start = OBJECT_WORDS if which == AREAS else FIRST_OBJECT
    vm[vm[LOG] + LOG_RESULT] = start + OBJECT_WORDS * number
    return DONE


@inner
def region_pointed_to(vm: Any, value: int) -> int:
    """Which region a value points to, taken as a pointer to either kind of memory; -1 for none."""
    if OBJECT_WORDS <= value < OBJECT_WORDS * (vm[MAX_AREAS] + 1):
        return value // OBJECT_WORDS - 1
    return region_of(vm, value) if value >= FIRST_OBJECT else -1


@inner
def freed_region(vm: Any, pointer: int, percpu: bool) -> int:
    """Which region `free_percpu` or `kfree` of a pointer frees, -1 for none."""
    start = OBJECT_WORDS if percpu else FIRST_OBJECT
    number = (pointer - start) // OBJECT_WORDS
    limit = vm[MAX_AREAS] if percpu else vm[MAX_OBJECTS]
    if pointer < start or (pointer - start) % OBJECT_WORDS or number >= limit:
        return -1
    return number if percpu else vm[MAX_AREAS] + number


@inner
def _free(vm: Any, state: Any, context: int, pointer: int, percpu: bool) -> int:
    if pointer == 0:
        return DONE
    region = freed_region(vm, pointer, percpu)
    if region < 0:
        return WILD_FREE
    found = state[vm[FIRST_REGION] + region]
    if found & STATE_OF_REGION != LIVE:
        return DOUBLE_FREE if found & STATE_OF_REGION == FREED else WILD_FREE
    state[vm[FIRST_REGION] + region] = found - LIVE + FREED
    for other in range(contexts_of(vm)):
        if other != context and state[block_of(vm, other) + HELD] >> region & 1 and state[EARLY] == 0:
            state[EARLY] = region + 1
    for word in range(vm[WORD_COUNT]):  # nobody may read it again: one value for all states
        if region_of(vm, vm[vm[ADDRESSES] + word]) == region:
            state[vm[FIRST_WORD] + word] = 0
    return DONE


@inner
def _enter(state: Any, base: int, unit: int) -> int:
    """Enter a section that nests, counted in `unit` of DEPTH."""
    if state[base + DEPTH] // unit & MAX_NESTED == MAX_NESTED:
        return UNBALANCED
    state[base + DEPTH] += unit
    return DONE


@inner
def _leave(vm: Any, state: Any, context: int, unit: int) -> int:
    """Leave one; sections of different kinds do not stand for each other."""
    base = block_of(vm, context)
    if state[base + DEPTH] // unit & MAX_NESTED == 0:
        return UNBALANCED
    state[base + DEPTH] -= unit
    if not is_reader(vm, state, context):
        no_reader_any_more(vm, state, context)
    return DONE


@inner
def _set_irqs_off(vm: Any, state: Any, context: int, off: int) -> None:
    """Turn interrupts off or on, for the CPU of a context or, where it has none, for itself."""
    base = block_of(vm, context)
    bit = 1 << (state[base + CPU] - 1) if state[base + CPU] > 0 else 0
    if off:
        state[IRQS_OFF] |= bit
        state[base + DEPTH] |= IRQ
        return
    state[IRQS_OFF] &= ~bit
    state[base + DEPTH] &= ~IRQ
    if not is_reader(vm, state, context):
        no_reader_any_more(vm, state, context)


@inner
def _hold(vm: Any, state: Any, base: int) -> int:
    """A reader has found a pointer: it holds the region until it leaves its section."""
    region = region_pointed_to(vm, vm[vm[LOG] + LOG_RESULT])
    if region >= MAX_HELD:
        return MANY_REGIONS
    if region >= 0:
        state[base + HELD] |= 1 << region
    return DONE


@inner
def begins_to_spin(vm: Any, state: Any, context: int) -> bool:
    """Whether the next step of an interrupt, or of a callback on a CPU, is only that it begins, and spins then."""
    base = block_of(vm, context)
    if state[base + STATUS] != WAITING or not at_interrupt_level(vm, state, context):
        return False
    if code(vm, state[base + PC], i.OPCODE) != i.SPIN_UNTIL:
        return False
    return _blocked_on_word(vm, state, base, state[base + PC]) != NOT_BLOCKED


@inner
def _begin_to_spin(vm: Any, state: Any, context: int) -> int:
    base, log = block_of(vm, context), vm[LOG]
    clear(vm, log + LOG_OLD, log + LOG_WORDS)
    address = address_of(vm, state, context)
    vm[log + LOG_ADDRESS], vm[log + LOG_SLOT], vm[log + LOG_MODE] = address, -1, READS
    vm[log + LOG_OLD] = vm[log + LOG_NEW] = load(vm, state, address)
    state[base + STATUS], state[base + MID_TURN] = RUNNING, 1
    return DONE


@inner
def step(vm: Any, state: Any, context: int) -> int:
    """Do one operation of a context that is enabled, and all it computes up to the next one. DONE, or what is wrong."""
    if begins_to_spin(vm, state, context):
        return _begin_to_spin(vm, state, context)
    base, log = block_of(vm, context), vm[LOG]
    pc = state[base + PC]
    opcode, dst = code(vm, pc, i.OPCODE), code(vm, pc, i.DST)
    clear(vm, log + LOG_OLD, log + LOG_WORDS)
    vm[log + LOG_ADDRESS], vm[log + LOG_SLOT] = -1, -1
    state[base + STATUS] = RUNNING
    fault = DONE
    if opcode <= i.LAST_ACCESS:
        fault = _access(vm, state, context, pc, address_of(vm, state, context))
        if fault == DONE and code(vm, pc, i.OWN) & i.DEREFERENCE and is_reader(vm, state, context):
            fault = _hold(vm, state, base)
    elif opcode == i.NR_CPU_IDS:
        vm[log + LOG_RESULT] = vm[CPUS]
    elif opcode == i.NR_NODE_IDS:
        vm[log + LOG_RESULT] = vm[NODES]
    elif opcode == i.PROCESSOR_ID:
        vm[log + LOG_RESULT] = state[base + CPU] - 1 if state[base + CPU] else vm[CPUS]
    elif opcode == i.MARK:
        if not vm[CHECKING]:
            vm[vm[MARKS] + operand(vm, state, base, code(vm, pc, i.A))] = 1
    elif opcode == i.WARN_ON:
        vm[log + LOG_RESULT] = operand(vm, state, base, code(vm, pc, i.A))
        fault = WARNING if vm[log + LOG_RESULT] else DONE
    elif opcode == i.LEDGER_ADD:
        noted = state[base + NOTED]
        if noted == 3:
            fault = FAULT
        else:
            state[base + NOTES + noted * 2] = operand(vm, state, base, code(vm, pc, i.A))
            state[base + NOTES + noted * 2 + 1] = operand(vm, state, base, code(vm, pc, i.B))
            state[base + NOTED] = noted + 1
    elif opcode == i.LEDGER_COMMIT:
        for note in range(state[base + NOTED]):
            word = make_word(vm, state[base + NOTES + note * 2] + LEDGER)
            entered = make_word(vm, state[base + NOTES + note * 2] + ENTERED)
            if word < 0 or entered < 0:
                return NO_WORD
            at = vm[FIRST_WORD] + word
            state[at] = add(state[at], state[base + NOTES + note * 2 + 1])
            state[vm[FIRST_WORD] + entered] = 1
        clear(state, base + NOTED, base + WORK)
    elif opcode == i.RCU_READ_LOCK:
        fault = _enter(state, base, 1)
    elif opcode == i.RCU_READ_UNLOCK:
        fault = _leave(vm, state, context, 1)
    elif opcode == i.PREEMPT_DISABLE:
        fault = _enter(state, base, PREEMPT)
    elif opcode == i.PREEMPT_ENABLE:
        fault = _leave(vm, state, context, PREEMPT)
    elif opcode == i.LOCAL_IRQ_SAVE:
        vm[log + LOG_RESULT] = 1 if irqs_are_off(state, base) else 0
        _set_irqs_off(vm, state, context, 1)
    elif opcode == i.LOCAL_IRQ_RESTORE:
        _set_irqs_off(vm, state, context, operand(vm, state, base, code(vm, pc, i.A)))
    elif opcode == i.CALL_RCU or opcode == i.QUEUE_WORK:
        work = 1 if opcode == i.QUEUE_WORK else 0
        wait = 0 if work else _readers(vm, state)
        program, argument = operand(vm, state, base, code(vm, pc, i.A)), operand(vm, state, base, code(vm, pc, i.B))
        fault = _enqueue(vm, state, context, program, argument, wait, work)
    elif opcode == i.SYNCHRONIZE_RCU or opcode == i.RCU_BARRIER:
        if state[base + WAIT] & REGISTERED:
            state[base + WAIT] = 0
        elif in_interrupt(vm, state, context) or (opcode == i.RCU_BARRIER and state[base + DEPTH] != 0):
            fault = SLEEPS  # a task's synchronize_rcu in its own section waits for ever instead
        else:
            wait = 0
            if opcode == i.SYNCHRONIZE_RCU:
                wait = _readers(vm, state)
            else:
                for slot in range(vm[CONTEXTS], contexts_of(vm)):
                    block = block_of(vm, slot)
                    if state[block + STATUS] != UNUSED and state[block + WORK] == 0:
                        wait |= 1 << slot
            state[base + WAIT] = wait | REGISTERED
            state[base + MID_TURN] = 1
            vm[log + LOG_WAIT] = wait
            return DONE
    elif opcode == i.ALLOC_PERCPU or opcode == i.KZALLOC:
        which = AREAS if opcode == i.ALLOC_PERCPU else OBJECTS
        fault = _allocate(vm, state, which, operand(vm, state, base, code(vm, pc, i.A)))
    elif opcode == i.FREE_PERCPU or opcode == i.KFREE:
        fault = _free(vm, state, context, operand(vm, state, base, code(vm, pc, i.A)), opcode == i.FREE_PERCPU)
    elif opcode == i.TAKE_DOWN:
        cpu = vm[vm[TARGETS] + context]
        take_down(vm, state, cpu)
        word = find_word(vm, vm[ONLINE_MASK])
        at = vm[FIRST_WORD] + word
        vm[log + LOG_ADDRESS], vm[log + LOG_MODE], vm[log + LOG_OLD] = vm[ONLINE_MASK], WRITES, state[at]
        state[at] &= ~(1 << cpu)
        vm[log + LOG_NEW] = state[at]
    if fault != DONE:
        return fault
    state[base + MID_TURN] = 1
    if dst >= 0:
        state[base + REGISTERS + dst] = vm[log + LOG_RESULT]
    state[base + PC] = pc + 1
    return compute(vm, state, context)


@inner
def forget_dead_registers(vm: Any, state: Any) -> None:
    """Values that nobody reads again become 0, so that states which differ in nothing else are one state."""
    for context in range(contexts_of(vm)):
        base = block_of(vm, context)
        status = state[base + STATUS]
        live = vm[vm[LIVE_MASKS] + state[base + PC]] if status in (WAITING, RUNNING) else 0
        for register in range(vm[vm[REGISTER_COUNTS] + context]):
            if not live >> register & 1:
                state[base + REGISTERS + register] = 0
        if status == OVER:
            state[base + PC] = 0
