"""memory.*: the files of the memory controller (mm/memcontrol.c)."""

from __future__ import annotations

import errno
from collections import Counter
from typing import TYPE_CHECKING, Final

from percpu_emu.cgroupfs.control_files import ControlFile, flag, keyed, pages, size_in_bytes, spelled
from percpu_emu.cgroupfs.errors import refusal
from percpu_emu.cgroupfs.memory import EVENTS, MemoryState
from percpu_emu.cgroupfs.statistics import memory_numa_stat, memory_stat
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.branch import Caller
    from percpu_emu.cgroupfs.hierarchy import Group
    from percpu_emu.cgroupfs.system import System


def _state(group: Group) -> MemoryState:
    if group.memory is None:
        raise refusal(errno.ENODEV)
    return group.memory


def _events(counted: Counter[str]) -> str:
    return keyed({event: counted[event] for event in EVENTS})


def _limit(key: str) -> ControlFile:
    def write(system: System, group: Group, text: str, _caller: Caller) -> None:
        state = _state(group)
        if key == "max":
            system.charges.limit(state, pages(text))
            return
        state.limits[key] = pages(text)
        if key == "high" and state.usage > state.limits[key]:
            system.charges.reclaim(state, state.usage - state.limits[key])

    return ControlFile(lambda _system, group: spelled(_state(group).limits[key]), write, of_memory=True)


def _swap_limit(key: str) -> ControlFile:
    def write(_system: System, group: Group, text: str, _caller: Caller) -> None:
        _state(group).swap_limits[key] = pages(text)

    return ControlFile(lambda _system, group: spelled(_state(group).swap_limits[key]), write, of_memory=True)


def _oom_group(_system: System, group: Group, text: str, _caller: Caller) -> None:
    _state(group).oom_group = flag(text)


def _reclaim(system: System, group: Group, text: str, _caller: Caller) -> None:
    """Raises EAGAIN where less is reclaimed than was asked for."""
    if not system.charges.reclaim(_state(group), size_in_bytes(text) // PAGE_SIZE):
        raise refusal(errno.EAGAIN)


MEMORY_FILES: Final[dict[str, ControlFile]] = {
    "memory.current": ControlFile(lambda _system, group: f"{_state(group).usage * PAGE_SIZE}\n", of_memory=True),
    "memory.peak": ControlFile(lambda _system, group: f"{_state(group).peak * PAGE_SIZE}\n", of_memory=True),
    "memory.min": _limit("min"),
    "memory.low": _limit("low"),
    "memory.high": _limit("high"),
    "memory.max": _limit("max"),
    "memory.events": ControlFile(
        lambda _system, group: _events(_state(group).events),
        of_memory=True,
        news=lambda _system, group: _state(group).news,
    ),
    "memory.events.local": ControlFile(lambda _system, group: _events(_state(group).events_local), of_memory=True),
    "memory.stat": ControlFile(
        lambda system, group: keyed(memory_stat(system.memory, _state(group))), on_root=True, of_memory=True
    ),
    "memory.numa_stat": ControlFile(
        lambda system, group: memory_numa_stat(system.memory, _state(group)), on_root=True, of_memory=True
    ),
    "memory.oom.group": ControlFile(
        lambda _system, group: f"{int(_state(group).oom_group)}\n", _oom_group, of_memory=True
    ),
    "memory.reclaim": ControlFile(None, _reclaim, on_root=True, of_memory=True),
    "memory.swap.current": ControlFile(lambda _system, _group: "0\n", of_memory=True),
    "memory.swap.high": _swap_limit("high"),
    "memory.swap.max": _swap_limit("max"),
    "memory.swap.events": ControlFile(
        lambda _system, _group: keyed(dict.fromkeys(("high", "max", "fail"), 0)), of_memory=True
    ),
}
