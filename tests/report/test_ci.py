"""Reports for CI systems: what is not as expected is red in each format, at the line to blame."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.lang.checks import LABELS
from percpu_emu.report.ci.github import github
from percpu_emu.report.ci.junit import clean, junit
from percpu_emu.report.ci.problems import problems
from percpu_emu.report.ci.sarif import sarif
from percpu_emu.report.result import Report, ReportedCheck, ReportedCounterexample, ReportedError, ReportedPlace

ROOT = Path("/repository")
FILE = "/repository/scenarios/two words.toml"
texts = st.text(st.characters(), max_size=40)


def report(verdict: Any, results: dict[str, bool | None], **more: Any) -> Report:
    checks = [ReportedCheck(name=name, ok=ok, detail=f"{name} as found") for name, ok in results.items()]
    fields = {"command": "explore", "subject": "mine", "file": FILE, "scope": {}, "seconds": 0.5} | more
    return Report(verdict=verdict, checks=checks, figures={"states": 3}, **fields)


def lost_count(text: str = "columns", **more: Any) -> Report:
    place = ReportedPlace(program="flush", file="/repository/programs.py", line=12, text="yield read_once(SLOT)")
    example = ReportedCounterexample(
        check="lost-count", token="mine:11.abcd", preemptions=1, steps=2, columns=text, story=["CPU 0 reads"],
        replay="percpu-emu replay mine:11.abcd", blamed=[place],
    )  # fmt: skip
    return report("fail", {"memory": None, "counts": False}, counterexample=example, **more)


PASS = report("pass", {"memory": True, "counts": True})
EXPECTED = lost_count(as_expected=True, expectation="expected: lost-count, found: lost-count")
OTHER = lost_count(as_expected=False, expectation="expected leak, found lost-count")
UNEXPECTED = lost_count()
NOTHING = report("pass", {"memory": True}, as_expected=False, expectation="expected leak, found nothing")
LIMIT = report("inconclusive", {"memory": None}, notes=["not everything was covered: 20 states"])
RUN = report("fail", {"patched.releases": False, "memory": True}, command="run")
ERROR = report("inconclusive", {}, error=ReportedError(kind="input", message="no such file"))
GREEN = {"pass": PASS, "expected": EXPECTED}
RED = {"other": OTHER, "unexpected": UNEXPECTED, "nothing": NOTHING, "limit": LIMIT, "run": RUN, "error": ERROR}
RULES = {
    "other": "lost-count", "unexpected": "lost-count", "nothing": "expectation", "limit": "inconclusive",
    "run": "patched-releases", "error": "error",
}  # fmt: skip


@pytest.mark.parametrize("name", GREEN)
def test_what_is_as_expected_is_green_everywhere(name: str) -> None:
    suites = ElementTree.fromstring(junit(GREEN[name]))
    assert (suites.get("failures"), suites.get("errors"), suites.get("tests")) == ("0", "0", "2")
    assert json.loads(sarif(GREEN[name], ROOT))["runs"][0]["results"] == []
    assert github(GREEN[name], ROOT) == ""


@pytest.mark.parametrize("name", RED)
def test_what_is_not_as_expected_is_red_everywhere(name: str) -> None:
    suites = ElementTree.fromstring(junit(RED[name]))
    red = suites.findall(".//testcase/failure") + suites.findall(".//testcase/error")
    assert len(red) == 1
    assert int(suites.get("failures", "")) + int(suites.get("errors", "")) == 1
    [result] = json.loads(sarif(RED[name], ROOT))["runs"][0]["results"]
    assert (result["ruleId"], result["level"]) == (RULES[name], "error")
    [line] = github(RED[name], ROOT).splitlines()
    assert line.startswith("::error file=")
    assert f"title=mine%3A {RULES[name]}::" in line


def test_junit_has_a_case_for_each_check_and_the_story_of_a_failure() -> None:
    suites = ElementTree.fromstring(junit(UNEXPECTED))
    cases = suites.findall("testsuite/testcase")
    assert [(case.get("classname"), case.get("name"), [part.tag for part in case]) for case in cases] == [
        ("mine", "memory", ["skipped"]),
        ("mine", "counts", ["failure"]),
    ]
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.get("type") == "lost-count"
    assert failure.text == "columns\n* CPU 0 reads\n\npercpu-emu replay mine:11.abcd"


def test_an_inconclusive_scenario_is_an_error_of_junit_with_its_reason() -> None:
    case = ElementTree.fromstring(junit(LIMIT)).findall("testsuite/testcase")[-1]
    assert case.get("name") == "verdict"
    assert "not everything was covered: 20 states" in (case.findtext("error") or "")


def test_several_scenarios_are_several_suites() -> None:
    whole = report("fail", {}, scenarios=[PASS, UNEXPECTED, LIMIT])
    suites = ElementTree.fromstring(junit(whole))
    assert [suite.get("tests") for suite in suites] == ["2", "2", "2"]
    assert {key: suites.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6", "failures": "1", "errors": "1", "skipped": "2"
    }  # fmt: skip
    assert [problem.rule for problem in problems(whole)] == ["lost-count", "inconclusive"]


def test_sarif_has_what_its_schema_requires() -> None:
    """The required properties of version 2.1.0: of the log, a run, a tool, a rule, a result, an invocation."""
    log = json.loads(sarif(report("fail", {}, scenarios=[UNEXPECTED, ERROR, RUN]), ROOT))
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    driver, rules = run["tool"]["driver"], run["tool"]["driver"]["rules"]
    assert driver["name"] == "percpu-emu"
    assert {rule["id"] for rule in rules} >= set(LABELS[1:])
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert all(rule["shortDescription"]["text"] for rule in rules)
    [invocation] = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert [note["message"]["text"] for note in invocation["toolExecutionNotifications"]] == ["no such file"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        [location] = result["locations"]
        assert location["physicalLocation"]["region"]["startLine"] >= 1
    uris = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]]
    assert uris == ["programs.py", "scenarios/two%20words.toml", "scenarios/two%20words.toml"]
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 12}


def test_a_file_outside_of_the_repository_has_an_absolute_uri() -> None:
    text = sarif(RUN, Path("/elsewhere"))
    assert '"uri": "file:///repository/scenarios/two%20words.toml"' in text


@given(texts, texts)
def test_junit_is_xml_whatever_a_text_holds(text: str, name: str) -> None:
    whole = lost_count(text).model_copy(update={"subject": name})
    suites = ElementTree.fromstring(junit(whole).encode())
    assert suites[0].get("name") == clean(name)
    assert (suites.findtext(".//failure") or "").startswith(clean(text))


@pytest.mark.parametrize("text", ["]]>", "<![CDATA[", "\x1b[31mred\x1b[0m", "a\r\nb", "\x00\ufffe\ud800", "&amp;"])
def test_junit_keeps_what_is_xml_and_escapes_what_is_not(text: str) -> None:
    found = ElementTree.fromstring(junit(lost_count(text)).encode()).findtext(".//failure") or ""
    escapes = {"\x1b": r"\x1b", "\r": r"\r", "\x00": r"\x00", "\ufffe": r"\ufffe", "\ud800": r"\ud800"}
    assert found.startswith("".join(escapes.get(character, character) for character in text))


@given(texts, texts)
def test_an_annotation_is_one_line_that_the_runner_decodes(text: str, name: str) -> None:
    one = RUN.model_copy(update={"subject": name, "checks": [ReportedCheck(name="memory", ok=False, detail=text)]})
    command = github(one, ROOT)
    assert command.count("\n") == 1
    assert command.endswith("\n")
    found = re.fullmatch(r"::error file=([^:,]*),line=1,title=([^:,]*)::([^\r\n]*)", command[:-1])
    assert found is not None
    assert _decoded(found[2]) == f"{name}: memory"
    assert _decoded(found[3]) == f"memory: {text}"


def _decoded(text: str) -> str:
    for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, character)
    return text
