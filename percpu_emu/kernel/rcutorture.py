"""RCU under torture, by the method of the kernel's rcutorture: what a reader may still hold must not grow old.

A writer publishes one element after another. What it replaces ages by one with every grace period, through a pipe of
ten; only then is it used again. A reader looks at an element's age at the end of its section: it may have been replaced
meanwhile (age 1), but no grace period can have passed (age 2 and more).
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    alloc_percpu,
    atomic_long_add,
    call_rcu,
    cmpxchg,
    cpu_relax,
    kzalloc,
    local_irq_restore,
    local_irq_save,
    preempt_disable,
    preempt_enable,
    rcu_assign_pointer,
    rcu_barrier,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    this_cpu_inc,
    write_once,
)

PIPE_LEN = 10
ELEMENTS = 100
READER_KINDS = ("rcu_read_lock", "nested", "preempt_disable", "irqs off")
LONG_EVERY = 16  # turns; then a reader stays in its section while others run
LONG_YIELDS = 8

# --- the structure, in words
CURRENT = 0  # the element that is published
FREE = 1  # the first that is free
READER_PIPE = 2  # per-CPU: how often a reader found an element of each age, PIPE_LEN + 1 of them
VERSIONS = 3
NOTHING_FREE = 4  # turns of the writer without a free element
MB_ERRORS = 5  # readers that found an element not prepared, or taken back
BARRIER_RAN = 6  # callbacks of the barrier test that have run
STAGES = 8  # how often an element left each stage of the pipe, PIPE_LEN + 1 of them
FIRST = 24

# --- an element
AGE = 0
MBTEST = 1  # 1 while readers may see it
NEXT = 2
TORTURE = 3  # the structure
ELEMENT_WORDS = 4
SIZE = (FIRST + ELEMENTS * ELEMENT_WORDS) * 8


def torture_init() -> Program[int]:
    """The structure, every element free."""
    torture = yield kzalloc(SIZE)
    pipe = yield alloc_percpu((PIPE_LEN + 1) * 8, 8)
    yield write_once(torture + READER_PIPE, pipe)
    for number in range(ELEMENTS):
        element = torture + FIRST + number * ELEMENT_WORDS
        yield write_once(element + TORTURE, torture)
        yield from put_free(torture, element)
    return torture


def put_free(torture: int, element: int) -> Program[None]:
    """Put an element in front of the free ones; several contexts may."""
    first = yield read_once(torture + FREE)
    yield write_once(element + NEXT, first)
    found = yield cmpxchg(torture + FREE, first, element)
    while found != first:
        first = found
        yield write_once(element + NEXT, first)
        found = yield cmpxchg(torture + FREE, first, element)


def take_free(torture: int) -> Program[int]:
    """A free element, 0 if there is none. Only the writer takes any, so that none comes back meanwhile."""
    first = yield read_once(torture + FREE)
    taken = 0
    while first != 0 and taken == 0:
        after = yield read_once(first + NEXT)
        found = yield cmpxchg(torture + FREE, first, after)
        if found == first:
            taken = first
        first = found
    return taken


# --- the writers


def torture_writer(torture: int, turn: int) -> Program[None]:
    """Publish a new element. The old one goes down the pipe by callbacks or, in one turn of 8, by waiting here.

    Callbacks let it publish on and on: so elements are replaced at every moment of a grace period.
    """
    new = yield from take_free(torture)
    if new == 0:
        yield atomic_long_add(torture + NOTHING_FREE, 1)
        yield synchronize_rcu()
    else:
        yield write_once(new + AGE, 0)
        yield write_once(new + MBTEST, 1)
        old = yield read_once(torture + CURRENT)
        yield rcu_assign_pointer(torture + CURRENT, new)
        yield atomic_long_add(torture + VERSIONS, 1)
        if old:
            yield from grow_older(torture, old)
            if turn % 8:
                yield call_rcu(torture_callback, old)
            else:
                done = 0
                while done == 0:
                    yield synchronize_rcu()
                    done = yield from grow_older(torture, old)


def torture_callback(element: int) -> Program[None]:
    """A grace period has passed."""
    torture = yield read_once(element + TORTURE)
    done = yield from grow_older(torture, element)
    if done == 0:
        yield call_rcu(torture_callback, element)


def grow_older(torture: int, element: int) -> Program[int]:
    """One stage further; at the end of the pipe it is free again. Gives 1 then, else 0."""
    age = yield read_once(element + AGE)
    yield atomic_long_add(torture + STAGES + min(age, PIPE_LEN), 1)
    yield write_once(element + AGE, age + 1)
    if age + 1 < PIPE_LEN:
        return 0
    yield write_once(element + MBTEST, 0)
    yield from put_free(torture, element)
    return 1


def torture_fakewriter(torture: int, turn: int) -> Program[None]:  # noqa: ARG001
    """Wait for a grace period, for nothing."""
    yield synchronize_rcu()


# --- the readers


def torture_reader(torture: int, turn: int) -> Program[None]:
    """A read-side section of one of the kinds, short or long."""
    kind = turn % 4
    flags = 0
    if kind == 2:
        yield preempt_disable()
    elif kind == 3:
        flags = yield local_irq_save()
    else:
        yield rcu_read_lock()
    if kind == 1:
        yield rcu_read_lock()
    yield from look(torture, LONG_YIELDS if turn % LONG_EVERY < 4 else 0)
    if kind == 1:
        yield rcu_read_unlock()
    if kind == 2:
        yield preempt_enable()
    elif kind == 3:
        yield local_irq_restore(flags)
    else:
        yield rcu_read_unlock()


def torture_irq_reader(torture: int, turn: int) -> Program[None]:  # noqa: ARG001
    """The same in an interrupt."""
    yield rcu_read_lock()
    yield from look(torture, 0)
    yield rcu_read_unlock()


def look(torture: int, yields: int) -> Program[None]:
    """Inside a section: take the element, stay a while, see how old it is."""
    element = yield rcu_dereference(torture + CURRENT)
    if element:
        ready = yield read_once(element + MBTEST)
        if ready == 0:
            yield atomic_long_add(torture + MB_ERRORS, 1)
        for _ in range(yields):
            yield cpu_relax()
        age = yield read_once(element + AGE)
        pipe = yield read_once(torture + READER_PIPE)
        yield this_cpu_inc(pipe + min(age, PIPE_LEN))


# --- the barrier test


def torture_post(torture: int, times: int) -> Program[None]:
    """Queue callbacks that count themselves."""
    for _ in range(times):
        yield call_rcu(torture_counted, torture)


def torture_counted(torture: int) -> Program[None]:
    """It runs."""
    yield atomic_long_add(torture + BARRIER_RAN, 1)


def torture_barrier(torture: int) -> Program[int]:
    """Queue one more and wait for all that were queued; how many of the test's have run by then."""
    yield call_rcu(torture_counted, torture)
    yield rcu_barrier()
    return (yield read_once(torture + BARRIER_RAN))
