"""A schedule that is played, as plain data for the stepper: its trace, and what can come next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from percpu_emu.report.effects import enumeration
from percpu_emu.report.glossary import meanings
from percpu_emu.report.labels import Labels, number
from percpu_emu.report.trace_json import trace_dict

if TYPE_CHECKING:
    from percpu_emu.lang.trace import Obstacle
    from percpu_emu.scenario.playing import Option, Played


def played_dict(played: Played) -> dict[str, Any]:
    """`trace_dict` with the programs of what comes next among its sources; the glossary; `next`, an entry each."""
    labels = Labels(played.trace)
    ahead = [option.site for option in played.options if option.site]
    data = trace_dict(played.trace, ahead)
    places = {(source["program"], source["file"]): at for at, source in enumerate(data["sources"])}
    return {
        **data,
        "glossary": meanings(),
        "choices": list(played.schedule),
        "preemptions": played.preemptions,
        "next": [_option(played, labels, option, places) for option in played.options],
    }


_OF_SITE: Final = {"fails": "{} fails", "load": "the load of {}"}
"""What of an operation a choice does, where it does not do it as usual."""


def _option(played: Played, labels: Labels, option: Option, places: dict[tuple[str, str], int]) -> dict[str, Any]:
    actor = labels.actor_of(option.context, len(played.trace.steps))
    assert actor is not None, "a played trace has everyone"
    site = option.site
    return {
        "context": actor,
        "who": labels.who(actor),
        "choice": option.choice,
        "text": _OF_SITE.get(option.op, "{}").format(site.text) if site else _event(played, option, actor),
        "why_not": why_not(labels, option.obstacle, len(played.trace.steps)) if option.obstacle else "",
        "source": places.get((site.program, site.file.rpartition("/")[2])) if site else None,
        "line": site.line if site else None,
    }


def _event(played: Played, option: Option, actor: int) -> str:
    cpu = played.trace.contexts[actor].cpu
    events = {
        "migrate": f"moves to CPU {option.cpu}",
        "kill": f"CPU {cpu} is killed",
        "offline": f"CPU {cpu} goes offline",
    }
    return events.get(option.op, "")


def why_not(labels: Labels, obstacle: Obstacle, step: int) -> str:
    """In words, after the context's name."""
    actors = (labels.actor_of(context, step) for context in obstacle.contexts)
    who = enumeration([labels.who(actor) for actor in actors if actor is not None]) or "another context"
    many = len(obstacle.contexts) > 1
    return {
        "over": "is over",
        "grace period": f"waits for a grace period: {who} {'are' if many else 'is'} in a read-side section",
        "callbacks": f"waits for {who}",
        "earlier interrupt": f"waits: {who} came first",
        "interrupts off": f"cannot come: interrupts are off on CPU {obstacle.cpu}",
        "interrupt": f"waits: {who} {'have' if many else 'has'} to end first",
        "preemption off": f"waits: {who} has CPU {obstacle.cpu}, and may not be preempted now",
        "word": f"waits until {labels.word(obstacle.address)} is {number(obstacle.value)}",
        "busy": f"waits until CPU {obstacle.cpu} can be stopped: {who} is in a section or an interrupt there",
        "off line": f"cannot go on there: CPU {obstacle.cpu} is off line",
        "mid-turn": f"waits until CPU {obstacle.cpu} is between two programs: {who} is in the middle of one",
    }[obstacle.reason]
