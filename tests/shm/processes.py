"""Other processes, for tests."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import multiprocess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORK: Final = multiprocess.get_context("fork")
_SECONDS: Final = 60


def outcome_in_child(function: Callable[[], None]) -> str:
    """What becomes of a call in a forked process: "done", or the exception's name and text."""
    receiver, sender = FORK.Pipe(duplex=False)

    def run() -> None:
        try:
            function()
        except BaseException as error:  # the parent looks at it
            sender.send(f"{type(error).__name__}: {error}")
        else:
            sender.send("done")

    with receiver, sender, started(run):
        assert receiver.poll(_SECONDS), "the child process does not answer"
        return str(receiver.recv())


@contextlib.contextmanager
def started(*functions: Callable[[], None]) -> Iterator[list[Any]]:
    """A forked process for each function, all of which have ended well after the block."""
    processes = [FORK.Process(target=function, daemon=True) for function in functions]
    for process in processes:
        process.start()
    try:
        yield processes
        for process in processes:
            process.join(_SECONDS)
        assert [process.exitcode for process in processes] == [0] * len(processes)
    finally:
        for process in processes:
            process.kill()
            process.join()
            process.close()
