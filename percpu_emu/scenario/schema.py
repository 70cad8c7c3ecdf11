"""What a scenario file may say: its keys, their types and limits (pydantic; the JSON Schema ships with the package)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from percpu_emu.lang.setting import ONLY_OF_TASKS
from percpu_emu.machine.faults import BadFault, parse_fault
from percpu_emu.scenario.wording import said_of_fault

PinKindName: TypeAlias = Literal["page-cache", "mlock", "vfs-cache", "slab"]
ProtocolName: TypeAlias = Literal["original", "patched", "patch-2022"]
Word: TypeAlias = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""What fits into a word of memory."""


def _inside_the_tree(path: str) -> str:
    if path != "." and any(part in (".", "..") for part in path.split("/")):
        raise ValueError(f'{path!r} leads out of the tree; a path goes down from the root, "." is the root itself')
    return path


CgroupPath: TypeAlias = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_.{}-]+(/[A-Za-z0-9_.{}-]+)*$", max_length=200),
    AfterValidator(_inside_the_tree),
]
"""Path below the root; `{i}` is the number of the repetition, from 1."""


class Part(BaseModel):
    """Base of every table in a scenario file: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _knows_every_key(cls, value: Any) -> Any:
        unknown = [key for key in value if key not in cls.model_fields] if isinstance(value, dict) else []
        if unknown:
            # pydantic's own message for this does not say which keys there are
            allowed = ", ".join(cls.model_fields)
            raise PydanticCustomError("unknown_key", "{key}", {"key": str(unknown[0]), "allowed": allowed})
        return value


class MachinePart(Part):
    """The machine."""

    cpus: int = Field(ge=1, le=512, description="possible CPUs; each is a process")
    nodes: int = Field(default=1, ge=1, le=64, description="NUMA nodes, over which the CPUs are spread evenly")
    kernel: str = Field(default="linux-5.0-mmotm", description="kernel profile: structure sizes and boot figures")
    stall_seconds: float = Field(default=21.0, gt=0, le=3600, description="RCU stall warning after so long")
    guard: bool = Field(default=False, description="per-CPU memory that is freed is gone: any access to it traps")
    control_cpu: bool = Field(
        default=False,
        description="a dead CPU's slots are folded by another CPU, while callbacks run; else by the coordinator",
    )

    @model_validator(mode="after")
    def _every_node_has_a_cpu(self) -> Self:
        if self.nodes > self.cpus:
            raise ValueError(f"{self.nodes} nodes need at least as many CPUs, {self.cpus} are given")
        return self


class InterruptsPart(Part):
    """A program that interrupts CPUs in the middle of whatever they do, by a Unix signal."""

    program: str = Field(description="name of a bundled program, or path of a file, that takes (memcg, turn)")
    cpus: Literal["all"] | list[Annotated[int, Field(ge=0)]] = Field(
        default="all", description="the CPUs that are interrupted"
    )
    rate: float = Field(default=1000.0, ge=0.001, le=100_000, description="a second, each CPU")
    by: Literal["timer", "coordinator"] = Field(default="timer", description="who sends the signal")


def _a_fault(line: str) -> str:
    try:
        parse_fault(line)
    except BadFault as error:
        raise ValueError(said_of_fault(error)) from error
    return line


class FaultsPart(Part):
    """What goes wrong on purpose."""

    inject: list[Annotated[str, Field(max_length=200), AfterValidator(_a_fault)]] = Field(
        default=[], max_length=100, description="POINT=KIND[:TIME][@CHANCE% or @#NTH]: mod_memcg_state:4=sleep:1ms@25%"
    )
    chaos: bool = Field(default=False, description="starve CPUs at random, by SIGSTOP and SIGCONT")
    revive: bool = Field(default=True, description="bring CPUs that were killed up again")


class TorturePart(Part):
    """RCU under torture instead of steps: one CPU writes, some wait for grace periods, all others read."""

    fakewriters: int = Field(default=1, ge=0, le=64, description="CPUs that wait for grace periods without need")
    stutter: float = Field(default=0.5, ge=0, le=3600, description="seconds of work between two pauses; 0: no pause")
    barrier_callbacks: int = Field(default=4, ge=1, le=512, description="posted before each rcu_barrier")
    interrupts: float = Field(default=1000.0, ge=0, le=100_000, description="readers in interrupts, a second and CPU")
    broken: bool = Field(default=False, description="grace periods wait for no reader: the torture has to notice")


class WorkerPart(Part):
    """A program that CPUs run turn after turn, on the cgroups of the table."""

    program: str = Field(description="name of a bundled program, or path of a file, that takes (memcg, turn)")
    cpus: Literal["all"] | list[Annotated[int, Field(ge=0)]] = Field(default="all", description="the CPUs that run it")
    stretch: int = Field(default=1000, ge=1, le=1_000_000_000, description="turns between two rests")
    pace: int | None = Field(
        default=None, ge=1, le=1_000_000_000, description="turns a second, all CPUs together; as fast as can be"
    )


_DO: Final = Field(description="which step it is")


class Mkdir(Part):
    """Make a cgroup; `publish` has the workers update it."""

    do: Literal["mkdir"] = _DO
    cgroup: CgroupPath = Field(description="its path below the root; `{i}` is the number of the repetition, from 1")
    publish: bool = Field(default=False, description="enter it in the table of cgroups that workers update")


class Attach(Part):
    """Move the shell's task into a cgroup ("." is the root), on the next CPU in turn."""

    do: Literal["attach"] = _DO
    cgroup: CgroupPath = Field(description="where the task goes")


class Charge(Part):
    """The task's cgroup, or the one named, is charged with objects."""

    do: Literal["charge"] = _DO
    kind: PinKindName = Field(description="what is charged, and keeps the cgroup in memory once it is removed")
    cgroup: CgroupPath | None = Field(default=None, description="which cgroup; the task's own if not given")
    objects: int = Field(default=1, ge=1, le=10_000, description="how many of them")
    user: str = Field(default="", max_length=80, description="who still uses it, for people")


class Uncharge(Part):
    """Everything charged to a cgroup - the name it had, where it is dying - is let go of."""

    do: Literal["uncharge"] = _DO
    cgroup: CgroupPath = Field(description="whose charges are let go of")


class Rmdir(Part):
    """Remove a cgroup; it dies."""

    do: Literal["rmdir"] = _DO
    cgroup: CgroupPath = Field(description="which cgroup is removed")


class Replace(Part):
    """Go through the table once: remove cgroups that live, replace those whose slots are released by new ones."""

    do: Literal["replace"] = _DO


class Settle(Part):
    """Wait until every grace period, callback and work item that is due is over."""

    do: Literal["settle"] = _DO


class Wait(Part):
    """Let time pass."""

    do: Literal["wait"] = _DO
    seconds: float = Field(gt=0, le=86_400, description="how long")


class Read(Part):
    """Read nr_dying_descendants, Slab and Percpu, as `cat cgroup.stat` and `cat /proc/meminfo` do."""

    do: Literal["read"] = _DO
    to: Literal["before", "after", "end"] = Field(description="the reading's name in figures and tables")


class Offline(Part):
    """Take a CPU down; "random" is any but CPU 0."""

    do: Literal["offline"] = _DO
    cpu: Literal["random"] | Annotated[int, Field(ge=0)] = Field(default="random", description="which CPU goes down")


class Online(Part):
    """Bring a CPU up; "random" is any that is down."""

    do: Literal["online"] = _DO
    cpu: Literal["random"] | Annotated[int, Field(ge=0)] = Field(default="random", description="which CPU comes up")


class Repeat(Part):
    """Do steps so many times; "cgroups" is the scenario's number of cgroups."""

    do: Literal["repeat"] = _DO
    times: Literal["cgroups"] | Annotated[int, Field(ge=1, le=1_000_000)] = Field(description="how often")
    steps: list[Step] = Field(min_length=1, description="what is done each time, in this order")


class AnyOf(Part):
    """Do one of the steps, drawn at random."""

    do: Literal["any"] = _DO
    steps: list[Step] = Field(min_length=1, description="what one is drawn from")


class During(Part):
    """Do steps again and again for so many seconds; "seconds" is the scenario's length."""

    do: Literal["during"] = _DO
    seconds: Literal["seconds"] | Annotated[float, Field(gt=0, le=86_400)] = Field(
        default="seconds", description="how long"
    )
    steps: list[Step] = Field(min_length=1, description="what is done on each pass, in this order")


Step: TypeAlias = Annotated[
    Mkdir
    | Attach
    | Charge
    | Uncharge
    | Rmdir
    | Replace
    | Settle
    | Wait
    | Read
    | Offline
    | Online
    | Repeat
    | AnyOf
    | During,
    Field(discriminator="do"),
]
for _nested in (Repeat, AnyOf, During):  # which name Step before it is there
    _nested.model_rebuild()


class Figures(Part):
    """What a kernel printed."""

    nr_dying_descendants: Word = Field(description="cgroups that are removed and still in memory, of cgroup.stat")
    slab_kb: Word = Field(description="Slab of /proc/meminfo, in kB")
    percpu_kb: Word = Field(description="Percpu of /proc/meminfo, in kB")


class Letter(Part):
    """What the cover letter says for one protocol, printed beside; `before.slab_kb` is what boot had allocated."""

    before: Figures = Field(description="at the reading `before`")
    after: Figures = Field(description="at the reading `after`")


class Expectation(Part):
    """A figure that has to come out; for the scenario as it stands, not with another topology."""

    figure: str = Field(description="PROTOCOL.NAME or PROTOCOL.READING.NAME: patched.after.percpu_kb")
    equals: float | None = Field(default=None, description="exactly this value")
    at_least: float | None = Field(
        default=None, description="of what the run does (releases, offlined), fewer leave the verdict inconclusive"
    )
    growth_within: float | None = Field(default=None, description="at most this part off the letter's growth: 0.15")

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = [self.equals, self.at_least, self.growth_within]
        if sum(condition is not None for condition in given) != 1:
            raise ValueError("exactly one of equals, at_least, growth_within is given")
        return self


class ContextPart(Part):
    """A context that `explore` interleaves with the others; one for each of its CPUs."""

    name: str | None = Field(default=None, max_length=40, description="for people; the program's name if not given")
    program: str = Field(description="name of a program in the file of programs")
    kind: Literal["task", "interrupt", "offline", "kill"] = Field(
        default="task",
        description="interrupt: on top of a task; offline, kill: the CPU goes down, then the program runs",
    )
    cpus: Literal["all"] | list[Annotated[int, Field(ge=0)]] = Field(
        default=[], description="where it runs, or which CPU goes down; none: a task of the coordinator"
    )
    args: list[Word | Literal["cpu", "turn"]] = Field(
        default=[], description="the program's arguments: numbers, the CPU's number, the number of the turn"
    )
    turns: int = Field(default=1, ge=1, le=1000, description="how often a task runs its program")
    migrates: int = Field(default=0, ge=0, le=8, description="how often a task may move to another CPU")

    @model_validator(mode="after")
    def _has_a_cpu(self) -> Self:
        if self.kind != "task" and not self.cpus:
            raise ValueError(f'a context of kind "{self.kind}" needs cpus')
        return self

    @model_validator(mode="after")
    def _only_a_task_comes_again_or_moves(self) -> Self:
        for key, most in ONLY_OF_TASKS.items():
            if self.kind != "task" and (value := getattr(self, key)) > most:
                wrong = {"key": key, "found": value, "allowed": f'{most} for kind "{self.kind}", which runs once'}
                raise PydanticCustomError("wrong_key", "{key}: found {found}, allowed: {allowed}", wrong)
        return self


class ExplorePart(Part):
    """What `explore` tries in every order, and what it checks."""

    programs: str = Field(description="path of the file that holds the programs")
    contexts: list[ContextPart] = Field(min_length=1, max_length=32, description="what runs, in every order")
    setup: str | None = Field(default=None, description="program that runs first, alone")
    constants: dict[str, Word] = Field(default={}, description="module constants made smaller: MEMCG_CHARGE_BATCH = 1")
    total: str | None = Field(
        default=None, description="program (counter) -> its value with all slots, held against the ledger"
    )
    left: int | None = Field(
        default=None, ge=0, le=1_000_000, description="how many areas and objects may be allocated at the end"
    )
    bound: int | None = Field(
        default=None,
        ge=0,
        le=2**32,
        description="how far a counter's twin may be from its ledger, for each CPU: the batch",
    )
    allocations_fail: int = Field(
        default=0,
        ge=0,
        le=8,
        description="how many allocations of the contexts may give 0, whichever the search chooses",
    )
    exclusive: bool = Field(default=False, description="only a CPU itself writes its slots")
    sometimes: list[str] = Field(default=[], description="marks that have to be reached, else nothing is proved")
    final: str | None = Field(default=None, description="Python function (state) -> what is wrong, or None; at the end")
    invariant: str | None = Field(default=None, description="the same, on every state; turns the reduction off")
    after: dict[str, str] = Field(
        default={},
        max_length=32,
        description="the same right after a step: PROGRAM:NUMBER, PROGRAM:OPERATION or a mark; turns the reduction off",
    )
    progress: Literal["possible", "fair"] = Field(
        default="possible",
        description="possible: the end can be reached from every state; fair: and a fair scheduler starves no context, "
        "which turns the reduction off",
    )
    expect: str | None = Field(default=None, description="the check that has to catch a broken protocol")
    missing: str = Field(default="", description="which step of a broken protocol is missing")


class OutcomePart(Part):
    """A result of rounds of a native stress, allowed or not."""

    result: str = Field(max_length=200, description='the numbers that were observed: "1, 0"')
    expect: Literal["expected", "interesting", "forbidden"] = Field(
        default="expected", description="whether it may be seen; a forbidden one that is seen fails the run"
    )
    explain: str = Field(min_length=1, max_length=300, description="one sentence: how it comes about, or why it cannot")


class Scenario(Part):
    """A scenario: machine, cgroups, programs, events in time, and what is expected."""

    name: str = Field(pattern=r"^[a-z0-9-]+$", max_length=60, description="what commands and reports call it")
    summary: str = Field(max_length=120, description="one line for `list`")
    description: str = Field(default="", description="prose for `show`")
    machine: MachinePart = Field(description="CPUs, nodes, kernel")
    protocols: list[ProtocolName] = Field(default=["patched"], min_length=1, description="run one after another")
    cgroups: int = Field(default=1, ge=1, le=1_000_000, description="for `repeat`")
    seconds: float = Field(default=5.0, gt=0, le=86_400, description="for `during`")
    seed: int = Field(default=1, ge=0, lt=2**63, description="of all random choices")
    table: int = Field(default=16, ge=1, le=50_000, description="entries of the table of cgroups that workers update")
    workers: list[WorkerPart] = Field(default=[], description="for `run`: programs that CPUs run turn after turn")
    interrupts: list[InterruptsPart] = Field(default=[], description="for `run`: programs that interrupt CPUs")
    faults: FaultsPart = Field(default=FaultsPart(), description="what goes wrong on purpose")
    steps: list[Step] = Field(default=[], description="for `run`")
    explore: ExplorePart | None = Field(default=None, description="for `explore`")
    observe: list[str] = Field(
        default=[], max_length=16, description="for `run`: programs whose numbers, after a round, are its outcome"
    )
    outcomes: list[OutcomePart] = Field(
        default=[], max_length=100, description="which of the observed numbers may be seen, and why"
    )
    torture: TorturePart | None = Field(default=None, description="for `run`, instead of steps")
    letter: dict[ProtocolName, Letter] = Field(default={}, description="what the cover letter says, by protocol")
    expect: list[Expectation] = Field(default=[], description="for `run`: figures that have to come out")

    @model_validator(mode="after")
    def _is_for_something(self) -> Self:
        if not self.steps and self.explore is None and self.torture is None:
            raise ValueError("neither steps nor torture (for `run`) nor a table explore (for `explore`) is given")
        if self.torture is not None and (self.steps or self.workers or self.interrupts):
            raise ValueError("a table torture brings its own programs: allowed without steps, workers and interrupts")
        if self.torture is not None and self.machine.cpus < self.torture.fakewriters + 2:
            raise ValueError(f"torture: {self.torture.fakewriters} fake writers, a writer and a reader need more CPUs")
        return self

    @model_validator(mode="after")
    def _outcomes_are_of_rounds(self) -> Self:
        if (self.observe or self.outcomes) and (self.explore is None or self.steps):
            raise ValueError("observe and outcomes: allowed with a table explore, and without steps")
        if bool(self.observe) != bool(self.outcomes):
            raise ValueError("observe says what is looked at, outcomes what may be seen: one needs the other")
        return self

    @model_validator(mode="after")
    def _workers_run_on_cpus_that_are_there(self) -> Self:
        for context in self.explore.contexts if self.explore else []:
            absent = [cpu for cpu in context.cpus if isinstance(cpu, int) and cpu >= self.machine.cpus]
            if absent:
                raise ValueError(f"explore: {context.program}: no CPU {absent[0]}, the machine has {self.machine.cpus}")
        parts: list[tuple[str, WorkerPart | InterruptsPart]] = [("worker", worker) for worker in self.workers]
        for what, part in [*parts, *(("interrupt", part) for part in self.interrupts)]:
            missing = [cpu for cpu in part.cpus if isinstance(cpu, int) and cpu >= self.machine.cpus]
            if missing:
                raise ValueError(f"{what} {part.program}: no CPU {missing[0]}, the machine has {self.machine.cpus}")
        return self

    @model_validator(mode="after")
    def _protocols_differ(self) -> Self:
        twice = [name for name in self.protocols if self.protocols.count(name) > 1]
        if twice:
            raise PydanticCustomError(
                "wrong_key",
                "{key}: found {found}, allowed: {allowed}",
                {"key": "protocols", "found": f"{twice[0]} twice", "allowed": "each protocol once"},
            )
        return self

    @model_validator(mode="after")
    def _steps_name_cpus_that_are_there(self) -> Self:
        for step in all_steps(self.steps):
            if isinstance(step, Offline | Online) and step.cpu != "random" and step.cpu >= self.machine.cpus:
                raise ValueError(f"step {step.do}: no CPU {step.cpu}, the machine has {self.machine.cpus}")
        return self

    @model_validator(mode="after")
    def _a_cpu_is_interrupted_by_one_program(self) -> Self:
        taken: dict[int, str] = {}
        for part in self.interrupts:
            for cpu in range(self.machine.cpus) if part.cpus == "all" else part.cpus:
                if cpu in taken:
                    raise ValueError(f"CPU {cpu} is interrupted by {taken[cpu]} and by {part.program}: one is allowed")
                taken[cpu] = part.program
        return self


def all_steps(steps: list[Step]) -> list[Step]:
    """The steps with those inside of them."""
    found = list(steps)
    for step in found:  # which grows meanwhile
        if isinstance(step, Repeat | AnyOf | During):
            found += step.steps
    return found


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file."""
    return Scenario.model_json_schema()
