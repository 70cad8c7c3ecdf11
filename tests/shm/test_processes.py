"""Forked processes do not outlive their parent."""

from __future__ import annotations

import os
import time

from percpu_emu.shm import die_with

from .processes import started


def test_a_process_dies_with_its_parent() -> None:
    """The end of a pipe that only the grandchild holds is closed when the grandchild ends."""
    reader, writer = os.pipe()

    def parent() -> None:
        ready_reader, ready_writer = os.pipe()
        me = os.getpid()
        if os.fork() == 0:
            die_with(me)
            os.write(ready_writer, b"r")
            time.sleep(60)
            os._exit(0)
        os.read(ready_reader, 1)

    begin = time.monotonic()
    with started(parent):
        os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert time.monotonic() - begin < 30


def test_a_process_whose_parent_has_ended_already_ends_at_once() -> None:
    pid = os.fork()
    if pid == 0:
        die_with(os.getpid())  # which is not its parent
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_a_process_whose_parent_lives_goes_on() -> None:
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        die_with(parent)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
