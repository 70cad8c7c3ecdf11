"""`percpu-emu quiz`: a run with question marks, asked about on a terminal, answered on demand."""

from __future__ import annotations

import sys

import typer

from percpu_emu.cli.reading import print_json
from percpu_emu.report.columns import columns
from percpu_emu.report.quiz import Question, questions, quiz_page
from percpu_emu.scenario.load import load
from percpu_emu.scenario.quizzing import quiz_trace
from percpu_emu.scenario.subjects import subject_of


def quiz(name: str, seed: int | None, *, answers: bool, as_json: bool) -> None:
    """Print the page; with `answers` what it was; on a terminal, ask."""
    trace = quiz_trace(subject_of(load(name)), seed)
    asked = questions(trace)
    if as_json:
        found = [{"step": one.step, "text": one.text, "answer": one.answer} for one in asked]
        print_json("quiz", name, {"page": quiz_page(trace), "questions": found}, found=True, seed=seed)
        return
    typer.echo(quiz_page(trace))
    if answers:
        typer.echo(columns(trace))
        typer.echo("\n".join(_answer(one) for one in asked))
    elif sys.stdin.isatty():
        _ask(asked)
    else:
        typer.echo(f"The answers: percpu-emu quiz {name} --answers{'' if seed is None else f' --seed {seed}'}")


def _ask(asked: list[Question]) -> None:
    """One after the other; an empty line gives the answer away."""
    right = 0
    typer.echo("Type the value, or both (0 -> 1); Enter shows it, Ctrl-C ends.")
    for one in asked:
        typed = input(f"  step {one.step}: {one.text}  " if one.step else f"  {one.text}\n  ")
        right += one.accepts(typed)
        typer.echo("    right" if one.accepts(typed) else f"    {one.answer}")
    of = sum(bool(one.values) for one in asked)
    typer.echo(f"{right} of {of} values right")


def _answer(one: Question) -> str:
    return f"step {one.step}: {one.answer}" if one.step else f"{one.text} {one.answer}"
