"""Shared words: memfd segments, and the atomic instructions that CPU processes use on them."""

from percpu_emu.shm.processes import SignalsHeld, SignalsLetThrough, die_with
from percpu_emu.shm.segment import PAGE_SIZE, WORD_SIZE, OutOfPages, Segment

__all__ = ["PAGE_SIZE", "WORD_SIZE", "OutOfPages", "Segment", "SignalsHeld", "SignalsLetThrough", "die_with"]
