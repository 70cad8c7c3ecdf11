"""The states of a search as Python sees them: room for them, the way to each, and the edges between them."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from percpu_emu.explore import store as s
from percpu_emu.explore.compiled import compiled
from percpu_emu.explore.model import Words
from percpu_emu.explore.store import Store

FIRST_ROOM: Final = 1 << 11


def new_store(words: int, room: int = FIRST_ROOM) -> Store:
    """Room for so many states of so many words; there is none yet."""
    return Store(
        states=np.zeros((room, words), dtype=np.int64),
        parents=np.zeros(room, dtype=np.int64),
        moves=np.zeros(room, dtype=np.int64),
        depths=np.zeros(room, dtype=np.int64),
        finals=np.zeros(room, dtype=np.int8),
        table=np.zeros(room * 2, dtype=np.int64),
        sources=np.zeros(room * 4, dtype=np.int64),
        targets=np.zeros(room * 4, dtype=np.int64),
        choices=np.zeros(room * 4, dtype=np.int16),
        violations=np.zeros((s.MAX_VIOLATIONS, 4), dtype=np.int64),
        numbers=np.zeros(s.STORE_NUMBERS, dtype=np.int64),
    )


def grown(store: Store) -> Store:
    """The same states, with four times the room."""
    room, words = store.states.shape
    larger = new_store(words, room * 4)
    for mine, theirs in zip(larger, store, strict=True):
        if mine is not larger.table:
            mine[: len(theirs)] = theirs
    compiled().refill(larger)
    return larger


def edges(store: Store) -> tuple[Words, Words]:
    """Numbers of states: from which, and to which, a move was made."""
    count = min(int(store.numbers[s.EDGES]), len(store.sources))
    return store.sources[:count], store.targets[:count]


def choices(store: Store) -> npt.NDArray[np.int16]:
    """For each edge, by which choice the move was made."""
    return np.asarray(store.choices[: len(edges(store)[0])])


def used_bytes(store: Store) -> float:
    """What the states, the table and the edges that there are take; not the room that is kept for more."""
    per_state = store.states[0].nbytes + 3 * 8 + 1 + 2 * 8
    return float(store.numbers[s.FOUND] * per_state + len(edges(store)[0]) * (2 * 8 + 2))


def way_to(store: Store, state: int, choice: int = -1, depth: int | None = None) -> tuple[int, ...]:
    """The schedule by which a state was found, and then `choice` up to `depth` steps.

    How many steps a move has is what depths differ by: with more known conflicts it would be fewer by now.
    """
    depths = store.depths
    schedule = [choice] * (depth - int(depths[state])) if depth is not None else []
    while state > 0:
        parent = int(store.parents[state])
        schedule += [int(store.moves[state])] * int(depths[state] - depths[parent])
        state = parent
    return tuple(reversed(schedule))
