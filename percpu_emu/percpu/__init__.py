"""The per-CPU allocator of the emulated kernel: layout of units, areas, pages behind them, and the accounting."""

from percpu_emu.percpu.allocator import NULL, BadFree, PerCpuAllocator, PerCpuExhausted
from percpu_emu.percpu.areas import AreaBook
from percpu_emu.percpu.guarded import GuardedPerCpu
from percpu_emu.percpu.layout import AreaLayout
from percpu_emu.percpu.pages import CountedPages, PageStore, SharedPages

__all__ = [
    "NULL",
    "AreaBook",
    "AreaLayout",
    "BadFree",
    "CountedPages",
    "GuardedPerCpu",
    "PageStore",
    "PerCpuAllocator",
    "PerCpuExhausted",
    "SharedPages",
]
