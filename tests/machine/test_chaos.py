"""Chaos: who starves, for how long, and that everybody is let go."""

from __future__ import annotations

import mmap
import os
import signal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from percpu_emu.lang import context as c
from percpu_emu.machine.chaos import DOUBLINGS, SHORTEST, STARVED, Chaos, Stops


class Processes:
    """Stands for the CPU processes; keeps who is stopped, and since when."""

    nice = 5

    def __init__(self, cpus: int) -> None:
        self.online = list(range(cpus))
        self.stopped: set[int] = set()

    def pid(self, cpu: int) -> int:  # noqa: ARG002
        return 0

    def signal(self, cpu: int, number: int) -> bool:
        if number == signal.SIGSTOP:
            self.stopped.add(cpu)
        else:
            self.stopped.discard(cpu)
        return True


@pytest.fixture(autouse=True)
def _no_priorities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.setpriority", lambda *_: None)


def starved(seed: int, seconds: float, step: float = 0.0005) -> tuple[float, list[float], Processes, Chaos]:
    processes: Any = Processes(8)
    chaos = Chaos(processes, seed)
    total, lengths, since = 0.0, [], 0.0
    now = 0.0
    while now < seconds or processes.stopped:
        now += step
        before = bool(processes.stopped)
        chaos.attend(now)
        if before:
            total += step
        if processes.stopped and not before:
            since = now
        if before and not processes.stopped:
            lengths.append(now - since)
    return total / now, lengths, processes, chaos


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cpus_starve_a_fifth_of_the_time_at_most_shortly_and_long(seed: int) -> None:
    share, lengths, processes, chaos = starved(seed, 120.0)
    assert 0.01 < share <= STARVED
    assert processes.stopped == set()
    assert chaos.intervals == len(lengths) > 10
    allowed = [SHORTEST * 2**power for power in range(DOUBLINGS)]
    assert all(any(abs(length - good) < 0.002 for good in allowed) for length in lengths)
    assert min(lengths) < 0.01
    assert max(lengths) > 0.1


def test_the_same_seed_starves_the_same() -> None:
    assert starved(5, 20.0)[1] == starved(5, 20.0)[1]


def test_without_a_cpu_it_waits() -> None:
    processes: Any = Processes(0)
    Chaos(processes, 1).attend(1.0)
    assert processes.stopped == set()


def test_words_may_change_while_the_coordinator_looks_at_them() -> None:
    """A CPU sets the word that says how long it stops; numpy raises where an array changes while it is searched."""
    with mmap.mmap(-1, 8 * 8 * c.BLOCK_WORDS) as shared:
        blocks = np.frombuffer(shared, dtype=np.int64).reshape(8, c.BLOCK_WORDS)
        child = os.fork()
        if child == 0:
            while True:
                blocks[3, c.STOPPED_US] = 1
                blocks[3, c.STOPPED_US] = 0
        try:
            memory: Any = SimpleNamespace(blocks=blocks, topology=SimpleNamespace(cpus=8))
            cpus: Any = CpusThatRun()
            stops = Stops(memory, cpus)
            for _ in range(50_000):
                stops.attend(0.0)
            assert stops.count > 0
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            del blocks, memory, stops


class CpusThatRun:
    """Stands for the CPU processes: none is stopped."""

    def is_stopped(self, cpu: int) -> bool:  # noqa: ARG002
        return False
