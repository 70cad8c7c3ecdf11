"""The native update path beside the same in C, and beside what Python has for a counter in shared memory.

    python benchmarks/update_path.py [--json]

One update is `kernel.memcg.__mod_memcg_state(memcg, item, +1)` and a quiescent state: the pointer check
(rcu_dereference), this CPU's slot read and written, the batch, nobody else on the counter and no grace period
pending. The C (`update_path.c`, `cc -O2`) does the same to the same words, once with the machine's own RCU and once
with liburcu where that is installed; what counts is the ratio to the faster one. All of them run in this process,
turn and turn about, and a round yields a time only after its counters were found to be exact. Times are processor
time: nobody here sleeps or blocks, and what else the machine is doing must not count.

Exit codes: 0 the goals are met, 1 a goal is missed or a count is off, 2 wrong options, 3 there is no C to compare with.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import multiprocessing
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from percpu_emu.kernel import layout
from percpu_emu.kernel.memcg import __mod_memcg_state
from percpu_emu.lang import context
from percpu_emu.lang.context import Context
from percpu_emu.lang.image import Image
from percpu_emu.lang.ops import Program, quiescent_state
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RATIO_GOAL: Final = 1.15
RIVALS_GOAL: Final = 100.0

ITEM: Final = int(layout.Item.NR_FILE_PAGES)
# No two words of an update stand in the same line of their pages: GP_SEQ is in line 0, QUIESCENT in 2, the slot in 10,
# the memory cgroup in 16 and 19. Where they did, the addresses that a process happened to get made one process in 12
# up to 1.9 times slower (12 of 150, against none), in C too: presumably the way predictor of the first-level cache.
MEMCG: Final = 640  # pointer of the memory cgroup
VMSTATS_PERCPU: Final = 576  # per-CPU pointer of its slots
OWN_RCU: Final = "own RCU"
LIBURCU: Final = "liburcu qsbr"
C_SOURCE: Final = Path(__file__).with_suffix(".c")
RIVAL_ROUNDS: Final = 5
RIVAL_SHARE: Final = 100  # a rival does one turn where the native path does that many


class MiscountError(Exception):
    """A counter is not what the updates add up to: there is no figure worth printing."""


class NoCompilerError(Exception):
    """The C cannot be built here."""


@dataclass(frozen=True)
class Contender:
    """Something that counts: `run(turns)` adds 1 so many times, from then on `found()` is to be `expected(turns)`."""

    name: str
    clear: Callable[[], None]
    run: Callable[[int], object]
    found: Callable[[], object]
    expected: Callable[[int], object] = int


@dataclass
class Versus:
    """One C variant: its time of an update, and how much longer the native path took (the median of rounds)."""

    ns: float
    ratio: float


@dataclass
class Check:
    """A goal, or the counts, and whether it is met; None where there was nothing to compare with."""

    name: str
    ok: bool | None
    detail: str


@dataclass
class Figures:
    """What `--json` prints. Times are nanoseconds an update; `c_ns` and `ratio` are those of the fastest C."""

    turns: int
    rounds: int
    native_ns: float | None = None
    c_ns: float | None = None
    ratio: float | None = None
    c: dict[str, Versus] = field(default_factory=dict)
    rivals: dict[str, float] = field(default_factory=dict)
    rivals_slower_by: float | None = None
    racy: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)


# --- the words, and those who update them


def updates(memcg: int, turns: int) -> Program[None]:
    """The program that is measured."""
    for _ in range(turns):
        yield from __mod_memcg_state(memcg, ITEM, 1)
        yield quiescent_state()


class Words:
    """One memory cgroup and one CPU: its slots, its control block and the header, as they lie in a machine."""

    def __init__(self) -> None:
        self._memory = _segment("memory", MEMCG + layout.MEM_CGROUP_WORDS)
        self._unit = _segment("unit", VMSTATS_PERCPU + layout.VMSTATS_PERCPU_WORDS)
        self._control = _segment("control", context.control_words(1))
        self._memory.words[MEMCG + layout.VMSTATS_PERCPU] = VMSTATS_PERCPU
        self._control.words[context.GP_SEQ] = self._control.words[context.GP_DONE] = 1
        unit, control = self._unit.address, self._control.address
        block = control + context.block_offset(0) * WORD_SIZE
        # no ledger: __mod_memcg_state leaves that to its callers
        self.bases = Context(self._memory.address, unit, unit, block, ledger=0, header=control).bases()

    def contender(self, name: str, run: Callable[[int], object]) -> Contender:
        """Whoever updates these words by `run(turns)`."""
        return Contender(name, self._clear, run, self._found, self._expected)

    def _clear(self) -> None:
        self._memory.words[_TWIN] = self._unit.words[_SLOT] = 0

    def _found(self) -> object:
        return {"twin": int(self._memory.words[_TWIN]), "slot": int(self._unit.words[_SLOT])}

    def _expected(self, turns: int) -> object:
        """A slot spills when it comes to 33, strictly past the batch: so both words are known, not just their sum."""
        rest = turns % (layout.MEMCG_CHARGE_BATCH + 1)
        return {"twin": turns - rest, "slot": rest}


_TWIN: Final = MEMCG + layout.VMSTATS + ITEM
_SLOT: Final = VMSTATS_PERCPU + layout.STAT + ITEM


def _segment(name: str, words: int) -> Segment:
    return Segment(name, -(-words * WORD_SIZE // PAGE_SIZE) * PAGE_SIZE)


def native(words: Words) -> Contender:
    """The program, compiled by the native engine."""
    run = Image([updates]).compiled(updates)
    assert run is not None
    return words.contender("native", lambda turns: run(words.bases, MEMCG, turns))


def in_c(words: Words, name: str, options: Sequence[str], folder: Path) -> Contender:
    """`update_path.c`, built with those options and loaded."""
    library = folder / f"{name.replace(' ', '_')}.so"
    _compile(library, options)
    function = ctypes.CDLL(str(library)).updates
    function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
    function.restype = None
    return words.contender(name, lambda turns: function(words.bases.ctypes.data, MEMCG, turns))


def _compile(library: Path, options: Sequence[str]) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompilerError("there is no `cc` here")
    offsets = {
        "ITEM": ITEM,
        "STAT": layout.STAT,
        "VMSTATS": layout.VMSTATS,
        "VMSTATS_PERCPU": layout.VMSTATS_PERCPU,
        "MEMCG_CHARGE_BATCH": layout.MEMCG_CHARGE_BATCH,
        "GP_SEQ": context.GP_SEQ,
        "QUIESCENT": context.QUIESCENT,
    }
    defines = [f"-D{name}={value}" for name, value in offsets.items()]
    command = [compiler, "-O2", "-shared", "-fPIC", *defines, str(C_SOURCE), "-o", str(library), *options]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise NoCompilerError(next((line for line in built.stderr.splitlines() if "error" in line), built.stderr))


def _in_c(variant: str) -> str:
    return f"C at -O2, {variant}"


def c_variants(words: Words, folder: Path, skipped: dict[str, str]) -> list[Contender]:
    """The C with either RCU, as far as it can be built."""
    built = []
    for name, options in ((OWN_RCU, []), (LIBURCU, ["-DWITH_LIBURCU", "-lurcu-qsbr"])):
        try:
            built.append(in_c(words, name, options, folder))
        except (NoCompilerError, OSError) as reason:
            skipped[_in_c(name)] = str(reason)
    return built


# --- the rivals: what a Python program would use instead


def value_with_lock() -> Contender:
    """`multiprocessing.Value` as its documentation says it is incremented."""
    counter: Any = multiprocessing.Value("q")

    def run(turns: int) -> None:
        for _ in range(turns):
            with counter.get_lock():
                counter.value += 1

    def clear() -> None:
        counter.value = 0

    return Contender("multiprocessing.Value with its lock", clear, run, lambda: counter.value)


def atomics_method(method: str, arguments: tuple[int, ...], lifetime: ExitStack) -> Contender:
    """A method of the `atomics` package, on a word of shared memory."""
    atomics: Any = importlib.import_module("atomics")
    segment = Segment("atomics", PAGE_SIZE)
    buffer = segment.bytes.data[:WORD_SIZE]
    counter = lifetime.enter_context(atomics.atomicview(buffer=buffer, atype=atomics.INT))
    add = getattr(counter, method)

    def run(turns: int) -> None:
        for _ in range(turns):
            add(*arguments)

    return Contender(f"atomics {method}", lambda: counter.store(0), run, counter.load)


def racy_memoryview() -> Contender:
    """`view[0] += 1`: loses updates as soon as a second process takes part."""
    view = Segment("memoryview", PAGE_SIZE).words.data

    def run(turns: int) -> None:
        for _ in range(turns):
            view[0] += 1

    def clear() -> None:
        view[0] = 0

    return Contender("memoryview +=", clear, run, lambda: view[0])


def racy_ctypes() -> Contender:
    """`word.value += 1`: the same, through ctypes."""
    word = ctypes.c_int64.from_buffer(Segment("ctypes", PAGE_SIZE).bytes.data)

    def run(turns: int) -> None:
        for _ in range(turns):
            word.value += 1

    def clear() -> None:
        word.value = 0

    return Contender("ctypes +=", clear, run, lambda: word.value)


# --- measuring


def timed(contender: Contender, turns: int) -> float:
    """Nanoseconds of processor time a turn, of a run that counted right."""
    contender.clear()
    start = time.thread_time_ns()
    contender.run(turns)
    elapsed = time.thread_time_ns() - start
    found, expected = contender.found(), contender.expected(turns)
    if found != expected:
        raise MiscountError(f"{contender.name}, {turns} updates: {found} found, {expected} expected")
    return elapsed / turns


def alternate(contenders: Sequence[Contender], turns: int, rounds: int) -> dict[str, list[float]]:
    """Every contender's times, one a round, each round all of them one after another."""
    for contender in contenders:
        timed(contender, turns)  # warm: pages touched, code loaded
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            times[contender.name].append(timed(contender, turns))
    return times


def compare_with_c(figures: Figures) -> None:
    """Native and C, alternating."""
    words = Words()
    with tempfile.TemporaryDirectory(prefix="update-path-") as folder:
        variants = c_variants(words, Path(folder), figures.skipped)
        times = alternate([native(words), *variants], figures.turns, figures.rounds)
    natives = times.pop("native")
    for name, taken in times.items():
        ratio = statistics.median(ours / theirs for ours, theirs in zip(natives, taken, strict=True))
        figures.c[name] = Versus(statistics.median(taken), ratio)
    figures.native_ns = statistics.median(natives)
    if figures.c:
        fastest = max(figures.c.values(), key=lambda versus: versus.ratio)
        figures.c_ns, figures.ratio = fastest.ns, fastest.ratio


def compare_with_rivals(figures: Figures) -> None:
    """What Python offers, exact and racy."""
    turns = max(figures.turns // RIVAL_SHARE, 1)
    with ExitStack() as lifetime:
        rivals: dict[str, Callable[[], Contender]] = {
            "multiprocessing.Value": value_with_lock,
            "atomics inc": lambda: atomics_method("inc", (), lifetime),
            "atomics fetch_add": lambda: atomics_method("fetch_add", (1,), lifetime),
        }
        for name, make in rivals.items():
            try:
                rival = make()
            except (ImportError, OSError) as reason:
                figures.skipped[name] = str(reason)
            else:
                figures.rivals[rival.name] = _median(rival, turns)
    for racy in (racy_memoryview(), racy_ctypes()):
        figures.racy[racy.name] = _median(racy, turns)
    if figures.native_ns and figures.rivals:
        figures.rivals_slower_by = min(figures.rivals.values()) / figures.native_ns


def _median(contender: Contender, turns: int) -> float:
    return statistics.median(alternate([contender], turns, RIVAL_ROUNDS)[contender.name])


def measure(turns: int, rounds: int) -> Figures:
    """All figures; where a count is off, none but that."""
    figures = Figures(turns, rounds)
    try:
        compare_with_c(figures)
        compare_with_rivals(figures)
    except MiscountError as reason:
        return Figures(turns, rounds, checks=[Check("counts are exact", ok=False, detail=str(reason))])
    figures.checks = [
        Check("counts are exact", ok=True, detail=f"after each of {rounds} rounds of {turns} updates"),
        _goal("native to C", figures.ratio, f"at most {RATIO_GOAL:g}", lambda ratio: ratio <= RATIO_GOAL),
        _goal("rivals to native", figures.rivals_slower_by, f"at least {RIVALS_GOAL:g}", lambda by: by >= RIVALS_GOAL),
    ]
    return figures


def _goal(name: str, found: float | None, wanted: str, met: Callable[[float], bool]) -> Check:
    if found is None:
        return Check(name, ok=None, detail=f"{wanted}; nothing to compare with")
    return Check(name, ok=met(found), detail=f"{found:.3g}, {wanted}")


# --- showing


def table(figures: Figures) -> Table:
    """For people."""
    assert figures.native_ns is not None
    shown = Table(title="One update of a per-CPU counter, with its quiescent state", title_justify="left")
    shown.add_column("what")
    shown.add_column("ns", justify="right")
    shown.add_column("native takes", justify="right")
    shown.add_row("native engine", f"{figures.native_ns:.2f}", "", end_section=True)
    for name, versus in figures.c.items():
        shown.add_row(_in_c(name), f"{versus.ns:.2f}", f"x {versus.ratio:.3f}")
    shown.add_section()
    for name, taken in figures.rivals.items():
        shown.add_row(name, f"{taken:.0f}", f"1/{taken / figures.native_ns:.0f}")
    shown.add_section()
    for name, taken in figures.racy.items():
        shown.add_row(f"{name} (loses updates)", f"{taken:.0f}", f"1/{taken / figures.native_ns:.0f}")
    return shown


def show(figures: Figures) -> None:
    """The table, what was skipped, and whether the goals are met."""
    console = Console()
    if figures.native_ns is not None:
        console.print(table(figures))
    for name, reason in figures.skipped.items():
        console.print(f"skipped: {name}: {reason}", style="yellow", markup=False)
    for check in figures.checks:
        word, style = {True: ("ok", "green"), False: ("MISSED", "red"), None: ("open", "yellow")}[check.ok]
        console.print(f"{word}: {check.name}: {check.detail}", style=style, markup=False)


def exit_code(figures: Figures) -> int:
    """3 if there was no C, else 1 if a check failed."""
    if figures.native_ns is not None and not figures.c:
        return 3
    return int(any(check.ok is False for check in figures.checks))


def main(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")] = False,
    turns: Annotated[int, typer.Option(min=1, help="Updates in a round; a rival does a hundredth.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, each of native and C one after another.")] = 201,
) -> None:
    """Measure the native update path beside the same in C and beside what Python has."""
    figures = measure(turns, rounds)
    if as_json:
        print(json.dumps(asdict(figures), indent=2))
    else:
        show(figures)
    code = exit_code(figures)
    if code == 3:
        print(f"update_path: no C to compare with: {figures.skipped[_in_c(OWN_RCU)]}", file=sys.stderr)
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
