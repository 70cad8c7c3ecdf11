"""What a CPU does at this moment, read from the words of its control block: the one place that decodes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from percpu_emu.lang import context as c

SECTIONS: Final = [c.RCU_DEPTH, c.PREEMPT_DEPTH, c.IRQS_OFF]
"""Words that are not 0 inside of a section of their kind."""


@dataclass(frozen=True)
class CpuState:
    """The parts are not a consistent snapshot: the CPU goes on while they are read."""

    idle: bool
    """In an extended quiescent state: no grace period waits for the CPU."""
    in_interrupt: bool
    in_section: bool
    in_update: bool
    """Between the note of what a counter gets and its entry in the ledger."""
    stopped: bool
    """By a fault."""
    asks: int
    """What it asks the coordinator for (`lang.context`, SYNCHRONIZE_RCU ...), 0 for nothing."""
    site: int
    """Number of the operation at which an instrumented program stands, from 1; 0 elsewhere."""


def cpu_state(block: npt.NDArray[np.int64]) -> CpuState:
    """The state of the CPU whose control block this is."""
    asks = int(block[c.REQUEST_CODE]) if block[c.REQUEST] in (c.ASKED, c.TAKEN) else 0
    idle = bool(block[c.QUIESCENT] == 0)
    return CpuState(
        idle=idle,
        in_interrupt=bool(block[c.IN_INTERRUPT]),
        in_section=bool(block[SECTIONS].any()),
        in_update=bool(block[c.NOTED]),
        stopped=bool(block[c.STOPPED_US]),
        asks=asks,
        site=0 if idle and not block[c.REQUEST] else int(block[c.AT]),
    )
