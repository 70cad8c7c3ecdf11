"""The instructions: what they give, what they leave in memory, and what becomes of them when two processes race."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from numba import njit, types

from percpu_emu.lang.words import LONG_MAX, LONG_MIN, wrap
from percpu_emu.shm import PAGE_SIZE, Segment, atomics

from .assembly import body, of_the_word, x86_64
from .processes import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORD: Final = types.int64
TIMES: Final = 10_000_000
two_processors = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="only two processors can execute two instructions at once"
)


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = Segment("words", PAGE_SIZE)
    yield segment
    segment.close()


def compiled(instruction: Any, operands: int, *, gives: bool = True) -> Any:
    """The instruction as a function of the word's address and the operands."""
    names = ", ".join("abc"[: operands + 1])
    text = f"lambda {names}: instruction({names})" if gives else f"lambda {names}: (instruction({names}), 0)[1]"
    return njit([WORD(*[WORD] * (operands + 1))])(eval(text, {"instruction": instruction}))


# --- one process

WORDS: Final = [0, 1, -1, 33, LONG_MIN, LONG_MAX, 1 << 31, 1 << 32, -(1 << 31)]


@pytest.mark.parametrize(
    "instruction", [atomics.read_once, atomics.load_acquire, atomics.local_read], ids=["read_once", "acquire", "local"]
)
def test_a_load_gives_the_word(segment: Segment, instruction: Any) -> None:
    load = compiled(instruction, 0)
    for value in WORDS:
        segment.words[1] = value
        assert load(segment.address + 8) == value


@pytest.mark.parametrize(
    "instruction",
    [atomics.write_once, atomics.store_release, atomics.local_write],
    ids=["write_once", "release", "local"],
)
def test_a_store_changes_the_word_and_no_other(segment: Segment, instruction: Any) -> None:
    store = compiled(instruction, 1, gives=False)
    for value in WORDS:
        segment.words[:3] = 55
        store(segment.address + 8, value)
        assert segment.words[:3].tolist() == [55, value, 55]


MODIFY: Final[dict[str, tuple[Any, bool, Callable[[int, int], int]]]] = {
    "atomic_add": (atomics.atomic_add, False, lambda old, value: old + value),
    "fetch_add": (atomics.fetch_add, True, lambda old, value: old + value),
    "exchange": (atomics.exchange, True, lambda _old, value: value),
    "local_add": (atomics.local_add, False, lambda old, value: old + value),
    "local_and": (atomics.local_and, False, lambda old, value: old & value),
    "local_or": (atomics.local_or, False, lambda old, value: old | value),
    "local_fetch_add": (atomics.local_fetch_add, True, lambda old, value: old + value),
    "local_exchange": (atomics.local_exchange, True, lambda _old, value: value),
}


@pytest.mark.parametrize("name", MODIFY)
def test_a_read_modify_write_leaves_the_new_word_and_gives_the_old(segment: Segment, name: str) -> None:
    instruction, gives, modified = MODIFY[name]
    function = compiled(instruction, 1, gives=gives)
    for old in WORDS:
        for value in WORDS:
            segment.words[:3] = [55, old, 55]
            assert function(segment.address + 8, value) == (old if gives else 0)
            assert segment.words[:3].tolist() == [55, wrap(modified(old, value)), 55]


@pytest.mark.parametrize("instruction", [atomics.compare_exchange, atomics.local_cmpxchg], ids=["locked", "local"])
def test_compare_exchange_stores_only_over_the_expected_word(segment: Segment, instruction: Any) -> None:
    function = compiled(instruction, 2)
    for stands in WORDS:
        for expected in WORDS:
            segment.words[1] = stands
            assert function(segment.address + 8, expected, 99) == stands
            assert segment.words[1] == (99 if stands == expected else stands)


def test_an_instruction_may_have_one_number_for_all_its_operands(segment: Segment) -> None:
    """Where the allocator of registers could give two operands the same one."""
    address = segment.address + 8

    @njit([WORD(WORD)])
    def fetch_add(address: int) -> Any:
        return atomics.local_fetch_add(address, address)

    @njit([WORD(WORD)])
    def cmpxchg(address: int) -> Any:
        return atomics.local_cmpxchg(address, address, address)

    segment.words[1] = 1
    assert fetch_add(address) == 1
    assert segment.words[1] == 1 + address
    segment.words[1] = address
    assert cmpxchg(address) == address
    assert segment.words[1] == address


# --- two processes

LOOP: Final = """
@njit([WORD(WORD, WORD, WORD)])
def loop(counter, start, times):
    fetch_add(start, -1)
    while read_once(start) > 0:
        pass
    for _ in range(times):
        {add}
    return 0
"""
BY_COMPARE_EXCHANGE: Final = """\
old = read_once(counter)
        while compare_exchange(counter, old, old + 1) != old:
            old = read_once(counter)
"""


def adding(add: str) -> Any:
    """A loop that begins once every process of it is ready, and adds 1 to a counter that many times."""
    names: dict[str, Any] = {"njit": njit, "WORD": WORD, **vars(atomics)}
    exec(LOOP.format(add=add), names)
    return names["loop"]


def race(segment: Segment, loop: Any, times: int) -> int:
    """What two processes, each on a processor of its own if there are two, make of a counter."""
    segment.words[:16] = [0] * 8 + [2] + [0] * 7
    processors = sorted(os.sched_getaffinity(0))

    def run(number: int) -> None:
        os.sched_setaffinity(0, {processors[number % len(processors)]})
        loop(segment.address, segment.address + 64, times)

    with started(lambda: run(0), lambda: run(1)):
        pass
    return int(segment.words[0])


def test_two_processes_lose_nothing_by_atomic_add(segment: Segment) -> None:
    assert race(segment, adding("atomic_add(counter, 1)"), TIMES) == 2 * TIMES


@pytest.mark.parametrize(
    "add",
    [
        "fetch_add(counter, 1)",
        BY_COMPARE_EXCHANGE,
    ],
    ids=["fetch_add", "compare_exchange"],
)
def test_two_processes_lose_nothing_by_ordered_instructions(segment: Segment, add: str) -> None:
    assert race(segment, adding(add), TIMES // 10) == TIMES // 10 * 2


@two_processors
@x86_64
@pytest.mark.parametrize(
    "add",
    [
        "local_add(counter, 1)",
        "local_fetch_add(counter, 1)",
        "local_write(counter, local_read(counter) + 1)",
        "write_once(counter, read_once(counter) + 1)",
    ],
)
def test_two_processes_lose_counts_without_lock(segment: Segment, add: str) -> None:
    loop = adding(add)
    counts = []
    for _ in range(20):  # on a busy machine the two may run one after the other
        counts.append(race(segment, loop, TIMES))
        if counts[-1] != 2 * TIMES:
            break
    assert counts[-1] < 2 * TIMES


# --- what the processor is given


@x86_64
@pytest.mark.parametrize(
    ("instruction", "operands", "gives", "expected"),
    [
        (atomics.read_once, 0, True, "movq (R), R"),
        (atomics.load_acquire, 0, True, "movq (R), R"),
        (atomics.write_once, 1, False, "movq R, (R)"),
        (atomics.store_release, 1, False, "movq R, (R)"),
        (atomics.atomic_add, 1, False, "lock addq R, (R)"),
        (atomics.fetch_add, 1, True, "lock xaddq R, (R)"),
        (atomics.exchange, 1, True, "xchgq R, (R)"),
        (atomics.compare_exchange, 2, True, "lock cmpxchgq R, (R)"),
        (atomics.local_read, 0, True, "movq (R), R"),
        (atomics.local_write, 1, False, "movq R, (R)"),
        (atomics.local_add, 1, False, "addq R, (R)"),
        (atomics.local_and, 1, False, "andq R, (R)"),
        (atomics.local_or, 1, False, "orq R, (R)"),
        (atomics.local_fetch_add, 1, True, "xaddq R, (R)"),
        (atomics.local_cmpxchg, 2, True, "cmpxchgq R, (R)"),
    ],
)
def test_it_is_exactly_one_instruction(instruction: Any, operands: int, gives: bool, expected: str) -> None:
    function = compiled(instruction, operands, gives=gives)
    assert of_the_word(function) == [expected]
    assert "lock" in expected or "lock" not in " ".join(body(function))


@x86_64
def test_this_cpu_xchg_takes_no_lock() -> None:
    function = compiled(atomics.local_exchange, 1)
    [text] = function.inspect_asm().values()
    assert "cmpxchgq" in text
    assert not re.search(r"lock|\sxchgq.*\(", text)


@x86_64
@pytest.mark.parametrize(
    ("load", "store"),
    [
        (atomics.local_read, atomics.local_write),
        (atomics.read_once, atomics.write_once),
        (atomics.load_acquire, atomics.store_release),
    ],
    ids=["local", "once", "ordered"],
)
def test_a_load_an_add_and_a_store_stay_apart(load: Any, store: Any) -> None:
    """Fused into one `add` to memory they would leave no window between them."""

    @njit([WORD(WORD, WORD)])
    def add(address: int, value: int) -> Any:
        store(address, load(address) + value)
        return 0

    assert of_the_word(add) == ["movq (R), R", "movq R, (R)"]


@x86_64
def test_loads_and_stores_are_neither_merged_nor_dropped() -> None:
    @njit([WORD(WORD)])
    def twice(address: int) -> Any:
        atomics.read_once(address)
        atomics.write_once(address, 1)
        atomics.write_once(address, 2)
        return atomics.read_once(address)

    assert of_the_word(twice) == ["movq (R), R", "movq $1, (R)", "movq $2, (R)", "movq (R), R"]


@x86_64
def test_a_barrier_is_an_instruction() -> None:
    @njit([WORD(WORD)])
    def barrier(_address: int) -> Any:
        atomics.fence()
        return 0

    assert any("mfence" in line or line.startswith("lock") for line in body(barrier))
