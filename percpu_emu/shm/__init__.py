"""Shared words: memfd segments, and the atomic instructions that CPU processes use on them."""

from percpu_emu.shm.processes import die_with, signals_held, signals_let_through
from percpu_emu.shm.segment import PAGE_SIZE, WORD_SIZE, OutOfPages, Segment

__all__ = ["PAGE_SIZE", "WORD_SIZE", "OutOfPages", "Segment", "die_with", "signals_held", "signals_let_through"]
