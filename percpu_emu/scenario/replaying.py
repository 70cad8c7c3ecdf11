"""A token, replayed on real CPU processes and held against the virtual engine, step by step."""

from __future__ import annotations

from dataclasses import dataclass

from percpu_emu.explore.counterexample import Counterexample, tell
from percpu_emu.explore.model import Model
from percpu_emu.explore.search import with_room
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.token import BadToken, Token, digest, schedule_of
from percpu_emu.machine.controlled import Replayed, replay
from percpu_emu.scenario.load import load
from percpu_emu.scenario.settings import subject_of
from percpu_emu.scenario.verdict import Check


@dataclass(frozen=True)
class Replay:
    """What a token says, and what real processes made of it."""

    subject: Subject
    expected: Counterexample
    replayed: Replayed

    @property
    def differs_at(self) -> int | None:
        """The first step at which real processes did something else, None if there is none."""
        pairs = zip(self.expected.trace.steps, self.replayed.steps, strict=False)
        trapped = self.replayed.violation is not None
        for number, (virtual, real) in enumerate(pairs):
            last = number == len(self.replayed.steps) - 1
            same = virtual.site == real.site if trapped and last else virtual == real
            if not same:
                return number
        missing = len(self.expected.trace.steps) != len(self.replayed.steps)
        return min(len(self.expected.trace.steps), len(self.replayed.steps)) if missing else None


def subject_of_token(token: Token, path: str | None = None) -> Subject:
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

    def told(model: Model) -> Counterexample:
        if digest(model) != token.digest:
            raise BadToken(f"it was made for other programs than {subject.name} has now: explore it anew")
        return tell(subject, model, schedule_of(model, token.departures))

    example: Counterexample = with_room(subject.setting, subject.checks, told)
    return example


def replay_token(text: str, path: str | None = None, *, debug: bool = False) -> Replay:
    """Run a token's schedule on real processes. Raises BadToken, ScenarioError, ReplayFailed."""
    token = Token.parse(text)
    subject = subject_of_token(token, path)
    expected = schedule_in(token, subject)
    return Replay(subject, expected, replay(subject.setting, expected.schedule, debug=debug))


def checks_of_replay(done: Replay) -> list[Check]:
    """Whether real processes did the same; what of the schedule's violation they saw themselves."""
    at, steps = done.differs_at, len(done.replayed.steps)
    same = Check(
        "the same on real processes",
        at is None,
        f"{steps} steps: every value read and written agrees" if at is None else f"step {at + 1} came out otherwise",
    )
    expected, seen = done.expected.trace.violation, done.replayed.violation
    if seen is not None:
        agrees = expected is not None and expected.check == seen.check
        return [same, Check(f"{seen.check} on real memory", agrees, seen.detail)]
    return [same]
