"""`Long` against the arithmetic of a processor: computed without bounds, then reduced to 64 bits."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from percpu_emu.lang.words import LONG_MAX, LONG_MIN, UINT_MAX, ULONG_MAX, Long, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

words: Final = st.one_of(
    st.integers(0, 63),
    st.sampled_from([LONG_MIN, LONG_MIN + 1, -1, 0, 1, 63, 64, 65, LONG_MAX - 1, LONG_MAX]),
    st.integers(LONG_MIN, LONG_MAX),
    st.integers(-100, 100),
)

BINARY: Final[dict[str, tuple[Callable[[Any, Any], Any], Callable[[int, int], int]]]] = {
    "+": (operator.add, operator.add),
    "-": (operator.sub, operator.sub),
    "*": (operator.mul, operator.mul),
    "//": (operator.floordiv, operator.floordiv),
    "%": (operator.mod, operator.mod),
    "<<": (operator.lshift, operator.lshift),
    ">>": (operator.rshift, operator.rshift),
    "&": (operator.and_, operator.and_),
    "|": (operator.or_, operator.or_),
    "^": (operator.xor, operator.xor),
}
UNARY: Final[dict[str, Callable[[Any], Any]]] = {
    "-": operator.neg, "+": operator.pos, "~": operator.invert, "abs": abs,
}  # fmt: skip


def as_processor(value: int) -> int:
    return int.from_bytes((value & ((1 << 64) - 1)).to_bytes(8, "little"), "little", signed=True)


@given(st.integers(-(1 << 130), 1 << 130))
def test_wrap_keeps_the_lower_64_bits(value: int) -> None:
    assert wrap(value) == as_processor(value)
    assert type(wrap(Long(value))) is int


@pytest.mark.parametrize("symbol", BINARY)
@given(a=words, b=words)
def test_a_binary_operation_gives_what_a_processor_gives(symbol: str, a: int, b: int) -> None:
    apply, model = BINARY[symbol]
    assume(b != 0 or symbol not in ("//", "%"))
    assume(0 <= b < 64 or symbol not in ("<<", ">>"))
    expected = as_processor(model(a, b))
    for left, right in ((Long(a), Long(b)), (Long(a), b), (a, Long(b))):
        result = apply(left, right)
        assert result == expected
        assert type(result) is Long


@pytest.mark.parametrize("symbol", UNARY)
@given(a=words)
def test_a_unary_operation_gives_what_a_processor_gives(symbol: str, a: int) -> None:
    result = UNARY[symbol](Long(a))
    assert result == as_processor(UNARY[symbol](a))
    assert type(result) is Long


@given(a=words, b=words)
def test_words_compare_as_signed_numbers(a: int, b: int) -> None:
    assert (Long(a) < Long(b), Long(a) == Long(b), Long(a) > Long(b)) == (a < b, a == b, a > b)
    assert bool(Long(a)) == (a != 0)
    assert hash(Long(a)) == hash(a)


@pytest.mark.parametrize("divide", [operator.floordiv, operator.mod])
def test_division_by_zero_is_an_error(divide: Callable[[int, int], int]) -> None:
    with pytest.raises(ZeroDivisionError):
        divide(Long(1), Long(0))


@pytest.mark.parametrize("shift", [operator.lshift, operator.rshift])
@given(value=words, count=words.filter(lambda count: not 0 <= count < 64))
def test_a_shift_by_more_than_the_bits_of_a_word_is_an_error(
    shift: Callable[[int, int], int], value: int, count: int
) -> None:
    for left, right in ((Long(value), Long(count)), (Long(value), count), (value, Long(count))):
        with pytest.raises(ValueError, match="64 bits"):
            shift(left, right)


def test_the_most_negative_word_has_no_positive_counterpart() -> None:
    assert abs(Long(LONG_MIN)) == -Long(LONG_MIN) == Long(LONG_MIN) // -1 == LONG_MIN


def test_the_constants_are_those_of_c() -> None:
    assert Long(LONG_MAX) + 1 == LONG_MIN
    assert Long(0) - 1 == ULONG_MAX
    assert Long(-1) & UINT_MAX == UINT_MAX == 0xFFFFFFFF
