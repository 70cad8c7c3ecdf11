"""Random schedules: the compiled loop that takes them, a step at a time and without any reduction.

Two strategies. *Uniform*: each choice there is, as likely as any other. *PCT*: contexts have random priorities, and the
first one that can go on does so, until at one of a few random steps it falls behind all others. A bug that takes d
ordering constraints among n contexts and k steps is found by a schedule of depth d with probability 1 / (n k^(d-1)) or
more (Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs,
ASPLOS 2010). To move to another CPU is a task's own choice: it has no priority, and is made at one step in k.

A schedule depends on the seed and on its number, and on nothing else: not on who runs it, nor on those before it.

Measured on one core of an AMD EPYC with others busy beside it (3 tasks x 7 plain operations, states of 163 words): 0.7
to 1.1 million schedules a second. At best 42 ns a step, of which 32 are `step`, whichever contexts take turns. It was
80 before the choices were kept from step to step (a new look takes 47) and small functions were forced inline. To copy
the first state takes 27 ns a schedule, to forget three words 18. What counted most are addresses in place of arrays
(`words_of`): the same code took 107 ns a step instead of 345. numba counts the references to an array by locked
instructions, in more than 80 places of `step`, and asks of every index whether it is negative.
"""

from __future__ import annotations

from typing import Any, Final

from numba import types

from percpu_emu.explore import transition as t
from percpu_emu.lang import instructions as i
from percpu_emu.lang.arithmetic import add, mul
from percpu_emu.lang.setting import FAIL, HALF, MIGRATE
from percpu_emu.lang.virtual import accesses, outcomes, rows, stepping
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.words import wrap
from percpu_emu.shm.compiling import Row, inlined, inner, intrinsic

# --- `walk`: what is asked for, what came of it, and the walk that is under way; one array, as `vm` is
SEED: Final = 0
DEPTH: Final = 1  # of PCT; 0 for uniform choice
LENGTH: Final = 2  # steps of a schedule: change points are set among so many
MAX_STEPS: Final = 3
WORDS: Final = 4  # how many the first state has
TURNS: Final = 5  # 1 where it matters whether a task is in a turn: a CPU goes offline, or a task may migrate
STEPS: Final = 6
LONGEST: Final = 7  # steps of the longest schedule so far
FINALS: Final = 8  # schedules that ended in a final state
LIMITED: Final = 9  # schedules that ended at MAX_STEPS
FIRST: Final = 10  # the lowest number of a schedule that violates a check, -1 for none
FIRST_CHECK: Final = 11
LAST_STEPS: Final = 12  # steps of the walk that ended last
REASON: Final = 13  # why the loop gave up: what a step ran out of
RANDOM: Final = 14  # state of the generator
POINT: Final = 15  # the next change point, -1 for none
LEADER: Final = 16  # the context that is first in priority among those that can do something
WAITERS: Final = 17  # 1 if a context stands before a wait_until
COUNTS: Final = 18  # of schedules that violate each check
# where its parts begin:
INITIAL: Final = 60  # the first state
PRIORITIES: Final = 61  # of each context and place
POINTS: Final = 62  # the change points
TRACE: Final = 63  # the choices of the walk
WALK_HEADER: Final = 64

# --- how a walk can end, besides as a step can
GOOD_END: Final = -100
LIMIT_MET: Final = -101  # it has taken MAX_STEPS

LOOK: Final = -1  # instead of the number of choices: they may be others now
LOW: Final = (1 << 32) - 1
FAIR_STEPS: Final = 256
"""After so many steps in a row a context falls behind all others: without it PCT spends all steps on one that polls."""
NEVER: Final = -1

# splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014), in signed words
GOLDEN: Final = wrap(0x9E3779B97F4A7C15)
FIRST_FACTOR: Final = wrap(0xBF58476D1CE4E5B9)
SECOND_FACTOR: Final = wrap(0x94D049BB133111EB)


def _words_of(_typingctx: Any, array: Any) -> Any:
    """The address of an array's words, to be indexed as the array is, but one machine word and without an owner."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(types.int64)(array), codegen


words_of: Any = intrinsic(_words_of)


# --- random numbers


@inlined
def mixed(value: int) -> int:
    """A word that depends on every bit of `value`. Signed words: the shifts have to be made logical."""
    value = mul(value ^ (value >> 30 & (1 << 34) - 1), FIRST_FACTOR)
    value = mul(value ^ (value >> 27 & (1 << 37) - 1), SECOND_FACTOR)
    return value ^ (value >> 31 & (1 << 33) - 1)


@inlined
def draw(walk: Row, limit: int) -> int:
    """A number below `limit`, which is below 2**31: none is more than limit / 2**32 likelier than another."""
    walk[RANDOM] = add(walk[RANDOM], GOLDEN)
    return (mixed(walk[RANDOM]) >> 32 & LOW) * limit >> 32


# --- the start of a walk


@inner
def _forget_words(vm: Row, known: int) -> None:
    """The words that earlier schedules have touched are unknown again: in the order opposite to that of their coming.

    Else the room that is left for words, and which ledgers there are to check, would depend on who ran what before.
    """
    mask = vm[v.HASH_MASK]
    for word in range(vm[v.WORD_COUNT] - 1, known - 1, -1):
        address = vm[vm[v.ADDRESSES] + word]
        place = (mul(address, 0x9E3779B97F4A7C1) >> 20) & mask
        while vm[vm[v.KEYS] + place] != address:
            place = (place + 1) & mask
        vm[vm[v.KEYS] + place] = v.EMPTY
        vm[vm[v.REMOTE] + word] = 0
    vm[v.WORD_COUNT] = known


@inner
def _begin(vm: Row, walk: Row, state: Row, number: int) -> None:
    """The first state, and for PCT the priorities and the change points of this schedule."""
    _forget_words(vm, walk[WORDS])
    initial = walk[INITIAL]
    for word in range(vm[v.STATE_WORDS]):
        state[word] = walk[initial + word]
    walk[RANDOM] = mixed(add(mixed(walk[SEED]), number))
    walk[POINT] = NEVER
    if walk[DEPTH] == 0:
        return
    for context in range(rows.contexts_of(vm)):
        _rank(walk, context)
    for point in range(walk[DEPTH] - 1):
        walk[walk[POINTS] + point] = draw(walk, walk[LENGTH])
    _next_point(walk, 0)


# --- PCT


@inner
def _rank(walk: Row, context: int) -> None:
    """A random priority above those of change points. Equal ones, 1 pair in 2**30, are decided by the numbers."""
    walk[walk[PRIORITIES] + context] = walk[DEPTH] + draw(walk, 1 << 30)


@inner
def _next_point(walk: Row, steps: int) -> None:
    """Set POINT to the first change point from `steps` on."""
    walk[POINT] = NEVER
    for point in range(walk[DEPTH] - 1):
        at = walk[walk[POINTS] + point]
        if at >= steps and (walk[POINT] == NEVER or at < walk[POINT]):
            walk[POINT] = at


@inner
def _first(walk: Row, found: Row, count: int) -> int:
    """Which of the choices is first in priority; a context's step stands before its moves to other CPUs."""
    best = 0
    for index in range(1, count):
        priorities = walk[PRIORITIES]
        if walk[priorities + found[index] % MIGRATE] > walk[priorities + found[best] % MIGRATE]:
            best = index
    return best


@inner
def _change(walk: Row, found: Row, count: int, steps: int) -> None:
    """At a change point, the context that would go on now gets a priority below all others': the point's number."""
    for point in range(walk[DEPTH] - 1):
        if walk[walk[POINTS] + point] == steps:
            context = found[_first(walk, found, count)] % MIGRATE
            walk[walk[PRIORITIES] + context] = point
    _next_point(walk, steps + 1)


@inner
def _move_or_step(walk: Row, found: Row, count: int, best: int) -> int:
    """Which choice is first; at one step in LENGTH a task that may move chooses among all it can do.

    A task that has to move chooses among the CPUs.
    """
    last = best
    if best + 1 < count and found[best + 1] >= HALF:
        return best + draw(walk, 2)
    while last + 1 < count and found[last + 1] >= MIGRATE and found[last + 1] % MIGRATE == found[best] % MIGRATE:
        last += 1
    has_to_move = found[best] >= MIGRATE
    return (
        best + draw(walk, last - best + 1) if last > best and (has_to_move or draw(walk, walk[LENGTH]) == 0) else best
    )


@inlined
def _choose(walk: Row, found: Row, count: int, steps: int, anew: bool) -> int:
    """Which of the choices to take. As long as they stay the same, PCT has no need to look for the first."""
    if walk[DEPTH] == 0:
        return draw(walk, count)
    if steps == walk[POINT]:
        _change(walk, found, count, steps)
        anew = True
    if anew:
        walk[LEADER] = _first(walk, found, count)
    return _move_or_step(walk, found, count, walk[LEADER])


# --- one step


@inner
def _look(vm: Row, walk: Row, state: Row, found: Row) -> int:
    """Find every choice there is; how many."""
    walk[WAITERS] = 0
    for context in range(rows.contexts_of(vm)):
        base = rows.block_of(vm, context)
        opcode = rows.code(vm, state[base + v.PC], i.OPCODE)
        if state[base + v.STATUS] == v.RUNNING and (opcode == i.WAIT_UNTIL or opcode == i.SPIN_UNTIL):
            walk[WAITERS] = 1
    return t.choices(vm, state, found)


@inlined
def _may_wait(vm: Row, state: Row, base: int) -> bool:
    """Whether a context stands before an operation that may have to wait."""
    opcode = rows.code(vm, state[base + v.PC], i.OPCODE)
    return (
        opcode == i.WAIT_UNTIL
        or opcode == i.SPIN_UNTIL
        or opcode == i.SYNCHRONIZE_RCU
        or opcode == i.RCU_BARRIER
        or opcode == i.TAKE_DOWN
        or opcode == i.CPU_DOWN
    )


@inlined
def _is_quiet(vm: Row, walk: Row, state: Row, context: int) -> bool:
    """Whether a step can change nothing of what others can do, but by the word that it writes."""
    base = rows.block_of(vm, context)
    if state[base + v.STATUS] != v.RUNNING or (walk[TURNS] and state[base + v.MID_TURN] == 0):
        return False
    return rows.code(vm, state[base + v.PC], i.OPCODE) <= i.LEDGER_COMMIT


@inlined
def _left(vm: Row, walk: Row, state: Row, found: Row, count: int, index: int) -> int:
    """How many choices there are after a quiet step: the context goes if it has ended; LOOK where that is unclear."""
    context, log = found[index], vm[v.LOG]
    base = rows.block_of(vm, context)
    if walk[WAITERS] and vm[log + v.LOG_MODE] > v.READS:
        return LOOK
    if vm[log + v.LOG_ENDED] == 0:
        return LOOK if _may_wait(vm, state, base) or (walk[TURNS] and state[base + v.MID_TURN] == 0) else count
    if walk[TURNS] or vm[vm[v.KINDS] + context] != v.TASK:
        return LOOK
    for behind in range(index + 1, count):
        found[behind - 1] = found[behind]
    return count - 1


# --- whole walks


@inlined
def _judge(vm: Row, walk: Row, state: Row, count: int, steps: int, ended: bool) -> int:
    """What is to say of a state: DONE to go on, GOOD_END, LIMIT_MET, or what is wrong."""
    violated = t.check_bound(vm, state) if vm[v.BOUND] >= 0 else outcomes.DONE
    if violated == outcomes.DONE and ended and t.is_final(vm, state):
        violated = t.check_final(vm, state)
        if violated == outcomes.DONE and (count == 0 or draw(walk, 2)):
            return GOOD_END  # interrupts may still come, or not
    if violated == outcomes.DONE and count == 0:
        return outcomes.DEADLOCK
    return LIMIT_MET if violated == outcomes.DONE and steps == walk[MAX_STEPS] else violated


@inner
def _walk(vm: Row, walk: Row, state: Row, found: Row, number: int) -> int:
    """Take one schedule to its end: GOOD_END, LIMIT_MET, or what is wrong. LAST_STEPS is its length."""
    _begin(vm, walk, state, number)
    steps, count, ended = 0, LOOK, True
    last, alone = -1, 0
    violated = outcomes.DONE
    while violated == outcomes.DONE:
        anew = count == LOOK or ended
        if count == LOOK:
            count = _look(vm, walk, state, found)
        violated = _judge(vm, walk, state, count, steps, ended)
        if violated != outcomes.DONE:
            break
        index = _choose(walk, found, count, steps, anew)
        choice = found[index]
        walk[walk[TRACE] + steps] = choice
        steps += 1
        if choice >= MIGRATE:
            count, ended = LOOK, choice >= FAIL
            if choice >= FAIL:
                violated = t.after_callback(vm, state, choice - FAIL, stepping.step_fail(vm, state, choice - FAIL))
            elif choice >= HALF:
                violated = accesses.step_half(vm, state, choice - HALF)
            else:
                t.migrate(vm, state, choice)
            continue
        relaxes = rows.code(vm, state[rows.block_of(vm, choice) + v.PC], i.OPCODE) == i.CPU_RELAX
        quiet = _is_quiet(vm, walk, state, choice)
        violated = stepping.step(vm, state, choice)
        ended = vm[vm[v.LOG] + v.LOG_ENDED] != 0
        count = _left(vm, walk, state, found, count, index) if quiet else LOOK
        if walk[DEPTH] and vm[vm[v.LOG] + v.LOG_QUEUED] >= 0:
            _rank(walk, vm[vm[v.LOG] + v.LOG_QUEUED])
        if violated == outcomes.DONE and ended and vm[vm[v.KINDS] + choice] == v.CALLBACK:
            violated = t.check_counters(vm, state, False)
        alone = alone + 1 if choice == last else 0
        last = choice
        if walk[DEPTH] and (relaxes or alone == FAIR_STEPS):
            walk[walk[PRIORITIES] + choice] = -steps  # a fair scheduler: a context that only polls gives way
            count, alone = LOOK, 0
        if vm[v.NEWS] & 1:
            violated = outcomes.LEARNED
    walk[STEPS] += steps
    walk[LAST_STEPS] = steps
    return violated


@inner
def walks(vm: Any, walk: Any, state: Any, found: Any, first: int, last: int) -> int:
    """Take schedules number `first` to `last` - 1, of arrays; `last`, or the number of one that ran out of room."""
    return _walks(words_of(vm), words_of(walk), words_of(state), words_of(found), first, last)


@inner
def _walks(vm: Row, walk: Row, state: Row, found: Row, first: int, last: int) -> int:
    for number in range(first, last):
        violated = _walk(vm, walk, state, found, number)
        walk[LONGEST] = max(walk[LONGEST], walk[LAST_STEPS])
        if violated == GOOD_END:
            walk[FINALS] += 1
        elif violated == LIMIT_MET:
            walk[LIMITED] += 1
        elif violated < 0:
            walk[REASON] = violated
            return number
        else:
            walk[COUNTS + violated] += 1
            if walk[FIRST] < 0:
                walk[FIRST], walk[FIRST_CHECK] = number, violated
    return last
