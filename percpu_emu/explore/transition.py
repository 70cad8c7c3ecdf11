"""One move of the search: a context's step with all that follows and needs no choice; and the checks on states."""

from __future__ import annotations

from typing import Any, Final

from percpu_emu.explore import reduction as r
from percpu_emu.lang import instructions as i
from percpu_emu.lang import virtual as v
from percpu_emu.lang.arithmetic import absolute, sub
from percpu_emu.lang.setting import HALF, MIGRATE

MAX_STEPS: Final = 1 << 16
"""Steps of one move, before it counts as endless."""
SETTLED: Final = 16
"""After so many steps, at powers of two, a move remembers the context's registers: a loop may have no way out."""
TOTAL_STEPS: Final = 1 << 16
WRAPPED: Final = 1 << 31
MAX_DOUBTS: Final = 12


@v.inner
def move(vm: Any, por: Any, state: Any, context: int) -> tuple[int, int, bool]:
    """Let a context that is enabled go on until it has to wait, has ended, or comes to a step that needs a choice.

    Gives DONE or what is wrong, how many steps were taken, and whether they commute, all together, with everything that
    others can still do: then this move need not be tried after any other. Without reduction it is one step. The steps
    are first such as can be put off, then at most one that needs a choice, then such as can be done early (Lipton's
    reduction); safe ones stand anywhere.
    """
    if not por[r.ENABLED]:
        violated = v.step(vm, state, context)
        return _after_callback(vm, state, context, violated), 1, False
    committed = guarded = False
    fresh = not v.is_reader(vm, state, context)
    one_way = not r.has_other_ways(vm, state, context)
    steps, violated = 0, v.DONE
    while steps < MAX_STEPS:
        if steps > 0 and (r.between_turns(vm, state, context) or not v.is_enabled(vm, state, context)):
            break
        if steps > 0 and (may_migrate(vm, state, context) or r.is_seen_halfway(vm, por, state, context)):
            break
        kind = r.class_of(vm, por, state, context)
        if committed and (kind == r.VISIBLE or kind == r.PUT_OFF):
            break
        guarded |= kind == r.GUARDED
        committed |= kind == r.VISIBLE
        if r.enables_others(vm, state, context) or (kind == r.EARLY and (guarded or not fresh)):
            committed = True  # what it enables cannot have come before
        relaxes = v.code(vm, state[v.block_of(vm, context) + v.PC], i.OPCODE) == i.CPU_RELAX
        violated = _after_callback(vm, state, context, v.step(vm, state, context))
        steps += 1
        if violated != v.DONE:
            return violated, steps, False
        if vm[vm[v.LOG] + v.LOG_ENDED] or relaxes or _goes_round(vm, state, context, steps):
            break
    if steps == MAX_STEPS:
        violated = v.ENDLESS
    alone = one_way and not (committed or guarded or v.is_reader(vm, state, context))
    return violated, steps, alone


@v.inner
def _after_callback(vm: Any, state: Any, context: int, violated: int) -> int:
    """What is wrong after a step: after the last one of a callback, the counters are looked at, too."""
    if violated != v.DONE or not vm[vm[v.LOG] + v.LOG_ENDED] or vm[vm[v.KINDS] + context] != v.SLOT:
        return violated
    return check_counters(vm, state, False)


@v.inner
def _goes_round(vm: Any, state: Any, context: int, steps: int) -> bool:
    """Whether a context stands where it has stood before in this move, with the same registers: a loop that polls."""
    if steps < SETTLED:
        return False
    base, kept = v.block_of(vm, context), vm[v.SCRATCH]
    words = v.REGISTERS + vm[vm[v.REGISTER_COUNTS] + context]
    same = steps > SETTLED
    for word in range(words):
        same = same and vm[kept + word] == state[base + word]
    if steps & (steps - 1) == 0:
        for word in range(words):
            vm[kept + word] = state[base + word]
    return same


@v.inner
def may_migrate(vm: Any, state: Any, context: int) -> bool:
    """Whether a task can be moved to another CPU now."""
    base = v.block_of(vm, context)
    cpu = state[base + v.CPU]
    if state[base + v.MIGRATIONS] <= 0 or cpu == 0 or state[base + v.STATUS] != v.RUNNING:
        return False
    if state[base + v.MID_TURN] != 1 or state[base + v.DEPTH] != 0 or state[v.IRQS_OFF] >> (cpu - 1) & 1:
        return False
    for other in range(v.contexts_of(vm)):
        if state[v.block_of(vm, other) + v.CPU] == cpu and state[v.block_of(vm, other) + v.STATUS] == v.RUNNING:
            if v.at_interrupt_level(vm, state, other):
                return False
    return True


@v.inner
def migrate(vm: Any, state: Any, choice: int) -> None:
    """Move a task to another CPU."""
    base = v.block_of(vm, choice % MIGRATE)
    state[base + v.CPU] = choice // MIGRATE
    state[base + v.MIGRATIONS] -= 1


@v.inner
def choices(vm: Any, state: Any, found: Any) -> int:
    """Write every choice there is now to `found`; how many."""
    count = 0
    for context in range(v.contexts_of(vm)):
        if v.is_enabled(vm, state, context):
            found[count] = context
            count += 1
            if v.is_split(vm, state, context):
                found[count] = context + HALF
                count += 1
        if may_migrate(vm, state, context):
            for cpu in range(vm[v.CPUS]):
                if cpu + 1 != state[v.block_of(vm, context) + v.CPU] and state[v.ONLINE] >> cpu & 1:
                    found[count] = context + MIGRATE * (cpu + 1)
                    count += 1
    return count


@v.inner
def is_final(vm: Any, state: Any) -> bool:
    """Whether everything that has to run has run."""
    for context in range(v.contexts_of(vm)):
        if v.must_finish(vm, state, context):
            return False
    return True


# --- checks on states


@v.inner
def total_of(vm: Any, state: Any, counter: int) -> tuple[int, int]:
    """What is wrong while the counter is read, and its value with all slots. The state stays as it is."""
    checker = vm[v.CHECKER]
    base = v.block_of(vm, checker)
    v.clear(state, base, base + v.REGISTERS + vm[vm[v.REGISTER_COUNTS] + checker])
    state[base + v.PC] = vm[v.TOTAL_ENTRY]
    state[base + v.STATUS] = v.RUNNING
    state[base + v.REGISTERS] = counter
    vm[v.CHECKING] = 1
    violated = v.compute(vm, state, checker)
    for _ in range(TOTAL_STEPS):
        if violated != v.DONE or state[base + v.STATUS] == v.OVER:
            break
        violated = v.step(vm, state, checker)
    vm[v.CHECKING] = 0
    return violated, state[base + v.RESULT]


@v.inner
def _may_differ(vm: Any, state: Any, counter: int, difference: int, final: bool) -> bool:
    """Whether a difference is explained by what contexts hold: any part of these amounts may be missing or too much.

    At the end, the updates of killed contexts are in doubt. Before it, counts may be in a register, too: taken out of a
    slot by a context that has not added them to the counter yet. More than MAX_DOUBTS amounts explain everything.
    """
    for which in range(1 << MAX_DOUBTS):
        rest, left = difference, which
        for context in range(v.contexts_of(vm)):
            base = v.block_of(vm, context)
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


@v.inner
def _is_noted(vm: Any, state: Any, counter: int) -> bool:
    """Whether a context is inside an update of a counter."""
    for context in range(v.contexts_of(vm)):
        base = v.block_of(vm, context)
        for note in range(state[base + v.NOTED]):
            if state[base + v.NOTES + note * 2] == counter:
                return True
    return False


@v.inner
def _entered_counter(vm: Any, state: Any, word: int) -> int:
    """The counter whose ledger a word is, where this schedule has entered something for it; -1 for none."""
    address = vm[vm[v.ADDRESSES] + word]
    if address < v.LEDGER or not v.load(vm, state, address - v.LEDGER + v.ENTERED):
        return -1
    return address - v.LEDGER


@v.inner
def check_counters(vm: Any, state: Any, final: bool) -> int:
    """Every counter against its ledger: at the end, or (for counters that no context is updating) after a callback."""
    if vm[v.TOTAL_ENTRY] < 0:
        return v.DONE
    for word in range(vm[v.WORD_COUNT]):
        counter = _entered_counter(vm, state, word)
        if counter < 0 or v.check_access(vm, state, counter) != v.DONE:
            continue  # or it is gone
        added = state[vm[v.FIRST_WORD] + word]
        noted = _is_noted(vm, state, counter)
        if not final and noted:
            continue
        violated, value = total_of(vm, state, counter)
        if violated != v.DONE:
            return violated
        if final and value < 0 and added >= 0 and not noted:
            return v.NEGATIVE
        if final and absolute(value) >= WRAPPED:
            return v.WRAPPED
        if value != added and not _may_differ(vm, state, counter, sub(value, added), final):
            return v.LOST if value < added else v.DOUBLED
    return v.DONE


@v.inner
def check_final(vm: Any, state: Any) -> int:
    """The checks on a state in which everything has run."""
    violated = check_counters(vm, state, True)
    if violated != v.DONE:
        return violated
    if vm[v.LEFT] >= 0:
        live = 0
        for region in range(vm[v.MAX_AREAS] + vm[v.MAX_OBJECTS]):
            live += state[vm[v.FIRST_REGION] + region] & v.STATE_OF_REGION == v.LIVE
        if live > vm[v.LEFT]:
            return v.LEAK
    return v.EARLY_FREE if state[v.EARLY] else v.DONE


@v.inner
def check_bound(vm: Any, state: Any) -> int:
    """A reader's error: how far a counter's twin is from what was added."""
    bound = vm[v.BOUND]
    if bound < 0:
        return v.DONE
    for word in range(vm[v.WORD_COUNT]):
        counter = _entered_counter(vm, state, word)
        if counter >= 0:
            off = sub(v.load(vm, state, counter), state[vm[v.FIRST_WORD] + word])
            allowed = bound
            for context in range(v.contexts_of(vm)):
                base = v.block_of(vm, context)
                for note in range(state[base + v.NOTED]):
                    if state[base + v.NOTES + note * 2] == counter:
                        allowed += absolute(state[base + v.NOTES + note * 2 + 1])
            if absolute(off) > allowed:
                return v.ERROR_BOUND
    return v.DONE
