"""A counterexample as Python code and a notebook see it."""

from __future__ import annotations

import html as escaping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from percpu_emu.report import columns as report_columns
from percpu_emu.report import stepper
from percpu_emu.scenario.wording import plural

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Trace

WIDTH: Final = 72
"""Characters of a line that fits a commit message."""
_FRAME: Final = '<iframe srcdoc="{}" sandbox="allow-scripts" style="width: 100%; height: 720px; border: 0"></iframe>'


@dataclass(frozen=True, repr=False, eq=False)
class Counterexample:
    """A schedule that breaks a check."""

    check: str
    """The check that it breaks."""
    token: str
    """For `percpu_emu.replay`, and for `percpu-emu replay` on the command line."""
    preemptions: int
    steps: int
    """How many it has."""
    story: tuple[str, ...]
    """What each context did, in sentences."""
    _trace: Trace

    def columns(self, width: int = WIDTH) -> str:
        """What each context did, side by side, as text; the last line is the command that replays it.

        Raises ValueError for a width without room for columns.
        """
        return report_columns.columns(self._trace, width)

    def html(self) -> str:
        """A page, complete in itself, in which a person steps forwards and backwards."""
        return stepper.html(self._trace)

    def _repr_html_(self) -> str:
        """The same page inside a notebook, which keeps it apart from its own."""
        return _FRAME.format(escaping.escape(self.html(), quote=True))

    def __str__(self) -> str:
        return "\n".join([self.columns(), *(f"* {sentence}" for sentence in self.story)])

    def __repr__(self) -> str:
        size = f"{plural(self.steps, 'step')}, {plural(self.preemptions, 'preemption')}"
        return f"<Counterexample {self.check}: {size}, {self.token}>"
