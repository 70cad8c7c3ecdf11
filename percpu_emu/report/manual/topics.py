"""The topics of `percpu-emu help`, each with what it is about, and the pages of the docs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.report.manual.checks import checks_page
from percpu_emu.report.manual.environment import environment_page
from percpu_emu.report.manual.exit_codes import exit_codes_page
from percpu_emu.report.manual.figures import figures_page
from percpu_emu.report.manual.json_object import json_page
from percpu_emu.report.manual.kernel_profile import kernel_profile_page
from percpu_emu.report.manual.language import language_page
from percpu_emu.report.manual.markdown import code, page, table
from percpu_emu.report.manual.operations import all_operations, operation_page, overview
from percpu_emu.report.manual.scenario import explore_page, scenario_page
from percpu_emu.report.manual.structures import structures_page
from percpu_emu.report.manual.verdict import verdict_page


class Topic(NamedTuple):
    """A topic: what it is about, and what makes its text."""

    about: str
    make: Callable[[], str]


TOPICS: Final = {
    "language": Topic("the Python that a program may use, and every reason for a refusal", language_page),
    "structures": Topic("fields, scenarios in Python, checks of one's own", structures_page),
    "operations": Topic("every access to shared memory, and every request", overview),
    "scenario": Topic("the keys of a scenario file", scenario_page),
    "explore-table": Topic("the keys of its tables for `explore`", explore_page),
    "kernel-profile": Topic("the keys of a kernel profile", kernel_profile_page),
    "checks": Topic("what is checked, when, and what to do about a failure", checks_page),
    "verdict": Topic("what a verdict means, and what it does not", verdict_page),
    "figures": Topic("what a report counts", figures_page),
    "json": Topic("the object that `--json` prints", json_page),
    "exit-codes": Topic("the exit codes of the commands", exit_codes_page),
    "environment": Topic("the environment variables", environment_page),
}


def names() -> list[str]:
    """Every topic, and every operation."""
    return [*TOPICS, *OPERATIONS]


def text_of(topic: str) -> str:
    """One topic as Markdown, "" for the list of all. Raises KeyError for another name."""
    if not topic:
        return contents()
    return TOPICS[topic].make() if topic in TOPICS else operation_page(topic)


def contents() -> str:
    """The list of all topics."""
    rows = [[code(f"percpu-emu help {name}"), topic.about] for name, topic in TOPICS.items()]
    rows.append([code("percpu-emu help OPERATION"), f"one operation: {code(next(iter(OPERATIONS)))}, for one"])
    return page("Topics", table(["command", "what it prints"], rows))


def pages() -> dict[str, str]:
    """The pages of docs/reference, by the names of their files."""
    made = {f"{name}.md": topic.make() for name, topic in TOPICS.items()}
    links = [[f"[{name}]({name}.md)", topic.about] for name, topic in TOPICS.items()]
    text = "`percpu-emu help TOPIC` prints each. The code is what they are made from."
    return made | {
        "operations.md": all_operations(),
        "README.md": page("Reference", text, table(["topic", "about"], links)),
    }
