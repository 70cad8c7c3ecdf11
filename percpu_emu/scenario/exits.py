"""The exit codes of the commands, each with what it says."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """An exit code. `meaning` says when a command ends with it."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> Exit:
        """A member: the number that the shell sees, with its meaning."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.meaning = meaning
        return member

    PASSED = 0, "the verdict is pass, or the check that the scenario expects to fail is the one that failed"
    FAILED = 1, "a check failed, or the failure that the scenario expects was not found"
    INPUT = 2, "the command line, the scenario file or a program is wrong"
    ENVIRONMENT = 3, "the environment lacks something: memory, processes, open files, a package"
    INCONCLUSIVE = 4, "nothing failed and nothing is proved: a limit was met; or percpu-emu itself has a fault"
    INTERRUPTED = 130, "Ctrl-C; every process is ended"
    BROKEN_PIPE = 141, "the reader of stdout has gone, as by SIGPIPE: no verdict was read"
    TERMINATED = 143, "SIGTERM; every process is ended"
