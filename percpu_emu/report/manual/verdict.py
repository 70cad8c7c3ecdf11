"""What a verdict means, and what it does not: verdicts, scope, bounds, and what is not judged."""

from __future__ import annotations

from typing import Final

from percpu_emu.report.manual.markdown import bullets, code, page, table, upper_first
from percpu_emu.scenario.exploration import SCOPE
from percpu_emu.scenario.judging import NO_TOTAL, STOPPED, UNSEEN
from percpu_emu.scenario.verdict import EXIT_CODES, Verdict

MEANS: Final[dict[Verdict, str]] = {
    "pass": "every check that a pass needs is ok, and nothing was cut short",
    "fail": "a check failed",
    "inconclusive": "nothing failed and nothing is proved. The report gives the reason",
}
_OF_COMMANDS: Final[dict[Verdict, str]] = {
    "pass": ". Of `explore`: in every interleaving of the scope. Of `run`: in what this run did",
    "fail": ". Of `explore`, the counterexample shows a schedule; `replay` does it on processes",
    "inconclusive": "",
}
_INCONCLUSIVE: Final = (
    "a limit is met: states, seconds, megabytes, preemptions, or what the search has room for",
    "the strategy is `pct` or `random`: random schedules prove nothing",
    "a mark that `sometimes` names is never reached: what it stands for was not tried",
    "a step that `after` names is never taken: its check had no state to look at",
    "a run does less than `[[expect]]` asks with `at_least`",
    "the input is wrong or the environment lacks something: exit codes 2 and 3",
    "the command is interrupted, or percpu-emu itself has a fault",
)
_BOUNDS: Final = (
    "The number of CPUs, contexts and turns is the scenario's. Three CPUs that pass say nothing of four.",
    "The programs are those of the file. A pass is of the protocol as it is written there, not of a kernel.",
    "Only with their keys are there checks of `total`, `left`, `bound`, `exclusive`, `final`, `invariant` and `after`.",
    'Who waits may wait for ever, if only another can go on: without `progress = "fair"` that is no failure.',
    "Memory is sequentially consistent. A pass says nothing of an order that weaker memory allows.",
    "An access is one operation, as the program has it. What a compiler makes of C is not covered: torn accesses, say.",
)
_EXACT: Final = (
    "The search leaves out interleavings that differ only in the order of steps that commute. Two states are one only "
    "if all their words are equal, so no probability is in a proof. docs/soundness.md has the argument. Where the "
    "search without reduction ends within a second, `explore` runs it, too, and the scope says `confirmed`."
)
_EXPECTED: Final = (
    "A scenario whose `explore.expect` names a check exits 0 if exactly that check fails. The verdict stays `fail`; "
    "`as_expected` of the object says the rest."
)


def verdict_page() -> str:
    """What each verdict means and what it is limited to."""
    verdicts = [
        [code(verdict), upper_first(text + _OF_COMMANDS[verdict]), str(int(EXIT_CODES[verdict]))]
        for verdict, text in MEANS.items()
    ]
    scope = [[code(key), upper_first(text)] for key, text in SCOPE.items()]
    reasons = [f"{upper_first(reason)}." for reason in (STOPPED, UNSEEN, NO_TOTAL)]
    return page(
        "Verdicts",
        table(["verdict", "what it means", "exit code"], verdicts),
        _EXPECTED,
        "## What a pass does not say",
        bullets(_BOUNDS),
        "## Why a verdict is inconclusive",
        bullets(f"{upper_first(reason)}." for reason in _INCONCLUSIVE),
        "## Why a check is not judged",
        "A pass needs every check of the scenario that the engine looks at. The reasons, beside the limits above:",
        bullets(reasons),
        "## Why a reduced search is exact",
        _EXACT,
        "## The scope of an exploration",
        "A verdict is for its scope, which every report states.",
        table(["key", "what it says"], scope),
    )
