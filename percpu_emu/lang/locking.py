"""What programs do to locks, declared beside a lock's functions: for the check of the order in which locks are taken.

    takes(spin_lock, by=cmpxchg)
    releases(spin_unlock, by=smp_store_release)

A lock is known by its address: that of the word that the operation goes to, less `offset`. A `cmpxchg` takes it where
it finds the old value, an `xchg` where it gives 0, any other operation whenever it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from percpu_emu.lang.operation import operation_of
from percpu_emu.lang.ops import ProgramFunction

TAKES: Final = 1
TRIES: Final = 2
"""As TAKES, by an operation that never waits."""
RELEASES: Final = 3
_ATTRIBUTE: Final = "__locking__"


class Locking(NamedTuple):
    """What an operation does to a lock: TAKES, TRIES or RELEASES; and how far behind the lock's address its word is."""

    effect: int
    offset: int


def takes(program: ProgramFunction, by: Callable[..., Any], offset: int = 0, *, tries: bool = False) -> None:
    """Declare that the operation `by`, wherever it stands in the program, takes a lock; `tries`: without waiting.

    Raises TypeError where `by` is no operation.
    """
    _declare(program, by, Locking(TRIES if tries else TAKES, offset))


def releases(program: ProgramFunction, by: Callable[..., Any], offset: int = 0) -> None:
    """Declare that the operation `by`, wherever it stands in the program, releases a lock. Raises TypeError."""
    _declare(program, by, Locking(RELEASES, offset))


def locking_of(program: ProgramFunction) -> Mapping[str, Locking]:
    """What is declared of a program, by the operation's name."""
    declared: Mapping[str, Locking] = vars(program).get(_ATTRIBUTE, {})
    return declared


def _declare(program: ProgramFunction, by: Callable[..., Any], locking: Locking) -> None:
    operation = operation_of(by)
    if operation is None or not operation.is_access:
        raise TypeError(f"by={by!r}: allowed: an operation on a word, such as cmpxchg")
    vars(program)[_ATTRIBUTE] = {**locking_of(program), operation.name: locking}
