"""The log, read by the regular expression that it begins with, as ShiViz does; and its vector clocks."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.report.export.shiviz import shiviz
from percpu_emu.report.story import step_texts
from percpu_emu.report.view import View

from . import golden
from .shipped import BROKEN, counterexample

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Trace

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search


class Event(NamedTuple):
    host: str
    clock: dict[str, int]
    text: str

    def is_after(self, other: Event) -> bool:
        """Whether the other one happened before."""
        return all(self.clock.get(host, 0) >= count for host, count in other.clock.items())


def events(trace: Trace) -> list[Event]:
    expression, executions, *lines = shiviz(trace).removesuffix("\n").split("\n")
    assert executions == ""
    line_of = re.compile(expression.replace("(?<", "(?P<"))
    found = []
    for number, line in enumerate(lines, 1):
        match = line_of.fullmatch(line)
        assert match, line
        assert match["step"] == str(number)
        found.append(Event(match["host"], json.loads(match["clock"]), match["event"]))
    return found


def test_the_log_is_as_it_was_last_read() -> None:
    golden.check("flush-before-grace-period-shiviz", shiviz(counterexample("flush-before-grace-period")))


@pytest.mark.parametrize("name", BROKEN)
def test_every_line_is_a_step_with_its_sentence(name: str) -> None:
    trace = counterexample(name)
    found = events(trace)
    assert [event.text for event in found] == step_texts(View(trace))
    hosts: dict[str, set[int]] = {}
    for event, actor in zip(found, View(trace).labels.actors, strict=True):
        hosts.setdefault(event.host, set()).add(actor)
    assert len({*map(frozenset, hosts.values())}) == len({*View(trace).labels.actors}) == len(hosts)


@pytest.mark.parametrize("name", BROKEN)
def test_clocks_are_well_formed(name: str) -> None:
    found = events(counterexample(name))
    last: dict[str, dict[str, int]] = {}
    for event in found:
        before = last.get(event.host, {})
        assert event.clock[event.host] == before.get(event.host, 0) + 1
        assert all(event.clock.get(host, 0) >= count for host, count in before.items())
        assert all(count <= last[host][host] for host, count in event.clock.items() if host != event.host)
        last[event.host] = event.clock


@pytest.mark.parametrize("name", BROKEN)
def test_who_reads_a_word_is_after_who_wrote_it(name: str) -> None:
    trace = counterexample(name)
    found, freed = events(trace), View(trace).is_freed
    written: dict[int, int] = {}
    for number, step in enumerate(trace.steps):
        for access in step.accesses:
            if freed(access.address, number):
                continue  # it was stopped before it was done
            if access.address in written and step.op in OPERATIONS and OPERATIONS[step.op].reads_only:
                assert found[number].is_after(found[written[access.address]])
            if access.write:
                written[access.address] = number


@pytest.mark.parametrize("name", BROKEN)
def test_a_callback_is_after_what_queued_it(name: str) -> None:
    trace = counterexample(name)
    found = events(trace)
    for number, step in enumerate(trace.steps):
        if step.op in ("call_rcu", "queue_work"):
            later = [at for at in range(number + 1, len(found)) if trace.steps[at].context == step.args[0]]
            assert all(found[at].is_after(found[number]) for at in later[:1])


def test_a_grace_period_is_after_the_section_and_what_nothing_orders_is_concurrent() -> None:
    trace = counterexample("flush-before-grace-period")
    found = events(trace)
    of = {step.op: number for number, step in enumerate(trace.steps)}
    unlock, over, last_of_reader = of["rcu_read_unlock"], of["synchronize_rcu"], of["ledger_commit"]
    assert found[over].is_after(found[unlock])
    assert not found[over].is_after(found[last_of_reader])
    flush, update = of["read_once"], of["this_cpu_add"]
    assert flush < update
    assert not found[update].is_after(found[flush])
    assert not found[flush].is_after(found[update])
