"""Which steps need no choice: the partial-order reduction.

A step that no other context can disturb, nor notice, is taken at once instead of being tried in every order. Whether
that is so is decided from three things, all exact:

* **who touches what**: each word has the set of operations that were ever seen to touch it, by kind (read, add, write).
  An operation seen for the first time means that the search so far may have left something out: it begins anew, with
  what it has learned, until nothing new turns up. Then the reduced search is complete: the first conflict that it had
  missed would have been reached, and recorded, behind steps that all commute;
* **what can still be done**: from each operation, which others can be reached (`lang.flow.reachable`). What a context
  has behind it disturbs no other;
* **the grace period**: what stands behind a wait for RCU cannot happen while a reader stays in its section.

To enter a read-side section commutes with what others do later, to leave it with what they did before (Lipton's
movers): so a section whose accesses no other context disturbs is one step, and one with a single disturbed access has
one choice.
A step that is safe only inside its section makes the section as a whole one that others can notice.
"""

from __future__ import annotations

from typing import Final

from percpu_emu.lang import instructions as i
from percpu_emu.lang.arithmetic import mul
from percpu_emu.lang.setting import UNIT_SHIFT
from percpu_emu.lang.virtual import accesses, contexts, hotplug, memory, outcomes, rows, stepping
from percpu_emu.lang.virtual import layout as v
from percpu_emu.shm.compiling import Row, inner

# --- how a step relates to the steps of others
VISIBLE: Final = 0  # it has to be tried in every order
SAFE: Final = 1  # it commutes with everything that others can still do before it
PUT_OFF: Final = 2  # it can be put off until just before the next step
GUARDED: Final = 4  # as SAFE, but only while its context keeps others away: as a reader, or by having its CPU to itself
EARLY: Final = 3  # it can be done as soon as its context comes to it

# --- keys of what conflicts without being a word
PERCPU_KEY: Final = 1 << 61
REGION_KEY: Final = 1 << 59
ALLOCATOR_KEY: Final = 1 << 58
SENT_KEY: Final = ALLOCATOR_KEY + 2
"""With a CPU's number: the interrupts that are sent there have an order."""

# --- columns of `Reduction.touched`: mode (READS, ADDS, WRITES less 1) + OTHERS where it is not the CPU's own copy
OTHERS: Final = 3
KINDS: Final = 6

# --- `por`: what is known of a setting's operations, one array; sets of operations are rows of `BITS` words of bits
ENABLED: Final = 0
CHANGED: Final = 1  # an operation was seen to touch a word for the first time
ROWS: Final = 2  # rows of TOUCHED in use
FULL: Final = 3
MAX_ROWS: Final = 4
HASH_MASK: Final = 5
BITS: Final = 6
HOTPLUG: Final = 7  # 1 where an operation takes a CPU off line, or moves its task to another
# where its parts begin:
NUMBERS: Final = 8  # for each row of code the operation's number, -1 for the rest
NOW: Final = 9  # a set for each operation: what can be reached without passing a wait for RCU
EVER: Final = 10  # ... what can be reached at all
BEHIND: Final = 11  # ... what NOW is from behind a synchronize_rcu
WAITS: Final = 12  # one set: call_rcu and synchronize_rcu, which look who is a reader
ENTERS: Final = 13  # one set: operations that make a reader
BARRIERS: Final = 14  # one set
KEYS: Final = 15  # words that were touched, and the keys above, in an open hash table ...
KEY_ROWS: Final = 16  # ... and which row of TOUCHED each has
TOUCHED: Final = 17  # KINDS sets for each row
BLOCKS_INSIDE: Final = 18  # for each row of code, 1 if its program may wait or poll as a reader
STALLS: Final = 19  # one set: call_rcu of a callback that may wait or poll on a CPU
SENDS: Final = 20  # one set: interrupts that are sent to a CPU
DOWNS: Final = 21  # one set: takedown_cpu
MOVES: Final = 22  # one set: migrate_to
POR_HEADER: Final = 23


@inner
def _row_of(por: Row, key: int) -> int:
    """The row of a key, a new one for a new key; -1 if there is no room."""
    mask = por[HASH_MASK]
    place = (mul(key, 0x9E3779B97F4A7C1) >> 20) & mask
    while por[por[KEYS] + place] != v.EMPTY:
        if por[por[KEYS] + place] == key:
            return por[por[KEY_ROWS] + place]
        place = (place + 1) & mask
    row = por[ROWS]
    if row >= por[MAX_ROWS]:
        por[FULL] = 1
        return -1
    por[ROWS] = row + 1
    por[por[KEY_ROWS] + place] = row
    por[por[KEYS] + place] = key
    return row


@inner
def _touched(por: Row, row: int, kind: int) -> int:
    """Where the set of operations begins that touch a word in one way."""
    return por[TOUCHED] + (row * KINDS + kind) * por[BITS]


@inner
def _note(por: Row, row: int, kind: int, operation: int) -> None:
    at, bit = _touched(por, row, kind) + (operation >> 6), 1 << (operation & 63)
    if not por[at] & bit:
        por[at] |= bit
        por[CHANGED] = 1


@inner
def _held_up(vm: Row, por: Row, state: Row, context: int, other: int) -> bool:
    """Whether `other` cannot take a step before `context` does."""
    mine, base = rows.block_of(vm, context), rows.block_of(vm, other)
    status = state[base + v.STATUS]
    if status == v.UNUSED or status == v.OVER:
        return True
    if state[base + v.WAIT] >> context & 1:
        return True  # it waits for `context`, as a reader or as a callback
    cpu = state[mine + v.CPU]
    if cpu == 0 or state[base + v.CPU] != cpu or _may_move(vm, por, state, other):
        return False
    level = contexts.at_interrupt_level(vm, state, context)
    if contexts.at_interrupt_level(vm, state, other):
        if status != v.WAITING:
            return False
        return (level and state[mine + v.STATUS] == v.RUNNING) or state[mine + v.DEPTH] >= v.IRQ
    return (level and state[mine + v.STATUS] == v.RUNNING) or state[mine + v.DEPTH] != 0


@inner
def _may_go_down(vm: Row, por: Row, state: Row, context: int) -> bool:
    """Whether another context can still take the CPU of a context off line."""
    if not por[HOTPLUG] or state[rows.block_of(vm, context) + v.CPU] == 0:
        return False
    for other in range(rows.contexts_of(vm)):
        status = state[rows.block_of(vm, other) + v.STATUS]
        if other != context and status != v.UNUSED and status != v.OVER:
            if _reaches_any(vm, por, state, other, por[DOWNS], False):
                return True
    return False


@inner
def _may_be_moved(vm: Row, por: Row, state: Row, context: int) -> bool:
    """Whether a task may come to another CPU than its program says."""
    base = rows.block_of(vm, context)
    if state[base + v.MIGRATIONS] > 0 or hotplug.is_displaced(state, base):
        return True
    return _may_go_down(vm, por, state, context)


@inner
def has_to_move(vm: Row, por: Row, state: Row) -> bool:
    """Whether there is a task that has to move: it may come at once, and a counterexample have fewer steps by that."""
    for context in range(rows.contexts_of(vm)) if por[HOTPLUG] else range(0):
        if hotplug.is_displaced(state, rows.block_of(vm, context)):
            return True
    return False


@inner
def _may_move(vm: Row, por: Row, state: Row, context: int) -> bool:
    """Whether a context may come to another CPU, on its own account or not."""
    if _may_be_moved(vm, por, state, context):
        return True
    if not por[HOTPLUG] or not contexts.must_finish(vm, state, context):
        return False
    moves = _reaches_any(vm, por, state, context, por[MOVES], False)
    return moves or _reaches_any(vm, por, state, context, por[DOWNS], False)


@inner
def _reaches(vm: Row, por: Row, state: Row, other: int, reader: bool, block: int) -> int:
    """64 of the operations that `other` can still do; while a context stays a reader, where it is one."""
    pc = state[rows.block_of(vm, other) + v.PC]
    operation = por[por[NUMBERS] + pc] * por[BITS] + block
    if not reader:
        return por[por[EVER] + operation]
    if rows.code(vm, pc, i.OPCODE) == i.SYNCHRONIZE_RCU and state[rows.block_of(vm, other) + v.WAIT] & v.REGISTERED:
        return por[por[BEHIND] + operation]
    return por[por[NOW] + operation]


@inner
def _reaches_any(vm: Row, por: Row, state: Row, other: int, operations: int, reader: bool) -> bool:
    """Whether `other` can still do one of a set of operations; with `reader`, while a context stays one."""
    for block in range(por[BITS]):
        if por[operations + block] and _reaches(vm, por, state, other, reader, block) & por[operations + block]:
            return True
    return False


@inner
def _commute(kind: int, mode: int, own: bool) -> bool:
    """Whether touching a word in a way of `TOUCHED` commutes with doing so in `mode`, on the own copy or not.

    Two reads do, and two additions of one side: what a CPU adds to its own copy is a load and a store for all others.
    """
    if mode == v.READS:
        return kind % OTHERS == v.READS - 1
    return mode == v.ADDS and kind == v.ADDS - 1 + (0 if own else OTHERS)


@inner
def _meets(vm: Row, por: Row, state: Row, other: int, reader: bool, row: int, cpu: int, mode: int, own: bool) -> bool:
    """Whether `other` can still touch the word in a way that does not commute with `mode`."""
    theirs = rows.block_of(vm, other)
    may_own = cpu == 0 or state[theirs + v.CPU] == cpu or _may_move(vm, por, state, other)
    may_own = may_own or _reaches_any(vm, por, state, other, por[SENDS], reader)
    for block in range(por[BITS]):
        reached = _reaches(vm, por, state, other, reader, block)
        if reached == 0:
            continue
        for kind in range(0 if may_own else OTHERS, KINDS):
            if not _commute(kind, mode, own) and reached & por[_touched(por, row, kind) + block]:
                return True
    return False


@inner
def _anyone(por: Row, row: int, mode: int, own: bool) -> bool:
    """Whether any operation at all touches the word in a way that does not commute with `mode`."""
    for kind in range(KINDS):
        if _commute(kind, mode, own):
            continue
        at = _touched(por, row, kind)
        for block in range(por[BITS]):
            if por[at + block]:
                return True
    return False


@inner
def _disturbed(vm: Row, por: Row, state: Row, context: int, key: int, cpu: int, mode: int) -> int:
    """Whether another context can touch a word so that the order matters: SAFE, GUARDED or VISIBLE. Notes the touch.

    `cpu`: whose copy of a per-CPU word it is, plus 1; 0 for other words.
    """
    base = rows.block_of(vm, context)
    row = _row_of(por, key)
    if row < 0:
        return VISIBLE
    own = cpu != 0 and state[base + v.CPU] == cpu
    _note(por, row, mode - 1 + (0 if own else OTHERS), por[por[NUMBERS] + state[base + v.PC]])
    found = SAFE
    if not _anyone(por, row, mode, own):
        return SAFE  # most words: only read, or only ever touched by one program
    reader = contexts.is_reader(vm, state, context)
    for other in range(rows.contexts_of(vm)):
        status = state[rows.block_of(vm, other) + v.STATUS]
        if other == context or status == v.UNUSED or status == v.OVER:
            continue
        if not _meets(vm, por, state, other, False, row, cpu, mode, own):
            continue
        if not _held_up(vm, por, state, context, other):
            if not reader or _meets(vm, por, state, other, True, row, cpu, mode, own):
                return VISIBLE
        found = GUARDED
    return found


@inner
def _both(one: int, other: int) -> int:
    """The class of a step that does two things."""
    if one == VISIBLE or other == VISIBLE:
        return VISIBLE
    return GUARDED if one == GUARDED or other == GUARDED else SAFE


@inner
def is_seen_halfway(vm: Row, por: Row, state: Row, context: int) -> bool:
    """Whether it makes a difference to do only the load of the next operation (`accesses.is_split`).

    It does where a context that is not on the CPU can write the word before the store: not one that waits for this
    context's section first.
    """
    if not accesses.is_split(vm, state, context) or not por[ENABLED]:
        return accesses.is_split(vm, state, context)
    row = _row_of(por, (accesses.address_of(vm, state, context) & ((1 << UNIT_SHIFT) - 1)) | PERCPU_KEY)
    if row < 0:
        return True
    reader = contexts.is_reader(vm, state, context)
    for other in range(rows.contexts_of(vm)):
        status = state[rows.block_of(vm, other) + v.STATUS]
        if other == context or status == v.UNUSED or status == v.OVER or _held_up(vm, por, state, context, other):
            continue
        for block in range(por[BITS]):
            writes = por[_touched(por, row, v.ADDS - 1 + OTHERS) + block]
            writes |= por[_touched(por, row, v.WRITES - 1 + OTHERS) + block]
            if writes & _reaches(vm, por, state, other, reader, block):
                return True
    return False


@inner
def note_waits(vm: Row, por: Row, state: Row) -> None:
    """Note the words that blocked contexts wait for: a write to one decides whether they ever go on.

    A wait that is never over is no step, so that `class_of` does not see it.
    """
    if not por[ENABLED]:
        return
    for context in range(rows.contexts_of(vm)):
        base = rows.block_of(vm, context)
        if state[base + v.STATUS] == v.RUNNING or state[base + v.STATUS] == v.WAITING:
            opcode = rows.code(vm, state[base + v.PC], i.OPCODE)
            if opcode == i.WAIT_UNTIL or opcode == i.SPIN_UNTIL:
                _class_of_access(vm, por, state, context, opcode)


@inner
def _others_reach(vm: Row, por: Row, state: Row, context: int, operations: int, reader: bool) -> bool:
    """Whether another context can still do one of these; with `reader`, while this one stays in its section."""
    for other in range(rows.contexts_of(vm)):
        if other == context or _held_up(vm, por, state, context, other):
            continue
        if _reaches_any(vm, por, state, other, operations, reader):
            return True
    return False


@inner
def _others_may_read(vm: Row, por: Row, state: Row, context: int) -> bool:
    """Whether another context is a reader, or can still become one."""
    for other in range(rows.contexts_of(vm)):
        status = state[rows.block_of(vm, other) + v.STATUS]
        if other == context or status == v.UNUSED or status == v.OVER:
            continue
        if contexts.is_reader(vm, state, other) or contexts.at_interrupt_level(vm, state, other):
            return True
    return _others_reach(vm, por, state, context, por[ENTERS], False)


@inner
def _entering_matters(vm: Row, por: Row, state: Row, context: int) -> bool:
    """Whether someone can notice that a context becomes a reader, or keeps its CPU to itself."""
    cpu = state[rows.block_of(vm, context) + v.CPU]
    for other in range(rows.contexts_of(vm)):
        base = rows.block_of(vm, other)
        status = state[base + v.STATUS]
        if status == v.UNUSED or status == v.OVER:
            continue
        if _may_move(vm, por, state, other):
            return True
        if other != context and cpu > 0 and state[base + v.CPU] == cpu:
            return True
    if _others_reach(vm, por, state, context, por[SENDS], False):
        return True
    return _others_reach(vm, por, state, context, por[WAITS], False)


@inner
def kill_pending(vm: Row, por: Row, state: Row, context: int) -> bool:
    """Whether a context's CPU may still be killed."""
    return _down_pending(vm, por, state, context, v.KILL)


@inner
def _may_be_stalled(vm: Row, por: Row, state: Row, context: int) -> bool:
    """Whether another context can take the CPU of a context and wait there for ever: as if that was killed."""
    mine = rows.block_of(vm, context)
    cpu = state[mine + v.CPU]
    if cpu == 0 or (contexts.at_interrupt_level(vm, state, context) and state[mine + v.STATUS] == v.RUNNING):
        return False
    for other in range(rows.contexts_of(vm)):
        base = rows.block_of(vm, other)
        if other == context or state[base + v.STATUS] == v.UNUSED or state[base + v.STATUS] == v.OVER:
            continue
        meets = state[base + v.CPU] == cpu or _may_move(vm, por, state, other) or _may_move(vm, por, state, context)
        if meets and (state[base + v.CPU] != 0 or por[HOTPLUG]) and por[por[BLOCKS_INSIDE] + state[base + v.PC]]:
            return True
    return _others_reach(vm, por, state, context, por[STALLS], False)


@inner
def has_other_ways(vm: Row, por: Row, state: Row, context: int) -> bool:
    """Whether something else than its next step may become of a context: it moves, its CPU goes, it never starts."""
    if _may_be_moved(vm, por, state, context) or not contexts.must_finish(vm, state, context):
        return True
    return kill_pending(vm, por, state, context) or _down_pending(vm, por, state, context, v.OFFLINE)


@inner
def _down_pending(vm: Row, por: Row, state: Row, context: int, kind: int) -> bool:
    cpu = state[rows.block_of(vm, context) + v.CPU]
    if cpu == 0:
        return False
    for other in range(vm[v.CONTEXTS]):
        mine = vm[vm[v.TARGETS] + other] == cpu - 1 or _may_move(vm, por, state, context)
        if vm[vm[v.KINDS] + other] == kind and mine:
            if rows.code(vm, state[rows.block_of(vm, other) + v.PC], i.OPCODE) == i.TAKE_DOWN:
                return True
    return False


@inner
def between_turns(vm: Row, por: Row, state: Row, context: int) -> bool:
    """Whether a context is where its CPU may be taken offline."""
    return state[rows.block_of(vm, context) + v.MID_TURN] == 0 and _down_pending(vm, por, state, context, v.OFFLINE)


@inner
def _class_of_access(vm: Row, por: Row, state: Row, context: int, opcode: int) -> int:
    address = accesses.address_of(vm, state, context)
    if address < 0:
        return SAFE  # it will be caught: the search has its counterexample, whatever others do
    cpu = address >> UNIT_SHIFT
    key = address if cpu == 0 else (address & ((1 << UNIT_SHIFT) - 1)) | PERCPU_KEY
    found = _disturbed(vm, por, state, context, key, cpu, accesses.mode_of(opcode))
    region = memory.region_of(vm, address)
    if region >= 0:
        found = _both(found, _disturbed(vm, por, state, context, REGION_KEY + region, 0, v.READS))
    base = rows.block_of(vm, context)
    own = rows.code(vm, state[base + v.PC], i.OWN)
    reads = state[base + v.DEPTH] != 0 or contexts.at_interrupt_level(vm, state, context)
    if own & i.DEREFERENCE and reads and memory.check_access(vm, state, address) == outcomes.DONE:
        held = memory.region_pointed_to(vm, memory.load(vm, state, address))
        if held >= 0:  # from now on it holds that region, which a free of it notices
            found = _both(found, _disturbed(vm, por, state, context, REGION_KEY + held, 0, v.READS))
    if own & 1 and _may_be_moved(vm, por, state, context):
        return VISIBLE
    return found


@inner
def _class_of_holding(vm: Row, por: Row, state: Row, context: int) -> int:
    """VISIBLE where what a reader holds may be freed just before it lets go, SAFE elsewhere."""
    held = state[rows.block_of(vm, context) + v.HELD]
    found = SAFE
    for region in range(v.MAX_HELD if held else 0):
        if held >> region & 1 and _disturbed(vm, por, state, context, REGION_KEY + region, 0, v.READS) == VISIBLE:
            found = VISIBLE
    return found


@inner
def _class_of_entering(vm: Row, por: Row, state: Row, context: int) -> int:
    """Of turning interrupts off."""
    entering = not contexts.irqs_are_off(state, rows.block_of(vm, context))
    return PUT_OFF if entering and _entering_matters(vm, por, state, context) else SAFE


@inner
def _class_of_sending(vm: Row, por: Row, state: Row, context: int) -> int:
    """Of sending an interrupt: it looks whether the CPU is online, and stands behind those that were sent before."""
    base = rows.block_of(vm, context)
    cpu = rows.operand(vm, state, base, rows.code(vm, state[base + v.PC], i.C))
    if cpu < 0 or cpu >= vm[v.CPUS]:
        return SAFE  # caught, too
    looks = _disturbed(vm, por, state, context, vm[v.ONLINE_MASK], 0, v.READS)
    found = _both(looks, _disturbed(vm, por, state, context, SENT_KEY + cpu, 0, v.WRITES))
    return VISIBLE if _others_reach(vm, por, state, context, por[BARRIERS], False) else found


@inner
def class_of(vm: Row, por: Row, state: Row, context: int) -> int:
    """How a context's next step, which is enabled, relates to the steps of others."""
    base = rows.block_of(vm, context)
    pc = state[base + v.PC]
    opcode = rows.code(vm, pc, i.OPCODE)
    found = SAFE
    if opcode <= i.LAST_ACCESS:
        found = _class_of_access(vm, por, state, context, opcode)
    elif opcode == i.PROCESSOR_ID:
        found = VISIBLE if _may_be_moved(vm, por, state, context) else SAFE
    elif opcode == i.RCU_READ_LOCK or opcode == i.PREEMPT_DISABLE:
        entering = not contexts.is_reader(vm, state, context)
        found = PUT_OFF if entering and _entering_matters(vm, por, state, context) else SAFE
    elif opcode == i.LOCAL_IRQ_SAVE or (
        opcode == i.LOCAL_IRQ_RESTORE and rows.operand(vm, state, base, rows.code(vm, pc, i.A)) != 0
    ):
        found = _class_of_entering(vm, por, state, context)
    elif opcode == i.RCU_READ_UNLOCK or opcode == i.PREEMPT_ENABLE or opcode == i.LOCAL_IRQ_RESTORE:
        found = VISIBLE if _class_of_holding(vm, por, state, context) == VISIBLE else EARLY
    elif opcode == i.CALL_RCU or opcode == i.QUEUE_WORK or opcode == i.SYNCHRONIZE_RCU:
        if opcode != i.SYNCHRONIZE_RCU or not state[base + v.WAIT] & v.REGISTERED:
            seen = opcode != i.QUEUE_WORK and _others_may_read(vm, por, state, context)
            found = VISIBLE if seen or _others_reach(vm, por, state, context, por[BARRIERS], False) else SAFE
    elif opcode == i.IRQ_WORK:
        found = _class_of_sending(vm, por, state, context)
    elif opcode == i.RCU_BARRIER:
        found = SAFE if state[base + v.WAIT] & v.REGISTERED else VISIBLE
    elif opcode == i.ALLOC_PERCPU or opcode == i.KZALLOC:
        which = ALLOCATOR_KEY + (1 if opcode == i.KZALLOC else 0)
        found = _disturbed(vm, por, state, context, which, 0, v.WRITES)
        if stepping.may_fail(vm, state, context):
            return VISIBLE  # it has another outcome, of which there are only so many
    elif opcode == i.FREE_PERCPU or opcode == i.KFREE:
        pointer = rows.operand(vm, state, base, rows.code(vm, pc, i.A))
        region = memory.freed_region(vm, pointer, opcode == i.FREE_PERCPU)
        if pointer != 0 and region >= 0:
            found = _disturbed(vm, por, state, context, REGION_KEY + region, 0, v.WRITES)
    elif i.TAKE_DOWN <= opcode <= i.CPU_UP:
        _disturbed(vm, por, state, context, vm[v.ONLINE_MASK], 0, v.WRITES)
        found = VISIBLE
    elif opcode == i.MOVE_TO:
        found = VISIBLE
    if contexts.at_interrupt_level(vm, state, context) and _class_of_holding(vm, por, state, context) == VISIBLE:
        return VISIBLE  # it may end with this step, and lets go then
    inside = por[por[BLOCKS_INSIDE] + pc]  # then entering a section late could hide that it never goes on
    if _may_go_down(vm, por, state, context) or kill_pending(vm, por, state, context):
        return VISIBLE
    if (inside and found == PUT_OFF) or _may_be_stalled(vm, por, state, context):
        return VISIBLE
    if inside and state[base + v.STATUS] == v.WAITING and contexts.at_interrupt_level(vm, state, context):
        return VISIBLE
    return found


@inner
def enables_others(vm: Row, state: Row, context: int) -> bool:
    """Whether the next step lets another context go on, or makes one: something that could not have come before it."""
    base = rows.block_of(vm, context)
    opcode = rows.code(vm, state[base + v.PC], i.OPCODE)
    if opcode == i.CALL_RCU or opcode == i.QUEUE_WORK or opcode == i.IRQ_WORK or state[base + v.MID_TURN] == v.HALFWAY:
        return True
    if opcode not in (i.RCU_READ_UNLOCK, i.PREEMPT_ENABLE, i.LOCAL_IRQ_RESTORE):
        return False
    for other in range(rows.contexts_of(vm)):
        if state[rows.block_of(vm, other) + v.WAIT] >> context & 1:
            return True
    return False
