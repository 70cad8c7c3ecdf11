"""Every operation of the table has its words: in a story, in columns, in the stepper's data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from percpu_emu.lang import instructions as i
from percpu_emu.lang.operation import OPERATIONS, Operation
from percpu_emu.lang.setting import unit_word
from percpu_emu.lang.source import Site
from percpu_emu.lang.trace import Access, Step, Trace, TracedContext, Violation
from percpu_emu.report.columns import columns
from percpu_emu.report.labels import MOVES
from percpu_emu.report.story import step_texts, story
from percpu_emu.report.trace_json import trace_dict
from percpu_emu.report.view import View

from .traces import COUNTER, SLOTS

LOCK = COUNTER + 1
NAMES = {SLOTS: "slot", COUNTER: "counter", LOCK: "lock"}
CONTEXTS = [TracedContext(0, "update", 0, "task", "update"), TracedContext(1, "other", 1, "task", "other")]


def step(name: str, *args: int, address: int | None = None, old: int = 3, new: int = 3, **fields: object) -> Step:
    """A step of CPU 0 in its own program."""
    operation = OPERATIONS.get(name)
    writes = operation is not None and not operation.reads_only
    accesses = () if address is None else (Access(address, old, new, bool(fields.pop("write", writes))),)
    site = Site(str(fields.pop("program", "update")), int(str(fields.pop("number", 1))), "/gone.py", 1, f"{name}(p, 1)")
    return replace(Step(0, name, args, accesses=accesses, site=site, cpu=0), **fields)  # type: ignore[arg-type]


def trace(*steps: Step, violation: Violation | None = None) -> Trace:
    return Trace("mine", "", CONTEXTS, steps, NAMES, {}, {}, violation)


def one_step(operation: Operation) -> Step:
    """A step of that operation, as an engine makes it."""
    words = {"pointer": SLOTS if operation.own else COUNTER, "word": 3, "program": 2, "name": 0}
    args = [words[kind] for _, kind in operation.parameters]
    if operation.opcode == i.CPUMASK_NEXT:
        args = [-1, COUNTER]
    address = None
    if operation.is_access:
        address = unit_word(0, SLOTS) if operation.own else COUNTER
    return step(operation.name, *args, address=address, new=3 if operation.reads_only else 6, result=SLOTS)


def test_an_interrupt_is_not_sent_to_a_cpu_that_is_off_line() -> None:
    assert step_texts(View(trace(step("irq_work_queue_on", -1, 3, 1)))) == [
        "CPU 0 finds CPU 1 off line, and sends nothing."
    ]


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_is_told_by_its_verb(name: str) -> None:
    told = trace(one_step(OPERATIONS[name]))
    [sentence] = step_texts(View(told))
    verb = "swaps" if OPERATIONS[name].opcode == i.CMPXCHG else OPERATIONS[name].verb.split()[0]
    who = "The task update" if name in MOVES else "CPU 0"  # which is on another one by then
    assert sentence.startswith(f"{who} {verb} ")
    assert "{" not in sentence
    assert sentence.endswith(".")
    assert name in columns(told)
    [data] = trace_dict(told)["steps"]
    assert data["told"] == sentence
    assert data["quiet"] == (OPERATIONS[name].quiet or (name == "warn_on" and not one_step(OPERATIONS[name]).args[0]))


def test_an_unknown_operation_raises() -> None:
    with pytest.raises(KeyError, match="this_cpu_frob"):
        story(trace(step("this_cpu_frob", 1)))


def test_a_compare_and_swap_that_succeeds_is_no_failure_even_where_nothing_changes() -> None:
    done = step("cmpxchg", LOCK, 1, 1, address=LOCK, old=1, new=1)
    failed = step("cmpxchg", LOCK, 0, 1, address=LOCK, old=1, new=1, write=False)
    assert story(trace(done)) == ["CPU 0 swaps 1 into lock (1 stood there)."]
    assert story(trace(failed)) == ["CPU 0 finds 1 in lock, not 0, and leaves it."]


def test_what_is_subtracted_is_told_as_that() -> None:
    for name, args in (("this_cpu_sub", (SLOTS, 2)), ("atomic_long_add", (COUNTER, -2))):
        address = COUNTER if name == "atomic_long_add" else unit_word(0, SLOTS)
        told = story(trace(step(name, *args, address=address, old=5, new=3)))
        assert told[0].startswith("CPU 0 subtracts 2 from ")
        assert told[0].endswith(" (now 3).")


def test_a_pointer_to_a_static_word_is_told_by_its_name() -> None:
    told = trace(step("rcu_assign_pointer", LOCK, COUNTER, address=LOCK, old=0, new=COUNTER))
    assert story(told) == ["CPU 0 publishes a pointer to counter in lock."]
    assert "lock: NULL -> &counter" in columns(told)


def test_the_number_of_the_cpu_is_told_where_the_task_migrates_after_it() -> None:
    asks, moves = step("smp_processor_id"), Step(0, "migrate", (1,), cpu=0)
    writes = step("write_once", COUNTER, 1, address=COUNTER)
    assert View(trace(asks, writes)).is_quiet(0)
    told = trace(asks, moves, writes)
    assert "reads its CPU's number, which is 0" in story(told)[0]
    assert "smp_processor_id(p, 1)   = 0" in columns(told)


def lock(*, taken: int, address: int = LOCK) -> list[Step]:
    """A call of the helper `spin_lock`, which finds the lock taken so often."""
    tries = [step("xchg", address, 1, address=address, old=1, new=1, program="spin_lock", number=1)] * taken
    relax = step("cpu_relax", program="spin_lock", number=2)
    done = step("xchg", address, 1, address=address, old=0, new=1, program="spin_lock", number=1)
    return [part for one in tries for part in (one, relax)] + [done]


def test_a_call_of_a_helper_that_touches_one_word_is_folded() -> None:
    counts = step("this_cpu_add", SLOTS, 1, address=unit_word(0, SLOTS), old=0, new=1)
    told = trace(*lock(taken=2), *lock(taken=1, address=COUNTER), counts)
    text = columns(told)
    assert "... 5 steps of spin_lock: 3 xchg, 2 cpu_relax   lock: 0 -> 1" in text
    assert "... 3 steps of spin_lock: 2 xchg, cpu_relax   counter: 0 -> 1" in text
    locks = "swaps 1 into lock (0 stood there) at attempt 3, swaps 1 into counter (0 stood there) at attempt 2"
    assert story(told) == [f"CPU 0 {locks} and adds 1 to its slot (now 1)."]


def test_a_step_that_is_to_blame_is_not_folded_into_its_call() -> None:
    told = trace(*lock(taken=1), violation=Violation("lost-count", "", (2,), (0,)))
    assert "steps of spin_lock" not in columns(told)


def test_a_step_of_a_helper_shows_the_callers_word() -> None:
    code = "def spin_lock(p):\n    while (yield xchg(p, 1)):\n        yield cpu_relax()\n"
    done = lock(taken=0)[0]
    assert done.site is not None
    here = replace(done, site=replace(done.site, text="xchg(p, 1)", file=_file(code), line=2))
    assert "xchg(lock, 1)" in columns(trace(here))
    own = replace(here, site=replace(here.site, program="update"))  # type: ignore[type-var]
    assert "xchg(p, 1)" in columns(trace(own))


def _file(text: str) -> str:
    """A file that only `linecache` has."""
    import linecache  # noqa: PLC0415

    linecache.cache["/spin_lock.py"] = (len(text), None, text.splitlines(keepends=True), "/spin_lock.py")
    return "/spin_lock.py"


def test_culprit_and_victim_are_marked_apart() -> None:
    steps = [step("write_once", COUNTER, n, address=COUNTER, old=0, new=n) for n in (1, 2, 3)]
    told = trace(*steps, violation=Violation("lost-count", "1 is lost", (2,), (1,)))
    text = columns(told)
    assert "!! marks the steps to blame. -> marks the steps that suffer from them." in " ".join(text.split())
    assert "\n!! 3 " in text
    assert "\n-> 2 " in text
    assert [(one["guilty"], one["victim"]) for one in trace_dict(told)["steps"]] == [
        (False, False), (False, True), (True, False)
    ]  # fmt: skip


def test_the_sentence_of_a_step_tells_nothing_of_the_next() -> None:
    steps = [step("write_once", COUNTER, n, address=COUNTER, old=0, new=n) for n in (1, 2)]
    assert step_texts(View(trace(*steps))) == ["CPU 0 writes 1 into counter.", "CPU 0 writes 2 into counter."]


def test_a_single_word_that_is_read_beside_is_told() -> None:
    reads = [step("read_once", 90000 + n, address=90000 + n, number=n) for n in range(3)]
    last = step("write_once", COUNTER, 1, address=COUNTER, number=9)
    assert story(trace(*reads[:1], last))[0].startswith("CPU 0 reads 3 from word ")
    assert story(trace(*reads, last))[0].startswith("CPU 0 reads 3 other words and writes 1 ")


def test_the_halves_of_a_read_modify_write_are_told_as_load_and_store() -> None:
    slot = unit_word(0, SLOTS)
    loads = replace(step("this_cpu_add", SLOTS, 1, address=slot, old=3, new=3, write=False), half="load")
    other = replace(step("write_once", slot, 0, address=slot, old=3, new=0), context=1, cpu=1)
    stores = replace(step("this_cpu_add", SLOTS, 1, address=slot, old=0, new=4), half="store")
    told = trace(loads, other, stores)
    first, _, last = step_texts(View(told))
    assert first == "CPU 0 loads 3 from its slot, the load of its this_cpu_add."
    assert last == "CPU 0 stores 4 into its slot, the store of its this_cpu_add, over the 0 that CPU 1 wrote."
    assert story(told)[0].endswith(
        "It is stopped just before it stores the result there, the store of its this_cpu_add."
    )
    assert "this_cpu_add(p, 1): load" in columns(told)
    assert "this_cpu_add(p, 1): store" in columns(told)
