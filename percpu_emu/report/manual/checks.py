"""The checks: what each means, when it is judged, and what to do about a failure."""

from __future__ import annotations

from percpu_emu.lang.checks import GROUPS, Check
from percpu_emu.report.manual.markdown import code, page, table, upper_first

_RESULTS = (
    "A check is ok, FAILED, or *not judged* with the reason. The checks of one line of a report are judged together. "
    "`explore.expect` of a scenario takes a label. A run with steps has lines of its own, which say what holds."
)


def checks_page() -> str:
    """Every check, by the line of a report that it belongs to."""
    parts = [_RESULTS]
    for group in GROUPS:
        holds = group.sentence.format(left="`left`", bound="`bound`")
        rows = [
            [code(check.label), upper_first(check.sentence) + ".", check.remedy]
            for check in Check
            if check.group is group
        ]
        parts += [
            f"## {group.name}",
            f"{upper_first(holds)}. Judged: {group.when}.",
            table(["check", "what is wrong", "what to do"], rows),
        ]
    return page("Checks", *parts)
