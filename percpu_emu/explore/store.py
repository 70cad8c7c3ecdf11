"""The states that a search has found, each kept whole, with the way to it; and the compiled loop that expands them.

States are numbered as they are found, so that what is still to do is a range of numbers. Whole states, not hashes of
them: two states are one only if they are equal, and a proof has no probability in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from percpu_emu.explore import reduction as r
from percpu_emu.explore import transition as t
from percpu_emu.lang.arithmetic import mul
from percpu_emu.lang.setting import FAIL, HALF, MIGRATE
from percpu_emu.lang.virtual import accesses, blocking, contexts, outcomes, rows, stepping
from percpu_emu.lang.virtual import layout as v
from percpu_emu.shm.compiling import Row, inner

if TYPE_CHECKING:
    from percpu_emu.explore.model import Words

# --- `Store.numbers`
FOUND: Final = 0
EDGES: Final = 1
VIOLATIONS: Final = 2
STEPS: Final = 3
FINALS: Final = 4
LIMIT: Final = 5
STORE_NUMBERS: Final = 8

# --- which moves of a state are made
ALL: Final = 0
GOING_ON: Final = 1  # those that preempt no context
PREEMPTING: Final = 2  # those that preempt the context that ran last
BOUNDED: Final = 3  # those within LIMIT preemptions since the start, which a state counts

# --- why the loop came back
FINISHED: Final = 0
FULL: Final = 1
BUDGET: Final = 2
ROOM: Final = 16  # plus the reason (NO_CALLBACK ...) negated

MAX_CHOICES: Final = 1024
MAX_WANDERING: Final = 10_000
MAX_VIOLATIONS: Final = 256


class Store(NamedTuple):
    """Room for states; how much of it is used stands in `numbers`."""

    states: Any  # int64[room, words]
    parents: Any  # int64[room]: the state it was first found from
    moves: Any  # int64[room]: by which choice
    depths: Any  # int64[room]: steps from the start
    finals: Any  # int8[room]: 1 where everything has run
    table: Any  # int64[2**n]: state numbers plus 1, by hash
    sources: Any  # int64[edges]
    targets: Any  # int64[edges]
    choices: Any  # int16[edges]: by which choice
    violations: Any  # int64[MAX_VIOLATIONS, 4]: check, state, choice (-1: the state itself), depth
    numbers: Any  # int64[STORE_NUMBERS]


@inner
def _hash(state: Row, words: int) -> int:
    value = 0x2545F4914F6CDD1D
    for word in range(words):
        value = mul(value ^ state[word], 0x9E3779B97F4A7C1)
        value ^= (value >> 29) & 0x7FFFFFFFF
    return value


@inner
def insert(store: Store, state: Row) -> tuple[int, bool]:
    """The number of a state, and whether it is new."""
    words = store.states.shape[1]
    mask = len(store.table) - 1
    place = _hash(state, words) & mask
    while True:
        entry = store.table[place]
        if entry == 0:
            number = store.numbers[FOUND]
            store.numbers[FOUND] = number + 1
            rows.copy(store.states[number], state, words)
            store.finals[number] = 0
            store.table[place] = number + 1
            return number, True
        known = store.states[entry - 1]
        equal = True
        for word in range(words):
            if known[word] != state[word]:
                equal = False
                break
        if equal:
            return entry - 1, False
        place = (place + 1) & mask


@inner
def refill(store: Store) -> None:
    """Enter all states in a table that was made anew."""
    words = store.states.shape[1]
    mask = len(store.table) - 1
    for number in range(store.numbers[FOUND]):
        place = _hash(store.states[number], words) & mask
        while store.table[place] != 0:
            place = (place + 1) & mask
        store.table[place] = number + 1


@inner
def _violate(store: Store, check: int, state: int, choice: int, depth: int) -> None:
    count = store.numbers[VIOLATIONS]
    if count < MAX_VIOLATIONS:
        store.violations[count, 0] = check
        store.violations[count, 1] = state
        store.violations[count, 2] = choice
        store.violations[count, 3] = depth
        store.numbers[VIOLATIONS] = count + 1


@inner
def _settle(vm: Row, store: Store, state: Row, source: int, choice: int, steps: int) -> bool:
    """Enter a state that a move has led to, and check it if it is new, which is what it gives."""
    depth = store.depths[source] + steps if source >= 0 else 0
    contexts.forget_dead_registers(vm, state)
    bound = t.check_bound(vm, state)
    final = t.is_final(vm, state)
    number, new = insert(store, state)
    if source >= 0:
        edge = store.numbers[EDGES]
        if edge < len(store.sources):
            store.sources[edge], store.targets[edge], store.choices[edge] = source, number, choice
        store.numbers[EDGES] = edge + 1
    if not new:
        return False
    store.parents[number], store.moves[number], store.depths[number] = source, choice, depth
    if bound != outcomes.DONE:
        _violate(store, bound, number, -1, depth)
    elif final:
        store.finals[number] = 1
        store.numbers[FINALS] += 1
        violated = t.check_final(vm, state)
        if violated != outcomes.DONE:
            _violate(store, violated, number, -1, depth)
    return True


@inner
def begin(vm: Row, store: Store, buffer: Row, initial: Words) -> None:
    """Enter the first state."""
    rows.copy(buffer, initial, len(initial))
    _settle(vm, store, buffer, -1, -1, 0)


@inner
def wander(vm: Row, por: Row, buffers: Words, initial: Words, seed: int) -> int:
    """Go one random way to an end, to learn what conflicts before a search begins; DONE, or what it ran out of."""
    state, found = buffers[1], buffers[2]
    rows.copy(state, initial, len(initial))
    for _ in range(MAX_WANDERING):
        count = t.choices(vm, state, found)
        if count == 0:
            break
        seed = mul(seed, 0x5851F42D4C957F2D) + 0x14057B7EF767814F
        choice = found[((seed >> 33) & 0x3FFFFFFF) % count]
        violated = outcomes.DONE
        r.note_waits(vm, por, state)
        violated, _ = make_choice(vm, por, state, choice)
        if violated != outcomes.DONE:
            return min(violated, outcomes.DONE)
    return outcomes.DONE


@inner
def _preempts(vm: Row, state: Row, choice: int) -> bool:
    """Whether a choice takes the turn from a context that could have gone on."""
    last = state[v.LAST] - 1
    if last < 0 or (last == choice % MIGRATE and not MIGRATE <= choice < HALF):
        return False
    return MIGRATE <= choice < HALF or blocking.is_enabled(vm, state, last)


@inner
def make_choice(vm: Row, por: Row, state: Row, choice: int) -> tuple[int, int]:
    """Make a choice; DONE or what is wrong, and how many steps it was."""
    if choice >= FAIL:
        return t.after_callback(vm, state, choice - FAIL, stepping.step_fail(vm, state, choice - FAIL)), 1
    if choice >= HALF:
        return accesses.step_half(vm, state, choice - HALF), 1
    if choice >= MIGRATE:
        t.migrate(vm, state, choice)
        return outcomes.DONE, 1
    violated, steps, _ = t.move(vm, por, state, choice)
    return violated, steps


@inner
def _one_for_all(vm: Row, por: Row, store: Store, buffers: Words, count: int, number: int) -> bool:
    """Whether there is a move after which all others can be made just as well; it is made.

    The state that it leads to has to be new: else everyone else could be put off for ever, round and round.
    """
    here, buffer, found, edges = buffers[0], buffers[1], buffers[2], store.numbers[EDGES]
    if not por[r.ENABLED]:
        return False
    for index in range(count):
        choice = found[index]
        if choice >= MIGRATE or r.class_of(vm, por, here, choice) == r.VISIBLE:
            continue
        rows.copy(buffer, here, store.states.shape[1])
        violated, steps, alone = t.move(vm, por, buffer, choice)
        store.numbers[STEPS] += steps
        if violated == outcomes.DONE and alone and _settle(vm, store, buffer, number, choice, steps):
            return True
        store.numbers[EDGES] = edges  # it is made again, beside the others
    return False


@inner
def expand(
    vm: Row, por: Row, store: Store, buffers: Words, first: int, last: int, which: int, count_turns: bool, stop_at: int
) -> tuple[int, int]:
    """Make the moves of states `first` to `last` - 1. Gives why it came back, and the state to go on with.

    `which`: ALL, GOING_ON, PREEMPTING or BOUNDED. With `count_turns` a state remembers who ran last. Comes back after
    `stop_at` violations.
    """
    here, buffer, found = buffers[0], buffers[1], buffers[2]
    words = store.states.shape[1]
    most = rows.contexts_of(vm) * (vm[v.CPUS] + 1)
    for number in range(first, last):
        if store.numbers[FOUND] + most >= len(store.states) or store.numbers[EDGES] + most >= len(store.sources):
            return FULL, number
        rows.copy(here, store.states[number], words)
        count = t.choices(vm, here, found)
        r.note_waits(vm, por, here)
        if count == 0 and not t.is_final(vm, here) and t.check_bound(vm, here) == outcomes.DONE:
            _violate(store, outcomes.DEADLOCK, number, -1, store.depths[number])
        if which == ALL and count > 1 and _one_for_all(vm, por, store, buffers, count, number):
            continue
        for index in range(count):
            choice = found[index]
            if HALF <= choice < FAIL and not r.is_seen_halfway(vm, por, here, choice - HALF):
                continue
            preempts = which != ALL and _preempts(vm, here, choice)
            spent = here[v.SPENT] + (1 if preempts else 0)
            if (which == BOUNDED and spent > store.numbers[LIMIT]) or (
                (which == GOING_ON or which == PREEMPTING) and preempts != (which == PREEMPTING)
            ):
                continue
            rows.copy(buffer, here, words)
            violated, steps = make_choice(vm, por, buffer, choice)
            store.numbers[STEPS] += steps
            if violated < 0:
                return ROOM - violated, number
            if violated > 0:
                _violate(store, violated, number, choice, store.depths[number] + steps)
                continue
            if count_turns:
                buffer[v.LAST] = choice % MIGRATE + 1
            if which == BOUNDED:
                buffer[v.SPENT] = spent
            _settle(vm, store, buffer, number, choice, steps)
        if store.numbers[VIOLATIONS] >= stop_at:
            return FINISHED, number + 1
    return FINISHED, last
