"""pdb inside a program of a replay: each step stops first, at its yield, in the process that is to do it.

`step` and `next` go on to the next step, whichever process does it; `continue` goes on to a breakpoint; `quit` ends the
run. The program's variables are there to be looked at, and everything around it stands still meanwhile.
"""

from __future__ import annotations

import os
import pdb
import sys
from typing import TYPE_CHECKING, Any

from percpu_emu.replay import layout as at
from percpu_emu.replay.control import Ended
from percpu_emu.replay.layout import Status

if TYPE_CHECKING:
    from types import FrameType

    from percpu_emu.replay.control import Control


class _Terminal:
    """Lines of descriptor 0, byte by byte: what one process reads ahead another would miss.

    `multiprocess` gives its processes a closed `sys.stdin`; the descriptor is still the terminal's.
    """

    def readline(self) -> str:
        """A line, empty at the end of the input."""
        line = b""
        while not line.endswith(b"\n") and (byte := os.read(0, 1)):
            line += byte
        return line.decode(errors="replace")


class Debugger(pdb.Pdb):
    """One for all processes, made before they are forked."""

    def __init__(self, control: Control) -> None:
        super().__init__(stdin=_Terminal(), stdout=sys.stdout, nosigint=True, readrc=False)  # type: ignore[arg-type]
        self.prompt = "(step) "
        self._control = control

    def stop(self, name: str, index: int, program: Any) -> None:
        """Talk to the user, before step `index` of the context of that name."""
        while program.gi_yieldfrom is not None:
            program = program.gi_yieldfrom
        frame: FrameType = program.gi_frame
        self.reset()
        if self._control.words[at.FREE_RUN] and not self.break_here(frame):
            return
        self.message(f"step {index}: {name}")
        self.interaction(frame, None)
        self.stdout.flush()
        if self.quitting:
            raise Ended(Status.BROKEN, reason="ended in the debugger")

    def set_continue(self) -> None:
        """From now on, stop at breakpoints only."""
        self._control.words[at.FREE_RUN] = 1

    def set_step(self) -> None:
        """Stop at the next step."""
        self._control.words[at.FREE_RUN] = 0

    def set_next(self, frame: FrameType) -> None:  # noqa: ARG002
        """As `step`: another process may be next."""
        self.set_step()
