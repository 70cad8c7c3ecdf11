"""The exit codes, from the enumeration in `scenario.exits`."""

from __future__ import annotations

from percpu_emu.report.manual.markdown import page, table, upper_first
from percpu_emu.scenario.exits import Exit


def exit_codes_page() -> str:
    """Every exit code and when a command ends with it."""
    rows = [[str(code.value), upper_first(code.meaning)] for code in Exit]
    text = "They are the same for every command. `--json` prints one object whatever the code is."
    return page("Exit codes", text, table(["code", "when"], rows))
