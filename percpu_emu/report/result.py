"""The object that every command gives with `--json`; its JSON Schema ships with the package."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class ReportedCheck(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(extra="forbid")

    name: str
    ok: bool
    detail: str


class ReportedError(BaseModel):
    """Why there is no result."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["input", "environment", "interrupted", "failed"]
    message: str


class ReportedCounterexample(BaseModel):
    """A schedule that breaks a check."""

    model_config = ConfigDict(extra="forbid")

    check: str
    token: str = Field(description="for `percpu-emu replay`")
    preemptions: int
    steps: int
    columns: str = Field(description="what each context did, side by side, as text")
    story: list[str] = Field(description="the same in sentences")
    trace: dict[str, Any] = Field(default={}, description="every step with what it read and wrote")


class Report(BaseModel):
    """What a command found."""

    model_config = ConfigDict(extra="forbid")

    command: str
    subject: str = Field(description="the scenario, or what else the command was about")
    verdict: Literal["pass", "fail", "inconclusive"]
    scope: dict[str, Any] = Field(description="what was and was not controlled, how far it got")
    checks: list[ReportedCheck]
    figures: dict[str, Any] = {}
    reduction: dict[str, Any] | None = Field(default=None, description="of `explore`: what did not need to be tried")
    counterexample: ReportedCounterexample | None = None
    notes: list[str] = []
    seed: int | None = None
    seconds: float = 0.0
    error: ReportedError | None = None


def report_schema() -> dict[str, Any]:
    """The JSON Schema of `Report`."""
    return Report.model_json_schema()
