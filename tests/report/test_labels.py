from __future__ import annotations

from dataclasses import replace

import pytest

from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS, unit_word
from percpu_emu.lang.trace import Step, TracedContext
from percpu_emu.report.labels import Labels

from . import traces
from .traces import COUNTER, SLOTS, STATS


@pytest.fixture
def labels() -> Labels:
    return Labels(traces.lost_count())


@pytest.mark.parametrize(
    ("address", "called"),
    [
        (STATS, "stats"),
        (unit_word(1, SLOTS), "slot of CPU 1"),
        (unit_word(0, SLOTS + 3), "slot[3] of CPU 0"),
        (unit_word(2, 2 * OBJECT_WORDS + 1), "word 1 of per-CPU region 1, CPU 2"),
        (unit_word(0, 5), "word 5 of the static per-CPU area, CPU 0"),
        (FIRST_OBJECT + OBJECT_WORDS + 3, "word 3 of object 1"),
        (70150, "word 70150"),
    ],
)
def test_a_word_is_called(labels: Labels, address: int, called: str) -> None:
    assert labels.word(address) == called


def test_a_name_for_one_cpus_copy_goes_before_that_of_the_pointer() -> None:
    address = unit_word(1, SLOTS)
    named = replace(traces.lost_count(), names={SLOTS: "slot", address: "the second slot"})
    assert Labels(named).word(address) == "the second slot"


def test_values_of_pointers_are_named_and_those_of_counts_are_not(labels: Labels) -> None:
    assert [labels.value(STATS, value) for value in (0, SLOTS)] == ["NULL", "&slot"]
    assert labels.value(COUNTER, SLOTS) == str(SLOTS)
    assert labels.value(COUNTER, -3) == "-3"
    assert labels.value(COUNTER, 0x6B6B6B6B6B6B6B6B) == "0x6b6b6b6b6b6b6b6b"


@pytest.mark.parametrize(("name", "called"), [("slot", "the slots"), ("slot of slots 1", "slots 1")])
def test_one_of_several_regions_is_called_by_its_number(name: str, called: str) -> None:
    assert Labels(replace(traces.lost_count(), names={SLOTS: name})).target(SLOTS) == called


def test_contexts_are_called_what_people_call_them() -> None:
    trace = traces.going_offline()
    tick = TracedContext(5, "tick", 0, "interrupt", "count")
    labels = Labels(replace(trace, contexts=[*trace.contexts, tick]))
    assert [labels.who(actor) for actor in range(6)] == [
        *("CPU 0", "CPU 1", "the coordinator"),
        *("the hotplug code for CPU 1", "the RCU callback flush_and_free", "the interrupt on CPU 0"),
    ]


def test_a_callback_slot_that_is_used_twice_is_two_actors() -> None:
    contexts = [TracedContext(0, "callback", None, "callback", name) for name in ("first", "second")]
    steps = [Step(0, "smp_mb"), Step(0, "smp_mb", ended=True), Step(0, "smp_mb", ended=True)]
    assert Labels(replace(traces.lost_count(), contexts=contexts, steps=steps)).actors == [0, 0, 1]
