"""Rounds on real processes: who runs where, what ends and what cannot, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from percpu_emu.kernel.layout import BOOT, STATIC, STATIC_WORDS
from percpu_emu.kernel.profile import load_profile
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, ContextSpec, Setting
from percpu_emu.machine import EventStream
from percpu_emu.machine.rounds import RoundFailed, RoundImage, Rounds
from percpu_emu.scenario.programs import execute

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)  # the first run compiles the programs

CASE: Final = STATIC + 1
FLAG: Final = STATIC + 2
LOCK: Final = STATIC + 4
PATIENCE: Final = 3.0
LONG: Final = 300_000_000
"""Looks at a word that take long enough for the other processes to have come to where they wait."""

CONTEXTS: Final = {
    "first": ("task", 0),
    "second": ("task", 0),
    "remote": ("task", 1),
    "alone": ("task", 3),
    "outside": ("task", None),
    "own_irq": ("interrupt", 0),
    "idle_irq": ("interrupt", 2),
    "goes_down": ("offline", 3),
}
"""By the name of their program: kind and CPU. CPU 2 has no task, and CPU 3 goes off line."""

ENDS: Final = ""
SET: Final = "yield write_once(FLAG, 1)"
SLEEP: Final = "yield wait_until(FLAG, 1)"
SPIN: Final = "yield smp_cond_load_acquire(FLAG, 1)"
POLL: Final = "yield from poll()"


def within(enter: str, what: str, leave: str) -> str:
    return f"yield {enter}; {what}; yield {leave}"


SECTIONS: Final = {
    "rcu": ("rcu_read_lock()", "rcu_read_unlock()"),
    "preempt": ("preempt_disable()", "preempt_enable()"),
    "irq": ("local_irq_save()", "local_irq_restore(0)"),
}


@dataclass(frozen=True)
class Case:
    """What contexts do, and the check that a round then breaks; None: it does not end, and no check says so."""

    expected: str | None
    said: str = ""
    last: str = ""
    """Who begins when the others are well under way."""
    do: dict[str, str] = field(default_factory=dict)


def case(expected: str | None, said: str = "", last: str = "", **do: str) -> Case:
    return Case(expected, said, last, do)


CASES: Final = {
    **{f"{how} for the same CPU": case(ENDS, first=wait, second=SET) for how, wait in
       (("sleeps", SLEEP), ("spins", SPIN), ("polls", POLL))},
    **{f"{how} for the same CPU, the other way": case(ENDS, first=SET, second=wait) for how, wait in
       (("sleeps", SLEEP), ("spins", SPIN), ("polls", POLL))},
    **{f"spins in {kind} for the same CPU": case("deadlock", "spins until flag is 1, and it is 0", "second",
       first=within(enter, SPIN, leave), second=SET) for kind, (enter, leave) in SECTIONS.items()},
    **{f"polls in {kind} for the same CPU": case(None, "waits for CPU 0, on which another task runs", "second",
       first=within(enter, POLL, leave), second=SET) for kind, (enter, leave) in SECTIONS.items()},
    **{f"spins in {kind} for another CPU": case(ENDS, first=within(enter, SPIN, leave), remote=SET)
       for kind, (enter, leave) in SECTIONS.items()},
    **{f"a grace period and a reader in {kind}": case("deadlock", "waits for readers: remote on CPU 1", "first",
       first=f"yield synchronize_rcu(); {SET}", remote=within(enter, SPIN, leave))
       for kind, (enter, leave) in SECTIONS.items()},
    **{f"a grace period while another {how}": case(ENDS, first=f"yield synchronize_rcu(); {SET}", remote=wait)
       for how, wait in (("sleeps", SLEEP), ("spins", SPIN), ("polls", POLL))},
    "a grace period while the same CPU polls": case(ENDS, first=f"yield synchronize_rcu(); {SET}", second=POLL),
    "an interrupt of an idle CPU": case(ENDS, remote=SLEEP, idle_irq=SET),
    "an interrupt of the CPU that sleeps": case(ENDS, first=SLEEP, own_irq=SET),
    "an interrupt of the CPU that spins": case(ENDS, first=SPIN, own_irq=SET),
    "an interrupt of a CPU whose tasks are done": case(ENDS, remote=SLEEP, own_irq=SET),
    "an interrupt that is off": case("deadlock", "spins until flag is 1", first=within(*("local_irq_save()", SPIN,
        "local_irq_restore(0)")), own_irq=SET),
    "a callback": case(ENDS, first=f"yield call_rcu(set_flag, 1); {SLEEP}"),
    "a callback that waits for its own reader": case("deadlock", "spins until flag is 1",
        first=within("rcu_read_lock()", f"yield call_rcu(set_flag, 1); {SPIN}", "rcu_read_unlock()")),
    "a callback that spins": case(ENDS, first="yield call_rcu(spin_for_flag, 1); yield rcu_barrier()",
        remote=f"p = yield kzalloc(8); yield kfree(p); {SET}"),
    "a callback that spins for ever": case("deadlock", "a callback at spin_for_flag",
        first="yield call_rcu(spin_for_flag, 1)"),
    "work that sleeps": case(ENDS, first="yield queue_work(await_flag, 1)",
        remote="yield call_rcu(set_flag, 1)"),
    "work that sleeps for ever": case("deadlock", "a callback at await_flag", first="yield queue_work(await_flag, 1)"),
    "all callbacks": case(ENDS, first="yield call_rcu(set_flag, 1); yield rcu_barrier(); yield wait_until(FLAG, 1)"),
    "a word that nothing writes": case("deadlock", "remote on CPU 1 at remote:", remote=SLEEP),
    "a copy that nothing writes": case("deadlock", "sleeps until CPU 2's word 0x5 is 1, and it is 0",
        remote="yield wait_until(per_cpu(5, 2), 1)"),
    "two locks in two orders": case("deadlock", "spins until lock is 0, and it is 1",
        first="yield write_once(LOCK, 1); yield smp_cond_load_acquire(FLAG, 2); yield write_once(LOCK, 0)",
        remote="yield smp_cond_load_acquire(LOCK, 1); yield smp_cond_load_acquire(LOCK, 0); yield write_once(FLAG, 2)"),
    "a loop that goes on for ever": case(None, "remote on CPU 1 at poll:", remote=POLL),
    "a CPU that goes down first": case(ENDS, last="alone", alone=SLEEP, goes_down="yield smp_mb()"),
    "a CPU whose task sleeps does not go down": case("deadlock", "waits until no task of CPU 3 is in a turn",
        "goes_down", alone=SLEEP, goes_down=SET),
    "a warning before": case("deadlock", remote=f"yield warn_on(1); {SLEEP}"),
    # --- memory
    "NULL is written": case("wild-access", "NULL, near it", first="yield write_once(0, 1)"),
    "near NULL is read": case("wild-access", "NULL, near it", outside="yield read_once(500)"),
    "below all memory is read": case("wild-access", "beyond every object", remote="yield read_once(BOOT - 1)"),
    "behind the static words": case("wild-access", "beyond every object", first="yield write_once(STATIC + 100000, 1)"),
    "behind all objects": case("wild-access", "", first=f"yield xchg({FIRST_OBJECT + 100 * OBJECT_WORDS}, 1)"),
    "an object that is not allocated": case("wild-access", "never allocated", first=f"yield xchg({FIRST_OBJECT}, 1)"),
    "a per-CPU area that is not allocated": case("wild-access", "never allocated",
        first=f"yield this_cpu_write({OBJECT_WORDS}, 1)"),
    "behind all per-CPU areas": case("wild-access", "", first="yield this_cpu_write(1 << 20, 1)"),
    "a copy of a CPU that is not there": case("wild-access", "", first="yield write_once(per_cpu(0, 4), 1)"),
    "an address that no process has": case("wild-access", "", first="yield write_once(1 << 55, 1)"),
    "per-CPU NULL": case(ENDS, first="yield this_cpu_write(0, 1)"),
    "a callback writes NULL": case("wild-access", "a callback at wild", first="yield call_rcu(wild, 0)"),
    "what is freed is read": case("use-after-free", "freed by first on CPU 0 at first:",
        first="p = yield kzalloc(8); yield kfree(p); yield read_once(p)"),
    "what is freed is freed": case("double-free", "is freed again: first on CPU 0",
        first="p = yield kzalloc(8); yield kfree(p); yield kfree(p)"),
    "what was not allocated is freed": case("wild-free", "no object was allocated", first="yield kfree(STATIC)"),
    "the middle of an object is freed": case("wild-free", "", first="p = yield kzalloc(16); yield kfree(p + 1)"),
    "an object is freed as an area": case("wild-free", "", first="p = yield kzalloc(16); yield free_percpu(p)"),
    "a callback frees twice": case("double-free", "", first="yield call_rcu(free_twice, 0)"),
    **{f"{size} bytes": case("fault" if not 1 <= size <= 4096 else ENDS, "" if 1 <= size <= 4096 else "1 to 4096 bytes",
        outside=f"p = yield kzalloc({size}); q = yield alloc_percpu({size}, 8)") for size in (-1, 0, 1, 4096, 4097)},
    # --- arithmetic
    "an interrupt divides by zero": case("fault", ": `2 // x`: division by zero",
        idle_irq="x = yield read_once(FLAG); y = 2 // x"),
    "an interrupt frees twice": case("double-free", "idle_irq on CPU 2 at free_twice:",
        idle_irq="yield from free_twice(0)"),
    "an interrupt spins for ever": case("deadlock", "idle_irq on CPU 2 at idle_irq:", idle_irq=SPIN),
    "division by zero": case("fault", ": `1 // x`: division by zero", first="x = yield read_once(FLAG); y = 1 // x"),
    "a shift by too much": case("fault", ": `1 << x - 1`: a word has 64 bits",
        first="x = yield read_once(FLAG); y = 1 << x - 1"),
    "a callback divides by zero": case("fault", ": `argument % argument`: division by zero",
        first="yield call_rcu(divide, 0)"),
}  # fmt: skip
NAMES: Final = {FLAG: "flag", LOCK: "lock"}

PROLOGUE: Final = f"""\
from __future__ import annotations
from percpu_emu.kernel.layout import BOOT, STATIC
from percpu_emu.lang.ops import *
FLAG = {FLAG}
LOCK = {LOCK}

def set_flag(value):
    yield write_once(FLAG, value)

def await_flag(value):
    yield wait_until(FLAG, value)

def spin_for_flag(value):
    yield smp_cond_load_acquire(FLAG, value)

def wild(pointer):
    yield write_once(pointer, 1)

def free_twice(pointer):
    p = yield kzalloc(8)
    yield kfree(p)
    yield kfree(p)

def divide(argument):
    yield smp_mb()
    return argument % argument

def poll():
    while (yield read_once(FLAG)) == 0:
        yield cpu_relax()
"""


def module_text() -> str:
    """Whatever a context does comes after its first operation: its turn has begun, and its CPU cannot go away."""
    lines = [PROLOGUE]
    for context in CONTEXTS:
        lines += ["", f"def {context}():", f"    case = yield read_once({CASE})"]
        for number, described in enumerate(CASES.values()):
            if context in described.do:
                lines += [f"    if case == {number}:"]
                lines += [f"        {statement.strip()}" for statement in described.do[context].split(";")]
        lines += ["    return case"]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> RoundImage:
    path: Path = tmp_path_factory.mktemp("rounds") / "rounds.py"
    path.write_text(module_text())
    module: Any = execute(path)
    where: Any = CONTEXTS
    contexts = (
        ContextSpec(f"{name} on CPU {cpu}" if cpu is not None else name, getattr(module, name), kind, cpu)
        for name, (kind, cpu) in where.items()
    )
    return RoundImage(Setting(4, tuple(contexts)), None)


def round_of(image: RoundImage, number: int, last: str = "") -> tuple[RoundFailed | None, list[str], Any]:
    """How a round of that case failed, which warnings fired, and what it has left behind."""
    delays = [
        LONG if any(image.setting.contexts[which].program.__name__ == last for which in runs.contexts) else 0
        for runs in (image.processes[number] for number in image.working)
    ]  # fmt: skip
    with Rounds(image, load_profile("linux-5.0-mmotm"), 1, EventStream(), (), None, NAMES, PATIENCE) as rounds:
        rounds.begin(1, delays)
        rounds.machine.memory.words[CASE] = number
        try:
            rounds.run(record=False, disturb=False)
        except RoundFailed as failed:
            return failed, rounds.warnings(), None
        return None, rounds.warnings(), [rounds.state().result(n) for n in range(len(image.setting.contexts))]


@pytest.mark.parametrize("name", CASES)
def test_a_round_ends_or_says_why_it_cannot(image: RoundImage, name: str) -> None:
    described, number = CASES[name], list(CASES).index(name)
    failed, warnings, _ = round_of(image, number, described.last)
    if described.expected == ENDS:
        assert failed is None, failed
    else:
        assert failed is not None
        assert (failed.check, described.said in failed.detail) == (described.expected or "", True), failed.detail
    assert bool(warnings) == ("warn_on" in str(described.do))


def test_what_the_last_turns_gave_can_be_asked_for(image: RoundImage) -> None:
    number = list(CASES).index("per-CPU NULL")
    _, _, results = round_of(image, number)
    named = dict(zip(CONTEXTS, results, strict=True))
    assert {name: named[name] for name in ("first", "second", "remote", "outside", "idle_irq")} == dict.fromkeys(
        ("first", "second", "remote", "outside", "idle_irq"), number
    )


def test_the_words_behind_the_static_ones_are_beyond_the_test() -> None:
    assert BOOT < STATIC < STATIC + STATIC_WORDS < FIRST_OBJECT
