"""What every call of the API has around it: one at a time, and the API's own exceptions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from percpu_emu.api.errors import own_errors

_ONE_AT_A_TIME: Final = threading.Lock()
"""Compiled code keeps the interpreter's lock, so a second thread gains nothing; and processes start by fork."""


@contextmanager
def call() -> Iterator[None]:
    """A call of the API, in any thread. Another thread's call waits."""
    with _ONE_AT_A_TIME, own_errors():
        yield
