"""A trace as plain data: for `--json`, and for the stepper, which replays it in a browser.

Step n of `steps` leads from state n to state n + 1. A state's words are `words[i].initial` and the accesses so far;
what stands beside the words is `start` with the `changes` of the steps so far put over it, key by key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from percpu_emu.report.effects import effect, operation_text
from percpu_emu.report.labels import allocation_of, is_percpu, split_address
from percpu_emu.report.listing import listings
from percpu_emu.report.story import burst_texts, closing, step_texts
from percpu_emu.report.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from percpu_emu.lang.source import Site
    from percpu_emu.lang.trace import Access, Trace
    from percpu_emu.report.moments import Moment


def trace_dict(trace: Trace, ahead: Sequence[Site] = ()) -> dict[str, Any]:
    """Everything of the trace, with names, texts and what follows from it; only JSON's own types.

    `ahead`: yields that are not part of it, but whose programs are to be seen, too.
    """
    view = View(trace)
    violation, sources = trace.violation, listings(trace, ahead)
    numbers = {(listing.path, listing.program): number for number, listing in enumerate(sources)}
    return {
        "scenario": trace.scenario,
        "summary": trace.summary,
        "token": trace.token,
        "missing": trace.missing,
        "violation": violation
        and {
            "check": violation.check,
            "detail": violation.detail,
            "guilty": sorted(view.guilty),
            "victims": sorted(view.victims),
        },
        "lanes": view.lane_titles,
        "contexts": [_context(view, actor) for actor in range(len(trace.contexts))],
        "words": _words(view),
        "allocations": [_allocation(view, base) for base in view.labels.bases],
        "ledgers": [
            {"address": counter, "label": view.labels.word(counter), "total": total}
            for counter, total in trace.ledgers.items()
        ],
        "start": _beside(view, view.moments[0]),
        "steps": [_step(view, index, numbers) | {"told": told} for index, told in enumerate(step_texts(view))],
        "bursts": [
            {"first": burst.first, "last": burst.last, "context": burst.actor, "text": text}
            for burst, text in zip(view.bursts, burst_texts(view), strict=True)
        ],
        "closing": closing(trace),
        "sources": [
            {"program": listing.program, "file": listing.file, "first": listing.first, "lines": list(listing.lines)}
            for listing in sources
        ],
    }


def _context(view: View, actor: int) -> dict[str, Any]:
    context = view.trace.contexts[actor]
    return {
        "number": context.number,
        "name": context.name,
        "who": view.labels.who(actor),
        "cpu": context.cpu,
        "kind": context.kind,
        "program": context.program,
    }


def _words(view: View) -> list[dict[str, Any]]:
    """The words to show: those with a name, then those that several contexts touch, and those of guilty steps."""
    touched: dict[int, set[int]] = {}
    for index, step in enumerate(view.trace.steps):
        for access in step.accesses:
            touched.setdefault(access.address, set()).add(view.labels.actors[index])
            if index in view.guilty:
                touched[access.address].add(-1)
    known = {*view.trace.initial, *touched}
    named = {address for address in known if view.labels.is_named(address)} | set(view.trace.ledgers)
    shared = {address for address, actors in touched.items() if len(actors) > 1} - named
    return [_word(view, address) for address in [*sorted(named), *sorted(shared)]]


def _word(view: View, address: int) -> dict[str, Any]:
    cpu, pointer = split_address(address)
    label = view.labels.word(address)
    return {
        "address": address,
        "label": label,
        "slot": label.removesuffix(f" of CPU {cpu}").removesuffix(f", CPU {cpu}"),
        "pointer": pointer,
        "cpu": cpu,
        "allocation": allocation_of(address),
        "initial": view.initial(address),
        "text": view.labels.value(address, view.initial(address)),
    }


def _allocation(view: View, base: int) -> dict[str, Any]:
    addresses = (address for step in view.trace.steps for address in (access.address for access in step.accesses))
    cpus = {split_address(address)[0] for address in [*addresses, *view.trace.initial]}
    cpus |= {context.cpu for context in view.trace.contexts}
    last = max((cpu for cpu in cpus if cpu is not None), default=0)
    return {"pointer": base, "label": view.labels.allocation(base), "cpus": last + 1 if is_percpu(base) else None}


def _step(view: View, index: int, sources: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    step = view.trace.steps[index]
    return {
        "context": view.labels.actors[index],
        "op": step.op,
        "args": list(step.args),
        "result": step.result,
        "cpu": step.cpu,
        "lane": view.lanes.index(step.cpu),
        "text": operation_text(view, index),
        "effect": effect(view, index),
        "program": step.site.program if step.site else None,
        "source": sources.get((step.site.file, step.site.program)) if step.site else None,
        "line": step.site.line if step.site else None,
        "accesses": [_access(view, access, index) for access in step.accesses],
        "waits_for": list(step.waits_for),
        "ended": step.ended,
        "guilty": index in view.guilty,
        "victim": index in view.victims,
        "quiet": view.is_quiet(index),
        "changes": _changes(_beside(view, view.moments[index]), _beside(view, view.moments[index + 1])),
    }


def _access(view: View, access: Access, index: int) -> dict[str, Any]:
    took_place = view.took_place(access, index)
    return {
        "address": access.address,
        "label": view.labels.word(access.address),
        "old": access.old,
        "new": access.new,
        "old_text": view.labels.value(access.address, access.old) if took_place else "gone",
        "new_text": view.labels.value(access.address, access.new) if took_place else "gone",
        "write": access.write,
        "freed": view.is_freed(access.address, index),
    }


def _beside(view: View, moment: Moment) -> dict[str, dict[str, Any]]:
    """What stands beside the words: contexts by actor, waits by first step, allocations and ledgers by address."""
    return {
        "contexts": {
            str(actor): {"state": state.state, "cpu": state.cpu, "reader": state.reader}
            for actor, state in enumerate(moment.contexts)
        },
        "waits": {
            str(wait.step): {
                "by": wait.by,
                "op": wait.op,
                "of": list(wait.of),
                "pending": list(wait.pending),
                "runs": wait.runs,
                "taken": wait.taken,
            }
            for wait in moment.waits
        },
        "allocations": {
            str(base): "live" if base in moment.live else "freed" if base in moment.freed else "none"
            for base in view.labels.bases
        },
        "ledgers": {str(counter): value for counter, value in moment.ledgers.items()},
    }


def _changes(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is new or different, kind by kind; kinds without a difference are left out."""
    changed = {
        kind: {key: value for key, value in found.items() if before[kind].get(key) != value}
        for kind, found in after.items()
    }
    return {kind: found for kind, found in changed.items() if found}
