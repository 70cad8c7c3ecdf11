"""A tab's machine: `python -m percpu_emu.web.machine_worker`. It reads what to run, and writes what happens."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Final

from pydantic import ValidationError

from percpu_emu.explore.model import SetupFailed
from percpu_emu.lang.source import Refused
from percpu_emu.machine import CgroupError, CgroupTree, CpuDied, Event, EventStream, Machine, StartFailed, Trapped
from percpu_emu.machine.machine import Attendant
from percpu_emu.report.run_report import report_of
from percpu_emu.scenario.dispatch import run_loaded
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import Loaded, ScenarioError, load
from percpu_emu.scenario.schema import Step
from percpu_emu.web.lines import Inbox, Message, Outbox, WrongRequest, settle_in
from percpu_emu.web.messages import Overrides
from percpu_emu.web.watched_machine import PACE, Ended, WatchedMachine

_PROGRESS_SECONDS: Final = 0.1


def main() -> None:
    """Until the input ends."""
    inbox, outbox = settle_in()
    for message in inbox:
        try:
            _run(message, inbox, outbox)
        except (WrongRequest, ScenarioError, Refused, CgroupError, CpuDied, Trapped, SetupFailed) as error:
            outbox.say({"error": str(error)})
        except (OSError, StartFailed, MemoryError) as error:
            outbox.say({"error": f"the operating system refused what the machine needs: {error}"})


def _run(message: Message, inbox: Inbox, outbox: Outbox) -> None:
    if message.get("do") != "start":
        return  # of a run that has just ended by itself
    loaded = _loaded(message)
    session = _Session(inbox, outbox)
    events = EventStream()
    events.listen(session.progress)
    start = time.monotonic()
    outbox.say(
        {"started": loaded.scenario.name, "cpus": loaded.scenario.machine.cpus, "steps": bool(loaded.scenario.steps)}
    )
    try:
        result = run_loaded(loaded, events, session.watch, session.orders)
    except Ended:
        outbox.say({"ended": True})
    else:
        outbox.say({"report": report_of(result, time.monotonic() - start).model_dump(mode="json")})


class _Session:
    """One run."""

    def __init__(self, inbox: Inbox, outbox: Outbox) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._watched: WatchedMachine | None = None
        self._told = 0.0

    def watch(self, machine: Machine, tree: CgroupTree) -> AbstractContextManager[Attendant]:
        """An observer of a machine; there is one after the other where protocols are compared."""
        self._watched = WatchedMachine(machine, tree, self._inbox, self._outbox)
        return self._watched

    def orders(self) -> list[Step]:
        """What the learner wants done."""
        return self._watched.orders() if self._watched else []

    def progress(self, event: Event) -> None:
        """Tell how far it is, not more often than a person can see; and which protocol it is."""
        if event.kind == "protocol":
            self._outbox.say({"protocol": event.fields["name"]})
        elif event.kind == "progress" and event.seconds >= self._told + _PROGRESS_SECONDS:
            self._told = event.seconds
            self._outbox.offer({"progress": event.fields})


def _loaded(message: Message) -> Loaded:
    name = message.get("scenario")
    if not isinstance(name, str) or name not in shipped():
        raise WrongRequest(f"{name!r:.60}: no scenario that ships has that name")
    try:
        overrides = Overrides.model_validate(message.get("overrides", {}))
    except ValidationError as error:
        problem = error.errors()[0]
        raise WrongRequest(f"overrides: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
    changed = overrides.model_dump(by_alias=True, exclude_none=True)
    scenario = load(name).scenario
    if scenario.steps and not message.get("plain"):
        changed["faults.inject"] = [*scenario.faults.inject, PACE]
    return load(name, changed)


if __name__ == "__main__":
    main()
