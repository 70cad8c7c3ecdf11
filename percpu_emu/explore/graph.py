"""The states of a search as a graph: cycles, states from which no end can be reached, and how many ways there are.

A search that has found every state knows every way on from each. Where none leads to an end, that is a livelock: no
scheduler helps, however fair it is. Where one does, a fair scheduler takes it: a loop that only polls gives way.
Whether one that is only weakly fair does, `explore.fairness` says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

LOOK_AT_CLOCK: Final = 4096
"""States between two looks at the clock."""


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
    """Whether a state can be left and come back to."""
    if not len(sources) or np.all(targets > sources):  # numbers that only grow cannot come back
        return False
    return bool(_behind_a_cycle(states, sources, targets).any())


def _behind_a_cycle(states: int, sources: Any, targets: Any) -> npt.NDArray[np.bool_]:
    """The states that a cycle leads to: those that no other leads to are taken away until none is left."""
    order = np.argsort(sources, kind="stable")
    targets = targets[order]
    first = np.searchsorted(sources[order], np.arange(states + 1))
    entries = np.bincount(targets, minlength=states)
    kept = np.ones(states, dtype=np.bool_)
    front = np.flatnonzero(entries == 0)
    while len(front):
        kept[front] = False
        counts = first[front + 1] - first[front]
        edges = np.repeat(first[front] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        np.subtract.at(entries, targets[edges], 1)
        candidates = np.unique(targets[edges])
        front = candidates[entries[candidates] == 0]
    return kept


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


def strong_parts(states: int, sources: Any, targets: Any, deadline: float) -> npt.NDArray[np.int64]:
    """For each state the number of the strongly connected part that it is in; -1 where it is in no cycle.

    Tarjan (Depth-first search and linear graph algorithms, 1972), on what is between cycles. Raises TimeoutError.
    """
    kept = _behind_a_cycle(states, sources, targets) & _behind_a_cycle(states, targets, sources)
    inner = kept[sources] & kept[targets]
    sources, targets = sources[inner], targets[inner]
    order = np.argsort(sources, kind="stable")
    first = np.searchsorted(sources[order], np.arange(states + 1)).tolist()
    looping = set(sources[sources == targets].tolist())
    parts = np.full(states, -1, dtype=np.int64)
    for number, members in enumerate(_strong(np.flatnonzero(kept).tolist(), first, targets[order].tolist(), deadline)):
        if len(members) > 1 or members[0] in looping:
            parts[members] = number
    return parts


def _strong(roots: list[int], first: list[int], after: list[int], deadline: float) -> Iterator[list[int]]:
    """The strongly connected parts of what the roots lead to: the edges of a state are `first[state]` and on."""
    index, lowest, stack = dict[int, int](), dict[int, int](), list[int]()
    for root in roots:
        work = [] if root in index else [(root, first[root])]
        while work:
            at, edge = work.pop()
            if at not in index:
                if len(index) % LOOK_AT_CLOCK == 0 and time.monotonic() > deadline:
                    raise TimeoutError
                index[at] = lowest[at] = len(index)
                stack.append(at)
            while edge < first[at + 1] and after[edge] in index:
                lowest[at] = min(lowest[at], lowest.get(after[edge], lowest[at]))
                edge += 1
            if edge < first[at + 1]:
                work += [(at, edge), (after[edge], first[after[edge]])]
            elif lowest[at] == index[at]:
                members = [stack.pop()]
                while members[-1] != at:
                    members.append(stack.pop())
                for member in members:
                    del lowest[member]
                yield members
