"""One move of the search: a context's step with all that follows and needs no choice; and the checks on states."""

from __future__ import annotations

from typing import Final

from percpu_emu.explore import reduction as r
from percpu_emu.lang import instructions as i
from percpu_emu.lang.arithmetic import absolute, sub
from percpu_emu.lang.setting import FAIL, HALF, MIGRATE
from percpu_emu.lang.virtual import (
    accesses,
    blocking,
    computing,
    contexts,
    hotplug,
    memory,
    outcomes,
    rows,
    stepping,
)
from percpu_emu.lang.virtual import layout as v
from percpu_emu.shm.compiling import Row, inner

MAX_STEPS: Final = 1 << 16
"""Steps of one move, before it counts as endless."""
SETTLED: Final = 16
"""After so many steps, at powers of two, a move remembers the context's registers: a loop may have no way out."""
TOTAL_STEPS: Final = 1 << 16
WRAPPED: Final = 1 << 31
MAX_DOUBTS: Final = 12


@inner
def move(vm: Row, por: Row, state: Row, context: int) -> tuple[int, int, bool]:
    """Let a context that is enabled go on until it has to wait, has ended, or comes to a step that needs a choice.

    Gives DONE or what is wrong, how many steps were taken, and whether they commute, all together, with everything that
    others can still do: then this move need not be tried after any other. Without reduction it is one step. The steps
    are first such as can be put off, then at most one that needs a choice, then such as can be done early (Lipton's
    reduction); safe ones stand anywhere.
    """
    if not por[r.ENABLED]:
        violated = stepping.step(vm, state, context)
        return after_callback(vm, state, context, violated), 1, False
    committed = guarded = False
    fresh = not contexts.is_reader(vm, state, context)
    one_way = not r.has_other_ways(vm, por, state, context)
    steps, violated = 0, outcomes.DONE
    while steps < MAX_STEPS:
        if steps > 0 and (r.between_turns(vm, por, state, context) or not blocking.is_enabled(vm, state, context)):
            break
        if steps > 0 and (may_migrate(vm, state, context) or r.is_seen_halfway(vm, por, state, context)):
            break
        if steps > 0 and stepping.may_fail(vm, state, context):
            break
        kind = r.class_of(vm, por, state, context)
        if committed and (kind == r.VISIBLE or kind == r.PUT_OFF or r.has_to_move(vm, por, state)):
            break
        guarded |= kind == r.GUARDED
        committed |= kind == r.VISIBLE
        if r.enables_others(vm, state, context) or (kind == r.EARLY and (guarded or not fresh)):
            committed = True  # what it enables cannot have come before
        relaxes = rows.code(vm, state[rows.block_of(vm, context) + v.PC], i.OPCODE) == i.CPU_RELAX
        violated = after_callback(vm, state, context, stepping.step(vm, state, context))
        steps += 1
        if violated != outcomes.DONE:
            return violated, steps, False
        if vm[vm[v.LOG] + v.LOG_ENDED] or relaxes or _goes_round(vm, state, context, steps):
            break
    if steps == MAX_STEPS:
        violated = outcomes.ENDLESS
    alone = one_way and not (committed or guarded or contexts.is_reader(vm, state, context))
    return violated, steps, alone


@inner
def after_callback(vm: Row, state: Row, context: int, violated: int) -> int:
    """What is wrong after a step: after the last one of a callback, the counters are looked at, too."""
    if violated != outcomes.DONE or not vm[vm[v.LOG] + v.LOG_ENDED] or vm[vm[v.KINDS] + context] != v.CALLBACK:
        return violated
    return check_counters(vm, state, False)


@inner
def _goes_round(vm: Row, state: Row, context: int, steps: int) -> bool:
    """Whether a context stands where it has stood before in this move, with the same registers: a loop that polls."""
    if steps < SETTLED:
        return False
    base, kept = rows.block_of(vm, context), vm[v.SCRATCH]
    words = v.REGISTERS + vm[vm[v.REGISTER_COUNTS] + context]
    same = steps > SETTLED
    for word in range(words):
        same = same and vm[kept + word] == state[base + word]
    if steps & (steps - 1) == 0:
        for word in range(words):
            vm[kept + word] = state[base + word]
    return same


@inner
def may_migrate(vm: Row, state: Row, context: int) -> bool:
    """Whether a task can be moved to another CPU now, or has to be."""
    base = rows.block_of(vm, context)
    if hotplug.is_displaced(state, base):
        return True
    cpu = state[base + v.CPU]
    if state[base + v.MIGRATIONS] <= 0 or cpu == 0 or state[base + v.STATUS] != v.RUNNING:
        return False
    if state[base + v.MID_TURN] != 1 or state[base + v.DEPTH] != 0 or state[v.IRQS_OFF] >> (cpu - 1) & 1:
        return False
    for other in range(rows.contexts_of(vm)):
        if state[rows.block_of(vm, other) + v.CPU] == cpu and state[rows.block_of(vm, other) + v.STATUS] == v.RUNNING:
            if contexts.at_interrupt_level(vm, state, other):
                return False
    return True


@inner
def migrate(vm: Row, state: Row, choice: int) -> None:
    """Move a task to another CPU; it counts where the task need not have moved."""
    base = rows.block_of(vm, choice % MIGRATE)
    if not hotplug.is_displaced(state, base):
        state[base + v.MIGRATIONS] -= 1
    state[base + v.CPU] = choice // MIGRATE


@inner
def choices(vm: Row, state: Row, found: Row) -> int:
    """Write every choice there is now to `found`; how many."""
    count = 0
    for context in range(rows.contexts_of(vm)):
        if blocking.is_enabled(vm, state, context):
            found[count] = context
            count += 1
            if accesses.is_split(vm, state, context):
                found[count] = context + HALF
                count += 1
            if stepping.may_fail(vm, state, context):
                found[count] = context + FAIL
                count += 1
        if may_migrate(vm, state, context):
            for cpu in range(vm[v.CPUS]):
                if cpu + 1 != state[rows.block_of(vm, context) + v.CPU] and state[v.ONLINE] >> cpu & 1:
                    found[count] = context + MIGRATE * (cpu + 1)
                    count += 1
    return count


@inner
def is_final(vm: Row, state: Row) -> bool:
    """Whether everything that has to run has run."""
    for context in range(rows.contexts_of(vm)):
        if contexts.must_finish(vm, state, context):
            return False
    return True


# --- checks on states


@inner
def total_of(vm: Row, state: Row, counter: int) -> tuple[int, int]:
    """What is wrong while the counter is read, and its value with all slots. The state stays as it is."""
    checker = vm[v.CHECKER]
    base = rows.block_of(vm, checker)
    rows.clear(state, base, base + v.REGISTERS + vm[vm[v.REGISTER_COUNTS] + checker])
    state[base + v.PC] = vm[v.TOTAL_ENTRY]
    state[base + v.STATUS] = v.RUNNING
    state[base + v.REGISTERS] = counter
    vm[v.CHECKING] = 1
    violated = computing.compute(vm, state, checker)
    for _ in range(TOTAL_STEPS):
        if violated != outcomes.DONE or state[base + v.STATUS] == v.OVER:
            break
        violated = stepping.step(vm, state, checker)
    vm[v.CHECKING] = 0
    return violated, state[base + v.RESULT]


@inner
def _may_differ(vm: Row, state: Row, counter: int, difference: int, final: bool) -> bool:
    """Whether a difference is explained by what contexts hold: any part of these amounts may be missing or too much.

    At the end, the updates of killed contexts are in doubt. Before it, counts may be in a register, too: taken out of a
    slot by a context that has not added them to the counter yet. More than MAX_DOUBTS amounts explain everything.
    """
    for which in range(1 << MAX_DOUBTS):
        rest, left = difference, which
        for context in range(rows.contexts_of(vm)):
            base = rows.block_of(vm, context)
            for note in range(state[base + v.NOTED]):
                if state[base + v.NOTES + note * 2] == counter:
                    rest -= state[base + v.NOTES + note * 2 + 1] * (left & 1)
                    left >>= 1
            if final or state[base + v.STATUS] != v.RUNNING or not state[base + v.MID_TURN]:
                continue
            live = vm[vm[v.LIVE_MASKS] + state[base + v.PC]]
            for register in range(vm[vm[v.REGISTER_COUNTS] + context]):
                if live >> register & 1 and state[base + v.REGISTERS + register] != 0:
                    rest += state[base + v.REGISTERS + register] * (left & 1)
                    left >>= 1
        if rest == 0:
            return True
        if left > 0:
            return False
    return True


@inner
def _is_noted(vm: Row, state: Row, counter: int) -> bool:
    """Whether a context is inside an update of a counter."""
    for context in range(rows.contexts_of(vm)):
        base = rows.block_of(vm, context)
        for note in range(state[base + v.NOTED]):
            if state[base + v.NOTES + note * 2] == counter:
                return True
    return False


@inner
def _entered_counter(vm: Row, state: Row, word: int) -> int:
    """The counter whose ledger a word is, where this schedule has entered something for it; -1 for none."""
    address = vm[vm[v.ADDRESSES] + word]
    if address < v.LEDGER or not memory.load(vm, state, address - v.LEDGER + v.ENTERED):
        return -1
    return address - v.LEDGER


@inner
def check_counters(vm: Row, state: Row, final: bool) -> int:
    """Every counter against its ledger: at the end, or (for counters that no context is updating) after a callback."""
    if vm[v.TOTAL_ENTRY] < 0:
        return outcomes.DONE
    for word in range(vm[v.WORD_COUNT]):
        counter = _entered_counter(vm, state, word)
        if counter < 0 or memory.check_access(vm, state, counter) != outcomes.DONE:
            continue  # or it is gone
        added = state[vm[v.FIRST_WORD] + word]
        noted = _is_noted(vm, state, counter)
        if not final and noted:
            continue
        violated, value = total_of(vm, state, counter)
        if violated != outcomes.DONE:
            return violated
        if final and value < 0 and added >= 0 and not noted:
            return outcomes.NEGATIVE
        if final and absolute(value) >= WRAPPED:
            return outcomes.WRAPPED
        if value != added and not _may_differ(vm, state, counter, sub(value, added), final):
            return outcomes.LOST if value < added else outcomes.DOUBLED
    return outcomes.DONE


@inner
def check_final(vm: Row, state: Row) -> int:
    """The checks on a state in which everything has run."""
    violated = check_counters(vm, state, True)
    if violated != outcomes.DONE:
        return violated
    if vm[v.LEFT] >= 0:
        live = 0
        for region in range(vm[v.MAX_AREAS] + vm[v.MAX_OBJECTS]):
            live += state[vm[v.FIRST_REGION] + region] & v.STATE_OF_REGION == v.LIVE
        if live > vm[v.LEFT]:
            return outcomes.LEAK
    return outcomes.EARLY_FREE if state[v.EARLY] else outcomes.DONE


@inner
def check_bound(vm: Row, state: Row) -> int:
    """A reader's error: how far a counter's twin is from what was added."""
    bound = vm[v.BOUND]
    if bound < 0:
        return outcomes.DONE
    for word in range(vm[v.WORD_COUNT]):
        counter = _entered_counter(vm, state, word)
        if counter >= 0:
            off = sub(memory.load(vm, state, counter), state[vm[v.FIRST_WORD] + word])
            allowed = bound
            for context in range(rows.contexts_of(vm)):
                base = rows.block_of(vm, context)
                for note in range(state[base + v.NOTED]):
                    if state[base + v.NOTES + note * 2] == counter:
                        allowed += absolute(state[base + v.NOTES + note * 2 + 1])
            if absolute(off) > allowed:
                return outcomes.ERROR_BOUND
    return outcomes.DONE
