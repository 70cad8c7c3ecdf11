"""Words, per-CPU areas and objects of a state: which there are, what they hold, allocating and freeing."""

from __future__ import annotations

from percpu_emu.lang.arithmetic import mul
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, UNIT_SHIFT
from percpu_emu.lang.virtual import layout as v
from percpu_emu.lang.virtual.outcomes import DONE, DOUBLE_FREE, FAULT, NO_REGION, USE_AFTER_FREE, WILD_ACCESS, WILD_FREE
from percpu_emu.lang.virtual.rows import block_of, contexts_of
from percpu_emu.shm.compiling import Row, inner


@inner
def find_word(vm: Row, address: int) -> int:
    """Which word of the state an address is, -1 if it was never written."""
    mask = vm[v.HASH_MASK]
    place = (mul(address, 0x9E3779B97F4A7C1) >> 20) & mask
    while True:
        key = vm[vm[v.KEYS] + place]
        if key == address:
            return vm[vm[v.INDICES] + place]
        if key == v.EMPTY:
            return -1
        place = (place + 1) & mask


@inner
def make_word(vm: Row, address: int) -> int:
    """The word for an address, a new one if there is none; -1 if there is no room."""
    word = find_word(vm, address)
    if word >= 0:
        return word
    word = vm[v.WORD_COUNT]
    if word >= vm[v.MAX_WORDS]:
        return -1
    mask = vm[v.HASH_MASK]
    place = (mul(address, 0x9E3779B97F4A7C1) >> 20) & mask
    while vm[vm[v.KEYS] + place] != v.EMPTY:
        place = (place + 1) & mask
    vm[vm[v.INDICES] + place] = word
    vm[vm[v.ADDRESSES] + word] = address
    vm[vm[v.KEYS] + place] = address
    vm[v.WORD_COUNT] = word + 1
    return word


@inner
def load(vm: Row, state: Row, address: int) -> int:
    """The value at an address that is valid."""
    word = find_word(vm, address)
    return state[vm[v.FIRST_WORD] + word] if word >= 0 else 0


@inner
def region_of(vm: Row, address: int) -> int:
    """Which region (per-CPU areas, then objects) an address is in; -1: memory that is always there, -2: none."""
    if address >> UNIT_SHIFT == 0:
        if address < FIRST_OBJECT:
            return -1 if vm[v.KERNEL_FIRST] <= address < vm[v.KERNEL_END] else -2
        number = (address - FIRST_OBJECT) // OBJECT_WORDS
        return vm[v.MAX_AREAS] + number if number < vm[v.MAX_OBJECTS] else -2
    if address < 0 or (address >> UNIT_SHIFT) > vm[v.CPUS]:
        return -2
    number = (address & ((1 << UNIT_SHIFT) - 1)) // OBJECT_WORDS - 1
    return number if number < vm[v.MAX_AREAS] else -2


@inner
def check_access(vm: Row, state: Row, address: int) -> int:
    """DONE, or the check that an access violates. A region has the words that begin within its size."""
    region = region_of(vm, address)
    if region == -1:
        return DONE
    if region == -2:
        return WILD_ACCESS
    found = state[vm[v.FIRST_REGION] + region]
    if address % OBJECT_WORDS >= found >> v.SIZE_SHIFT:
        return WILD_ACCESS
    return DONE if found & v.STATE_OF_REGION == v.LIVE else USE_AFTER_FREE


@inner
def allocate(vm: Row, state: Row, which: int, size: int) -> int:
    """The pointer is left in the log."""
    if size < 1 or size > v.MAX_BYTES:
        return FAULT
    limit = vm[v.MAX_AREAS] if which == v.AREAS else vm[v.MAX_OBJECTS]
    number = state[which]
    if number >= limit:
        return NO_REGION
    first = vm[v.FIRST_REGION] + (0 if which == v.AREAS else vm[v.MAX_AREAS])
    state[first + number] = v.LIVE | ((size + 7) // 8 << v.SIZE_SHIFT)
    state[which] = number + 1
    start = OBJECT_WORDS if which == v.AREAS else FIRST_OBJECT
    vm[vm[v.LOG] + v.LOG_RESULT] = start + OBJECT_WORDS * number
    return DONE


@inner
def region_pointed_to(vm: Row, value: int) -> int:
    """Which region a value points to, taken as a pointer to either kind of memory; -1 for none."""
    if OBJECT_WORDS <= value < OBJECT_WORDS * (vm[v.MAX_AREAS] + 1):
        return value // OBJECT_WORDS - 1
    return region_of(vm, value) if value >= FIRST_OBJECT else -1


@inner
def freed_region(vm: Row, pointer: int, percpu: bool) -> int:
    """Which region `free_percpu` or `kfree` of a pointer frees, -1 for none."""
    start = OBJECT_WORDS if percpu else FIRST_OBJECT
    number = (pointer - start) // OBJECT_WORDS
    limit = vm[v.MAX_AREAS] if percpu else vm[v.MAX_OBJECTS]
    if pointer < start or (pointer - start) % OBJECT_WORDS or number >= limit:
        return -1
    return number if percpu else vm[v.MAX_AREAS] + number


@inner
def free(vm: Row, state: Row, context: int, pointer: int, percpu: bool) -> int:
    """Free a region, and note the first that another context's reader still holds."""
    if pointer == 0:
        return DONE
    region = freed_region(vm, pointer, percpu)
    if region < 0:
        return WILD_FREE
    found = state[vm[v.FIRST_REGION] + region]
    if found & v.STATE_OF_REGION != v.LIVE:
        return DOUBLE_FREE if found & v.STATE_OF_REGION == v.FREED else WILD_FREE
    state[vm[v.FIRST_REGION] + region] = found - v.LIVE + v.FREED
    for other in range(contexts_of(vm)):
        if other != context and state[block_of(vm, other) + v.HELD] >> region & 1 and state[v.EARLY] == 0:
            state[v.EARLY] = region + 1
    for word in range(vm[v.WORD_COUNT]):  # no context may read it again: one value for all states
        if region_of(vm, vm[vm[v.ADDRESSES] + word]) == region:
            state[vm[v.FIRST_WORD] + word] = 0
    return DONE
