"""What a compiled function is to the processor (x86-64)."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from percpu_emu.shm import atomics

x86_64: Final = pytest.mark.skipif(not atomics.X86_64, reason="elsewhere than on x86-64 it is another instruction")


def body(function: Any) -> list[str]:
    """The instructions of a compiled function, without those of its wrappers, all registers being R."""
    [text] = function.inspect_asm().values()
    name = re.escape(function.overloads[function.signatures[0]].fndesc.mangled_name)
    match = re.search(rf"^{name}:$(.*?)^\s*\.size\s+{name},", text, re.MULTILINE | re.DOTALL)
    assert match is not None
    lines = [" ".join(line.split()) for line in match[1].splitlines()]
    return [re.sub(r"%[re]\w+", "R", line) for line in lines if line and not re.match(r"[.#]|.*:$", line)]


def of_the_word(function: Any) -> list[str]:
    """Those that access memory, for a function of few arguments: the store of its result, the last, is left out."""
    return [line for line in body(function) if "(" in line and not line.startswith("lea")][:-1]


def stores(function: Any) -> list[str]:
    """Those that change memory, the store of its result being the last."""
    changing = (line for line in body(function) if line.endswith(")") and not re.match("lea|cmpq|test", line))
    return [re.sub(r"\S*\(.*\)", "(R)", line) for line in changing]
