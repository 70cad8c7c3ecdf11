"""The environment variables that the package reads or sets."""

from __future__ import annotations

from typing import Final

from percpu_emu.report.manual.markdown import code, page, table

VARIABLES: Final = {
    "PERCPU_EMU_CACHE": "The folder of compiled code. `percpu-emu cache` shows it.",
    "XDG_CACHE_HOME": "Where `PERCPU_EMU_CACHE` is not set: compiled code is kept in `percpu-emu` in it.",
    "HOME": "Where neither is set: compiled code is kept in `.cache/percpu-emu` in it.",
    "DISPLAY": "`demo` opens a browser if this is set.",
    "WAYLAND_DISPLAY": "`demo` opens a browser if this is set.",
    "BROWSER": "`demo` opens a browser if this is set: the one that it names.",
    "SHELL": "The program that `shell` starts where no command is given; `/bin/sh` where it is not set.",
    "CC": "`shell --shim` compiles its preload library with it, and with `cc` if it is not set.",
    "LD_PRELOAD": "`shell --shim` puts its preload library before what it names, for the command.",
    "NUMBA_*": "Ignored: numba runs as the package needs it.",
    "OPENBLAS_NUM_THREADS": "Set to 1: the package starts no thread of numpy's.",
}
"""What the package itself does with each. The terminal's (`COLUMNS`, `TERM`, `NO_COLOR`) are read by rich."""


def environment_page() -> str:
    """Every variable and what it does."""
    rows = [[code(name), text] for name, text in VARIABLES.items()]
    text = "The terminal's own variables, `COLUMNS`, `TERM` and `NO_COLOR`, have their usual meaning."
    return page("Environment variables", table(["variable", "what it does"], rows), text)
