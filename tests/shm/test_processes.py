"""Forked processes do not outlive their parent."""

from __future__ import annotations

import os
import signal
import time

import pytest

from percpu_emu.shm import SignalsHeld, SignalsLetThrough, die_with

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


# --- signals that raise


def blocked() -> set[int]:
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


def test_a_signal_that_is_held_raises_behind_the_block() -> None:
    done = []

    def hold() -> None:
        with SignalsHeld():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        hold()
    assert done == ["all of it"]
    assert signal.SIGINT not in blocked()


def test_a_part_may_let_it_through_and_what_follows_holds_again() -> None:
    with SignalsHeld():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), SignalsLetThrough():
            pass
        assert signal.SIGINT in blocked()
    assert signal.SIGINT not in blocked()


def test_one_that_comes_as_the_block_begins_leaves_nothing_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pthread_sigmask` raises what has come just before, and has changed the mask by then."""
    real = signal.pthread_sigmask

    def interrupted(how: int, which: set[int]) -> set[int]:
        before = real(how, which)
        if how == signal.SIG_BLOCK and which:
            raise KeyboardInterrupt
        return before  # type: ignore[return-value]

    before = blocked()
    monkeypatch.setattr(signal, "pthread_sigmask", interrupted)
    with pytest.raises(KeyboardInterrupt), SignalsHeld():
        pass
    monkeypatch.undo()
    assert blocked() == before
