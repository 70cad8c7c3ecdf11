"""Errors of system calls, as exceptions with the kernel's errno."""

from __future__ import annotations

import os


def refusal(number: int) -> OSError:
    """What a system call ends with, for `raise`."""
    return OSError(number, os.strerror(number))
