"""What a tab asks about a protocol: a schedule step by step, and what the search says of all of them."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from percpu_emu.explore.model import SetupFailed
from percpu_emu.explore.search import Budget
from percpu_emu.explore.strategies import Explored, Options, explore
from percpu_emu.explore.subject import Subject
from percpu_emu.explore.token import BadToken, Token
from percpu_emu.explore.tracing import NotPossible
from percpu_emu.report.played import played_dict
from percpu_emu.scenario.exploration import checks_of, cut_short, verdict
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import ScenarioError, load
from percpu_emu.scenario.playing import Player, TooLong
from percpu_emu.scenario.replaying import subject_of_token
from percpu_emu.scenario.subjects import subject_of
from percpu_emu.web.lines import Message, WrongRequest

BUDGET: Final = Budget(seconds=30.0, megabytes=1024)


def answered(request: Message) -> Message:
    """The answer to a request, or what is wrong with it."""
    number = request.get("id")
    try:
        return {**_answer(request), "id": number}
    except (WrongRequest, BadToken, NotPossible, TooLong, ScenarioError, SetupFailed) as error:
        return {"error": str(error), "id": number}


def _answer(request: Message) -> Message:
    asked = {"trace": _trace, "play": _play, "explore": _explore}.get(str(request.get("ask")))
    if asked is None:
        raise WrongRequest("ask is trace, play or explore")
    return asked(request)


def _trace(request: Message) -> Message:
    """A token's schedule; of a scenario the smallest counterexample, where there is none the plain schedule."""
    if "token" in request:
        token = _token(request)
        player = _player(token)
        return played_dict(player.play(player.schedule_of(token)))
    example = _explored(_name(request.get("scenario"))).counterexample
    if example is not None:
        return played_dict(_player(Token.parse(example.token)).play(example.schedule))
    player = _player(_of_a_scenario(request))
    return played_dict(player.play(player.plain()))


def _play(request: Message) -> Message:
    """These choices from the start, of a scenario, or of what a token is about."""
    choices = request.get("choices")
    if not isinstance(choices, list) or not all(type(choice) is int and choice >= 0 for choice in choices):
        raise WrongRequest("choices is a list of numbers")
    return played_dict(_player(_token(request) if "token" in request else _of_a_scenario(request)).play(choices))


def _explore(request: Message) -> Message:
    """What the exhaustive search says."""
    explored = _explored(_name(request.get("scenario")))
    example = explored.counterexample
    said: dict[str, Any] = {
        "verdict": verdict(explored, checks_of(explored)),
        "states": explored.figures["states"],
        "seconds": explored.figures["search_seconds"],
        "scope": _scope(explored.subject),
        "detail": cut_short(explored) or "",
    }
    if example is None:
        return said
    return {
        **said,
        "check": example.check,
        "detail": example.trace.violation.detail if example.trace.violation else "",
        "missing": explored.subject.missing,
        "preemptions": example.preemptions,
        "token": example.token,
    }


def _scope(subject: Subject) -> str:
    """Of which machine the verdict is."""
    setting = subject.setting
    runs = sum(spec.turns for spec in setting.contexts)
    constants = "".join(f", {name} = {value}" for name, value in setting.constants.items())
    cpus = "1 CPU" if setting.cpus == 1 else f"{setting.cpus} CPUs"
    return f"{cpus}, {len(setting.contexts)} contexts that run their programs {runs} times in all{constants}"


def _name(name: object) -> str:
    """A name of a scenario that ships: what a browser asks for is no path."""
    if not isinstance(name, str) or name not in shipped():
        raise WrongRequest(f"{name!r:.60}: no scenario that ships has that name")
    return name


def _of_a_scenario(request: Message) -> Token:
    return Token(_name(request.get("scenario")), (), "")


def _token(request: Message) -> Token:
    token = Token.parse(str(request["token"]))
    _name(token.scenario)
    return token


def _player(token: Token) -> Player:
    """For what a token is about. Raises WrongRequest for one of other programs."""
    player = _kept(token.scenario, token.turns, token.cpus)
    if token.digest and token.digest != player.digest:
        raise WrongRequest(f"the link is about other programs than {token.scenario} has now")
    return player


@cache
def _kept(scenario: str, turns: tuple[int, ...] | None, cpus: int | None) -> Player:
    return Player(subject_of_token(Token(scenario, (), "", turns, cpus)))


@cache
def _explored(name: str) -> Explored:
    return explore(subject_of(load(name)), Options(budget=BUDGET))
