"""Epoch-based reclamation: an object is freed one epoch after it was unlinked, or two.

K. Fraser, Practical lock-freedom, 2004.
"""

from __future__ import annotations

from percpu_emu.lang.ops import (
    Program,
    cpu_relax,
    kfree,
    kzalloc,
    read_once,
    smp_mb,
    smp_store_release,
    write_once,
    xchg,
)
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario


class Object(Struct):
    """What readers look at."""

    value: Word


class Epochs(Struct):
    """The epoch, the one in which the reader is, plus 1 (0: in none), and the object that it looks at."""

    current: Word
    pinned: Word
    object: Ptr[Object]


epochs = Epochs()


def setup() -> Program[None]:
    """One object is there."""
    made = yield kzalloc(sizeof(Object))
    yield write_once(epochs.object, made)


def read() -> Program[None]:
    """Look at the object in a section that is pinned to an epoch."""
    epoch = yield read_once(epochs.current)
    yield write_once(epochs.pinned, epoch + 1)
    yield smp_mb()
    used = yield read_once(epochs.object)
    if used:
        yield read_once(used.value)
    yield smp_store_release(epochs.pinned, 0)


def advance() -> Program[None]:
    """Begin the next epoch, once no reader is in an older one than this."""
    epoch = yield read_once(epochs.current)
    pinned = yield read_once(epochs.pinned)
    while pinned != 0 and pinned != epoch + 1:
        yield cpu_relax()
        pinned = yield read_once(epochs.pinned)
    yield write_once(epochs.current, epoch + 1)
    yield smp_mb()


def hasty_remove() -> Program[None]:
    """Unlink the object, and free it an epoch later."""
    old = yield xchg(epochs.object, 0)
    yield from advance()
    yield kfree(old)  # wrong: a reader of the epoch in which it was unlinked may be under way


@scenario(
    cpus=2,
    setup=setup,
    left=0,
    expect="use-after-free",
    missing="a second epoch between unlinking and freeing",
)
def epoch_freed_after_one(m: Contexts) -> None:
    """An object is freed an epoch after it was unlinked, while a reader of that epoch looks at it.

    The next epoch begins when no reader is in an older epoch than the current one. Readers of the current one may go
    on, and they may have found the object before it was unlinked.

    The fixed version, epoch, frees two epochs later: for that, readers of the first have to be gone.
    """
    m.task(read, cpu=0)
    m.task(hasty_remove, cpu=1, name="remove")


def remove() -> Program[None]:
    """Unlink the object, and free it two epochs later."""
    old = yield xchg(epochs.object, 0)
    yield from advance()
    yield from advance()
    yield kfree(old)


@scenario(cpus=2, setup=setup, left=0)
def epoch(m: Contexts) -> None:
    """An object is freed two epochs after it was unlinked.

    The second advance waits for the readers of the epoch in which the object was unlinked.
    """
    m.task(read, cpu=0, turns=2)
    m.task(remove, cpu=1)
