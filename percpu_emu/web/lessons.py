"""The lessons: each is one file of words, the scenarios that it shows, and what it claims of them."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from markdown_it import MarkdownIt
from pydantic import BaseModel, ConfigDict, Field, model_validator


class Part(BaseModel):
    """A part of a lesson file."""

    model_config = ConfigDict(extra="forbid")


class Choice(Part):
    """An answer that can be predicted."""

    text: str
    because: str = Field(description="what is said of it after the choice")


class Prediction(Part):
    """A question that is asked before anything is shown."""

    question: str
    options: list[Choice] = Field(min_length=2, max_length=4)
    right: int = Field(ge=0, description="which of them, from 0")

    @model_validator(mode="after")
    def _one_is_right(self) -> Self:
        if self.right >= len(self.options):
            raise ValueError(f"right: found {self.right}, allowed: 0 to {len(self.options) - 1}")
        return self


class Pair(Part):
    """A broken program and its fixed version: names of scenarios with a table `explore`."""

    title: str
    broken: str
    fixed: str


class Order(Part):
    """One of the orders that the learner may try."""

    label: str
    scenario: str


class Run(Part):
    """A scenario on the running machine."""

    scenario: str
    label: str
    overrides: dict[str, int | float | list[str]] = {}
    watch: str = Field(default="", description="what to watch for, in a sentence or two")


class Bar(Part):
    """A bar of a chart: a run, and which group it belongs to."""

    scenario: str
    label: str
    overrides: dict[str, int | float] = {}
    group: Literal["first", "second"]


class Chart(Part):
    """Runs, one after the other, and the figure of each."""

    title: str
    figure: str
    unit: str
    bars: list[Bar] = Field(min_length=2)


class ExploreClaim(Part):
    """What the search says of a scenario."""

    kind: Literal["explore"]
    scenario: str
    verdict: Literal["pass", "fail"]
    check: str | None = None
    preemptions: int | None = None


class RunClaim(Part):
    """The result of a run of a scenario."""

    kind: Literal["run"]
    scenario: str
    overrides: dict[str, int | float | list[str]] = {}
    verdict: Literal["pass", "fail"]
    at_least: dict[str, float] = {}
    """Figures by their path (`patched.after.percpu_kb`)."""
    more: list[tuple[str, str]] = Field(default=[], description="pairs of figures: the first is larger than the second")


Claim = Annotated[ExploreClaim | RunClaim, Field(discriminator="kind")]


class Lesson(Part):
    """A lesson file. Texts are Markdown, in which HTML is not let through."""

    number: int = Field(ge=1)
    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    ask: str = Field(description="what the lesson answers")
    text: str
    prediction: Prediction
    pairs: list[Pair] = Field(min_length=1)
    orders: list[Order] = []
    after: str
    runs: list[Run] = []
    chart: Chart | None = None
    claims: list[Claim] = Field(min_length=1)

    @property
    def scenarios(self) -> set[str]:
        """Every one that it names."""
        named = [*self.runs, *self.orders, *self.claims, *(self.chart.bars if self.chart else [])]
        pairs = [name for pair in self.pairs for name in (pair.broken, pair.fixed)]
        return {*(part.scenario for part in named), *pairs}


def parse_lesson(text: str) -> Lesson:
    """A lesson from its file. Raises ValueError that says what is wrong."""
    return Lesson.model_validate(tomllib.loads(text))


@cache
def lessons() -> tuple[Lesson, ...]:
    """All of them, in order."""
    folder = files("percpu_emu.web") / "lessons"
    texts = [path.read_text(encoding="utf-8") for path in folder.iterdir() if path.name.endswith(".toml")]
    return tuple(sorted(map(parse_lesson, texts), key=lambda lesson: lesson.number))


def lesson_json(lesson: Lesson) -> dict[str, Any]:
    """For the page: its texts as HTML; what it claims is the tests' business."""
    data = lesson.model_dump(exclude={"claims"})
    return {**data, "text": _html(lesson.text), "after": _html(lesson.after)}


def _html(markdown: str) -> str:
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown))
