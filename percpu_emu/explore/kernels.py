"""Compiled entry points of the virtual engine and of the searches, kept in the cache folder like any image."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

from percpu_emu.lang.cache import load_compiled

_COMPILED: Final = ("reduction", "transition", "store", "walks")
"""Modules of this package whose functions are compiled: a change in them is a new image."""

_TEXT: Final = """
# {digest}
from percpu_emu.explore import store as states, transition, walks as random
from percpu_emu.lang import virtual


@njit(cache=True, nogil=True)
def compute(vm, state, context):
    return virtual.compute(vm, state, context)


@njit(cache=True, nogil=True)
def make_word(vm, address):
    return virtual.make_word(vm, address)


@njit(cache=True, nogil=True)
def blocked(vm, state, context):
    return virtual.blocked(vm, state, context)


@njit(cache=True, nogil=True)
def is_reader(vm, state, context):
    return virtual.is_reader(vm, state, context)


@njit(cache=True, nogil=True)
def may_halve(vm, state, context):
    return virtual.may_halve(vm, state, context)


@njit(cache=True, nogil=True)
def begins_to_spin(vm, state, context):
    return virtual.begins_to_spin(vm, state, context)


@njit(cache=True, nogil=True)
def step(vm, state, context):
    return virtual.step(vm, state, context)


@njit(cache=True, nogil=True)
def step_half(vm, state, context):
    return virtual.step_half(vm, state, context)


@njit(cache=True, nogil=True)
def make_choice(vm, por, state, choice):
    return states.make_choice(vm, por, state, choice)


@njit(cache=True, nogil=True)
def choices(vm, state, found):
    return transition.choices(vm, state, found)


@njit(cache=True, nogil=True)
def migrate(vm, state, choice):
    return transition.migrate(vm, state, choice)


@njit(cache=True, nogil=True)
def is_final(vm, state):
    return transition.is_final(vm, state)


@njit(cache=True, nogil=True)
def must_finish(vm, state, context):
    return virtual.must_finish(vm, state, context)


@njit(cache=True, nogil=True)
def check_counters(vm, state, final):
    return transition.check_counters(vm, state, final)


@njit(cache=True, nogil=True)
def check_final(vm, state):
    return transition.check_final(vm, state)


@njit(cache=True, nogil=True)
def check_bound(vm, state):
    return transition.check_bound(vm, state)


@njit(cache=True, nogil=True)
def total_of(vm, state, counter):
    return transition.total_of(vm, state, counter)


@njit(cache=True, nogil=True)
def begin(vm, store, buffer, initial):
    return states.begin(vm, store, buffer, initial)


@njit(cache=True, nogil=True)
def wander(vm, por, buffers, initial, seed):
    return states.wander(vm, por, buffers, initial, seed)


@njit(cache=True, nogil=True)
def refill(store):
    return states.refill(store)


@njit(cache=True, nogil=True)
def expand(vm, por, store, buffers, first, last, which, count_turns, stop_at):
    return states.expand(vm, por, store, buffers, first, last, which, count_turns, stop_at)


@njit(cache=True, nogil=True)
def walks(vm, walk, state, found, first, last):
    vm, walk, state, found = random.words_of(vm), random.words_of(walk), random.words_of(state), random.words_of(found)
    return random.walks(vm, walk, state, found, first, last)
"""


@cache
def kernels() -> Any:
    """The compiled functions, as attributes. The first use on a machine compiles them."""
    folder = Path(__file__).parent
    sources = b"".join((folder / f"{name}.py").read_bytes() for name in _COMPILED)
    digest = hashlib.sha256(sources).hexdigest()
    return load_compiled(_TEXT.format(digest=digest))
