"""The checks: what each one is called, what it says where it fails, and which line of a report it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal, TypeAlias

When: TypeAlias = Literal["every step", "the end of a turn", "every state", "the end", "the whole graph of states"]


@dataclass(frozen=True)
class Group:
    """A line of a report: checks that are judged together."""

    name: str
    sentence: str
    """What holds where none of its checks fails; "{left}" and "{bound}" are the scenario's."""
    when: When


MEMORY: Final = Group("memory", "every access and every free goes to memory that is allocated", "every step")
PROGRAM: Final = Group("program", "no WARN_ON fires and no program fails", "every step")
SECTIONS: Final = Group("sections", "every section is closed, and no context sleeps in one", "every step")
PROGRESS: Final = Group("progress", "no context waits for ever", "the whole graph of states")
COUNTS: Final = Group("counts", "every counter is what its ledger says", "the end")
LEAKS: Final = Group("leak", "at the end exactly {left} areas and objects are allocated", "the end")
BOUND: Final = Group("error bound", "a reader is never more than {bound} off", "every state")
OWNER: Final = Group("owner", "only a CPU itself writes its slots", "every step")
FINAL: Final = Group("final", "the scenario's own check of the end holds", "the end")
INVARIANT: Final = Group("invariant", "the scenario's own check of every state holds", "every state")

GROUPS: Final = (MEMORY, PROGRAM, SECTIONS, PROGRESS, COUNTS, LEAKS, BOUND, OWNER, FINAL, INVARIANT)
"""In the order of a report."""


class Check(IntEnum):
    """A check. Its number is what compiled code gives where it fails; 0 is none."""

    group: Group
    sentence: str

    def __new__(cls, number: int, group: Group, sentence: str) -> Check:
        """A member: the number, with the group and what is wrong where the check fails."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.group = group
        member.sentence = sentence
        return member

    USE_AFTER_FREE = 1, MEMORY, "an access goes to memory that is freed"
    WILD_ACCESS = 2, MEMORY, "an access goes to memory that was never allocated"
    DOUBLE_FREE = 3, MEMORY, "memory that is freed already is freed again"
    WILD_FREE = 4, MEMORY, "what is freed was never allocated"
    OFF_CPU = 5, MEMORY, "an operation on this CPU's copy is done by a context that is on no CPU"
    FAULT = 6, PROGRAM, "a program does what has no result"
    WARNING = 7, PROGRAM, "a WARN_ON fires"
    REMOTE_WRITE = 8, OWNER, "another context writes a CPU's slot"
    ERROR_BOUND = 9, BOUND, "a counter is further from what was added to it than the bound"
    DEADLOCK = 10, PROGRESS, "no context can take a step, and one has to"
    NEGATIVE_COUNTER = 11, COUNTS, "a counter is negative, and no more was subtracted than added"
    WRAPPED_COUNTER = 12, COUNTS, "a counter is beyond any sum of what was added"
    LOST_COUNT = 13, COUNTS, "a counter is less than what was added to it"
    DOUBLED_COUNT = 14, COUNTS, "a counter is more than what was added to it"
    LEAK = 15, LEAKS, "memory is still allocated at the end"
    EARLY_FREE = 16, MEMORY, "memory is freed while a reader holds a pointer to it"
    FINAL = 17, FINAL, "the scenario's own check of the end fails"
    INVARIANT = 18, INVARIANT, "the scenario's own check of every state fails"
    UNBALANCED_SECTION = 19, SECTIONS, "a section is left that was not entered, or is never left"
    SLEEP_IN_ATOMIC = 20, SECTIONS, "a context sleeps where it may not: in a section, an interrupt or a callback"
    LIVELOCK = 21, PROGRESS, "contexts go on for ever, and no continuation reaches the end"

    @property
    def label(self) -> str:
        """Its name in scenarios and reports: `use-after-free`."""
        return self.name.lower().replace("_", "-")


LABELS: Final[tuple[str, ...]] = ("", *(check.label for check in sorted(Check)))
"""Label by number; "" for none."""


def check_of(label: str) -> Check:
    """The check of that label. Raises KeyError."""
    return Check[label.upper().replace("-", "_")]
