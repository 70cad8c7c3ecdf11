"""The checks: what each one is called, what it says where it fails, and which line of a report it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal, TypeAlias

When: TypeAlias = Literal[
    "every step", "the end of a turn", "every state", "a step", "the end", "the whole graph of states"
]


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
FAIRNESS: Final = Group("fair progress", "a fair scheduler starves no context", "the whole graph of states")
LOCKS: Final = Group("lock order", "no locks are taken in a circle, by contexts or their interrupts", "every step")
COUNTS: Final = Group("counts", "every counter is what its ledger says", "the end")
LEAKS: Final = Group("leak", "at the end exactly {left} areas and objects are allocated", "the end")
BOUND: Final = Group("error bound", "a reader is never more than {bound} off", "every state")
OWNER: Final = Group("owner", "only a CPU itself writes its slots", "every step")
FINAL: Final = Group("final", "the scenario's own check of the end holds", "the end")
INVARIANT: Final = Group("invariant", "the scenario's own check of every state holds", "every state")

AFTER: Final = Group("after", "the scenario's own checks right after the steps that it names hold", "a step")

GROUPS: Final = (
    MEMORY,
    PROGRAM,
    SECTIONS,
    PROGRESS,
    FAIRNESS,
    LOCKS,
    COUNTS,
    LEAKS,
    BOUND,
    OWNER,
    FINAL,
    INVARIANT,
    AFTER,
)
"""In the order of a report."""


class Check(IntEnum):
    """A check. Its number is what compiled code gives where it fails; 0 is none."""

    group: Group
    sentence: str
    remedy: str

    def __new__(cls, number: int, group: Group, sentence: str, remedy: str) -> Check:
        """A member: the number, with the group, what is wrong where the check fails, and what to do then."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.group = group
        member.sentence = sentence
        member.remedy = remedy
        return member

    USE_AFTER_FREE = (
        1,
        MEMORY,
        "an access goes to memory that is freed",
        "Free later: first publish NULL and wait for a grace period, or until the last user is done.",
    )
    WILD_ACCESS = (
        2,
        MEMORY,
        "an access goes to memory that was never allocated",
        "Check the pointer for NULL, the offset against the size, and which allocation it belongs to.",
    )
    DOUBLE_FREE = (
        3,
        MEMORY,
        "memory that is freed already is freed again",
        "Have one context own the pointer: take it by `xchg(pointer, 0)`, and free what that gives.",
    )
    WILD_FREE = (
        4,
        MEMORY,
        "what is freed was never allocated",
        "Free the pointer that the allocation gave, and not an address inside, after or of something else.",
    )
    OFF_CPU = (
        5,
        MEMORY,
        "an operation on this CPU's copy is done by a context that is on no CPU",
        "Use `per_cpu(pointer, cpu)`, or give the context `cpus` in the scenario.",
    )
    FAULT = (
        6,
        PROGRAM,
        "a program does what has no result",
        "Guard the line that is named: a divisor of 0, a shift beyond the word, a `range` with step 0.",
    )
    WARNING = (
        7,
        PROGRAM,
        "a WARN_ON fires",
        "Follow the story to the line that is named: its condition says which assumption is wrong.",
    )
    REMOTE_WRITE = (
        8,
        OWNER,
        "another context writes a CPU's slot",
        "Send the work to the CPU, or use a word of its own with atomics; else leave `exclusive` out.",
    )
    ERROR_BOUND = (
        9,
        BOUND,
        "a counter is further from what was added to it than the bound",
        "Empty a slot into its twin before it exceeds the batch, or state a larger `bound`.",
    )
    DEADLOCK = (
        10,
        PROGRESS,
        "no context can take a step, and one has to",
        "Look at what each context waits for, as the report names it, and break the circle.",
    )
    NEGATIVE_COUNTER = (
        11,
        COUNTS,
        "a counter is negative, and no more was subtracted than added",
        "Look for a subtraction that is done twice, or an addition that goes to a slot already flushed.",
    )
    WRAPPED_COUNTER = (
        12,
        COUNTS,
        "a counter is beyond any sum of what was added",
        "Look for a difference taken as unsigned, or a bias that is not taken away.",
    )
    LOST_COUNT = (
        13,
        COUNTS,
        "a counter is less than what was added to it",
        "Look for an addition that is overwritten, or that goes to a slot after its flush.",
    )
    DOUBLED_COUNT = (
        14,
        COUNTS,
        "a counter is more than what was added to it",
        "Look for a slot that is flushed twice, or is not zeroed after its flush.",
    )
    LEAK = (
        15,
        LEAKS,
        "memory is still allocated at the end",
        "Free it on every path, and only once; or correct `left`.",
    )
    EARLY_FREE = (
        16,
        MEMORY,
        "memory is freed while a reader holds a pointer to it",
        "Wait for a grace period between the moment when no pointer leads there any more and the free.",
    )
    FINAL = (
        17,
        FINAL,
        "the scenario's own check of the end fails",
        "Read the sentence that the function gives for the last state of the schedule.",
    )
    INVARIANT = (
        18,
        INVARIANT,
        "the scenario's own check of every state fails",
        "Read the sentence that the function gives for the first state that breaks it.",
    )
    UNBALANCED_SECTION = (
        19,
        SECTIONS,
        "a section is left that was not entered, or is never left",
        "Leave each section once on every path, before the turn ends.",
    )
    SLEEP_IN_ATOMIC = (
        20,
        SECTIONS,
        "a context sleeps where it may not: in a section, an interrupt or a callback",
        "Move the wait out of the section, or spin with `smp_cond_load_acquire`.",
    )
    LIVELOCK = (
        21,
        PROGRESS,
        "contexts go on for ever, and no continuation reaches the end",
        "Let one of the contexts give way: order the locks, or wait instead of trying again.",
    )

    AFTER = (
        22,
        AFTER,
        "the scenario's own check right after a step fails",
        "Read the sentence that the function gives for the state in which the named step leaves the machine.",
    )

    CIRCULAR_WAIT = (
        23,
        LOCKS,
        "locks are taken in a circle: each order happens, and with bad timing all wait for each other",
        "Take the locks in one order everywhere; hold a lock that an interrupt takes with interrupts off.",
    )

    STARVATION = (
        24,
        FAIRNESS,
        "a context never ends, though the scheduler lets all go on that always can",
        "Serve contexts in the order in which they come: a ticket lock for one that is tested and set, a queue.",
    )

    @property
    def label(self) -> str:
        """Its name in scenarios and reports: `use-after-free`."""
        return self.name.lower().replace("_", "-")


LABELS: Final[tuple[str, ...]] = ("", *(check.label for check in sorted(Check)))
"""Label by number; "" for none."""


def check_of(label: str) -> Check:
    """The check of that label. Raises KeyError."""
    return Check[label.upper().replace("-", "_")]
