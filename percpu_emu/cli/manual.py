"""`percpu-emu help`: a topic of the reference, rendered on a terminal and plain Markdown elsewhere."""

from __future__ import annotations

import sys

import typer

from percpu_emu.cli.errors import WrongArgument
from percpu_emu.cli.reading import print_json
from percpu_emu.report.manual import topics
from percpu_emu.scenario.wording import did_you_mean


def print_topic(topic: str, seed: int | None, *, as_json: bool) -> None:
    """Print a topic, "" for the list of all. Raises WrongArgument where there is none of that name."""
    if topic and topic not in topics.names():
        near = did_you_mean(topic, topics.names()) or f"there are {', '.join(topics.TOPICS)}, and every operation"
        raise WrongArgument(f"no topic {topic!r}; {near}")
    text = topics.text_of(topic)
    if as_json:
        print_json("help", topic, {"text": text}, found=True, seed=seed)
    elif sys.stdout.isatty():
        _render(text)
    else:
        typer.echo(text.rstrip())


def _render(text: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))
