"""The code of a setting: rows of `lang.instructions`, constants, and what is known of each row."""

from __future__ import annotations

from dataclasses import dataclass, field

from percpu_emu.lang.locking import Locking
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.source import Site


@dataclass
class Code:
    """The code of a setting. Registers are numbered through each stretch; `lang.flow` makes them few."""

    rows: list[list[int]] = field(default_factory=list)
    constants: list[int] = field(default_factory=list)
    sites: dict[int, Site] = field(default_factory=dict)
    """Of each operation the yield; of arithmetic that may have no result, the expression."""
    calls: dict[int, tuple[Site, ...]] = field(default_factory=dict)
    """Of each operation the calls that lead to its yield, the outermost first."""
    polling: set[int] = field(default_factory=set)
    """Operations inside a `while` that may have no end."""
    names: dict[int, str] = field(default_factory=dict)
    """Of each operation: its name in `lang.ops`."""
    locking: dict[int, tuple[Locking, Site]] = field(default_factory=dict)
    """Of each operation that takes or releases a lock: what it does, and where a program calls the lock's function."""
    marks: list[str] = field(default_factory=list)
    queued: list[ProgramFunction] = field(default_factory=list)
    """Programs that are queued as callbacks or work, in the order of their numbers."""
    stretches: list[Stretch] = field(default_factory=list)

    def constant(self, value: int) -> int:
        """The operand that stands for a number."""
        if value not in self.constants:
            self.constants.append(value)
        return -1 - self.constants.index(value)

    def value(self, operand: int) -> int | None:
        """The number that an operand stands for, None if it is a register."""
        return self.constants[-1 - operand] if operand < 0 else None


@dataclass
class Stretch:
    """The code of one program, begun at `start`; its parameters are its first registers."""

    function: ProgramFunction
    start: int
    end: int
    parameters: int
    registers: int
