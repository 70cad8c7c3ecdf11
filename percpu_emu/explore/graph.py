"""The states of a search as a graph: cycles, states from which no end can be reached, and how many ways there are.

A search that has found every state knows every way on from each. Where none leads to an end, that is a livelock: no
scheduler helps, however fair it is. Where one does, a fair scheduler takes it: a loop that only polls gives way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def lost_states(states: int, sources: Any, targets: Any, finals: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The numbers of the states from which no final state can be reached over the edges, in ascending order."""
    order = np.argsort(targets, kind="stable")
    sources = sources[order]
    first = np.searchsorted(targets[order], np.arange(states + 1))
    saved = finals.copy()
    front = np.flatnonzero(saved)
    while len(front):
        counts = first[front + 1] - first[front]
        # every edge into the front: where the stretch of each state begins, and a step for each edge in it
        edges = np.repeat(first[front] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        before = np.unique(sources[edges])
        front = before[~saved[before]]
        saved[front] = True
    return np.flatnonzero(~saved)


def has_cycle(states: int, sources: Any, targets: Any) -> bool:
    """Whether a state can be left and come back to: states that no other leads to are taken away until none is left."""
    if not len(sources) or np.all(targets > sources):  # numbers that only grow cannot come back
        return False
    order = np.argsort(sources, kind="stable")
    targets = targets[order]
    first = np.searchsorted(sources[order], np.arange(states + 1))
    entries = np.bincount(targets, minlength=states)
    front, gone = np.flatnonzero(entries == 0), 0
    while len(front):
        gone += len(front)
        counts = first[front + 1] - first[front]
        edges = np.repeat(first[front] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        np.subtract.at(entries, targets[edges], 1)
        candidates = np.unique(targets[edges])
        front = candidates[entries[candidates] == 0]
    return gone < states


def ways(sources: Any, targets: Any, finals: npt.NDArray[np.bool_]) -> int | None:
    """How many ways lead from state 0 to a final state; None where one goes in circles."""
    after: dict[int, list[int]] = {}
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        after.setdefault(source, []).append(target)
    count: dict[int, int] = {}
    todo, on_way = [0], set[int]()
    while todo:
        at = todo[-1]
        if at in count:
            on_way.discard(todo.pop())
            continue
        missing = [target for target in after.get(at, []) if target not in count]
        if not missing:
            count[at] = sum(count[target] for target in after.get(at, [])) + int(finals[at])
            continue
        if on_way.intersection(missing):
            return None
        on_way.add(at)
        todo += missing
    return count[0]
