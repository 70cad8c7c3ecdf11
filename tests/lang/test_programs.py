"""Where compiled code and Python once differed, or might: one program each, in both engines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from percpu_emu.lang import context as c
from percpu_emu.lang.ops import (
    Program,
    atomic_long_add_return,
    atomic_long_fetch_add,
    call_rcu,
    cpu_relax,
    cpumask_next,
    ledger_add,
    per_cpu,
    read_once,
    smp_mb,
    write_once,
)
from percpu_emu.lang.words import LONG_MAX, LONG_MIN, ULONG_MAX, wrap

from .rig import Rig, programs_of

if TYPE_CHECKING:
    from collections.abc import Iterator

P: Final = 100
BIAS: Final = LONG_MIN


def constants_wrap(which: int) -> Program[int]:  # noqa: PLR0911
    """Constants alone, and variables that never held anything but constants."""
    yield smp_mb()
    x = LONG_MAX
    if which == 0:
        return LONG_MAX + 1
    if which == 1:
        x += 1
        return x // 2
    if which == 2:
        return 1 << 63
    if which == 3:
        return LONG_MIN << 1 | 1 << 0
    if which == 4:
        return -LONG_MIN
    if which == 5:
        return LONG_MAX * 4 + (LONG_MIN - 1)
    if which == 6:
        return abs(LONG_MIN)
    if which == 7:
        return ~LONG_MIN ^ ULONG_MAX
    if which == 8:
        return -9223372036854775808 + (True << 63)
    return min(LONG_MIN, -LONG_MAX) & +LONG_MIN


def compares_after_overflow(count: int) -> Program[int]:
    """numba tells LLVM that signed sums do not overflow; LLVM then knew `BIAS + x <= 0` without adding."""
    x = yield atomic_long_add_return(P, count)
    y = x - BIAS
    return (y <= 0) + 2 * (x + LONG_MAX < x) + 4 * (abs(x) < 0) + 8 * (-x == x) + 16 * (x * 2 // 2 == x)


def truth_grows(n: int) -> Program[int]:
    """A truth value is a number, and doubles like one."""
    yield smp_mb()
    x: int = not n
    y: int = n == 0
    for _ in range(63):
        x = x + x
        y = y + y
    return x // 2 + y // 8


def divides(a: int, b: int) -> Program[int]:
    yield write_once(P, 1)
    quotient = a // b
    yield write_once(P, 2)
    return quotient * 1000 + a % b


def counts_turns(start: int, stop: int, step: int) -> Program[int]:
    yield smp_mb()
    turns = 0
    last = -5
    for last in range(start, stop, step):  # noqa: B007
        turns += 1
        start = stop = step = 7  # they were read once
        if turns == 6:
            break
    return last * 8 + turns


def counts_turns_from(start: int, stop: int) -> Program[int]:
    turns = 0
    for i in range((yield read_once(start)), (yield read_once(stop))):
        if i % 2:
            continue
        turns += 1
        if turns == 3:
            break
    return turns


def order_of_evaluation(p: int) -> Program[int]:
    """From left to right, the variable of an augmented assignment first; `and`, `or`, `if` only as far as needed."""
    x = 10
    x += (yield atomic_long_fetch_add(p, 1)) * 100 + (yield from bump(p)) * 1000
    x = x - (yield atomic_long_fetch_add(p, x))
    y = (p < 0) and (yield atomic_long_fetch_add(p, 1 << 20))
    z = p or (yield atomic_long_fetch_add(p, 1 << 21))
    w = (yield atomic_long_fetch_add(p, 1)) if y else (yield atomic_long_fetch_add(p, 3))
    chain = p < 0 < (yield atomic_long_fetch_add(p, 1 << 22))
    return max(x + y, z, (yield read_once(p))) + w + chain


def bump(p: int) -> Program[int]:
    return (yield atomic_long_fetch_add(p, 1))


def only_an_exception_ends_it(p: int) -> Program[int]:
    while True:
        if (yield atomic_long_fetch_add(p, 1)) == 20:
            yield from polls_for_ever(p)


def polls_for_ever(p: int) -> Program[int]:
    while 1:
        yield cpu_relax()
        p //= 2
        p = 5 // p


def notes_too_much(n: int) -> Program[None]:
    for i in range(n):
        yield ledger_add(P + i, 1)


def fills_the_ring(n: int) -> Program[None]:
    for i in range(n):
        yield call_rcu(noted, i)


def noted(x: int) -> Program[None]:
    yield write_once(x, 1)


def members_of(mask: int) -> Program[int]:
    """The CPUs of a mask, as digits."""
    seen = 0
    cpu = yield cpumask_next(-1, mask)
    while cpu < 3:
        seen = seen * 10 + cpu + 1
        cpu = yield cpumask_next(cpu, mask)
    return seen


def sums_slots(slot: int) -> Program[int]:
    x = 0
    for cpu in range(3):
        x += yield read_once(per_cpu(slot, cpu))
    return x


@pytest.fixture(scope="module")
def programs_rig() -> Iterator[Rig]:
    rig = Rig()
    rig.prepare(programs_of(sys.modules[__name__]))
    yield rig
    rig.close()


@pytest.fixture
def rig(programs_rig: Rig) -> Rig:
    programs_rig.before = {}
    return programs_rig


@pytest.mark.parametrize(
    ("which", "result"),
    [
        (0, LONG_MIN),
        (1, LONG_MIN // 2),
        (2, LONG_MIN),
        (3, 1),
        (4, LONG_MIN),
        (5, LONG_MAX - 4),
        (6, LONG_MIN),
        (7, LONG_MIN),
        (8, 0),
        (9, LONG_MIN),
    ],
)
def test_constants_are_words_too(rig: Rig, which: int, result: int) -> None:
    assert rig.both(constants_wrap, which).result == result


@pytest.mark.parametrize("x", [0, 1, 3, -1, LONG_MAX, LONG_MIN, LONG_MIN + 1, 1 << 62])
def test_sums_that_overflow_compare_as_what_they_are(rig: Rig, x: int) -> None:
    y = wrap(x - BIAS)
    expected = (y <= 0) + 2 * (wrap(x + LONG_MAX) < x) + 4 * (x == LONG_MIN)
    expected += 8 * (wrap(-x) == x) + 16 * (wrap(x * 2) // 2 == x)
    assert rig.both(compares_after_overflow, x).result == expected


@pytest.mark.parametrize(("n", "result"), [(1, 0), (0, LONG_MIN // 2 + LONG_MIN // 8)])
def test_a_truth_value_is_a_word(rig: Rig, n: int, result: int) -> None:
    assert rig.both(truth_grows, n).result == result


@pytest.mark.parametrize("a", [7, -7, 0, LONG_MIN, LONG_MAX])
@pytest.mark.parametrize("b", [2, -2, 1, -1, LONG_MIN, LONG_MAX])
def test_division_rounds_as_pythons_does(rig: Rig, a: int, b: int) -> None:
    assert rig.both(divides, a, b).result == wrap(wrap(a // b) * 1000 + a % b)


@pytest.mark.parametrize("a", [0, 5])
def test_division_by_zero_ends_a_program_where_it_stands(rig: Rig, a: int) -> None:
    outcome = rig.both(divides, a, 0)
    assert (outcome.result, outcome.words) == ("ZeroDivisionError", {("memory", P): 1})


@pytest.mark.parametrize(
    "bounds",
    [
        (0, 3, 1), (3, 0, 1), (3, 0, -1), (0, 10, 3), (0, 9, 3), (10, 0, -3), (5, 5, 1), (0, 1, LONG_MAX),
        (LONG_MIN, LONG_MAX, 1), (LONG_MAX, LONG_MIN, -1), (LONG_MIN, LONG_MAX, LONG_MAX),
        (LONG_MIN, LONG_MAX, 1 << 62), (LONG_MAX, LONG_MIN, LONG_MIN), (LONG_MAX - 1, LONG_MAX, 2),
        (LONG_MIN, LONG_MIN + 1, 5), (0, -10, LONG_MIN), (-1, LONG_MAX, 1), (LONG_MIN, 0, LONG_MAX),
    ],
)  # fmt: skip
def test_a_range_has_the_turns_that_pythons_has(rig: Rig, bounds: tuple[int, int, int]) -> None:
    numbers = list(range(*bounds)[:6])
    expected = wrap((numbers[-1] if numbers else -5) * 8 + len(numbers))
    assert rig.both(counts_turns, *bounds).result == expected


def test_a_range_without_a_step_is_an_error(rig: Rig) -> None:
    assert rig.both(counts_turns, 0, 5, 0).result == "ValueError"


@pytest.mark.parametrize(("start", "stop", "turns"), [(0, 3, 2), (1, 2, 0), (-3, 3, 3), (3, -3, 0)])
def test_the_bounds_of_a_range_may_be_read_from_memory(rig: Rig, start: int, stop: int, turns: int) -> None:
    rig.before = {("memory", P): start, ("memory", P + 1): stop}
    assert rig.both(counts_turns_from, P, P + 1).result == turns


def test_operands_are_evaluated_from_left_to_right_and_only_if_needed(rig: Rig) -> None:
    rig.before = {("memory", P): 3}
    outcome = rig.both(order_of_evaluation, P)
    x = 10 + 300 + 4000
    assert outcome.words == {("memory", P): 5 + x + 3}
    assert outcome.result == max(x - 5, P, 5 + x + 3) + 5 + x


def test_a_loop_without_an_end_ends_with_an_exception(rig: Rig) -> None:
    outcome = rig.both(only_an_exception_ends_it, P)
    assert (outcome.result, outcome.words["memory", P]) == ("ZeroDivisionError", 21)


def test_an_update_notes_so_many_counters_and_no_more(rig: Rig) -> None:
    assert rig.both(notes_too_much, 3).result == 0
    assert rig.both(notes_too_much, 4).result == "ProgramFault"


def test_a_full_ring_of_callbacks_is_drained_by_the_coordinator(rig: Rig) -> None:
    assert rig.both(fills_the_ring, 960).served == []
    outcome = rig.both(fills_the_ring, 961)
    assert [code for code, _, _ in outcome.served] == [7]
    assert rig.both(fills_the_ring, 2500).result == 0


@pytest.mark.parametrize(
    ("mask", "seen"), [(0, 0), (1, 1), (0b110, 23), (0b111, 123), (-1, 123), (-8, 0), (1 << 62, 0)]
)
def test_a_mask_is_gone_through_from_the_lowest_cpu(rig: Rig, mask: int, seen: int) -> None:
    rig.before = {("memory", P): mask}
    assert rig.both(members_of, P).result == seen


def test_slots_of_all_cpus_can_be_summed(rig: Rig) -> None:
    rig.before = {("percpu", 40): 1, ("percpu", 1024 + 40): -20, ("percpu", 2048 + 40): 300}
    assert rig.both(sums_slots, 40).result == 281


def test_the_engines_are_compared_at_all(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one engine broken, the helper that all these tests use says so."""
    native: Any = rig.native
    monkeypatch.setattr(rig, "native", lambda *arguments: native(*arguments) + 1)
    with pytest.raises(AssertionError):
        rig.both(sums_slots, 40)


# --- arithmetic without a result


def quotient(x: int, y: int) -> Program[int]:
    yield smp_mb()
    return x // y


def remainder_of(x: int, y: int) -> Program[int]:
    yield smp_mb()
    return x % y


def shifts_left(x: int, y: int) -> Program[int]:
    yield smp_mb()
    return x << y


def shifts_right(x: int, y: int) -> Program[int]:
    yield smp_mb()
    return x >> y


def goes_by_steps(x: int, y: int) -> Program[int]:
    yield smp_mb()
    count = 0
    for _ in range(0, x, y):
        count += 1
    return count


@pytest.mark.parametrize(
    ("program", "wrong", "says"),
    [
        (quotient, [0], "`x // y`: division by zero"),
        (remainder_of, [0], "`x % y`: division by zero"),
        (shifts_left, [-1, 64, 70, LONG_MIN, LONG_MAX], "`x << y`: a word has 64 bits"),
        (shifts_right, [-1, 64, 70, LONG_MIN, LONG_MAX], "`x >> y`: a word has 64 bits"),
        (goes_by_steps, [0], "`range(0, x, y)`: range() with step 0"),
    ],
)
def test_arithmetic_without_a_result_names_its_line(rig: Rig, program: Any, wrong: list[int], says: str) -> None:
    assert isinstance(rig.both(program, 5, 3).result, int)
    for value in wrong:
        assert rig.both(program, 5, value).result in ("ZeroDivisionError", "ValueError")
        rig.reset()
        with pytest.raises((ZeroDivisionError, ValueError)) as raised:
            rig.native(program, 5, value)
        lines = range(program.__code__.co_firstlineno, program.__code__.co_firstlineno + 6)
        place, _, reason = str(raised.value).partition(": ")
        assert (reason, int(place.rpartition(":")[2]) in lines) == (says, True)
        noted = int(rig.segments["control"].words[rig.block + c.NO_RESULT])
        assert str(raised.value) == rig.image(program).places[noted - 1]
