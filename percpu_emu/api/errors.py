"""Why there is no result: one table of what each exception means, and the exceptions of the API that say it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

from percpu_emu.explore.model import SetupFailed
from percpu_emu.explore.token import BadToken
from percpu_emu.kernel.btf import BtfError, MissingUnpacker
from percpu_emu.kernel.host import HostError
from percpu_emu.kernel.profile import ProfileError
from percpu_emu.lang.source import Refused
from percpu_emu.machine import CgroupError, CpuDied, NoMemory, StartFailed, Trapped
from percpu_emu.machine.faults import BadFault
from percpu_emu.replay import ReplayFailed
from percpu_emu.scenario.footprint import WrongPlan
from percpu_emu.scenario.load import ScenarioError
from percpu_emu.scenario.programs import ProgramNotFound
from percpu_emu.shm import OutOfPages

Kind: TypeAlias = Literal["input", "environment", "failed"]


_PROBE: Final = 1 << 26
"""Bytes; less is not enough for any command."""


class WrongOption(ValueError):
    """An option has a value that it cannot have."""


_KINDS: Final[dict[Kind, tuple[type[Exception], ...]]] = {
    "environment": (StartFailed, OutOfPages, NoMemory, OSError, MemoryError, MissingUnpacker, HostError),
    "input": (
        *(
            ScenarioError,
            Refused,
            CgroupError,
            WrongOption,
            BadToken,
            SetupFailed,
            BadFault,
            ProgramNotFound,
            WrongPlan,
        ),
        *(BtfError, ProfileError),
    ),
    "failed": (CpuDied, ReplayFailed, Trapped),
}


def kind_of(error: Exception) -> Kind | None:
    """Whose mistake an exception is; None for one of percpu-emu itself."""
    if isinstance(error, SystemError) and _no_memory_is_left():  # as which Python's copy module reports that (3.11)
        return "environment"
    return next((kind for kind, errors in _KINDS.items() if isinstance(error, errors)), None)


def _no_memory_is_left() -> bool:
    try:
        mmap.mmap(-1, _PROBE).close()
    except (OSError, MemoryError):
        return True
    return False


def sentence_of(error: Exception) -> str:
    """The error's own sentence; one of the operating system's own has an errno instead."""
    if isinstance(error, OSError) and error.strerror:
        what = f" ({error.filename})" if error.filename else ""
        return f"the operating system refused what is needed{what}: {error.strerror}"
    if type(error) in (MemoryError, SystemError):
        return "the operating system refused memory"
    return str(error)


class Error(Exception):
    """There is no result. The message says why; `__cause__` is the exception of the part that found it."""


class WrongInput(Error, ValueError):
    """A scenario, a program, an option or a token is wrong."""


class WrongEnvironment(Error):
    """The operating system lacks or refuses what is needed."""


class RunFailed(Error):
    """A CPU died or trapped, or a replay could not be carried out."""


_OWN: Final[dict[Kind, type[Error]]] = {"input": WrongInput, "environment": WrongEnvironment, "failed": RunFailed}


@contextmanager
def own_errors() -> Iterator[None]:
    """Raise what the user or the environment got wrong as an exception of the API."""
    try:
        yield
    except Exception as error:
        kind = kind_of(error)
        if kind is None:
            raise
        raise _OWN[kind](sentence_of(error)) from error
