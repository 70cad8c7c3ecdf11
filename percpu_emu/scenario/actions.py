"""What each step of a scenario does to the machine."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from percpu_emu.machine import Cgroup, CgroupError, CgroupTree, CpuDied, Event, Machine
from percpu_emu.scenario import schema
from percpu_emu.shm.awake import LONGEST_ACTION, AwakeClock

if TYPE_CHECKING:
    from percpu_emu.scenario.figures import Meter
    from percpu_emu.scenario.schema import Part, Scenario, Step

Orders: TypeAlias = "Callable[[], list[Step]]"


class Shell:
    """Goes through the steps of a scenario on one machine, as a shell script would."""

    def __init__(
        self, scenario: Scenario, machine: Machine, tree: CgroupTree, meter: Meter, orders: Orders | None = None
    ) -> None:
        """`orders` gives further steps to do, while the scenario does others for a time."""
        self._scenario = scenario
        self._orders: Orders = orders or list
        self._machine = machine
        self._tree = tree
        self._meter = meter
        self._random = random.Random(scenario.seed)
        self._task = tree.root
        self._next_cpu = itertools.cycle(range(machine.topology.cpus))
        self._task_cpu = 0
        self._named: dict[str, Cgroup] = {"": tree.root}
        self._serial = 0
        self._killed: list[int] = []
        self._folding = False
        machine.events.listen(self._hear)
        self._actions: dict[type[Part], Callable[[Any, int], None]] = {
            schema.Mkdir: self._mkdir,
            schema.Attach: self._attach,
            schema.Charge: self._charge,
            schema.Uncharge: self._uncharge,
            schema.Rmdir: self._rmdir,
            schema.Replace: self._replace,
            schema.Settle: lambda _step, _i: machine.settle(),
            schema.Wait: lambda step, _i: machine.run_for(step.seconds),
            schema.Read: lambda step, _i: meter.read(step.to),
            schema.Offline: self._offline,
            schema.Online: self._online,
            schema.Repeat: self._repeat,
            schema.AnyOf: lambda step, i: self._do_all([self._random.choice(step.steps)], i),
            schema.During: self._during,
        }

    def run(self) -> None:
        """Every step, in order."""
        self._do_all(self._scenario.steps, 1)
        self._machine.events.emit("steps_done")

    def _do_all(self, steps: list[Any], i: int) -> None:
        for step in steps:
            self._actions[type(step)](step, i)

    def _repeat(self, step: schema.Repeat, _i: int) -> None:
        times = self._scenario.cgroups if step.times == "cgroups" else step.times
        for number in range(1, times + 1):
            self._do_all(step.steps, number)
            self._machine.events.emit("progress", done=number, of=times)

    def _during(self, step: schema.During, _i: int) -> None:
        seconds = self._scenario.seconds if step.seconds == "seconds" else step.seconds
        awake = AwakeClock(gap=LONGEST_ACTION)
        for number in itertools.count(1):
            passed = awake()
            self._machine.events.emit("progress", done=min(passed, seconds), of=seconds)
            if passed >= seconds:
                return
            self._do_all(step.steps, number)
            self._obey()
            self._machine.poll_or_sleep()
            self._revive()

    def _obey(self) -> None:
        """An order by hand may be impossible: it is reported, and the run goes on."""
        for order in self._orders():
            try:
                self._do_all([order], self._serial)
            except (CgroupError, CpuDied) as error:
                self._machine.events.emit("not_done", order=order.do, reason=str(error))

    def _hear(self, event: Event) -> None:
        if event.kind == "cpu_died":
            self._killed.append(event.fields["cpu"])
            self._meter.count("killed")
        elif event.kind == "cpu_dead":
            self._folding = True
            pending = any(cgroup.state == "offline" for cgroup in self._tree.living())
            self._meter.count("folds_with_release_pending", int(pending and self._machine.protocol.release is not None))
        elif event.kind == "cpu_offline":
            self._folding = False
        elif event.kind == "released":
            self._meter.count("releases_during_fold", int(self._folding))
        elif event.kind == "rcu_stall":
            self._meter.count("stalls")

    def _revive(self) -> None:
        """Bring the CPUs up again that a fault of the scenario has killed."""
        killed, self._killed = self._killed, []
        if self._scenario.faults.inject and self._scenario.faults.revive:
            for cpu in killed:
                self._bring_up(cpu)

    # --- cgroups

    def _path(self, path: str, i: int) -> str:
        return "" if path == "." else path.replace("{i}", str(i))

    def _mkdir(self, step: schema.Mkdir, i: int) -> None:
        path = self._path(step.cgroup, i)
        if not path:
            raise CgroupError("/: it exists already: it is the root")
        cgroup = self._tree.mkdir(path)
        self._named[cgroup.path] = cgroup
        if step.publish:
            self._tree.table.add(cgroup)

    def _attach(self, step: schema.Attach, i: int) -> None:
        self._task = self._tree.find(self._path(step.cgroup, i))
        self._task_cpu = self._any_cpu()

    def _any_cpu(self) -> int:
        if not self._machine.cpus.online:
            self._machine.poll()
            self._revive()
        online = self._machine.cpus.online
        if not online:
            raise CpuDied("no CPU is left online")
        return next(cpu for cpu in self._next_cpu if cpu in online)

    def _charge(self, step: schema.Charge, i: int) -> None:
        if self._task_cpu not in self._machine.cpus.online:
            self._task_cpu = self._any_cpu()  # a task moves when its CPU goes down
        cgroup = self._tree.find(self._path(step.cgroup, i)) if step.cgroup else self._task
        if self._task_cpu not in self._machine.cpus.online:
            self._task_cpu = self._any_cpu()
        for _ in range(step.objects):
            self._on_a_cpu(self._task_cpu, lambda cpu: self._tree.charge(cgroup, step.kind, cpu, step.user))

    def _uncharge(self, step: schema.Uncharge, i: int) -> None:
        path = self._path(step.cgroup, i)
        if path not in self._named:
            raise CgroupError(f"{path or '/'}: this scenario made no such cgroup")
        for pin in list(self._named[path].pins):
            self._on_a_cpu(self._any_cpu(), lambda cpu, pin=pin: self._tree.uncharge(pin, cpu))  # type: ignore[misc]

    def _on_a_cpu(self, cpu: int, do: Callable[[int], object]) -> None:
        """Have a CPU do something; another one where it is down, or dies of a fault, which strikes between errands."""
        if cpu not in self._machine.cpus.online:
            cpu = self._any_cpu()
        try:
            do(cpu)
        except CpuDied:
            if not self._machine.config.may_kill:
                raise
            self._on_a_cpu(self._any_cpu(), do)

    def _rmdir(self, step: schema.Rmdir, i: int) -> None:
        self._remove(self._tree.find(self._path(step.cgroup, i)))

    def _remove(self, cgroup: Cgroup) -> None:
        if cgroup is self._task:
            raise CgroupError(f"{cgroup.path or '/'}: busy: the task is in it")
        self._tree.rmdir(cgroup)

    def _replace(self, _step: schema.Replace, _i: int) -> None:
        table, protocol = self._tree.table, self._machine.protocol
        gone = "released" if protocol.release else "offline"
        for index in range(len(table)):
            cgroup = table.entry(index)
            if cgroup is None or cgroup.state in (gone, "freed"):
                self._serial += 1
                table.put(index, self._tree.mkdir(f"storm-{self._serial}"))
            elif cgroup.state == "online":
                self._remove(cgroup)
            self._machine.poll()

    # --- hotplug

    def _offline(self, step: schema.Offline, _i: int) -> None:
        online = self._machine.cpus.online
        candidates = [cpu for cpu in online if cpu != 0] if step.cpu == "random" else [step.cpu]
        if len(online) > 1 and candidates and (cpu := self._random.choice(candidates)) in online:
            self._machine.offline_cpu(cpu)
            self._meter.count("offlined")

    def _online(self, step: schema.Online, _i: int) -> None:
        offline = [cpu for cpu in range(self._machine.topology.cpus) if cpu not in self._machine.cpus.online]
        candidates = offline if step.cpu == "random" else [step.cpu]
        if candidates and (cpu := self._random.choice(candidates)) in offline:
            self._bring_up(cpu)
            self._meter.count("onlined")

    def _bring_up(self, cpu: int) -> None:
        self._machine.online_cpu(cpu)
        self._meter.start_workers([cpu])
