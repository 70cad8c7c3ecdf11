"""A promise of the kernel's locks, as two settings: one in which it holds, and one that breaks it."""

from __future__ import annotations

from dataclasses import dataclass, field

from percpu_emu.explore.model import Checks
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.setting import Setting
from tests.explore.searched import of, searched, task


@dataclass(frozen=True)
class Case:
    name: str
    holds: Setting
    broken: Setting
    check: str
    checks: Checks = field(default_factory=Checks)

    def __str__(self) -> str:
        return self.name

    def hold(self) -> None:
        """Every order keeps the promise; the broken variant fails the check in one."""
        assert searched(self.holds, self.checks).violations == set()
        assert self.check in searched(self.broken, self.checks).violations


def beside(*programs: ProgramFunction, setup: ProgramFunction | None = None) -> Setting:
    """Each program as a task on a CPU of its own."""
    return of(*(task(program, cpu) for cpu, program in enumerate(programs)), cpus=len(programs), setup=setup)
