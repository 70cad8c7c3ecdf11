"""A machine that a browser watches: snapshots and events go out, and what the learner wants is done."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from percpu_emu.lang import context as c
from percpu_emu.machine import CgroupTree, Event, Machine
from percpu_emu.machine.holding import Holding
from percpu_emu.percpu import PerCpuAllocator
from percpu_emu.report.counting import cgroup_pictures
from percpu_emu.report.snapshot import Observer, as_data
from percpu_emu.scenario.schema import Step
from percpu_emu.web.lines import Inbox, Message, Outbox, WrongRequest

SNAPSHOT_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 0.02
MOST_CPUS: Final = 16
MOST_CHUNKS: Final = 12
EVENTS_PER_SECOND: Final = 40
SLOWEST_MS: Final = 2000
PACE: Final = "all=sleep:20ms"
"""The fault by which every operation takes its time; it does not happen until the learner wants it to."""
_QUIET: Final = {"progress", "machine_started", "protocol", "reading", "sample", "minute", "refused"}
_ORDERS: Final = ("rmdir", "mkdir", "offline", "online")
"""Steps of a scenario that can be asked for."""
_STEP: Final[TypeAdapter[Step]] = TypeAdapter(Step)


class Ended(Exception):
    """The learner has ended the run, or has gone."""


class WatchedMachine:
    """Watches one machine for a browser; `orders` are the steps that the learner asked for."""

    def __init__(self, machine: Machine, tree: CgroupTree, inbox: Inbox, outbox: Outbox) -> None:
        self._machine = machine
        self._tree = tree
        self._inbox = inbox
        self._outbox = outbox
        self._observer = Observer(machine, tree)
        self._holding = Holding(machine)
        self._orders: deque[Step] = deque()
        self._snapshot_at = self._look_at = 0.0
        self._allowance = float(EVENTS_PER_SECOND)
        self._left_out = 0
        self._stalls = 0
        self._made = 0

    def __enter__(self) -> WatchedMachine:
        self._machine.events.listen(self._hear)
        # The coordinator keeps its pace: it has to look round.
        self._machine.memory.blocks[self._machine.memory.coordinator, c.FAULTS] = 0
        self._machine.faults.tune(PACE, 0)
        return self

    def __exit__(self, *_: object) -> None:
        self._holding.let_all_go()
        self._machine.events.ignore(self._hear)

    def orders(self) -> list[Step]:
        """What is to be done between two steps of the scenario."""
        orders = list(self._orders)
        self._orders.clear()
        return orders

    def attend(self, now: float) -> None:
        """Look for what is wanted, and tell how things stand. Raises Ended."""
        self._holding.attend(now)
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._take()
        if now >= self._snapshot_at:
            self._allowance = min(self._allowance + EVENTS_PER_SECOND * SNAPSHOT_SECONDS, EVENTS_PER_SECOND)
            self._snapshot_at = now + SNAPSHOT_SECONDS
            self._outbox.offer({"snapshot": self.snapshot(now)})

    # --- what goes out

    def snapshot(self, now: float) -> dict[str, Any]:
        """The machine as it stands."""
        with self._holding.still() as still:
            cpus = self._observer.cpus(now, frozenset(self._holding.held))
            cgroups = cgroup_pictures(self._machine, self._tree, still=still)
        percpu = self._machine.memory.percpu
        populated = percpu.populated_map() if isinstance(percpu, PerCpuAllocator) else {}  # the guard has no chunks
        return {
            "seconds": round(self._machine.events.seconds, 2),
            "cpus": [as_data(cpu) for cpu in cpus[:MOST_CPUS]],
            "more_cpus": max(len(cpus) - MOST_CPUS, 0),
            "table": [asdict(cgroup) for cgroup in cgroups],
            "kernel": as_data(self._observer.kernel()),
            "chunks": [
                {"chunk": chunk, "pages": pages, "populated": f"{bits:0{pages}b}"[::-1]}
                for chunk, (pages, bits) in list(populated.items())[:MOST_CHUNKS]
            ],
            "more_chunks": max(len(populated) - MOST_CHUNKS, 0),
            "pages_expected": percpu.os_pages_expected(),
            "pages_held": percpu.held_pages(),
            "stalls": self._stalls,
            "events_left_out": self._left_out,
        }

    def _hear(self, event: Event) -> None:
        if event.kind == "steps_done":
            self._holding.let_all_go()
        self._stalls += event.kind == "rcu_stall"
        if event.kind in _QUIET:
            return
        if self._allowance < 1:
            self._left_out += 1
            return
        self._allowance -= 1
        self._outbox.offer({"event": {"kind": event.kind, "seconds": round(event.seconds, 2), **event.fields}})

    # --- what comes in

    def _take(self) -> None:
        try:
            for message in self._inbox.arrived():
                try:
                    self._do(message)
                except WrongRequest as error:
                    self._outbox.offer({"refused": str(error)})
        except EOFError as error:
            raise Ended from error

    def _do(self, message: Message) -> None:
        what = message.get("do")
        if what == "end":
            raise Ended
        if what == "pace":
            self._machine.faults.tune(PACE, _number(message, "ms", SLOWEST_MS) * 1_000_000)
        elif what in ("hold", "let_go"):
            cpu = _number(message, "cpu", self._machine.topology.cpus - 1)
            (self._holding.hold if what == "hold" else self._holding.let_go)(cpu)
        elif what in _ORDERS:
            self._orders.append(self._order(message))
        else:
            raise WrongRequest(
                f"{what!r:.40}: while a machine runs, it takes {', '.join(_ORDERS)}, hold, let_go, pace or end"
            )

    def _order(self, message: Message) -> Step:
        if message["do"] == "mkdir":
            self._made += 1
            message = {"do": "mkdir", "cgroup": f"yours-{self._made}", "publish": True}
        if message["do"] in ("offline", "online"):
            cpu = _number(message, "cpu", self._machine.topology.cpus - 1)
            self._holding.let_go(cpu)
            message = {"do": message["do"], "cpu": cpu}
        try:
            return _STEP.validate_python(message)
        except ValidationError as error:
            raise WrongRequest(f"{message['do']}: {error.errors()[0]['msg']}") from error


def _number(message: Message, key: str, largest: int) -> int:
    number = message.get(key)
    if type(number) is not int or not 0 <= number <= largest:
        raise WrongRequest(f"{key} is a number from 0 to {largest}")
    return number
