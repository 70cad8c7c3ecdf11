"""The result of an exploration: checks, a verdict, and the scope that it is for."""

from __future__ import annotations

from typing import Any, Final

from percpu_emu.explore.strategies import Explored
from percpu_emu.explore.subject import Subject
from percpu_emu.lang.checks import AFTER, FAIRNESS, FINAL, INVARIANT, LOCKS, Group
from percpu_emu.scenario.judging import NEVER_TAKEN, STOPPED, UNWALKED, judged, marks
from percpu_emu.scenario.verdict import Check, Foreseen, Verdict, verdict_of
from percpu_emu.scenario.wording import plural

FAIR: Final = (
    "fair: it lets each context go on that can go on all the time; one that can only now and then, maybe never"
)
SCOPE: Final = {
    "engine": "`virtual`: the programs as bytecode, in one process",
    "strategy": "`exhaustive`: every interleaving; `preemptions`: those with so many preemptions at most; `pct` and "
    "`random`: random schedules",
    "memory": "`sc`, sequentially consistent: every operation takes effect at once, in the program's order",
    "cpus": "how many CPUs the machine has",
    "contexts": "which contexts run, and how many turns each has",
    "constants": "the kernel's constants that the scenario makes smaller",
    "allocations_fail": "how many allocations may give nothing, whichever",
    "complete": "whether every interleaving of this scope was covered",
    "controlled": "what the search chooses",
    "not_controlled": "what it does not look at",
    "stopped": "why it is not complete",
    "remote_words": "words of a CPU that another CPU writes",
    "split": "how other CPUs see a read-modify-write of these words",
    "scheduler": '`fair`: a context that spins without effect lets the others run; with `progress = "fair"`, what '
    "the scheduler is taken to do",
    "confirmed": "in how many states the search without reduction agrees",
    "seed": "of the random schedules",
    "prefix": "how many steps of a given schedule come first",
}
"""Every key of the scope, with what it says."""


def checks_of(explored: Explored) -> list[Check]:
    """Every check, with its result: the one that failed with what is wrong, one that is not judged with the reason."""
    subject, example = explored.subject, explored.counterexample
    violation = example.trace.violation if example else None
    failures = [(violation.check, violation.detail)] if violation else []
    unreached = explored.unreached if explored.figures["steps"] else subject.sometimes
    lines = judged(subject, failures, _stopped(explored), unjudged=_unjudged(explored))
    return [*lines, *marks(subject.sometimes, unreached)]


def _unjudged(explored: Explored) -> dict[Group, str]:
    """Groups of checks that are not judged whatever became of the search, each with the reason."""
    if explored.options.strategy in ("pct", "random"):
        return dict.fromkeys((AFTER, FAIRNESS, FINAL, INVARIANT, LOCKS), UNWALKED)
    if explored.not_taken and explored.counterexample is None:
        return {AFTER: NEVER_TAKEN.format(", ".join(explored.not_taken))}
    return {}


def _stopped(explored: Explored) -> str | None:
    """Why a check that did not fail is not judged, None where it holds."""
    if explored.counterexample is not None:
        return STOPPED
    if explored.complete:
        return None
    figures = explored.figures
    if explored.options.strategy in ("pct", "random"):
        return f"{plural(figures['executions'] or 0, 'random schedule')} without a violation, not all"
    return f"{plural(figures['states'], 'state')} without a violation, not all"


def verdict(explored: Explored, checks: list[Check]) -> Verdict:
    """Pass only where everything was covered and every mark was reached."""
    return verdict_of(checks, cut_short(explored))


def foreseen(explored: Explored) -> Foreseen | None:
    """The failure that the scenario expects beside the one that was found; None where it expects none."""
    expected, example = explored.subject.expect, explored.counterexample
    return None if expected is None else Foreseen(expected, example.check if example else "")


def cut_short(explored: Explored) -> str | None:
    """Why nothing is proved, None where it is."""
    if not explored.complete:
        return explored.stopped
    if explored.unreached:
        return f"never reached: {', '.join(explored.unreached)}"
    return NEVER_TAKEN.format(", ".join(explored.not_taken)) if explored.not_taken else None


def scope_of(explored: Explored) -> dict[str, Any]:
    """What was and was not controlled, and how far the search got."""
    subject, options = explored.subject, explored.options
    scope: dict[str, Any] = {
        "engine": "virtual",
        "strategy": options.strategy,
        "memory": "sc",
        "cpus": subject.setting.cpus,
        "contexts": [_context(subject, number) for number in range(len(subject.setting.contexts))],
        "constants": dict(subject.setting.constants),
        "complete": explored.complete and explored.counterexample is None,
        "controlled": "which context takes the next step; when callbacks, interrupts and events come",
        "not_controlled": "weak memory ordering: every operation takes effect at once, in the program's order",
    }
    if subject.setting.allocations_fail:
        scope["allocations_fail"] = subject.setting.allocations_fail
    if explored.stopped:
        scope["stopped"] = explored.stopped
    reduction = explored.reduction
    if reduction.get("remote_words"):
        scope["remote_words"] = reduction["remote_words"]
        scope["split"] = "a read-modify-write without LOCK on these words is a load and a store to other CPUs"
    if reduction.get("fair"):
        scope["scheduler"] = "fair: a context that spins without effect lets the others run"
    if subject.fair:
        scope["scheduler"] = FAIR
    if reduction.get("confirmed") is not None:
        scope["confirmed"] = f"the search without reduction agrees, in {plural(reduction['confirmed'], 'state')}"
    if options.strategy in ("pct", "random"):
        scope["seed"] = options.seed
    if options.prefix:
        scope["prefix"] = len(options.prefix)
    return scope


def _context(subject: Subject, number: int) -> str:
    spec = subject.setting.contexts[number]
    times = f" x {spec.turns}" if spec.turns > 1 else ""
    return f"{spec.name}{times}"
