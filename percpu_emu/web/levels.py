"""The levels of the game: broken protocols, and some that cannot be broken."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from pydantic import Field

from percpu_emu.web.lessons import Part


class Level(Part):
    """A scenario with a table `explore`, and what the learner is to do to it. Whether it can be done is not said."""

    scenario: str
    title: str
    goal: str


class _Levels(Part):
    level: list[Level] = Field(min_length=1)


@cache
def levels() -> tuple[Level, ...]:
    """From simple to hard."""
    text = (files("percpu_emu.web") / "levels.toml").read_text(encoding="utf-8")
    return tuple(_Levels.model_validate(tomllib.loads(text)).level)
