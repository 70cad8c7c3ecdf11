"""What a tab may send over its socket, by declared types. What does not fit reaches no process."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]*$", max_length=80)]
Number: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 53)]
"""As exact as a number of JavaScript."""


MOST_CHOICES: Final = 4000
"""More than a schedule may have (`scenario.playing`), which says so itself."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class ToExplorer(_Message):
    """A question about a protocol (`web.answers`)."""

    to: Literal["explorer"]
    id: Number
    ask: Literal["trace", "play", "explore"]
    scenario: Name = ""
    token: Annotated[str, Field(pattern=r"^[\x21-\x7e]*$", max_length=20_000)] = ""
    choices: Annotated[list[Annotated[int, Field(ge=0, lt=1 << 16)]], Field(max_length=MOST_CHOICES)] = []


class Overrides(_Message):
    """What a browser may change of a scenario, and within which limits."""

    cpus: int | None = Field(default=None, alias="machine.cpus", ge=1, le=16)
    cgroups: int | None = Field(default=None, ge=1, le=1000)
    seconds: float | None = Field(default=None, gt=0, le=3600)
    seed: int | None = Field(default=None, ge=0, lt=1 << 62)
    protocols: Annotated[list[Name], Field(max_length=8)] | None = None


class ToMachine(_Message):
    """A command for a machine (`web.machine_worker`, `web.watched_machine`)."""

    to: Literal["machine"]
    do: Literal["start", "end", "pace", "hold", "let_go", "mkdir", "rmdir", "offline", "online"]
    scenario: Name = ""
    overrides: Overrides = Overrides()
    plain: bool = False
    cpu: Number = 0
    ms: Number = 0
    cgroup: Name = ""


_ANY: Final[TypeAdapter[ToExplorer | ToMachine]] = TypeAdapter(
    Annotated[ToExplorer | ToMachine, Field(discriminator="to")]
)


class WrongMessage(ValueError):
    """A message that fits no type, in a sentence."""


def parsed(text: str) -> tuple[str, dict[str, Any]]:
    """Whom a message is for, and what it says, without what was left out. Raises WrongMessage."""
    try:
        message = _ANY.validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in problem["loc"][1:])
        raise WrongMessage(f"a message does not fit: {where}: {problem['msg']:.200}".replace(": : ", ": ")) from error
    return message.to, message.model_dump(exclude={"to"}, exclude_unset=True, by_alias=True)
