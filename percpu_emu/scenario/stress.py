"""Stress: the contexts of a scenario's table `explore` on real processes, round after round, checked after each."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from percpu_emu.explore.counterexample import Counterexample
from percpu_emu.explore.judge import said_by
from percpu_emu.explore.subject import Subject
from percpu_emu.lang.checks import COUNTS, FINAL, LEAKS, MEMORY, PROGRAM, PROGRESS, SECTIONS
from percpu_emu.lang.checks import Check as Broken
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.source import ProgramSource, called, queued
from percpu_emu.machine.events import EventStream
from percpu_emu.machine.faults import parse_fault
from percpu_emu.machine.recording import Recorded
from percpu_emu.machine.rounds import MAX_INTERRUPTS, RoundFailed, RoundImage, Rounds
from percpu_emu.scenario.explaining import explain
from percpu_emu.scenario.judging import judged, ledger_notes, marks
from percpu_emu.scenario.load import Loaded, ScenarioError
from percpu_emu.scenario.machines import chaos_of, faults_of, naming_faults
from percpu_emu.scenario.outcomes import Outcomes
from percpu_emu.scenario.subjects import subject_of
from percpu_emu.scenario.verdict import Check, Verdict, verdict_of
from percpu_emu.scenario.writers import last_writers
from percpu_emu.shm.awake import LONGEST_ACTION, AwakeClock

DELAYS: Final = (1, 32, 256, 2048, 1_000_000)
"""How many looks at a word a process is delayed at most at the start of a round; one of them for each round."""
AGAIN_SECONDS: Final = 10.0
"""At least so long it is tried to see a violation again, recorded."""
PATIENCE: Final = 10.0
"""Seconds after which a round is given up where nothing says that it cannot end."""
PROGRESS_SECONDS: Final = 0.1
RECORD_EVERY: Final = 4
"""Unless everything is to be recorded, each fourth round is: it costs speed."""
DISTURBANCES: Final = (
    "all=delay:1us@6%", "all=yield@1.5%", "all=preempt:200us@3%", "all=interrupt@10%", "all=migrate@10%",
)  # fmt: skip
"""What opens windows for races in every round but one in DISTURBED, besides the scenario's own faults."""
DISTURBED: Final = 4

_OF_A_CPU: Final = ("this_cpu_", "__this_cpu_", "smp_processor_id")


@dataclass(frozen=True)
class Violation:
    """What was seen natively: which check of the model it is, and in a sentence what is wrong."""

    check: str
    detail: str


@dataclass
class Stressed:
    """Rounds of one kind, up to the first violation."""

    outcomes: Outcomes
    rounds: int = 0
    rounds_recorded: int = 0
    seconds: float = 0.0
    violation: Violation | None = None
    further: list[Violation] = field(default_factory=list)
    """What else was wrong in the same round."""
    ended: int = 0
    """Rounds that ended, and were checked there."""
    recorded: list[Recorded] = field(default_factory=list)
    whole: bool = True
    """Whether the rings held the whole round."""
    stuck: str = ""
    awaited: Sequence[int] = ()
    """The words that contexts waited for where a round did not end."""
    marks: dict[str, int] = field(default_factory=dict)


@dataclass
class StressResult:
    """The result of a stress."""

    loaded: Loaded
    subject: Subject
    verdict: Verdict
    checks: list[Check]
    figures: dict[str, Any]
    scope: dict[str, Any]
    counterexample: Counterexample | None
    notes: list[str]


def stress_scenario(loaded: Loaded, events: EventStream, *, record: bool) -> StressResult:
    """Stress it, and explain what was found. Raises ScenarioError for what cannot be run natively."""
    subject = subject_of(loaded)
    refuse_what_cannot_run(loaded, subject)
    scenario = loaded.scenario
    every = 1 if record else RECORD_EVERY
    seen = stress(loaded, subject, events, record_every=every, seconds=scenario.seconds)
    notes = list[str]()
    example: Counterexample | None = None
    again: Stressed | None = None
    if seen.violation is not None:
        again = seen if seen.recorded else _again(loaded, subject, events, notes)
        example = _explained(subject, seen.violation, again, notes)
        notes += last_writers(subject, again.recorded, again.awaited) if again.recorded and again.whole else []
    figures: dict[str, Any] = {
        "rounds": seen.rounds,
        "rounds_per_s": round(seen.rounds / max(seen.seconds, 1e-9)),
        "violation": seen.violation.check if seen.violation else None,
        "recorded_rounds": seen.rounds_recorded + (again.rounds_recorded if again not in (None, seen) else 0),
        "recorded_operations": len(again.recorded) if again else 0,
    }
    if seen.outcomes.programs:
        figures["outcomes"] = seen.outcomes.rows()
    if seen.stuck:
        notes.append(f"cut short: {seen.stuck}")
    notes += ledger_notes(subject)
    checks = _checks(subject, seen)
    verdict = verdict_of(checks, seen.stuck or None)
    scope = _scope(loaded, subject, record=record)
    return StressResult(loaded, subject, verdict, checks, figures, scope, example, notes)


def _again(loaded: Loaded, subject: Subject, events: EventStream, notes: list[str]) -> Stressed:
    """The violation was seen in a round that was not recorded: stress anew, recording, until it is seen again."""
    again = stress(loaded, subject, events, record_every=1, seconds=max(AGAIN_SECONDS, 2 * loaded.scenario.seconds))
    if again.violation is None:
        notes.append(f"it was not seen again in {again.rounds} rounds that were recorded")
    return again


def _explained(subject: Subject, seen: Violation, again: Stressed, notes: list[str]) -> Counterexample | None:
    if not again.whole:
        notes.append("the rings were too small for the round: its first operations are not recorded")
    explanation = explain(subject, again.recorded if again.violation and again.whole else [])
    notes.append(f"schedule: {explanation.note}")
    example = explanation.counterexample
    if example is not None and example.check != seen.check:
        notes.append(f"natively it was seen as {seen.check}; the model stops earlier, at {example.check}")
    return example


# --- rounds


def stress(loaded: Loaded, subject: Subject, events: EventStream, *, record_every: int, seconds: float) -> Stressed:
    """Rounds until the first violation, or for so many seconds; each `record_every`-th of them is recorded."""
    done = Stressed(outcomes=Outcomes(loaded))
    try:
        image = RoundImage(subject.setting, subject.checks.total, done.outcomes.programs)
    except ValueError as error:  # more marks than a control block has room for
        raise ScenarioError(loaded.source, [f"not for run: {error}"]) from error
    chance = random.Random(loaded.scenario.seed)
    scenario = loaded.scenario
    faults = [parse_fault(line) for line in (*DISTURBANCES, *scenario.faults.inject)]
    nodes, chaos = scenario.machine.nodes, chaos_of(scenario)
    with naming_faults(loaded):
        waiting = Rounds(image, loaded.profile, nodes, events, faults, chaos, subject.names, PATIENCE)
    with waiting as rounds:
        start = shown = time.monotonic()
        awake = AwakeClock(gap=LONGEST_ACTION)
        record = False
        events.emit("stress", record_every=record_every)
        _sample(rounds, events)
        while done.violation is None and not done.stuck and awake() < seconds:
            record = rounds.count % record_every == record_every - 1
            done.rounds_recorded += record
            _round(rounds, subject, chance, done, record=record)
            if time.monotonic() > shown + PROGRESS_SECONDS:
                shown = time.monotonic()
                what = f"{rounds.count} rounds"
                events.emit("progress", done=shown - start, of=seconds, what=what)
                _sample(rounds, events)
        done.seconds = time.monotonic() - start
        _sample(rounds, events)
        done.rounds = rounds.count
        done.marks = rounds.marks()
        if record and done.violation is not None:
            done.recorded, done.whole = rounds.recorded()
    return done


def _sample(rounds: Rounds, events: EventStream) -> None:
    events.emit("sample", counts={"rounds": rounds.count}, grace_periods=[])


def _round(rounds: Rounds, subject: Subject, chance: random.Random, done: Stressed, *, record: bool) -> None:
    longest = chance.choice(DELAYS)
    try:
        rounds.begin(chance.getrandbits(32), [chance.randrange(longest) for _ in rounds.image.working])
        rounds.run(record=record, disturb=record or rounds.count % DISTURBED != 0)
    except RoundFailed as error:
        failure = [Violation(error.check, error.detail)] if error.check else []
        seen = [*failure, *_warnings(rounds)] if error.went_on else [*_warnings(rounds), *failure]
        done.violation, done.further = (seen[0], seen[1:]) if seen else (None, [])
        done.stuck = "" if error.check else error.detail
        done.awaited = error.words
        return
    if rounds.exhausted:
        done.stuck = "a program asked for more memory than a native round has"
        return
    seen = list(_violations(rounds, subject))
    done.ended += 1
    done.outcomes.observe(rounds)
    if seen:
        done.violation, *done.further = seen
    else:
        rounds.end()


def _warnings(rounds: Rounds) -> Iterator[Violation]:
    if warnings := rounds.warnings():
        yield Violation(Broken.WARNING.label, f"WARN_ON fired: {'; '.join(warnings)}")


def _violations(rounds: Rounds, subject: Subject) -> Iterator[Violation]:
    """What is wrong at the end of a round."""
    yield from _warnings(rounds)
    total = subject.checks.total
    for counter, added in rounds.ledgers().items() if total is not None else ():
        assert total is not None
        counted = rounds.machine.execute(total, counter)
        if counted != added:
            what = "lost" if counted < added else "too many"
            name = subject.names.get(counter, f"word {counter:#x}")
            by = ", ".join(f"{process} {amount:+d}" for process, amount in rounds.added_by(counter).items())
            detail = f"{name} is {counted}, {added} were added ({by}): {abs(counted - added)} {what}"
            yield Violation("lost-count" if counted < added else "doubled-count", detail)
    if subject.checks.left is not None and rounds.left != subject.checks.left:
        yield Violation(
            Broken.LEAK.label, f"{rounds.left} areas and objects are allocated at the end, not {subject.checks.left}"
        )
    if subject.final is not None and (wrong := said_by(Broken.FINAL.label, subject.final, rounds.state())):
        yield Violation(Broken.FINAL.label, wrong)


# --- what cannot be run natively


def refuse_what_cannot_run(loaded: Loaded, subject: Subject) -> None:
    """Raise ScenarioError with everything in it that a native run has no means for."""
    setting, problems = subject.setting, list(_wrong_interrupts(subject))
    killed = [spec.name for spec in setting.contexts if spec.kind == "kill"]
    problems += [f"context {name}: kind 'kill' cannot be stressed; explore has it" for name in killed]
    alone = [program for program in (setting.setup, subject.checks.total) if program is not None]
    everything = [*alone, *(spec.program for spec in setting.contexts)]
    programs = dict.fromkeys(part for program in everything for part in called(program, and_queued=True))
    sends = [
        f"{program.__name__} uses {operation.name}; explore and replay have it"
        for program in programs
        for operation, _, _ in ProgramSource(program).operations
        if not operation.native
    ]
    problems += sends
    callbacks = {} if sends else dict.fromkeys(callback for program in programs for callback in queued(program))
    for program in dict.fromkeys(part for entry in [*alone, *callbacks] for part in called(entry)):
        if used := next((name for name in _operations(program) if name.startswith(_OF_A_CPU)), None):
            problems.append(f"{program.__name__} uses {used}, and natively the coordinator runs it, which has no slots")
    if problems:
        raise ScenarioError(loaded.source, [f"not for run: {problem}" for problem in problems])


def _wrong_interrupts(subject: Subject) -> Iterator[str]:
    """Interrupts that no CPU can have."""
    homes = Counter(spec.cpu for spec in subject.setting.contexts if spec.kind == "interrupt")
    for cpu, count in homes.items():
        if count > MAX_INTERRUPTS:
            yield f"explore.contexts: found {count} interrupts on CPU {cpu}, allowed: at most {MAX_INTERRUPTS}"


def _operations(program: ProgramFunction) -> list[str]:
    return [operation.name for operation, _, _ in ProgramSource(program).operations]


# --- the report


LOOKED_AT: Final = frozenset({MEMORY, PROGRAM, SECTIONS, PROGRESS, COUNTS, LEAKS, FINAL})
"""What a round is checked for."""


def _checks(subject: Subject, seen: Stressed) -> list[Check]:
    found = [*([seen.violation] if seen.violation else []), *seen.further]
    failures = [(one.check, f"{one.detail}, in round {seen.rounds}") for one in found]
    stopped = seen.stuck and f"stopped before: {seen.stuck}"
    if found:
        stopped = "the stress stopped at the first violation" if seen.ended else "no round reached its end"
    unreached = tuple(name for name in subject.sometimes if not seen.marks.get(name))
    lines = judged(subject, failures, stopped or None, LOOKED_AT)
    return [*lines, *marks(subject.sometimes, unreached), *seen.outcomes.checks()]


def _scope(loaded: Loaded, subject: Subject, *, record: bool) -> dict[str, Any]:
    return {
        "engine": "native",
        "cpus": subject.setting.cpus,
        "nodes": subject.setting.nodes,
        "kernel": loaded.scenario.machine.kernel,
        "contexts": [f"{spec.name}{f' x {spec.turns}' if spec.turns > 1 else ''}" for spec in subject.setting.contexts],
        "constants": dict(subject.setting.constants),
        "recorded": "every round" if record else f"one round in {RECORD_EVERY}",
        "controlled": "the start of every round: all processes wait for each other, then each is delayed at random; "
        "in 3 rounds of 4, faults strike at the operations",
        "faults": [*DISTURBANCES, *faults_of(loaded.scenario)],
        "not_controlled": list(_not_controlled(subject)),
    }


def _not_controlled(subject: Subject) -> Iterator[str]:
    yield "which process runs when: the operating system decides, and another run differs"
    yield "counters are compared at the end of a round, not after every callback"
    tasks = [spec.cpu for spec in subject.setting.contexts if spec.cpu is not None and spec.kind == "task"]
    if len(tasks) > len(set(tasks)):
        yield "a task gives way to others of its CPU where it sleeps, where it spins, and at faults that preempt it"
    yield "what the processor cannot see: an access beyond an object inside of its page, or wild into mapped memory"
    if any(spec.kind == "interrupt" for spec in subject.setting.contexts):
        yield "interrupts come between two operations, at injection points; in the scenarios interrupts-*, anywhere"
    if subject.setting.allocations_fail:
        yield "allocations fail in no round: only `explore` and `replay` have them give nothing"
    checks = [
        ("invariant", subject.invariant),
        ("after", subject.after or None),
        ("progress", subject.fair or None),
        ("bound", subject.checks.bound),
        ("exclusive", subject.checks.exclusive or None),
    ]
    if unchecked := [name for name, there in checks if there is not None]:
        yield f"not checked natively, in no state between: {', '.join(unchecked)}"
