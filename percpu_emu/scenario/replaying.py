"""A token, replayed on real CPU processes and held against the virtual engine, step by step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from percpu_emu.explore.counterexample import Counterexample, tell_of, up_to_failure
from percpu_emu.explore.model import Checks, Model
from percpu_emu.explore.obstacles import obstacle_of
from percpu_emu.explore.room import with_room
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.token import BadToken, Token, digest, schedule_of
from percpu_emu.explore.tracing import NotPossible, Stepper
from percpu_emu.lang import instructions as i
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.setting import MIGRATE, Setting, context_of, fails, is_migration
from percpu_emu.lang.trace import Step
from percpu_emu.lang.virtual import layout
from percpu_emu.replay import Difference, Part, Plan, PlannedStep, Replayed, replay
from percpu_emu.scenario.decorator import DeclaredScenario
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of
from percpu_emu.scenario.verdict import Check

FOUND_BY_PROCESSES: Final = frozenset(
    {"use-after-free", "wild-access", "double-free", "wild-free", "off-cpu", "fault", "warning"}
)
"""Checks that processes do themselves, the hardware's among them: where a step of the model fails one, theirs does."""


# --- from the model's steps to a plan


def plan_of(stepper: Stepper) -> Plan:
    """The plan of the schedule that a stepper has taken."""
    areas, objects = (int(stepper.state[word]) for word in (layout.AREAS, layout.OBJECTS))
    return Plan(tuple(_planned(stepper.steps)), stepper.violated, areas, objects)


def plan_of_schedule(setting: Setting, schedule: Iterable[int]) -> Plan:
    """The plan of a schedule of a setting, up to a violation. Raises NotPossible for a choice that is not there."""
    choices = list(schedule)

    def planned(model: Model) -> Plan:
        stepper = Stepper(model)
        for number, choice in enumerate(choices):
            if stepper.violated:
                break
            if choice < 0 or not stepper.is_possible(choice):
                raise NotPossible(f"step {number}: {_why_not(stepper, choice)}")
            stepper.take(choice)
        return plan_of(stepper)

    plan: Plan = with_room(setting, Checks(), planned)
    return plan


def _why_not(stepper: Stepper, choice: int) -> str:
    number = context_of(choice)
    if choice < 0 or number not in stepper.contexts():
        return f"there is no context {number if choice >= 0 else choice}"
    if obstacle := obstacle_of(stepper, number):
        whose = [_name(stepper, other) for other in obstacle.contexts]
        return f"{_name(stepper, number)} cannot go on: {', '.join([obstacle.reason, *whose])}"
    if is_migration(choice):
        return f"{_name(stepper, number)} cannot move to CPU {choice // MIGRATE - 1}"
    if fails(choice):
        return f"the next operation of {_name(stepper, number)} is no allocation that may fail"
    return f"the next operation of {_name(stepper, number)} has no halves"


def _name(stepper: Stepper, number: int) -> str:
    contexts = stepper.model.setting.contexts
    return contexts[number].name if number < len(contexts) else f"callback {number - len(contexts)}"


def _planned(steps: Iterable[Step]) -> Iterable[PlannedStep]:
    waiting: set[int] = set()
    for step in steps:
        part, queued = _part(step, waiting), -1
        if part == Part.REGISTER:
            waiting.add(step.context)
        elif part == Part.WHOLE:  # it may move to another CPU in between
            waiting.discard(step.context)
        target = step.args[0] if part in (Part.MIGRATE, Part.TAKE_DOWN) else -1
        if step.op in OPERATIONS and OPERATIONS[step.op].queues:
            queued = step.args[0]
        yield PlannedStep(step.context, step.cpu, step.op, step.site, part, target, queued, step.waits_for, step.ended)


def _part(step: Step, waiting: set[int]) -> Part:
    if step.op not in OPERATIONS:
        return Part.MIGRATE if step.op == "migrate" else Part.TAKE_DOWN
    if step.half:
        return Part.LOAD if step.half == "load" else Part.STORE
    operation = OPERATIONS[step.op]
    if operation.opcode in (i.ALLOC_PERCPU, i.KZALLOC) and step.result == 0 and 1 <= step.args[0] <= layout.MAX_BYTES:
        return Part.FAIL  # of another size, it breaks a check
    begins = operation.opcode in (i.SYNCHRONIZE_RCU, i.RCU_BARRIER) and step.context not in waiting
    return Part.REGISTER if begins else Part.WHOLE


# --- a replay


@dataclass(frozen=True)
class Replay:
    """What a token says, and what real processes made of it."""

    subject: Subject
    expected: Counterexample
    plan: Plan
    replayed: Replayed

    @property
    def difference(self) -> Difference | None:
        """The first step at which real processes did something else, None if there is none."""
        planned, done = self.expected.trace.steps, self.replayed.steps
        for number, (virtual_step, real) in enumerate(zip(planned, done, strict=False)):
            if self.plan.last_violates(number) or (self.replayed.violation is not None and number == len(done) - 1):
                same = _place(virtual_step) == _place(real)  # how far it came depends on what found it
            else:
                same = virtual_step == real
            if not same:
                return Difference(number, _told(virtual_step), _told(real))
        if self.replayed.difference is not None or len(planned) == len(done):
            return self.replayed.difference
        return Difference(len(done), _told(planned[len(done)]), "nothing")


def _place(step: Step) -> tuple[object, ...]:
    return step.context, step.op, step.site, step.cpu, step.half


def _told(step: Step) -> str:
    """A step with its values."""
    half = f"the {step.half} of " if step.half else ""
    words = ", ".join(map(str, step.args))
    site = f" at {step.site}" if step.site is not None else ""
    changes = "".join(f", {a.address:#x}: {a.old} -> {a.new}" for a in step.accesses)
    last = ", the last step of its context" if step.ended else ""
    return f"{half}{step.op}({words}){site}{changes}, which gives {step.result}{last}"


def subject_of_token(token: Token, path: str | DeclaredScenario | None = None) -> Subject:
    """The scenario that a token is about, as small as the token says."""
    loaded = load(path or token.scenario, {"machine.cpus": token.cpus})
    subject = subject_of(loaded)
    if token.turns is None:
        return subject
    if len(token.turns) != len(subject.setting.contexts):
        raise BadToken(f"it is about {len(token.turns)} contexts, the scenario has {len(subject.setting.contexts)}")
    return subject.with_turns(token.turns)


def schedule_in(token: Token, subject: Subject) -> Counterexample:
    """The schedule of a token, told. Raises BadToken where the programs are others than it was made for."""
    return _told_and_planned(token, subject)[0]


def _told_and_planned(token: Token, subject: Subject) -> tuple[Counterexample, Plan]:
    def both(model: Model) -> tuple[Counterexample, Plan]:
        if digest(model) != token.digest:
            other = f"other programs than {subject.name} has now, or by another version"
            raise BadToken(f"it was made for {other}: explore it anew")
        schedule = up_to_failure(subject, model, schedule_of(model, token.departures))
        stepper = Stepper(model).run(schedule)
        return tell_of(subject, stepper, schedule), plan_of(stepper)

    made: tuple[Counterexample, Plan] = with_room(subject.setting, subject.checks, both)
    return made


def replay_token(text: str, path: str | DeclaredScenario | None = None, *, debug: bool = False) -> Replay:
    """Run a token's schedule on real processes. Raises BadToken, ScenarioError, ReplayFailed."""
    token = Token.parse(text)
    subject = subject_of_token(token, path)
    expected, plan = _told_and_planned(token, subject)
    return Replay(subject, expected, plan, replay(subject.setting, plan, debug=debug))


def checks_of_replay(done: Replay) -> list[Check]:
    """Whether real processes did the same; what of the schedule's violation they saw themselves."""
    difference, steps = done.difference, len(done.replayed.steps)
    told = f"{steps} steps: every value read and written agrees" if difference is None else str(difference)
    checks = [Check("the same on real processes", difference is None, told)]
    seen, planned = done.replayed.violation, done.plan.check
    if seen is not None:
        checks.append(Check(f"{seen.check} on real memory", seen.check == planned, seen.detail))
    elif planned in FOUND_BY_PROCESSES and difference is None:
        checks.append(Check(f"{planned} on real memory", ok=False, detail="the processes did not find it"))
    return checks
