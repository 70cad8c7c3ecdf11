"""What an exploration comes to: checks, a verdict, and the scope that it is for."""

from __future__ import annotations

from typing import Any

from percpu_emu.explore.explorer import Explored
from percpu_emu.explore.subject import Subject
from percpu_emu.scenario.verdict import Check, Verdict, verdict_of

_MEMORY = {"use-after-free", "wild-access", "double-free", "wild-free", "early-free", "off-cpu"}
_COUNTS = {"lost-count", "doubled-count", "negative-counter", "wrapped-counter"}


def checks_of(explored: Explored) -> list[Check]:
    """Every check that was made, the one that failed with what is wrong."""
    subject, example = explored.subject, explored.counterexample
    made = [
        ("memory", _MEMORY, "nothing is touched or freed that is not allocated, nor while a reader holds it"),
        ("progress", {"deadlock"}, "nobody waits for ever"),
        ("program", {"fault", "warning"}, "no WARN_ON fires, no program fails"),
    ]
    if subject.checks.total:
        made.append(("counts", _COUNTS, "every counter is what its ledger says, at the end and after every callback"))
    if subject.checks.left is not None:
        made.append(("leak", {"leak"}, f"at the end {subject.checks.left} areas and objects are left"))
    if subject.checks.bound is not None:
        made.append(("error bound", {"error-bound"}, f"a reader is never more than {subject.checks.bound} off"))
    if subject.checks.exclusive:
        made.append(("owner", {"remote-write"}, "only a CPU itself writes its slots"))
    if subject.final:
        made.append(("final", {"final"}, "the scenario's own check of the end"))
    if subject.invariant:
        made.append(("invariant", {"invariant"}, "the scenario's own check of every state"))
    found = example.check if example else None
    detail = example.trace.violation.detail if example and example.trace.violation else ""
    checks = [
        Check(name, found not in names, f"{found}: {detail}" if found in names else fine) for name, names, fine in made
    ]
    if subject.sometimes:
        missed = ", ".join(explored.unreached)
        fine = f"reached: {', '.join(subject.sometimes)}"
        checks.append(Check("marks", True, f"never reached, which leaves it open: {missed}" if missed else fine))
    return checks


def verdict(explored: Explored, checks: list[Check]) -> Verdict:
    """Pass only where everything was covered and every mark was reached."""
    return verdict_of(checks, cut_short(explored))


def cut_short(explored: Explored) -> str | None:
    """Why nothing is proved, None where it is."""
    if not explored.complete:
        return explored.stopped
    return f"never reached: {', '.join(explored.unreached)}" if explored.unreached else None


def scope_of(explored: Explored) -> dict[str, Any]:
    """What was and was not controlled, and how far the search got."""
    subject, options = explored.subject, explored.options
    scope: dict[str, Any] = {
        "engine": "virtual",
        "strategy": options.strategy,
        "cpus": subject.setting.cpus,
        "contexts": [_context(subject, number) for number in range(len(subject.setting.contexts))],
        "constants": dict(subject.setting.constants),
        "complete": explored.complete,
        "controlled": "which context takes the next step; when callbacks, interrupts and events come",
        "not_controlled": "weak memory ordering: every operation takes effect at once, in the program's order",
    }
    if explored.stopped:
        scope["stopped"] = explored.stopped
    if options.strategy in ("pct", "random"):
        scope["seed"] = options.seed
    if options.prefix:
        scope["prefix"] = len(options.prefix)
    return scope


def _context(subject: Subject, number: int) -> str:
    spec = subject.setting.contexts[number]
    times = f" x {spec.turns}" if spec.turns > 1 else ""
    return f"{spec.name}{times}"
