"""The memory of the oracle: words by address, and which of them may be touched."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from percpu_emu.kernel.layout import (
    BOOT,
    CPU_ONLINE_MASK,
    CPU_POSSIBLE_MASK,
    CPUMASK_OF,
    MASK_WORDS,
    STATIC,
    STATIC_WORDS,
)
from percpu_emu.lang.ops import PerCpuAddress
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, UNIT_SHIFT, unit_word
from percpu_emu.lang.words import wrap

from .oracle_programs import Violated

MAX_BYTES: Final = 4096
IN_UNIT: Final = (1 << UNIT_SHIFT) - 1
Kind: TypeAlias = Literal["area", "object"]
FIRST: Final[dict[Kind, int]] = {"area": OBJECT_WORDS, "object": FIRST_OBJECT}


@dataclass(frozen=True)
class Region:
    """What an allocation gave."""

    kind: Kind
    base: int
    words: int
    live: bool = True


class Memory:
    """Words, and what is allocated."""

    def __init__(self, cpus: int) -> None:
        everyone = (1 << cpus) - 1
        self.cpus = cpus
        self.words = {CPU_POSSIBLE_MASK: everyone, CPU_ONLINE_MASK: everyone}
        self.words |= {CPUMASK_OF + cpu * MASK_WORDS: 1 << cpu for cpu in range(cpus)}
        self.regions: dict[Kind, tuple[Region, ...]] = {"area": (), "object": ()}

    def copy(self) -> Memory:
        other = copy.copy(self)
        other.words, other.regions = dict(self.words), dict(self.regions)
        return other

    def key(self) -> tuple[object, ...]:
        return frozenset(self.nonzero().items()), *self.regions.values()

    def nonzero(self) -> dict[int, int]:
        return {address: word for address, word in self.words.items() if word}

    @property
    def live(self) -> int:
        return sum(region.live for regions in self.regions.values() for region in regions)

    # --- accesses

    def address(self, pointer: int | PerCpuAddress) -> int:
        """Where a pointer goes to. Raises `Violated` where that is nowhere."""
        if not isinstance(pointer, PerCpuAddress):
            if not 0 < pointer < 1 << UNIT_SHIFT:
                raise Violated("wild-access", f"{int(pointer)} is no address")
            return int(pointer)
        if not 0 <= pointer.cpu < self.cpus:
            raise Violated("wild-access", f"there is no CPU {int(pointer.cpu)}")
        if not 0 <= pointer.pointer <= IN_UNIT:
            raise Violated("wild-access", f"{int(pointer.pointer)} is no per-CPU pointer")
        return unit_word(int(pointer.cpu), int(pointer.pointer))

    def read(self, address: int) -> int:
        self._check(address)
        return self.words.get(address, 0)

    def write(self, address: int, value: int) -> None:
        self._check(address)
        self.words[address] = wrap(value)

    def is_there(self, address: int) -> bool:
        try:
            self._check(address)
        except Violated:
            return False
        return True

    def region_at(self, pointer: int) -> Region | None:
        """The region into which a pointer, of either kind, points."""
        kind: Kind = "area" if pointer < FIRST_OBJECT else "object"
        index = (pointer - FIRST[kind]) // OBJECT_WORDS
        return self.regions[kind][index] if 0 <= index < len(self.regions[kind]) else None

    def _check(self, address: int) -> None:
        own, offset = address > IN_UNIT, address & IN_UNIT
        if own and offset < OBJECT_WORDS:
            return  # the static area of a CPU
        if not own and offset < FIRST_OBJECT:
            if not BOOT <= offset < STATIC + STATIC_WORDS:
                raise Violated("wild-access", f"nothing is at {offset}")
            return
        kind: Kind = "area" if own else "object"
        index, word = divmod(offset - FIRST[kind], OBJECT_WORDS)
        if index >= len(self.regions[kind]):
            raise Violated("wild-access", f"{offset:#x} was never allocated")
        region = self.regions[kind][index]
        if word >= region.words:
            raise Violated("wild-access", f"{kind} {index} has no word {word}")
        if not region.live:
            raise Violated("use-after-free", f"{kind} {index} was freed")

    # --- allocation

    def alloc(self, kind: Kind, size: int) -> int:
        if not 1 <= size <= MAX_BYTES:
            raise Violated("fault", f"{int(size)} bytes: an object of the model has 1 to {MAX_BYTES}")
        base = FIRST[kind] + OBJECT_WORDS * len(self.regions[kind])
        self.regions[kind] += (Region(kind, base, -(-int(size) // 8)),)
        return base

    def free(self, kind: Kind, pointer: int) -> Region:
        region = next((region for region in self.regions[kind] if region.base == pointer), None)
        if region is None:
            raise Violated("wild-free", f"{int(pointer):#x} was never allocated")
        if not region.live:
            raise Violated("double-free", f"{int(pointer):#x} was freed before")
        freed = replace(region, live=False)
        self.regions[kind] = tuple(freed if other is region else other for other in self.regions[kind])
        self._forget(region)
        return region

    def _forget(self, region: Region) -> None:
        """No program reads its words again: they are the same in all states."""
        words = range(region.base, region.base + region.words)
        for address in self.words:
            if (address > IN_UNIT) == (region.kind == "area") and address & IN_UNIT in words:
                self.words[address] = 0
