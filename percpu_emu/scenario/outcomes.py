"""Outcomes of a small scenario, counted: how often each, and whether it is allowed (after jcstress)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.source import is_program
from percpu_emu.scenario.load import Loaded, ScenarioError
from percpu_emu.scenario.verdict import Check

if TYPE_CHECKING:
    from percpu_emu.machine.rounds import Rounds

UNFORESEEN: Final = "the scenario does not foresee it"


class Outcomes:
    """The outcomes of rounds. Each of `programs` gives one number of a result, read when the round is over."""

    def __init__(self, loaded: Loaded) -> None:
        self._parts = loaded.scenario.outcomes
        self.programs = [_program(loaded, name) for name in loaded.scenario.observe]
        self.counts: Counter[str] = Counter()

    def observe(self, rounds: Rounds) -> None:
        """Count a round's result."""
        if self.programs:
            self.counts[", ".join(str(rounds.machine.execute(program)) for program in self.programs)] += 1

    def rows(self) -> list[dict[str, Any]]:
        """The table: what was foreseen, in the scenario's order, then what was not."""
        foreseen = [(part.result, part.expect, part.explain) for part in self._parts]
        known = {result for result, _, _ in foreseen}
        foreseen += [(result, "forbidden", UNFORESEEN) for result in sorted(self.counts) if result not in known]
        total = max(self.counts.total(), 1)
        return [
            {
                "result": result,
                "samples": self.counts[result],
                "share": self.counts[result] / total,
                "expect": expect,
                "explain": explain,
            }
            for result, expect, explain in foreseen
        ]

    def checks(self) -> list[Check]:
        """Whether a forbidden one has occurred; nothing where nothing is observed."""
        if not self.programs:
            return []
        seen = [row for row in self.rows() if row["expect"] == "forbidden" and row["samples"]]
        said = "; ".join(f"{row['result']}, {row['samples']} times: {row['explain']}" for row in seen)
        rounds = self.counts.total()
        return [Check("no forbidden outcome", not seen if rounds else None, said or f"none in {rounds} rounds")]


def _program(loaded: Loaded, name: str) -> ProgramFunction:
    program: ProgramFunction | None = getattr(loaded.module, name, None)
    if program is None or not is_program(program) or program.__code__.co_argcount != 0:
        found = f"observe: found {name!r}, allowed: programs without parameters of the file that explore names"
        raise ScenarioError(loaded.source, [found])
    return program
