"""The figures of reports, from the table in `scenario.figure_table`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from percpu_emu.report.manual.markdown import code, page, table, upper_first
from percpu_emu.scenario import figure_table as f

SECTIONS: Final[tuple[tuple[str, str, tuple[Mapping[str, str], ...]], ...]] = (
    (
        "run, a scenario with steps: readings",
        "By protocol and reading: `patched.after.percpu_kb`. The step `read` names a reading; `end` is the last.",
        (f.READING,),
    ),
    (
        "run, a scenario with steps: counts",
        "By protocol: `patched.releases`. A count that nothing adds to may be absent.",
        (f.COST, f.WORK, f.FORWARDED, f.COUNTED, f.INTERRUPTS, f.CHAOS),
    ),
    ("run, a scenario with contexts", "Rounds of the contexts on processes.", (f.ROUNDS,)),
    ("run, torture of RCU", "The names are those of the kernel's rcutorture.", (f.TORTURE, f.TORTURE_LISTS)),
    ("explore", "Of the search.", (f.EXPLORE,)),
    ("replay", "Of the schedule.", (f.REPLAY,)),
    ("footprint", "By protocol: `patched.after.percpu_kb`.", (f.FOOTPRINT,)),
    ("footprint, rows", "Of the whole report.", (f.FOOTPRINT_ROWS,)),
)


def figures_page() -> str:
    """Every figure, by the command and the kind of scenario that give it."""
    parts = ["With `--json` they are under `figures`. `[[expect]]` of a scenario names a number of a run."]
    for title, text, tables in SECTIONS:
        rows = [[code(name), upper_first(what)] for names in tables for name, what in names.items()]
        parts += [f"## {title}", text, table(["figure", "what it counts"], rows)]
    return page("Figures", *parts)
