"""From what a search or a stress judged to the lines of a report, one for each group of checks (`lang.checks`)."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from percpu_emu.explore.subject import Subject
from percpu_emu.lang import checks as c
from percpu_emu.lang.locking import locking_of
from percpu_emu.lang.source import ProgramSource, called, queued
from percpu_emu.scenario.verdict import Check

if TYPE_CHECKING:
    from percpu_emu.lang.ops import ProgramFunction

STOPPED: Final = "the search stopped at the first violation"
UNSEEN: Final = "a native run does not look at it"
UNWALKED: Final = "random schedules do not look at it"
NEVER_TAKEN: Final = "a step that `after` names was never taken: {}"
NO_TOTAL: Final = "no `total` is given: no ledger is looked at"


def judged(
    subject: Subject,
    failures: Sequence[tuple[str, str]],
    stopped: str | None,
    looked_at: Container[c.Group] = c.GROUPS,
    unjudged: Mapping[c.Group, str] = MappingProxyType({}),
) -> list[Check]:
    """A line for each group of checks that the subject asks for.

    `failures` are the labels of the checks that failed, each with what is wrong. `stopped` says why the others are
    not judged; None where they hold. `unjudged` says so of single groups, which comes first.
    A pass does not need the groups that the engine never looks at.
    """
    failed: dict[c.Group, list[str]] = {}
    for label, detail in failures:
        failed.setdefault(c.check_of(label).group, []).append(f"{label}: {detail}")
    lines = []
    for group in dict.fromkeys([*_groups_of(subject), *failed]):
        if group in failed:
            lines.append(Check(group.name, False, "; ".join(failed[group])))
        elif group not in looked_at:
            lines.append(Check(group.name, None, UNSEEN, needed=False))
        elif (why := unjudged.get(group, stopped)) is not None:
            lines.append(Check(group.name, None, why))
        else:
            lines.append(Check(group.name, True, _holds(subject, group)))
    return [*lines, *_ledgers_without_total(subject)]


def _groups_of(subject: Subject) -> list[c.Group]:
    wanted = {
        c.COUNTS: subject.checks.total is not None,
        c.LEAKS: subject.checks.left is not None,
        c.BOUND: subject.checks.bound is not None,
        c.OWNER: subject.checks.exclusive,
        c.FINAL: subject.final is not None,
        c.INVARIANT: subject.invariant is not None,
        c.AFTER: bool(subject.after),
        c.LOCKS: _takes_locks(subject),
        c.FAIRNESS: subject.fair,
    }
    return [group for group in c.GROUPS if wanted.get(group, True)]


def _holds(subject: Subject, group: c.Group) -> str:
    return group.sentence.format(left=subject.checks.left, bound=subject.checks.bound)


def marks(sometimes: tuple[str, ...], unreached: tuple[str, ...]) -> list[Check]:
    """The line of the marks that have to be reached; none where there are no such."""
    if not sometimes:
        return []
    if unreached:
        return [Check("marks", None, f"never reached: {', '.join(unreached)}")]
    return [Check("marks", True, f"reached: {', '.join(sometimes)}")]


# --- ledgers, as far as the text of the programs shows


def _ledgers_without_total(subject: Subject) -> list[Check]:
    if subject.checks.total is not None or not any("ledger_add" in names for _, names in _operations(subject)):
        return []
    return [Check(c.COUNTS.name, None, NO_TOTAL, needed=False)]


def ledger_notes(subject: Subject) -> list[str]:
    """Programs that note updates and enter none of them."""
    return [
        f"{program.__name__} has ledger_add and no ledger_commit: its updates never enter a ledger"
        for program, names in _operations(subject)
        if "ledger_add" in names and "ledger_commit" not in names
    ]


def _takes_locks(subject: Subject) -> bool:
    """Whether a program that a context runs, calls or queues takes a lock that is declared as one."""
    reached = (part for spec in subject.setting.contexts for part in called(spec.program, and_queued=True))
    return any(locking_of(program) for program in reached)


def _operations(subject: Subject) -> Iterator[tuple[ProgramFunction, set[str]]]:
    """Each program that a context runs, or queues, with the operations of it and of all that it calls."""
    setting = subject.setting
    entries = [*([setting.setup] if setting.setup else []), *(spec.program for spec in setting.contexts)]
    runs = {entry: set(called(entry)) for entry in dict.fromkeys(entries)}
    reached = dict.fromkeys(part for entry in entries for part in called(entry, and_queued=True))
    for later in dict.fromkeys(part for program in reached for part in queued(program)):
        runs.setdefault(later, set(called(later)))
    for entry, programs in runs.items():
        yield entry, {operation.name for program in programs for operation, _, _ in ProgramSource(program).operations}
