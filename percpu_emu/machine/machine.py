"""The machine: CPU processes, shared memory, and the coordinator that serves, removes and waits.

The coordinator is the calling process. It has no thread: it looks round (`poll`) whenever it waits for something,
which is when requests of CPUs are answered, grace periods end, callbacks run and dead CPUs are found.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from typing import Final, NoReturn, Protocol, Self

from percpu_emu.lang import context as c
from percpu_emu.lang.modules import load_compiled
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.service import ProgramFault
from percpu_emu.machine.chaos import Chaos, Stops
from percpu_emu.machine.config import MachineConfig, image_of, texts_of
from percpu_emu.machine.coordinator import Coordinator
from percpu_emu.machine.cpu import Command, Ending
from percpu_emu.machine.cpus import CpuProcesses, Dead
from percpu_emu.machine.deaths import Doubt, doubts_of
from percpu_emu.machine.events import EventStream
from percpu_emu.machine.faults import FaultTable, loops_per_ms, points_of, reach_function
from percpu_emu.machine.interrupts import Interrupter
from percpu_emu.machine.memory import MachineMemory
from percpu_emu.machine.requests import Requests
from percpu_emu.machine.signals import signals
from percpu_emu.machine.traps import TrapHandler
from percpu_emu.shm import SignalsHeld
from percpu_emu.shm.awake import AwakeClock

REAP_SECONDS: Final = 0.01
SLEEP_US: Final = 10_000
GRACE_PERIOD_LOOKS: Final = 100
GRACE_PERIOD_SLEEP_US: Final = 100
SPIN_US: Final = 20


class Attendant(Protocol):
    """What wants to be called each time that the coordinator looks round."""

    def attend(self, now: float) -> None:
        """Do what is due at that time (of `time.monotonic`)."""


class Trapped(RuntimeError):
    """Memory was touched that is not there: by whom, what it was, and who freed it. The machine is of no use then."""


class CpuDied(RuntimeError):
    """A CPU's process ended while it ran a program for the coordinator."""


class Machine:
    """A running machine; a context manager that leaves nothing behind, however it is left."""

    def __init__(self, config: MachineConfig, events: EventStream | None = None) -> None:
        self.config = config
        self.topology = config.topology
        self.protocol = config.protocol
        self.events = events or EventStream()
        self.image = image_of(config)
        for fault in config.faults:
            points_of(fault, self.image.sites)
        self._prepare()
        layout = config.profile.layout(config.topology.cpus_per_node)
        self.memory = MachineMemory(
            config.topology,
            layout,
            self._who,
            guard=config.guard,
            depopulates=config.profile.percpu.depopulates,
        )
        try:
            self.faults = FaultTable(config.faults, self.image.sites)
        except BaseException:
            self.memory.close()
            raise
        self.cpus = CpuProcesses(self.memory, self.image, config.interrupts)
        self.rcu = config.rcu(self.memory, self.events, config.stall_seconds, self.cpus.whereabouts)
        self.doubts: list[Doubt] = []
        self._requests = Requests(self.memory, self.image, self.events, self.rcu, self._deliver)
        self.coordinator = Coordinator(self.memory, self.image, self._answer_directly, self._look_for_a_trap)
        self._reap_at = 0.0
        self._trap: Trapped | None = None
        self.chaos = Chaos(self.cpus, config.chaos) if config.chaos is not None else None
        self.stops = Stops(self.memory, self.cpus, self.chaos)
        interrupter = Interrupter(self.memory, self.cpus, config.interrupts)
        self._attendants: list[Attendant] = [self.stops, interrupter, *([self.chaos] if self.chaos else [])]
        self._set_up_faults()
        self._traps: TrapHandler | None = None

    def __enter__(self) -> Self:
        try:
            for cpu in range(self.topology.cpus):
                self.cpus.start(cpu)
            self._traps = TrapHandler(self.memory.block_address(self.memory.coordinator), self.memory.guarded)
        except BaseException:
            self.close()
            raise
        self.memory.set_online(self.cpus.online)
        self.events.emit("machine_started", cpus=self.topology.cpus, nodes=self.topology.nodes)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        """Compile what CPUs need, or load it, before one is forked: that takes 5 ms then, instead of 50.

        The first time it takes some 15 seconds. Two processors at once took longer: each has to compile the primitives.
        """
        texts = texts_of(self.config, self.image)
        for done, text in enumerate(texts):
            self.events.emit("progress", done=done, of=len(texts), what="preparing programs, the first time only")
            load_compiled(text)

    def close(self) -> None:
        """End every CPU process and give the memory back, whatever signal comes meanwhile."""
        with SignalsHeld():
            if self._traps:
                self._traps.remove()
            if self.chaos:
                self.chaos.end()
            self.memory.header[c.STOP] = 1
            self.cpus.end(self.cpus.online)
            self.memory.close()
            self.faults.close()

    # --- running programs

    def execute(self, function: ProgramFunction, *arguments: int) -> int:
        """Run a program in the coordinator; its result."""
        return self.coordinator.execute(function, *arguments)

    @property
    def has_more_to_run(self) -> bool:
        """Whether callbacks or work are due."""
        return self.rcu.due or bool(self.coordinator.work)

    @property
    def requester(self) -> int:
        """Number of the context whose request for memory is being answered."""
        return self._requests.requester

    def run_on(self, cpu: int, function: ProgramFunction, *arguments: int) -> int:
        """Have a CPU run a program once, between two turns of its worker; its result."""
        self.wait_for(lambda: self.cpus.is_ready(cpu) or cpu not in self.cpus.online)
        if cpu not in self.cpus.online:
            raise CpuDied(f"CPU {cpu} is offline: it cannot run {function.__name__}")
        number = self.cpus.run(cpu, function, *arguments)
        self.wait_for(lambda: self.cpus.done(cpu, number) or cpu not in self.cpus.online)
        if not self.cpus.done(cpu, number):
            raise CpuDied(f"CPU {cpu} died while it ran {function.__name__}")
        if self.memory.blocks[cpu, c.RESULT + 1] != Ending.DONE:
            raise ProgramFault(f"{function.__name__} on CPU {cpu} asked for something that was refused")
        return int(self.memory.blocks[cpu, c.RESULT])

    def set_working(self, cpu: int, worker: int, table: int, stretch: int, rest_us: int) -> None:
        """Have a CPU run a worker's turns: `stretch` at a time, resting `rest_us` microseconds in between."""
        self.cpus.command(cpu, Command.WORK, worker, table, stretch, rest_us)

    def rest(self) -> None:
        """Stop every CPU's worker; all CPUs are idle when this returns."""
        numbers = {cpu: self.cpus.command(cpu, Command.REST) for cpu in self.cpus.online}
        self.wait_for(
            lambda: all(self.cpus.done(cpu, number) for cpu, number in numbers.items() if cpu in self.cpus.online)
        )

    # --- waiting

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Look round until `done()`."""
        while not done():
            self.poll_or_sleep()

    def settle(self) -> None:
        """Look round until no callback and no work is left: every release that is due has happened."""
        self.wait_for(lambda: self.settled)
        self._look_for_a_trap()

    @property
    def settled(self) -> bool:
        """Whether no callback and no work is left."""
        return self.rcu.idle and not self.coordinator.work and not self._requests.waiting()

    def run_for(self, seconds: float) -> None:
        """Look round for a while."""
        awake = AwakeClock()
        self.wait_for(lambda: awake() >= seconds)

    def poll_or_sleep(self) -> None:
        """Look round once; where there was nothing to do, sleep until the doorbell rings or a short sleep is over."""
        bell = int(self.memory.header[c.DOORBELL])
        if self.poll():
            return
        if self.rcu.in_progress:
            if self.rcu.advance(GRACE_PERIOD_LOOKS):
                return
            signals().wait(self._doorbell, bell, GRACE_PERIOD_SLEEP_US)
        else:
            signals().wait(self._doorbell, bell, SLEEP_US)

    def poll(self, *, run: bool = True) -> bool:
        """Do what is due now; whether there was anything. Without `run`, callbacks and work wait."""
        self._look_for_a_trap()
        self._bury_the_dead()
        now = time.monotonic()
        for attendant in self._attendants:
            attendant.attend(now)
        busy = self._requests.drain_rings() > 0
        busy |= self._requests.answer_requests() > 0
        busy |= self.rcu.advance()
        if run:
            busy |= self.rcu.run_ready() > 0
            busy |= self.coordinator.run_work() > 0
        if self.memory.percpu.balance_pending:
            self.memory.percpu.balance()
            busy = True
        return busy

    # --- CPU hotplug

    def offline_cpu(self, cpu: int) -> None:
        """Take a CPU down: its process ends between two programs, then its slots are folded (CPUHP_MM_MEMCQ_DEAD)."""
        dead = self.cpus.leave(cpu, self.wait_for)
        if dead.exitcode != 0:  # a fault was faster
            self._bury(dead)
            return
        self.memory.set_online(self.cpus.online)
        self.events.emit("cpu_dead", cpu=cpu)
        if self.config.control_cpu and (others := self.cpus.online):
            self.run_on(self._random.choice(others), self.protocol.cpu_dead, cpu)
        else:
            self.execute(self.protocol.cpu_dead, cpu)
        self.events.emit("cpu_offline", cpu=cpu)

    def online_cpu(self, cpu: int) -> None:
        """Bring a CPU up: a new process."""
        self.cpus.start(cpu)
        self.memory.set_online(self.cpus.online)
        self.events.emit("cpu_online", cpu=cpu)

    def _bury_the_dead(self) -> None:
        now = time.monotonic()
        if now < self._reap_at:
            return
        self._reap_at = now + REAP_SECONDS
        for dead in self.cpus.reap():
            self._bury(dead)

    def _bury(self, dead: Dead) -> None:
        """A CPU's process has ended where it stood: note what is in doubt, fold its slots."""
        cpu = dead.cpu
        if self.memory.blocks[cpu, c.TRAP_SIGNAL] and not self.config.traps:
            self._trapped(cpu, dead.where)
        doubts = doubts_of(self.memory, cpu)
        self.doubts += doubts
        said = [str(doubt) for doubt in doubts]
        wanted = self.config.may_kill and dead.exitcode == -signal.SIGKILL
        self.events.emit("cpu_died", cpu=cpu, exitcode=dead.exitcode, doubts=said, wanted=wanted)
        self._requests.drain_ring(cpu)
        self._requests.drain_ring(self.memory.interrupt(cpu))
        self.memory.set_online(self.cpus.online)
        self.execute(self.protocol.cpu_dead, cpu)

    def attend(self, attendant: Attendant) -> None:
        """Have it called from now on each time that the coordinator looks round."""
        self._attendants.append(attendant)

    @property
    def refusal(self) -> str:
        """Why the last request for memory was not met, "" if all were."""
        return self._requests.refusal

    # --- the guard

    def _who(self) -> str:
        """Who is asking for per-CPU memory, or giving it back, and when."""
        number = self._requests.requester
        on_cpu = number != self.memory.coordinator
        program = self.coordinator.running.__name__ if self.coordinator.running else "the machine"
        who = self.cpus.whereabouts(number) if on_cpu else f"{program} on the coordinator{self._at()}"
        return f"{who}, {self.events.seconds:.3f} s after the start, after grace period {self.rcu.done}"

    def _at(self, word: int = c.AT) -> str:
        at = int(self.memory.blocks[self.memory.coordinator, word])
        return f" at {self.image.sites[at - 1]}" if at else ""

    def _look_for_a_trap(self) -> None:
        """Raise Trapped where an access of the coordinator's own has trapped: by a program, or between two."""
        if self.memory.blocks[self.memory.coordinator, c.TRAP_SIGNAL]:
            program = (
                f"{self.coordinator.running.__name__}, run by"
                if self.coordinator.running
                else "outside of any program,"
            )
            at = self._at(c.TRAP_AT) if self.coordinator.running else ""
            self._trapped(self.memory.coordinator, f"{program} the coordinator{at}")

    def _trapped(self, number: int, who: str) -> NoReturn:
        """Tell of an access that trapped, once, and give up."""
        if self._trap is not None:
            raise self._trap
        block = self.memory.blocks[number]
        address, name = int(block[c.TRAP_ADDRESS]), signal.Signals(int(block[c.TRAP_SIGNAL])).name
        what = self.memory.describe(address)
        self.events.emit("trapped", context=number, signal=name, address=address, who=who, what=what)
        self._trap = Trapped(f"{who} touched {what} ({name})")
        raise self._trap

    # --- faults

    def _set_up_faults(self) -> None:
        self._random = random.Random(self.config.seed)
        for block in self.memory.blocks:
            block[c.CHANCE] = self._random.getrandbits(62)
        if self.image.instrumented:
            self.memory.blocks[:, c.REACH] = reach_function()
        if self.config.faults:
            self.memory.header[c.LOOPS_PER_MS] = loops_per_ms()
            self.memory.blocks[:, c.FAULTS] = self.faults.address

    # --- what CPUs and programs leave for the coordinator

    @property
    def _doorbell(self) -> int:
        return self.memory.header_address + c.DOORBELL * 8

    def _deliver(self, function: ProgramFunction, argument: int, kind: int) -> None:
        if kind == c.WORK:
            self.coordinator.work.append((function, argument))
        else:
            self.rcu.call(lambda: self.coordinator.run_callback(function, argument))

    def _answer_directly(self, code: int, a: int, b: int) -> int:
        if code == c.LOOK:
            return self._look_round(a)
        return self._requests.answer_directly(code, a, b, self.wait_for)

    def _look_round(self, microseconds: int) -> int:
        """A program of the coordinator's waits or spins: others go on meanwhile. No callback begins inside of one."""
        bell = int(self.memory.header[c.DOORBELL])
        if not self.poll(run=not self.coordinator.atomic):
            signals().wait(self._doorbell, bell, max(microseconds, SPIN_US))
        return 0
