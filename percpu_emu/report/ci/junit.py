"""A report as JUnit's XML: a suite for each scenario, a test case for each check.

What is not judged is skipped, which CI systems take for green. So a scenario that is not as expected, and whose
checks do not show it, has one case more, `verdict`, which is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from percpu_emu.report.ci.problems import counterexample_fails, problems, scenarios_of
from percpu_emu.report.several import is_as_expected

if TYPE_CHECKING:
    from percpu_emu.report.result import Report, ReportedCheck

_NOT_OF_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """The text of the file."""
    suites = Element("testsuites", name=f"percpu-emu {report.command}")
    for one in scenarios_of(report):
        _add_suite(suites, one)
    _count(suites, report.seconds)
    indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(suites, encoding="unicode")}\n'


def clean(text: str) -> str:
    """The text with escapes in place of characters that no XML may hold, such as those of a terminal."""
    return _NOT_OF_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _add_suite(suites: Element, report: Report) -> None:
    suite = SubElement(suites, "testsuite", name=clean(report.subject))
    for check in report.checks:
        _add_check(_case(suite, report, check.name), report, check)
    if not is_as_expected(report) and suite.find("testcase/failure") is None:
        case = _case(suite, report, "verdict")
        for problem in problems(report):
            kind = "failure" if report.as_expected is False else "error"
            _say(case, kind, problem.text.partition("\n")[0], problem.text, problem.rule)
    _count(suite, report.seconds)


def _case(suite: Element, report: Report, name: str) -> Element:
    file = {"file": clean(report.file)} if report.file else {}
    return SubElement(suite, "testcase", {"classname": clean(report.subject), "name": clean(name), **file})


def _add_check(case: Element, report: Report, check: ReportedCheck) -> None:
    if check.ok is None:
        SubElement(case, "skipped", message=clean(check.detail))
    elif check.ok or report.as_expected:
        SubElement(case, "system-out").text = clean(report.expectation if not check.ok else check.detail)
    elif counterexample_fails(report, check) and report.counterexample is not None:
        example = report.counterexample
        text = "\n".join([example.columns, *(f"* {sentence}" for sentence in example.story), "", example.replay])
        _say(case, "failure", check.detail, text, example.check)
    else:
        _say(case, "failure", check.detail, check.detail, check.name)


def _say(case: Element, kind: str, message: str, text: str, type_: str) -> None:
    SubElement(case, kind, message=clean(message), type=clean(type_)).text = clean(text)


def _count(parent: Element, seconds: float) -> None:
    """Enter how many cases there are, and how many went which way."""
    parent.set("tests", str(len(parent.findall(".//testcase"))))
    for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        parent.set(name, str(len(parent.findall(f".//testcase/{kind}"))))
    parent.set("time", f"{seconds:.3f}")
