"""The object that every command gives with `--json`; its JSON Schema ships with the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from percpu_emu.scenario.wording import encodable

if TYPE_CHECKING:
    from percpu_emu.scenario.verdict import Check


Said: TypeAlias = Annotated[str, BeforeValidator(encodable)]
"""A text that may hold a path."""


class ReportedCheck(BaseModel):
    """One property and its result."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="what it is called; `percpu-emu help checks` lists them")
    ok: bool | None = Field(description="null: not judged, for the reason in detail")
    detail: str = Field(description="what holds, what is wrong, or why it is not judged")


class ReportedError(BaseModel):
    """Why there is no result."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["input", "environment", "interrupted", "failed", "fault"] = Field(
        description="the class of the error; `fault` is one of percpu-emu itself"
    )
    message: Said = Field(description="one sentence, as on stderr")


class ReportedPlace(BaseModel):
    """A line of a program."""

    model_config = ConfigDict(extra="forbid")

    program: str = Field(description="the program's name")
    file: Said = Field(description="path of its file")
    line: int = Field(description="counted from 1")
    text: str = Field(description="the operation, as it stands there")


class ReportedCounterexample(BaseModel):
    """A schedule that breaks a check."""

    model_config = ConfigDict(extra="forbid")

    check: str = Field(description="the check that fails")
    token: str = Field(description="for `percpu-emu replay`")
    preemptions: int = Field(description="how often a context is stopped for another one")
    steps: int = Field(description="how many steps the schedule has")
    columns: str = Field(description="what each context did, side by side, as text")
    story: list[str] = Field(description="the same in sentences")
    replay: str = Field(default="", description="the command that replays it")
    blamed: list[ReportedPlace] = Field(default=[], description="where the steps to blame stand in the programs")
    trace: dict[str, Any] = Field(default={}, description="every step with what it read and wrote")


class Report(BaseModel):
    """The result of a command."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = Field(default=1, description="of this object: it changes where a key changes its meaning")
    command: str = Field(description="the command, without its arguments")
    subject: Said = Field(description="the scenario, or what else the command was about")
    file: Said = Field(default="", description="path of the scenario; empty where it was not loaded")
    verdict: Literal["pass", "fail", "inconclusive"] = Field(
        description="the result; `percpu-emu help verdict` says what each means"
    )
    scope: dict[str, Any] = Field(description="what was and was not controlled, how far it got")
    checks: list[ReportedCheck] = Field(description="every property that was looked at, with its result")
    figures: dict[str, Any] = Field(default={}, description="what was counted; `percpu-emu help figures` lists them")
    reduction: dict[str, Any] | None = Field(default=None, description="of `explore`: what did not need to be tried")
    counterexample: ReportedCounterexample | None = Field(
        default=None, description="a schedule that breaks a check; null: none was found"
    )
    as_expected: bool | None = Field(
        default=None, description="whether the check that failed is the one that the scenario expects; null: none is"
    )
    expectation: str = Field(default="", description="the same in words; empty where as_expected is null")
    notes: list[str] = Field(default=[], description="what a reader should know beside")
    seed: int | None = Field(default=None, description="of all random choices; null: none was given")
    seconds: float = Field(default=0.0, description="how long the command took")
    error: ReportedError | None = Field(default=None, description="why there is no result; null: there is one")
    scenarios: list[Report] = Field(
        default=[],
        description="of several scenarios: the object of each; only an unexpected failure has the trace of its steps",
    )


def reported(checks: Sequence[Check]) -> list[ReportedCheck]:
    """Checks as a report has them."""
    return [ReportedCheck(name=check.name, ok=check.ok, detail=check.detail) for check in checks]


def report_schema() -> dict[str, Any]:
    """The JSON Schema of `Report`."""
    return Report.model_json_schema()
