"""Faults at injection points: what is to happen where, from a line such as `mod_memcg_state:4=sleep:1ms@25%`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import numpy as np
import numpy.typing as npt

from percpu_emu.lang import context as c
from percpu_emu.lang.modules import load_compiled
from percpu_emu.lang.source import Site
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE, Segment

KINDS: Final = {
    "delay": c.DELAY,
    "yield": c.YIELD,
    "sleep": c.SLEEP,
    "stop": c.FREEZE,
    "kill": c.KILL,
    "preempt": c.PREEMPT,
    "migrate": c.MIGRATE,
    "interrupt": c.INTERRUPT_HERE,
}
_TIMED: Final = frozenset({"delay", "sleep", "stop"})
_MAY_BE_TIMED: Final = frozenset({"preempt"})
_UNITS: Final = {"ns": 1, "us": 1000, "ms": 1_000_000, "s": 1_000_000_000}
LONGEST_NS: Final = 10_000_000_000
_FORM: Final = "POINT=KIND[:TIME][@CHANCE% or @#NTH]"
_EXAMPLE: Final = "mod_memcg_state:4=sleep:1ms@25%"


FAULTS_TEXT: Final = """
from percpu_emu.lang import reaching


@callback(WORD(WORD, WORD, WORD, WORD))
def reach(block, site, effect, _):
    return reaching.reached(block, site, effect)


@entry_point(WORD(WORD, WORD))
def spin(address, looks):
    return reaching.spin(address, looks)
"""
_somewhere: Final = np.zeros(1, dtype=np.int64)


class BadFault(ValueError):
    """A fault that cannot be understood, or that names no injection point: what was found, what is allowed."""

    def __init__(self, found: str, allowed: str, wrong: str = "", known: Iterable[str] = ()) -> None:
        """`wrong`: a name that is none of the `known` ones."""
        super().__init__(f"{found}, allowed: {allowed}")
        self.found = found
        self.wrong = wrong
        self.known = tuple(known)


@dataclass(frozen=True)
class Fault:
    """What happens at some points: `kind` for so many nanoseconds, with a chance (of `context.CERTAIN`) or once."""

    text: str
    program: str
    """Its name, or "all"."""
    point: str
    """A number, an operation's name, or "all"."""
    kind: str
    nanoseconds: int = 0
    chance: int = c.CERTAIN
    nth: int = 0
    """At the n-th pass of the point, all contexts together; 0: at random."""

    def matches(self, site: Site) -> bool:
        """Whether it is to happen there."""
        at_program = self.program in ("all", site.program)
        return at_program and self.point in ("all", str(site.number), site.text.partition("(")[0])


def parse_fault(text: str) -> Fault:
    """A fault from its line. Raises BadFault."""
    where, equals, what = text.strip().partition("=")
    if not equals or not where or not what:
        raise BadFault(f"found {text!r}", f"{_FORM}, as in {_EXAMPLE}")
    program, _, point = where.partition(":")
    action, _, when = what.partition("@")
    kind, _, amount = action.partition(":")
    if kind not in KINDS:
        _refuse_name(text, f"{kind!r} is no kind of fault", kind, KINDS)
    chance, nth = _when(text, when) if "@" in what else (c.CERTAIN, 0)
    return Fault(text.strip(), program, point or "all", kind, _nanoseconds(text, kind, amount), chance, nth)


def _nanoseconds(text: str, kind: str, amount: str) -> int:
    if kind not in _TIMED and not (amount and kind in _MAY_BE_TIMED):
        if amount:
            _refuse(text, f"{kind} takes no time, and {amount!r} is given", kind)
        return 0
    found = re.fullmatch(r"(\d{1,10}(?:\.\d{1,9})?)(ns|us|ms|s)", amount, re.ASCII)
    nanoseconds = round(float(found[1]) * _UNITS[found[2]]) if found else 0
    if not 0 < nanoseconds <= LONGEST_NS:
        _refuse(text, f"{amount!r} is no time", f"{kind}: with 1ns to 10s behind it, as in {kind}:50us")
    return nanoseconds if kind == "delay" else -(-nanoseconds // 1000) * 1000  # the clock sleeps by the microsecond


def _when(text: str, when: str) -> tuple[int, int]:
    """The chance, and which pass (0: any)."""
    if found := re.fullmatch(r"#(\d{1,15})", when, re.ASCII):
        if int(found[1]) > 0:
            return c.CERTAIN, int(found[1])
    elif (found := re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?)%", when, re.ASCII)) and 0 < float(found[1]) <= 100:
        return max(round(float(found[1]) / 100 * c.CERTAIN), 1), 0
    _refuse(text, f"{when!r} does not say when", "@ with a chance up to 100%, as in @25%, or a pass, as in @#3")


def _refuse(text: str, found: str, allowed: str) -> NoReturn:
    raise BadFault(f"{text!r}: {found}", allowed)


def _refuse_name(text: str, found: str, name: str, known: Iterable[str], more: str = "") -> NoReturn:
    names = list(known)
    raise BadFault(f"{text!r}: {found}", f"{more}{', '.join(names)}", name, names)


def points_of(fault: Fault, sites: Sequence[Site]) -> list[int]:
    """Numbers of the sites at which it happens. Raises BadFault where there is none."""
    found = [number for number, site in enumerate(sites) if fault.matches(site)]
    if found:
        return found
    there = {site.program: 0 for site in sites} | {"all": 0}
    if fault.program not in there:
        _refuse_name(fault.text, f"no program {fault.program!r} runs here", fault.program, there)
    here = [site for site in sites if fault.program in ("all", site.program)]
    names = dict.fromkeys(site.text.partition("(")[0] for site in here)
    numbers = f"1 to {max(site.number for site in here)}, " if fault.program != "all" else ""
    _refuse_name(fault.text, f"{fault.program} has no point {fault.point!r}", fault.point, names, numbers)


class FaultTable:
    """The faults as compiled programs look them up: for each site its first rule, then the rules (`lang.context`)."""

    def __init__(self, faults: Sequence[Fault], sites: Sequence[Site]) -> None:
        self.faults = faults
        placed = [(fault, number) for fault in faults for number in points_of(fault, sites)]
        first = -(-len(sites) // c.FAULT_WORDS) * c.FAULT_WORDS or c.FAULT_WORDS
        words = first + len(placed) * c.FAULT_WORDS
        self._segment = Segment("faults", -(-words * WORD_SIZE // PAGE_SIZE) * PAGE_SIZE)
        self._words: npt.NDArray[np.int64] = self._segment.words
        self._rules: list[tuple[Fault, int]] = []
        for index, (fault, number) in enumerate(placed):
            rule = first + index * c.FAULT_WORDS
            self._words[rule : rule + c.FAULT_WORDS] = [
                KINDS[fault.kind], fault.nanoseconds, fault.chance, fault.nth, 0, 0, self._words[number], 0,
            ]  # fmt: skip
            self._words[number] = rule
            self._rules.append((fault, rule))

    @property
    def address(self) -> int:
        """For `context.FAULTS`."""
        return self._segment.address

    def tune(self, text: str, nanoseconds: int) -> None:
        """Have the fault of that line take another time from now on, while it runs; 0: have it not happen."""
        for fault, rule in self._rules:
            if fault.text == text:
                self._words[rule + c.FAULT_AMOUNT] = nanoseconds
                self._words[rule + c.FAULT_CHANCE] = fault.chance if nanoseconds else 0

    def hits(self) -> dict[str, int]:
        """How often each fault has happened, by its line."""
        counts = {fault.text: 0 for fault in self.faults}
        for fault, rule in self._rules:
            counts[fault.text] += int(self._words[rule + c.FAULT_HITS])
        return counts

    def close(self) -> None:
        """Give the memory back; no process may use it any more."""
        self._segment.close()


def reach_function() -> int:
    """The address of the C function that instrumented programs call (`context.REACH`)."""
    address: int = load_compiled(FAULTS_TEXT).reach.address
    return address


def loops_per_ms() -> int:
    """How many looks of a delay take a millisecond on this machine, the fastest of five measurements."""
    spin, looks = load_compiled(FAULTS_TEXT).spin, 200_000
    times = []
    for _ in range(5):
        start = time.perf_counter()
        spin(_somewhere.ctypes.data, looks)
        times.append(time.perf_counter() - start)
    return max(int(looks / 1000 / max(min(times), 1e-9)), 1)
